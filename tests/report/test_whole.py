"""No figure shortens a label, cuts an interval, or lets texts leave the canvas or cover others."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from statsmodels.stats.proportion import proportion_confint

from accord.report.figures import (
    DifferenceRow,
    DurationRow,
    calibration,
    confusion,
    differences,
    drawing,
    duration_and_improvement,
    gradient_cosines,
    learning_curves,
    predicted_against_true,
)
from accord.report.figures.differences import MARKS
from accord.report.figures.measuring import text_width, wrapped
from accord.report.page import Figure

Make = Callable[..., Any]
LONG = (
    "sharing.method=projected-attention-layers,training.gradients=gradient-vaccine,balancing.rule="
    "uncertainty,training.lr=2e-05,sampling.rule=annealed,encoder=bert"
)
WORD = "x" * 160


@pytest.fixture
def canvases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Canvas]]:
    """Every canvas that is drawn, as it is saved."""
    seen: list[Canvas] = []

    class Kept(Canvas):
        def savefig(self, *args: Any, **kwargs: Any) -> None:
            super().savefig(*args, **kwargs)
            seen.append(self)

    monkeypatch.setattr(drawing, "Canvas", Kept)
    with mpl.rc_context():
        yield seen


def boxes(canvas: Canvas) -> list[tuple[Text, Any]]:
    """Every visible text with its box in pixels: saving put the places in its format's points."""
    mpl.rcParams.update(drawing._LOOK)
    canvas.draw_without_rendering()
    beyond = _beyond(canvas)
    texts = [
        each for each in canvas.findobj(Text) if each.get_visible() and each.get_text().strip()
    ]
    return [(text, text.get_window_extent()) for text in texts if id(text) not in beyond]


def _beyond(canvas: Canvas) -> set[int]:
    """Labels of ticks beyond an axis's ends, which keep their texts but aren't drawn."""
    return {
        id(label)
        for axes in canvas.axes
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        if not min(ends) <= tick.get_loc() <= max(ends)
        for label in (tick.label1, tick.label2)
    }


def check(canvas: Canvas, *labels: str) -> None:
    actual = boxes(canvas)
    width, height = canvas.bbox.width, canvas.bbox.height
    for text, box in actual:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, (text.get_text(), box, width, height)
    for i, (one, a) in enumerate(actual):
        for two, b in actual[:i]:
            apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 2.5 or b.y1 <= a.y0 + 2.5
            assert apart, (one.get_text(), two.get_text())
    read = "".join("".join(text.get_text().split()) for text, _ in actual)
    for label in labels:
        assert "".join(label.split()) in read, label
    assert "…" not in read


def row(label: str, value: float, half: float, kind: str = "better", **more: Any) -> DifferenceRow:
    return DifferenceRow(label, value, value - half, value + half, kind, **more)


def axis_of(canvas: Canvas) -> tuple[float, float]:
    low, high = canvas.axes[0].get_xlim()
    return float(low), float(high)


@pytest.mark.quick("long", "far")
@pytest.mark.parametrize(
    "rows",
    [
        [row(f"gradients=pcgrad,lr={i}e-05", i - 12, 1 + i / 9, kind)
         for i, kind in zip(range(25), list(MARKS) * 4, strict=False)],
        [row(LONG, 1, 2, "as good", verdict="as good, within 1.0 point", margin=1.0,
             baseline=f"a constant prediction reaches 0.512 ({LONG})"),
         row(WORD, -1, 0.5, "worse")],
        [row("a", 0.5, 0.4), row("b", -0.3, 0.5), row("c", 2, 142, "one run each")],
        [row("a", 0, 0, "identical"), DifferenceRow("b", 0, None, None, "one run each")],
        [row("a", 1e-4, 2e-4), row("b", -3e-5, 1e-5, "worse")],
        [row("a", 50, 2)],
    ],
    ids=["many", "long", "giant", "zero", "tiny", "far"],
)  # fmt: skip
def test_a_forest_plot_is_whole(rows: list[DifferenceRow], canvases: list[Canvas]) -> None:
    differences("d", "t", rows)
    check(
        canvases[0], *(each.label for each in rows), *(each.verdict or each.kind for each in rows)
    )
    low, high = axis_of(canvases[0])
    assert low <= 0 <= high
    for each in rows:
        for end in (each.value, each.low, each.high):
            assert end is None or low <= end <= high
    drawn = {
        (round(float(x[0]), 9), round(float(x[-1]), 9))
        for x in (line.get_xdata() for line in canvases[0].axes[0].get_lines())
    }
    for each in rows:
        if each.low is not None and each.high is not None:
            assert (round(each.value, 9), round(each.low, 9)) in drawn
            assert (round(each.value, 9), round(each.high, 9)) in drawn


