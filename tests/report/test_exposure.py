"""Whether a task was shown as often alone as together, and which group it is compared with."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from accord.compare import Group, _nearest_alone
from accord.config.file import parse_config
from accord.report.exposure import exposure_distance, exposure_notes, exposure_of
from accord.report.record import RunRecord

TASKS = {
    "sst": {"kind": "classification", "train": "s", "text": "t"},
    "sts": {"kind": "pair-regression", "train": "p", "text": ["a", "b"]},
}


@dataclass
class Verdict:
    task: str
    alone: Group
    together: Group


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


def test_what_was_shown_is_the_mean_over_runs() -> None:
    seen = exposure_of(group(["sts"], 100), "sts")
    assert (seen.examples, seen.tokens, seen.steps) == (101, 1000, 7)


@pytest.mark.parametrize(
    ("alone", "together", "words"),
    [
        (1999, 7855, "2,000 examples alone and 7,856 together (3.9 times as many)"),
        (1999, 1009, "2,000 examples alone and 1,010 together (49.5 % fewer)"),
        (999, 1005, "1,000 examples alone and 1,006 together (0.6 % more)"),
    ],
)
def test_unequal_exposure_is_said_loudly(alone, together, words):
    own = Verdict("sts", group(["sts"], alone), group(["sst", "sts"], together))
    assert exposure_notes([own, own]) == [
        f"NOT LIKE FOR LIKE: sts had {words}; the difference may be exposure, not sharing."
    ]


def test_half_a_per_cent_is_alike() -> None:
    own = Verdict("sts", group(["sts"], 999), group(["sst", "sts"], 1003))
    assert exposure_notes([own]) == []
    assert exposure_distance(own.alone, own.together, "sts") == 0


def nearest(alone, together):
    found, differing = _nearest_alone("sts", together, alone)
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
