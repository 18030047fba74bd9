"""A grid's cells in several processes: signals, kills, and what one process would leave."""

import json
import os
import signal
import time

import held
import pytest
from projects import PATIENCE

from accord.grids.file import read_grid
from accord.grids.running import run_grid
from accord.runs.folder import RunFolder


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


@pytest.mark.slow
def test_a_signal_reaches_the_workers_which_save(start_held):
    process, runs = start_held()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130
    error = process.stderr.read()
    assert "stopped with 4 of 4 cells to go; the same command goes on" in error
    assert "Traceback" not in error
    assert [RunFolder(run).state() for run in runs] == ["stopped", "stopped"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_workers_whose_parent_is_killed_save_and_stop(start_held):
    process, runs = start_held()
    process.kill()
    end = time.monotonic() + PATIENCE
    while [RunFolder(run).state() for run in runs] != ["stopped", "stopped"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    for run in runs:
        assert list((run / "checkpoints").glob("step-*"))