def test_the_rows_next_to_a_giant_interval_stay_readable(canvases: list[Canvas]) -> None:
    differences("d", "t", [row("a", 0.5, 0.4), row("b", -0.3, 0.5), row("c", 2, 142)])
    axes = canvases[0].axes[0]
    ends = axes.transData.transform([(0.1, 0), (0.9, 0)])[:, 0] / canvases[0].bbox.width * 504
    assert ends[1] - ends[0] > 20  # points: linear it would be a third of one
    labels = [xticklabel.get_text() for xticklabel in axes.get_xticklabels()]
    assert {"−100", "−1", "0", "1", "100"} <= set(labels)


def test_an_interval_without_bound_goes_to_the_axis_s_end(
    canvases: list[Canvas], texts_of: Make
) -> None:
    rows = [
        row("a", 1.0, float("inf"), "one run each"),
        row("b", 3, 1),
        DifferenceRow("c", float("nan"), None, None, "learnt nothing"),
    ]
    figure = differences("d", "t", rows)
    assert "+1.0 (−∞ to +∞)" in texts_of(figure)
    low, high = axis_of(canvases[0])
    ends = {tuple(map(float, line.get_xdata())) for line in canvases[0].axes[0].get_lines()}
    assert {(1.0, low), (1.0, high)} <= ends


def test_the_margin_is_a_band_around_0(canvases: list[Canvas], texts_of: Make) -> None:
    figure = differences("d", "t", [row("a", 0.2, 0.1, "as good", margin=0.5)])
    bands = [(p.get_x(), p.get_width()) for p in canvases[0].axes[0].patches]
    assert (-0.5, 1.0) in bands
    assert "within ±0.5, the margin" in texts_of(figure)
    low, high = axis_of(canvases[0])
    assert low <= -0.5
    assert high >= 0.5


