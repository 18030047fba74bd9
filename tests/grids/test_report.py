"""Groups held against one: every task and the mean apart, nobody left out in silence."""

import json
from pathlib import Path

import projects
import pytest

from accord.cli.comparisons import comparison_json, print_comparison
from accord.cli.results import new_table, print_parts, stacked, table_width
from accord.comparison.against import MEAN
from accord.comparison.differences import TaskDifference
from accord.comparison.family import compare_groups
from accord.comparison.group import Group
from accord.comparison.parts import group_parts
from accord.config.file import parse_config
from accord.errors import ConfigError
from accord.grids.report import grid_report
from accord.report.record import RunRecord
from accord.statistics.crossed import Difference
from accord.tasks import Task

RESULTS = {"train_seconds": 1.0, "steps": 10, "parameters": 100, "peak_memory_bytes": 1 << 30}


def group(name, folder, **metrics):
    """A group of one run with these held-out metrics."""
    tasks = {
        metric: Task(metric, "classification", "cross_entropy", "accuracy", ("0", "1"))
        for metric in metrics
    }
    sections = {metric: {"kind": "classification", "train": "t", "text": "a"} for metric in metrics}
    config = parse_config({"encoder": {"path": "e"}, "tasks": sections})
    projects.describe_model(folder / "model", list(tasks.values()))
    exposure = {
        metric: {"examples": 64, "rows": 32, "tokens": 640, "steps": 10} for metric in metrics
    }
    heldout = {
        each: {"value": value, "on": "test", "rows": 10, "gap": 0.0}
        for each, value in metrics.items()
    }
    results = {**RESULTS, "metrics": metrics, "heldout": heldout, "exposure": exposure}
    return Group(name, [RunRecord(name, folder, config, tasks, results, {})])


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A baseline, two groups of its tasks, and two of others; differences are the metrics'."""

    def subtracted(task, ours, theirs):
        values = ours.mean(task), theirs.mean(task)
        difference = Difference(
            values[0] - values[1], 0.0, 1e-4, 0.0, 1.0, 9.0, (0,), (0,), values[:1], values[1:], 10
        )
        return TaskDifference(task, "accuracy", "test", difference, 0.5, "always '0'", True)

    for module in ("against", "sharing"):
        monkeypatch.setattr(f"accord.comparison.{module}.task_difference", subtracted)
    return [
        group("base", tmp_path, mean=0.5, sst_2=0.5, **{"sst-2": 0.5}),
        group("one", tmp_path, mean=0.8, sst_2=0.6, **{"sst-2": 0.4}),
        group("two", tmp_path, mean=0.5, sst_2=0.5, **{"sst-2": 0.5}),
        group("alone", tmp_path, mean=0.5),
        group("wide", tmp_path, mean=0.5, sst_2=0.5, more=0.5, **{"sst-2": 0.5}),
    ]


NOTES = [
    "Not compared, as they have other tasks: alone; wide.",
    "Exploratory: one is the best of 3 groups on these very runs, so its lead is too large on"
    " average. Runs of other seeds, of this group and of base, would confirm it.",
]


def test_a_task_named_mean_is_not_the_mean_of_the_tasks(groups):
    actual = {
        contrast.task: contrast.difference.value
        for contrast in compare_groups(groups, baseline=groups[0]).contrasts[:4]
    }
    expected = {"mean": 0.3, "sst_2": 0.1, "sst-2": -0.1, MEAN: 0.1}
    assert actual == pytest.approx(expected)
    with pytest.raises(ConfigError, match="letters, digits"):
        group("impossible", Path(), **{MEAN: 0.5})


@pytest.mark.slow
def test_what_is_left_out_and_what_chance_does_stand_wherever_differences_do(
    groups, tmp_path, capsys
):
    compared = compare_groups(groups, baseline=groups[0])
    print_comparison(compared)
    assert capsys.readouterr().out.splitlines()[-2:] == NOTES
    assert comparison_json(compared)["against_notes"] == NOTES
    assert json.dumps(comparison_json(compare_groups(groups))["against_notes"]) == "[]"
    grid_report(tmp_path / "out", compared, "A grid")
    for page in ("report.md", "report.html"):
        text = (tmp_path / "out" / page).read_text()
        assert all(note in text for note in NOTES)
    figures = sorted(file.stem for file in (tmp_path / "out" / "figures").iterdir())
    assert figures == [
        "differences", "differences-mean", "differences-mean-of-tasks", "differences-sst-2",
        "differences-sst-2-2",
    ]  # fmt: skip


def test_no_column_of_a_wide_table_is_cut_off(tmp_path, capsys):
    names = [f"a-task-of-some-length-{i}" for i in range(9)]
    continual = {"average_accuracy": 0.5, "forgetting": 0.125, "backward_transfer": None}
    ours = group("in turn", tmp_path, **dict.fromkeys(names, 0.5))
    ours.runs[0].results["continual"] = continual
    print_parts(group_parts([ours, group("jointly", tmp_path, **dict.fromkeys(names, 0.5))]))
    header, _, first, second, evaluated = (
        line for line in capsys.readouterr().out.splitlines() if line.strip()
    )
    assert all(f"{name} 10" in evaluated for name in names)
    assert all(f"{name} accuracy" in header for name in names)
    assert "average accuracy   forgetting   seconds" in header  # no run has the third
    assert first.split()[-5:-3] == ["0.500", "0.125"]
    assert second.split()[-5:-3] == ["0.500", "–"]  # of the former the mean of all tasks


def test_on_a_narrow_terminal_a_table_is_a_row_below_the_other(tmp_path):
    table = new_table("group", "runs", "sst accuracy", "forgetting")
    table.add_row("gradients=pcgrad,schemes=lora", "2", "0.450 ± 0.004", "–")
    table.add_row("gradients=pcgrad,schemes=adapter", "2", "0.457 ± 0.004", "0.1")
    assert table_width(table) > 60
    lines = stacked(table, 40)
    assert lines[:3] == [
        "group",
        "gradients=pcgrad,schemes=lora",
        "    runs 2; sst accuracy 0.450 ± 0.004",
    ]
    assert all(len(line) <= 40 for line in lines)
    assert lines[-1].endswith("forgetting 0.1")


def test_a_group_that_no_other_is_like_is_said_to_be_alone(groups, tmp_path, capsys):
    compared = compare_groups(groups[2:], baseline=groups[3])
    print_comparison(compared)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "No other group has the same tasks.",
        "Not compared, as they have other tasks: two; wide.",
    ]
    grid_report(tmp_path / "out", compared, "A grid")
    assert "Not compared" in (tmp_path / "out" / "report.md").read_text()
