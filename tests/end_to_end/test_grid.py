"""Grids: run once, found again, stopped and gone on with; folders that are not a grid's."""

import json

import pytest
from grid_files import GRID

from accord.errors import Stopped
from accord.grids.cell_run import run_cell
from accord.grids.file import read_grid
from accord.grids.running import run_grid, states, write_index
from accord.training.objective import Objective


@pytest.fixture(scope="module")
def whole(make_project, tmp_path_factory):
    """A grid of which every cell is done: its file and its folder, for tests to read."""
    folder = tmp_path_factory.mktemp("grid")
    file = make_project(folder / "project").with_name("grid.toml")
    file.write_text(GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        run_grid(read_grid(file).cells, folder / "out")
    return file, folder / "out"


@pytest.mark.slow
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


def test_a_stopped_grid_goes_on(grid, whole, tmp_path, outcome, stop_after):
    cells, broken = read_grid(grid()).cells, tmp_path / "broken"
    stop_after(3)
    with pytest.raises(Stopped, match="stopped with 4 of 4 cells to go"):
        run_grid(cells, broken)
    assert [own.state for own in states(cells, broken)] == ["stopped", "new", "new", "new"]
    assert [own.state for own in run_grid(cells, broken)] == ["done"] * 4
    for cell in cells:
        assert outcome(broken / "cells" / cell.name) == outcome(whole[1] / "cells" / cell.name)


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


def test_a_folder_of_another_grid_is_refused_before_anything_runs(whole, accord_cli):
    file, out = whole
    answer = accord_cli("grid", file, "--out", out, "--set", "training.epochs=2")
    assert answer.code == 2
    assert "holds a run of another config (training.epochs: 1 -> 2)" in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_a_report_on_runs_of_another_config_is_refused(whole, accord_cli):
    file, out = whole
    call = ("grid", file, "--out", out)
    answer = accord_cli(*call, "--report-only", "--set", "lr=0.5")
    assert answer.code == 2
    assert "training.lr: 0.001 -> 0.5" in answer.err
    assert accord_cli(*call, "--report-only").code == 0


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


@pytest.mark.slow
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
