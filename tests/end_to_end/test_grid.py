"""Grids: run once, found again, stopped and gone on with, in one process and in several."""

import csv
import json
import os
import signal
import time
from html import unescape

import held
import pytest
from projects import PATIENCE

from accord.comparison.family import compare_groups
from accord.comparison.group import plus_minus
from accord.errors import Stopped
from accord.grids.cell_run import run_cell
from accord.grids.file import read_grid
from accord.grids.running import grid_groups, run_grid, states, write_index
from accord.runs.folder import RunFolder
from accord.training.objective import Objective

GRID = """
config = "accord.toml"
seeds = 2
[set]
epochs = 1
[axes]
tasks = [["mood"], ["mood", "near"]]
"""


def read_csv(file):
    return list(csv.reader(file.read_text().splitlines()))


@pytest.fixture
def grid(project):
    """Write a grid file beside a project's config: (text, changes to the config)."""

    def call(text=GRID, changes=None):
        config = project(changes)
        file = config.parent / "grid.toml"
        file.write_text(text)
        return file

    return call


def test_a_grid_runs_each_cell_once(grid, tmp_path, accord_cli, outcome):
    out = tmp_path / "out"
    answer = accord_cli("grid", grid(), "--out", out, "--dry-run")
    assert answer.code == 0, answer.err
    assert "4 cells, 4 to run: about " in answer.out
    assert not out.exists()

    answer = accord_cli("grid", grid(), "--out", out)
    assert answer.code == 0, answer.err
    names = sorted(path.name for path in (out / "cells").iterdir())
    assert names == ["mood+near,seed=0", "mood+near,seed=1", "mood,seed=0", "mood,seed=1"]
    assert not list(out.rglob("step-*"))  # dozens of done cells would fill a disk
    assert "Was sharing worth it?" in answer.out
    assert "[4/4] mood+near,seed=1: done" in answer.err
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}

    again = accord_cli("grid", grid(), "--out", out)
    assert again.out == answer.out
    assert again.err.count(": found") == 4
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    plan = accord_cli("grid", grid(), "--out", out, "--dry-run")
    assert "4 cells, 0 to run" in plan.out


@pytest.mark.slow
def test_workers_leave_what_one_process_leaves(grid, tmp_path, outcome):
    cells = read_grid(grid()).cells
    one, several = tmp_path / "one", tmp_path / "several"
    run_grid(cells, one)
    results = run_grid(cells, several, workers=2, threads=1)
    assert [own.state for own in results] == ["done"] * 4
    for cell in cells:
        runs = [folder / "cells" / cell.name for folder in (one, several)]
        assert outcome(runs[0]) == outcome(runs[1])


def test_a_stopped_grid_goes_on(grid, tmp_path, outcome, stop_after):
    cells = read_grid(grid()).cells
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_grid(cells, whole)
    stop_after(3)
    with pytest.raises(Stopped, match="stopped with 4 of 4 cells to go"):
        run_grid(cells, broken)
    assert [own.state for own in states(cells, broken)] == ["stopped", "new", "new", "new"]
    assert [own.state for own in run_grid(cells, broken)] == ["done"] * 4
    for cell in cells:
        assert outcome(broken / "cells" / cell.name) == outcome(whole / "cells" / cell.name)


@pytest.fixture
def start_held(grid, tmp_path, start_accord, wait_until, wait_for_steps):
    """Start a grid's workers and return it, and the two runs that are held before their 2nd step.

    They go on once `tmp_path / "go"` is there.
    """

    def call(*options):
        go = tmp_path / "go"
        process = start_accord(
            *("grid", grid(), "--out", tmp_path / "out", "--workers", 2, *options),
            before=held.before(2, go),
        )

        def begun():
            return [file.parent for file in (tmp_path / "out").rglob("status.json")]

        wait_until(lambda: len(begun()) == 2, process)
        runs = begun()
        for run in runs:
            wait_for_steps(process, run, 1)
        return process, runs

    return call


def test_a_signal_reaches_the_workers_which_save(start_held):
    process, runs = start_held()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130
    error = process.stderr.read()
    assert "stopped with 4 of 4 cells to go; the same command goes on" in error
    assert "Traceback" not in error
    assert [RunFolder(run).state() for run in runs] == ["stopped", "stopped"]


