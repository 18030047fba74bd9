"""What a grid's report shows: groups held against one another, and as its file asks for."""

import csv
import json
from html import unescape

import pytest
from grid_files import METHODS

from accord.comparison.family import compare_groups
from accord.comparison.group import plus_minus
from accord.grids.file import read_grid
from accord.grids.running import grid_groups, run_grid


def read_csv(file):
    return list(csv.reader(file.read_text().splitlines()))


@pytest.mark.slow
def test_every_group_is_held_against_one_and_reported(grid, tmp_path, accord_cli):
    out = tmp_path / "out"
    file = grid(METHODS)
    answer = accord_cli("grid", file, "--out", out, "--against", "gradients=sum")
    assert answer.code == 0, answer.err
    table = answer.out.split("Against gradients=sum:")[1]
    assert [line.split()[0] for line in table.splitlines() if line.startswith(" gradients=")] == [
        "gradients=pcgrad", "gradients=mean",
    ]  # fmt: skip
    corrected = "for 6 comparisons, corrected together by Holm's method, at 5 %"
    assert corrected in table
    page = (out / "report.html").read_text()
    for text in (page, (out / "report.md").read_text()):
        assert corrected in unescape(text)
    for name in ("differences-mood", "differences-near", "differences-mean-of-tasks"):
        assert (out / "figures" / f"{name}.svg").is_file()
        assert name in page
    rows = (out / "tables" / "differences.csv").read_text().splitlines()
    assert rows[0] == "group,task,verdict,runs,difference,interval,adjusted p,to show 1 point"
    assert len(rows) == 1 + 2 * 3
    again = accord_cli("grid", file, "--out", out, "--against", "gradients=sum", "--report-only",
                       "--formats", "png,latex")  # fmt: skip
    assert again.out == answer.out
    assert (out / "figures" / "differences-mood.png").is_file()
    assert (out / "tables" / "groups.tex").is_file()
    assert not list((out / "figures").glob("*.pdf"))
    assert "done" not in again.err

    wrong = accord_cli("grid", file, "--out", out, "--against", "gradients=sun", "--report-only")
    assert wrong.code == 2
    assert "--against 'gradients=sun': no group; did you mean 'gradients=sum'?" in wrong.err
    for more, said in (
        (["--formats", "pgn"], "no format 'pgn'; did you mean 'png'?"),
        (["--formats", "png", "--json"], "--formats is for the report"),
    ):
        refused = accord_cli("grid", file, "--out", out, *more)
        assert refused.code == 2
        assert said in refused.err
    several = accord_cli("grid", file, "--out", out, "--against", "gradients", "--report-only")
    assert "'gradients': several groups" in several.err
    shown = accord_cli(
        "grid", file, "--out", out, "--against", "gradients=sum", "--report-only", "--json"
    )
    table = json.loads(shown.out)
    assert (table["cells"], len(table["groups"]), len(table["against"])) == ([], 3, 6)
    assert max(own["level"] for own in table["against"]) <= 1 - 0.05 / 6 + 1e-12
    for own in table["against"]:
        assert own["p_adjusted"] is not None
        shown = own["low"] > 0 or own["high"] < 0
        assert shown == (own["p_adjusted"] < 0.05)
        assert not shown or own["kind"] in ("better", "worse", "learnt nothing", "identical")

    runs = sorted((out / "cells").iterdir())
    answer = accord_cli("compare", *runs, "--against", "gradients=sum,seed=0")
    assert "Against gradients=sum:" in answer.out
    by_path = accord_cli("compare", *runs, "--against", out / "cells" / "gradients=sum,seed=1")
    assert by_path.out == answer.out


def test_a_grid_of_which_nothing_is_done_has_no_report(grid, tmp_path, accord_cli):
    answer = accord_cli("grid", grid(METHODS), "--out", tmp_path / "out", "--report-only")
    assert answer.code == 0, answer.err
    assert "no run is done yet" in answer.out


@pytest.mark.slow
def test_alone_and_together_of_like_settings_are_compared(grid, tmp_path):
    text = (
        METHODS.replace('gradients = ["sum", "pcgrad", "mean"]', "lr = [1e-2, 1e-6]")
        .replace('tasks = ["mood", "near"]\n', "")
        .replace("seeds = 2", "seeds = 1")
    )
    out = tmp_path / "out"
    file = grid(text + 'tasks = [["mood"], ["near"], ["mood", "near"]]\n')
    run_grid(read_grid(file).cells, out)
    found = compare_groups(grid_groups(out)).sharing
    assert len(found) == 4
    for own in found:
        rates = [group.runs[0].config.training.lr for group in (own.alone, own.together)]
        assert rates[0] == rates[1]
        assert own.differing == ()
    groups = [own for own in grid_groups(out) if "near" not in own.name or "0.01" in own.name]
    only = [own for own in groups if own.tasks != ("mood",) or "1e-06" in own.name]
    assert {own.task: own.differing for own in compare_groups(only).sharing} == {
        "mood": ("training.lr",), "near": (),
    }  # fmt: skip


