"""What holds for every figure, and what each says of data made by hand."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from accord.report.figures import (
    DifferenceRow,
    DurationRow,
    calibration,
    confusion,
    differences,
    duration_and_improvement,
    gradient_cosines,
    learning_curves,
    predicted_against_true,
)
from accord.report.figures.drawing import line_style
from accord.report.page import Figure

SVG = "{http://www.w3.org/2000/svg}"
ODD = "<script>|</svg>$\\frac{$ é"
LARGEST = 300 * 1024

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def all_figures(
    make_run: Make, make_classes: Make, make_values: Make, make_steps: Make
) -> list[Figure]:
    """One of each, with a stranger's texts."""
    run = make_run({"sst": [0.5, 0.6], "sts": [0.1, 0.2]}, steps=make_steps(9, "sst", "sts"))
    classes = make_classes([0, 1, 1], [[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]], (ODD, "_p"))
    row = DurationRow(ODD, 3.0, {"sst": 1.0, "sts": None}, {"sst": 0.5})
    return [
        learning_curves("curves", ODD, {ODD: [run], "_b": [run]}),
        gradient_cosines("cosines", ODD, [run]),
        confusion("confusion", ODD, classes),
        calibration("calibration", ODD, classes),
        predicted_against_true("values", ODD, make_values([1, 2, 3], [1, 2, 2])),
        duration_and_improvement("duration", ODD, [row]),
        differences("differences", ODD, [DifferenceRow(ODD, 1, 0.5, 1.5, "better")]),
    ]


@pytest.mark.slow
def test_every_figure_is_sound_xml_at_page_width(all_figures: list[Figure]) -> None:
    ids = []
    for figure in all_figures:
        root = ET.fromstring(figure.svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("width") == "504pt"
        assert root.findtext(f"{SVG}title") == ODD
        tags = {each.tag.removeprefix(SVG) for each in root.iter()}
        assert tags <= {"svg", "title", "defs", "style", "g", "path", "text", "use", "clipPath",
                        "rect"}  # fmt: skip
        ids += [each.get("id") for each in root.iter() if each.get("id")]
        assert figure.sentence.endswith(".")
    assert len(ids) == len(set(ids))


def test_letters_are_nine_points_or_more(all_figures: list[Figure]) -> None:
    for figure in all_figures:
        sizes = re.findall(r"font(?:-size)?: ([\d.]+)px", figure.svg)
        assert len(sizes) >= 3
        assert min(map(float, sizes)) >= 9


def test_text_stays_text(all_figures: list[Figure], texts_of: Make) -> None:
    for figure in all_figures[2:3] + all_figures[5:]:
        assert "<script>|</svg>" in texts_of(figure)
        assert "<script" not in figure.svg
    assert " _b" in texts_of(all_figures[0])


@pytest.mark.slow
def test_a_second_process_draws_the_same_bytes(all_figures: list[Figure]) -> None:
    code = (
        "from accord.report.figures import *; import sys;"
        "row = DifferenceRow(sys.argv[1], 1, 0.5, 1.5, 'better');"
        "sys.stdout.buffer.write(differences('differences', sys.argv[1], [row]).svg.encode())"
    )
    done = subprocess.run([sys.executable, "-c", code, ODD], capture_output=True, check=True)
    assert done.stdout.decode() == all_figures[-1].svg


def test_the_users_settings_are_neither_taken_nor_changed(make_values: Make) -> None:
    import matplotlib as mpl

    before = predicted_against_true("v", "t", make_values([1, 2], [1, 3])).svg
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert predicted_against_true("v", "t", make_values([1, 2], [1, 3])).svg == before
        assert mpl.rcParams["font.size"] == 30


def test_series_differ_in_more_than_colour() -> None:
    styles = [line_style(i) for i in range(7)]
    assert (
        len({style["color"] for style in styles}) == len({style["marker"] for style in styles}) == 7
    )
    looks = [
        (each["color"], each["marker"], str(each["linestyle"]))
        for each in map(line_style, range(99))
    ]
    assert len(set(looks)) == 99


# Size


@pytest.mark.slow
def test_long_runs_stay_small(make_run: Make, make_steps: Make) -> None:
    rng = np.random.default_rng(0)
    tasks = ("sst", "quora", "sts")
    lines = make_steps(1_500, *tasks)
    for line in lines:
        line["losses"] = {task: float(rng.random()) for task in tasks}
        line["gramian"] = [[*rng.normal(size=row).tolist(), 4.0] for row in range(len(tasks))]
    halves = [{task: float(rng.normal()) for task in tasks} for _ in range(1_500)]
    runs = [
        make_run({task: rng.random(100).tolist() for task in tasks}, steps=lines, halves=halves)
        for _ in range(2)
    ]
    name = "n" * 60
    assert len(gradient_cosines(name, "t", runs).svg) < LARGEST
    groups = {f"group {i}": runs for i in range(8)}
    assert len(learning_curves(name, "t", groups).svg) < LARGEST


def test_many_rows_are_drawn_in_part(make_values: Make) -> None:
    rng = np.random.default_rng(0)
    values = make_values(rng.random(4_000), rng.random(4_000))
    figure = predicted_against_true("n" * 60, "t", values)
    assert len(figure.svg) < LARGEST
    assert "1,500 rows are drawn" in figure.sentence
    assert "over 4,000 rows" in figure.sentence


def test_many_labels_are_drawn_in_part(make_classes: Make, texts_of: Make) -> None:
    rng = np.random.default_rng(0)
    classes = make_classes(rng.integers(0, 40, 500), rng.random((500, 40)))
    figure = confusion("n" * 60, "t", classes)
    assert len(figure.svg) < LARGEST
    assert "29 others" in texts_of(figure)