def test_a_worker_that_is_killed_takes_only_its_cell_with_it(start_held, tmp_path):
    process, (run, _) = start_held("--json")
    os.kill(json.loads((run / "status.json").read_text())["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    assert process.wait(PATIENCE) == 1
    stdout, error = process.stdout.read(), process.stderr.read()
    found = {own["name"]: own["state"] for own in json.loads(stdout)["cells"]}
    assert sorted(found.values()) == ["done", "done", "done", "failed"]
    assert found[run.name] == "failed"
    assert f"{run.name}: its process ended by SIGKILL; out of memory?" in error


def test_workers_whose_parent_is_killed_save_and_stop(start_held):
    process, runs = start_held()
    process.kill()
    end = time.monotonic() + PATIENCE
    while [RunFolder(run).state() for run in runs] != ["stopped", "stopped"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    for run in runs:
        assert list((run / "checkpoints").glob("step-*"))


def test_a_cell_that_fails_stops_no_other(grid, tmp_path, accord_cli, monkeypatch):
    plain = Objective.example_losses

    def poisoned(self, micro, present, key):
        parts = plain(self, micro, present, key)
        return [part * float("nan") for part in parts] if self.seed == 0 else parts

    monkeypatch.setattr(Objective, "example_losses", poisoned)
    answer = accord_cli("grid", grid(), "--out", tmp_path / "out")
    assert answer.code == 1
    assert "2 of 4 cells failed:" in answer.err
    assert "mood,seed=0: step 1: the loss of mood is not finite" in answer.err
    assert "mood+near,seed=1" not in answer.err.splitlines()[-1]
    assert "mood+near" in answer.out  # what is done is shown
    left = "Not done: 2 of 4 cells: mood,seed=0; mood+near,seed=0."
    assert left in answer.out
    assert left in (tmp_path / "out" / "report.md").read_text()


def test_a_folder_of_another_grid_is_refused_before_anything_runs(grid, tmp_path, accord_cli):
    out = tmp_path / "out"
    accord_cli("grid", grid(), "--out", out, "--quiet")
    answer = accord_cli("grid", grid(), "--out", out, "--set", "training.epochs=2")
    assert answer.code == 2
    assert "holds a run of another config (training.epochs: 1 -> 2)" in answer.err
    assert answer.err.count("\n") == 1


def test_a_cell_is_a_function_of_a_plain_dict(grid, tmp_path):
    cell = read_grid(grid()).cells[0]
    plain = json.loads(json.dumps({
        "folder": str(tmp_path / "run"),
        "config": cell.config.model_dump(mode="json", exclude_none=True, exclude_unset=True),
        "quiet": True,
    }))  # fmt: skip
    first, second = run_cell(plain), run_cell(plain)
    assert json.loads(json.dumps(first)) == first
    assert (first["state"], second["state"]) == ("done", "found")
    assert first["metrics"] == second["metrics"]
    plain["config"]["tasks"]["mood"]["train"] = str(tmp_path / "none.csv")
    lost = run_cell({**plain, "folder": str(tmp_path / "other")})
    assert lost["state"] == "failed"
    assert "none.csv" in lost["error"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("own/report.md", "own: already exists and is not an empty folder"),
        ("own/grid.json", "own: already exists and is not an empty folder"),  # not Accord's
        ("own/status.json", "own: holds a run already"),
        ("own", "own: already exists and is not an empty folder"),
    ],
)
def test_a_folder_of_something_else_is_left_as_it_is(
    grid, tmp_path, accord_cli, listing, name, line
):
    file = tmp_path / "taken" / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    before = listing(tmp_path / "taken")
    for more in ([], ["--report-only"], ["--dry-run"]):
        answer = accord_cli("grid", grid(), "--out", tmp_path / "taken" / "own", *more)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert line in answer.err
    assert listing(tmp_path / "taken") == before


METHODS = """
config = "accord.toml"
seeds = 2
[set]
epochs = 1
tasks = ["mood", "near"]
[axes]
gradients = ["sum", "pcgrad", "mean"]
"""


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


def test_data_that_were_edited_between_two_cells_are_refused(grid, tmp_path, accord_cli):
    """Before the other cell is run; and if it was run all the same, before they are compared."""
    file, out = grid('config = "accord.toml"\n[axes]\nlr = [1e-2, 1e-3]\ntasks = [["mood"]]\n'
                     '[set]\nepochs = 1\n'), tmp_path / "out"  # fmt: skip
    cells = read_grid(file).cells
    run_grid(cells[:1], out)
    rows = file.parent / "mood-train.csv"
    rows.write_text(rows.read_text().replace(",pos", ",neg", 1))
    answer = accord_cli("grid", file, "--out", out)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    since = (
        f"{rows}: was changed since the run {out / 'cells' / cells[0].name} (mood.train: content"
    )
    assert since in answer.err
    assert not (out / "cells" / cells[1].name).exists()

    write_index(cells, out)
    folder = out / "cells" / cells[1].name
    config = cells[1].config.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    assert run_cell({"folder": str(folder), "config": config, "quiet": True})["state"] == "done"
    said = f"{rows}: was changed between the runs {out / 'cells' / cells[0].name} and"
    answer = accord_cli("grid", file, "--out", out, "--report-only")
    assert (answer.code, said in answer.err) == (2, True)
    shown = json.loads(accord_cli("compare", *(out / "cells").iterdir(), "--json").out)
    assert len(shown["groups"]) == 2  # as they are


def test_a_report_on_runs_of_another_config_is_refused(grid, tmp_path, accord_cli):
    call = ("grid", grid(GRID.replace("seeds = 2", "seeds = 1")), "--out", tmp_path / "out")
    assert accord_cli(*call, "--quiet").code == 0
    answer = accord_cli(*call, "--report-only", "--set", "lr=0.5")
    assert answer.code == 2
    assert "training.lr: 0.001 -> 0.5" in answer.err
    assert accord_cli(*call, "--report-only").code == 0


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