def test_marks_differ_without_their_colours() -> None:
    looks = [(each["marker"], each.get("markerfacecolor", "filled")) for each in MARKS.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.quick("reaches1")
@pytest.mark.parametrize(
    "reaches",
    [
        [1.0, 1.0, 300.0],
        [1e-6, 1.0],
        [0.0],
        *(
            pytest.param(reaches, marks=pytest.mark.slow)
            for reaches in ([5.0], [0.2] * 9 + [3.0], [1e-9], [123_456.0, 1.0])
        ),
    ],
)
def test_ticks_have_room_and_rise(reaches: list[float], canvases: list[Canvas]) -> None:
    differences("d", "t", [row(WORD, 0.0, reach) for reach in reaches])
    check(canvases[0])
    axes = canvases[0].axes[0]
    actual = [float(x) for x in axes.get_xticks()]
    assert 0.0 in actual
    assert actual == sorted(set(actual))
    assert len(actual) >= 3
    low, high = axis_of(canvases[0])
    assert low <= -max(reaches) <= max(reaches) <= high
    labels = sorted((box.x0, box.x1) for text, box in boxes(canvases[0])
                    if text in axes.get_xticklabels())  # fmt: skip
    assert all(b - a > 5 for (_, a), (b, _) in pairwise(labels))


@pytest.mark.slow
def test_other_figures_are_whole(
    make_run: Make, make_steps: Make, make_classes: Make, make_values: Make, canvases: list[Canvas]
) -> None:
    runs = [make_run({"sst": [0.5, 0.6], "sts": [0.3, 0.4]}, steps=make_steps(9, "sst", "sts"))]
    learning_curves("c", "t", {LONG: runs, WORD: runs, "short": runs})
    check(canvases[-1], LONG, WORD)
    gradient_cosines("g", "t", runs)
    check(canvases[-1], "sst – sts")
    duration_and_improvement(
        "d", "t",
        [DurationRow(LONG, 12_345_678.0, {LONG: 1.0}, {LONG: 0.5}), DurationRow("b", 2.0, {}, {})],
    )  # fmt: skip
    check(canvases[-1], LONG, "12,345,678")
    values = make_values([1, 2, 3], [1, 2, 2])
    task = replace(values.task, name="a_task_of_a_long_name" * 3)
    predicted_against_true("p", "t", replace(values, task=task))
    check(canvases[-1], task.name)
    calibration("k", "t", make_classes([0, 1, 1], [[1, 0], [0.9, 0.1], [0.2, 0.8]]))
    check(canvases[-1])


@pytest.mark.quick("few", "long")
@pytest.mark.parametrize(
    "labels",
    [("neg", "positive sentiment"), (LONG, WORD, "x"), tuple(f"label{i}" for i in range(12)),
     tuple(f"{i} {LONG[:60]}" for i in range(12))],
    ids=["few", "long", "many", "many long"],
)  # fmt: skip
def test_a_confusion_is_whole(
    labels: tuple[str, ...], make_classes: Make, canvases: list[Canvas]
) -> None:
    rng = np.random.default_rng(0)
    count = len(labels)
    classes = make_classes(rng.integers(0, count, 9_000), rng.random((9_000, count)), labels)
    figure: Figure = confusion("c", "t", classes)
    check(canvases[0], *labels)
    assert "…" not in figure.sentence


def test_calibration_draws_each_bin_s_share_with_its_interval(
    make_classes: Make, canvases: list[Canvas]
) -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 300)
    true = (rng.random(300) > sure).astype(int)
    calibration("c", "t", make_classes(true, np.stack([sure, 1 - sure], axis=1)))
    (line,) = [each for each in canvases[0].axes[0].get_lines() if each.get_marker() == "o"]
    bins = [(sure >= i / 10) & (sure < (i + 1) / 10) for i in range(5, 10)]
    shares = [float((true[each] == 0).mean()) for each in bins]
    assert line.get_xdata() == pytest.approx([sure[each].mean() for each in bins])
    assert line.get_ydata() == pytest.approx(shares)
    wilson = [proportion_confint(round(share * each.sum()), each.sum(), method="wilson")
              for share, each in zip(shares, bins, strict=True)]  # fmt: skip
    (bars,) = canvases[0].axes[0].collections
    assert [tuple(end[1] for end in bar) for bar in bars.get_segments()] == [  # type: ignore[attr-defined]
        pytest.approx(interval) for interval in wilson
    ]
    assert [bar.get_height() for bar in canvases[0].axes[1].patches][5:] == [
        each.sum() for each in bins
    ]


@pytest.mark.parametrize("text", [LONG, WORD, "a b", "", "情報" * 40, "a\tb\nc", "lr=2e-05," * 9])
@pytest.mark.parametrize("width", [30.0, 100.0, 190.0])
def test_lines_fit_and_nothing_is_left_out(text: str, width: float) -> None:
    lines = wrapped(text, width)
    assert all(text_width(line) <= width for line in lines)
    whole = text.replace("\t", "\\t").replace("\n", "\\n")
    assert "".join("".join(lines).split()) == "".join(whole.split())


def test_a_number_is_not_broken_at_its_sign() -> None:
    assert wrapped("training.lr=2e-05", text_width("training.lr=2e-0")) == ["training.lr=", "2e-05"]


def test_widths_are_those_of_matplotlib() -> None:
    with mpl.rc_context({**mpl.rcParamsDefault, **drawing._LOOK}):
        canvas = Canvas()
        text = canvas.text(0, 0, "gradients=pcgrad (−1.0 to +2.0)")
        drawn = text.get_window_extent().width / canvas.dpi * 72
    assert text_width(text.get_text()) == pytest.approx(drawn, rel=0.03)
