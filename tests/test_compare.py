import json
import sys

import pytest

from accord.cli import main
from accord.compare import RunSummary, summarise, tasks_of


@pytest.fixture
def finished_run(tmp_path):
    """Write what a comparison reads of a finished run: (name, metrics of its tasks)."""

    def write(name, **metrics):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "status.json").write_text('{"state": "done"}')
        results = {
            "metrics": metrics, "metric_names": dict.fromkeys(metrics, "accuracy"),
            "best_epoch": 2, "train_seconds": 12.6, "parameters": 22_700_000,
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(results))
        return folder

    return write


def test_a_summary(finished_run):
    folder = finished_run("all", sst=0.5, quora=0.75)
    assert summarise(folder) == RunSummary(
        name=str(folder), metrics={"sst": 0.5, "quora": 0.75},
        metric_names={"sst": "accuracy", "quora": "accuracy"}, best_epoch=2,
        train_seconds=12.6, parameters=22_700_000,
    )  # fmt: skip


def test_every_task_of_any_run_in_order(finished_run):
    runs = [summarise(finished_run("a", x=1, y=2)), summarise(finished_run("b", z=1, x=2))]
    assert list(tasks_of(runs)) == ["x", "y", "z"]


def test_the_table_and_the_json(finished_run, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    finished_run("all", sst=0.5, quora=0.75)
    finished_run("one", sst=0.25)

    def call(*options):
        monkeypatch.setattr(sys, "argv", ["accord", "compare", "all", "one", *options])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    rows = [line.split() for line in call().splitlines()]
    assert ["all", "0.500", "0.750", "2", "13", "22.7", "M"] in rows
    assert ["one", "0.250", "–", "2", "13", "22.7", "M"] in rows
    assert [entry["name"] for entry in json.loads(call("--json"))] == ["all", "one"]
