"""Whether a task was shown as often alone as together."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from accord.comparison.exposure import exposure_distance, exposure_notes, within_tolerance
from accord.comparison.group import Group
from accord.config.file import parse_config
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

    @property
    def model(self) -> str:
        return self.together.name


def group(tasks, seen, name="") -> Group:
    """Two runs whose examples of each task are so many, and two more."""
    config = parse_config({
        "encoder": {"path": "e"}, "tasks": {task: TASKS[task] for task in tasks},
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
    seen = group(["sts"], 100)
    means = [seen.exposure("sts", what) for what in ("examples", "tokens", "steps")]
    assert means == [101, 1000, 7]


@pytest.mark.parametrize(
    ("alone", "together", "words"),
    [
        (1999, 7855, "2,000 examples alone and 7,856 in both (3.9 times as many)"),
        (1999, 1009, "2,000 examples alone and 1,010 in both (49.5 % fewer)"),
        (999, 1005, "1,000 examples alone and 1,006 in both (0.6 % more)"),
    ],
)
def test_unequal_exposure_is_said_loudly(alone, together, words):
    verdict = Verdict("sts", group(["sts"], alone), group(["sst", "sts"], together, "both"))
    assert exposure_notes([verdict, verdict]) == [
        f"NOT LIKE FOR LIKE: sts had {words}; the difference may come from exposure, not"
        " from sharing."
    ]


@pytest.mark.parametrize(
    ("n", "m", "same"),
    [(1000, 995, True), (1000, 994, False), (0, 0, True), (0, 1, False), (200, 199, True)],
)
def test_two_numbers_are_alike_within_half_a_per_cent_of_the_larger(n, m, same):
    assert within_tolerance(n, m) == within_tolerance(m, n) == same


def test_half_a_per_cent_is_alike() -> None:
    verdict = Verdict("sts", group(["sts"], 999), group(["sst", "sts"], 1003))
    assert exposure_notes([verdict]) == []
    assert exposure_distance(verdict.alone, verdict.together, "sts") == 0