@pytest.mark.slow
def test_a_file_says_how_its_grid_is_reported(grid, tmp_path, accord_cli):
    """Rows, contrasts beside somebody's figures, and as many examples alone as together."""
    file, out = (
        grid(
            'config = "accord.toml"\nseeds = 2\n[set]\nepochs = 1\n'
            '[[cells]]\nlabel = "all"\ntasks = ["mood", "near"]\n'
            '[[cells]]\nlabel = "alone"\ntasks = ["mood"]\nas_much_as = "all"\n'
            '[[cells]]\nlabel = "alone"\ntasks = ["near"]\nas_much_as = "all"\n'
            '[report]\ntitle = "does it help?"\ndetail = "all"\nseconds = true\n'
            'reference = { name = "book", file = "book.toml" }\n'
            'contrasts = [{ label = "all − alone", of = "all", against = "alone" }]\n'
            '[report.duration]\nname = "cost"\ntitle = "Cost"\nbaseline = "alone"\n'
        ),
        tmp_path / "out",
    )
    (file.parent / "book.toml").write_text(
        "[rows.all]\nmood = 0.5\n[rows.alone]\nmood = [0.75, 0.7]\nnear = 0.1\n"
    )
    answer = accord_cli("grid", file, "--out", out)
    assert (answer.code, "'cost' is the name of another" in answer.err) == (2, True)
    assert not out.exists()
    file.write_text(file.read_text().replace('"cost"', '"time"'))
    answer = accord_cli("grid", file, "--out", out)
    assert answer.code == 0, answer.err
    assert "as in the book?" in answer.out
    head, one, other = read_csv(out / "tables" / "rows.csv")
    assert head == ["", "runs", "mood", "book", "near", "book", "seconds per epoch"]
    assert (one[0], one[1], one[3], one[5]) == ("all", "2", "0.500", "–")
    assert (other[0], other[1], other[3], other[5]) == ("alone", "2", "0.750 / 0.700", "0.100")
    assert (one[-1] == "–", other[-1]) == (False, "–")  # two models have no epoch in common
    head, mood, near = read_csv(out / "tables" / "grid-differences.csv")
    assert (head[0], mood[0]) == ("contrast", "all − alone")
    assert (mood[1], mood[-1], near[1], near[-1]) == ("mood", "-0.250", "near", "–")
    assert near[3] == "the book has none"
    groups = {group.tasks: group for group in grid_groups(out)}
    for task in ("mood", "near"):
        assert groups[task,].exposure(task) == groups["mood", "near"].exposure(task)
    shown = {file.stem for file in (out / "figures").glob("*.svg")}
    assert {"time", "cosines", "grid-curves", "grid-differences", "confusion-mood"} <= shown
    as_data = accord_cli("grid", file, "--out", out, "--report-only", "--json")
    report = json.loads(as_data.out)["report"]
    assert report["reference"] == {"name": "book", "figures": {
        "all": {"mood": [0.5]}, "alone": {"mood": [0.75, 0.7], "near": [0.1]},
    }}  # fmt: skip
    for table_row, row in zip((one, other), report["rows"], strict=True):
        assert table_row[0] == row["label"]
        assert table_row[-1] == ("–" if row["seconds_per_epoch"] is None
                                 else f"{row['seconds_per_epoch']:.1f}")  # fmt: skip
        for cell, part in zip(table_row[2:5:2], row["tasks"].values(), strict=True):
            assert cell == plus_minus(part["mean"], part["sd"])
            assert part["seeds"] == [0, 1]
    for table_row, contrast in zip((mood, near), report["contrasts"], strict=True):
        assert table_row[:3] == [contrast[key] for key in ("label", "task", "verdict")]
        assert table_row[head.index("difference")] == f"{contrast['value']:+z.4f}"
        assert contrast["agreement"] == (table_row[3] if contrast["reference"] else None)
    assert report["contrasts"][0]["reference"] == -0.25
    assert report["submissions"] == []
    assert "Was sharing worth it?" in answer.out
