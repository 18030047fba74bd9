"""Which group of a task alone a shared model is compared with, and in what the two differ."""

from dataclasses import replace
from pathlib import Path

from accord.comparison.group import Group
from accord.comparison.settings import nearest_alone
from accord.config.file import parse_config
from accord.report.record import RunRecord

TASKS = {
    "sst": {"kind": "classification", "train": "s", "text": "t"},
    "sts": {"kind": "pair-regression", "train": "p", "text": ["a", "b"]},
}


def group(tasks, seen, *, name="", stages=(), **training) -> Group:
    """Two runs whose examples of each task are so many, and two more."""
    config = parse_config({
        "encoder": {"path": "e"}, "tasks": {own: TASKS[own] for own in tasks},
        "training": training, "stages": list(stages),
    })  # fmt: skip
    runs = [
        RunRecord(name, Path("run"), config, {}, {"exposure": {
            task: {"examples": seen + more, "tokens": 10 * seen, "steps": 7}
            for task in tasks
        }}, {})
        for more in (0, 2)
    ]  # fmt: skip
    return Group(name, runs)


def nearest(alone, together):
    found, differing = nearest_alone("sts", together, alone)
    return None if found is None else found.name, differing


def test_of_several_alone_the_one_that_was_shown_as_much_counts() -> None:
    together = group(["sst", "sts"], 7856, steps_per_epoch=90)
    once, equal = group(["sts"], 2000, name="once"), group(["sts"], 7856, name="eq", examples=7857)
    assert nearest([once, equal], together) == ("eq", ())
    assert nearest([equal, once], together) == ("eq", ())
    assert nearest([once], together) == ("once", ("training.steps_per_epoch",))


def test_other_settings_count_before_exposure() -> None:
    together = group(["sst", "sts"], 7856)
    once = group(["sts"], 2000, name="once")
    quicker = group(["sts"], 7856, name="lr", lr=1e-2, examples=7857)
    assert nearest([quicker, once], together) == ("once", ())
    slower = replace(group(["sts"], 7856, lr=1e-3), name="slow")
    assert nearest([quicker, slower], together) == (None, ())


def test_batching_differs_only_where_exposure_does() -> None:
    together = group(["sst", "sts"], 500, batching="uniform")
    assert nearest([group(["sts"], 500, name="a")], together) == ("a", ())
    assert nearest([group(["sts"], 600, name="a")], together) == ("a", ("training.batching",))


def test_a_stage_s_examples_differ_only_where_exposure_does() -> None:
    stages = [
        {"tasks": ["sst"]}, {"tasks": ["sst", "sts"], "training": {"epochs": 2}},
    ]  # fmt: skip
    together = group(["sst", "sts"], 500, stages=stages)
    own = [{"tasks": ["sts"], "training": {"epochs": 2, "examples": 500}}]
    assert nearest([group(["sts"], 500, name="a", stages=own)], together) == ("a", ())
    assert nearest([group(["sts"], 900, name="a", stages=own)], together) == (
        "a", ("stages.1.training.examples",),
    )  # fmt: skip
    own[0]["training"]["epochs"] = 3
    assert nearest([group(["sts"], 500, name="a", stages=own)], together) == ("a", ("stages",))


def test_what_a_task_alone_does_not_use_is_no_difference() -> None:
    together = group(["sst", "sts"], 500, gradients="pcgrad", threads=2)
    assert nearest([group(["sts"], 500, name="a")], together) == ("a", ())
    assert nearest([group(["sts"], 500, name="a", lr=1e-2)], together) == ("a", ("training.lr",))


def test_neither_margin_nor_selection_is_a_difference() -> None:
    together, alone = group(["sst", "sts"], 500), group(["sts"], 500, name="a")
    for run in alone.runs:
        table = run.config.model_dump(exclude_unset=True)
        more = {"comparison": {"margin": 1}, "selection": {"by": "accord tune", "candidates": 9}}
        object.__setattr__(run, "config", parse_config({**table, **more}))
    assert nearest([alone], together) == ("a", ())
