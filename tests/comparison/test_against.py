"""Every group against one of them."""

import numpy as np
import pytest

from accord.comparison.against import MEAN, contrast_notes
from accord.comparison.family import compare_groups


@pytest.fixture
def groups(make_group, answers):
    """A baseline, one that is far better, one that hardly differs, one of other tasks."""

    def both(right, seed, runs=5):
        return {"sst": answers(runs, 70, right, seed), "cola": answers(runs, 70, right, seed + 1)}

    return [
        make_group("base", both(0.7, 0)), make_group("best", both(0.97, 10)),
        make_group("like", both(0.72, 20)), make_group("alone", {"sst": answers(3, 70, 0.9)}),
    ]  # fmt: skip


def test_each_task_and_the_mean_of_both(groups):
    actual = {
        (contrast.group.name, contrast.task): contrast
        for contrast in compare_groups(groups, baseline=groups[0]).contrasts
    }
    assert list(actual) == [
        (name, task) for name in ("best", "like") for task in ("sst", "cola", MEAN)
    ]
    for name in ("best", "like"):
        parts = [actual[name, task].difference.value for task in ("sst", "cola")]
        assert actual[name, MEAN].difference.value == pytest.approx(np.mean(parts))
    assert {each.verdict.kind for (name, _), each in actual.items() if name == "best"} == {"better"}
    # One family with the three of sst alone: the weakest is shown at Bonferroni's level of nine.
    assert max(each.verdict.level for each in actual.values()) == pytest.approx(1 - 0.05 / 9)


def test_the_best_of_several_is_exploratory(groups):
    notes = contrast_notes(groups, groups[0])
    assert notes == [
        "Not compared, as they have other tasks: alone.",
        "Exploratory: best is the best of 3 groups on these very runs, so its lead is too large on"
        " average. Runs of other seeds, of this group and of base, would confirm it.",
    ]
    assert contrast_notes(groups[:2], groups[0]) == []  # chosen among no others
    assert contrast_notes(groups[:3], groups[1]) == []  # the baseline leads


def test_runs_of_other_seeds_are_said(groups, make_group, answers):
    other = make_group("other", {"sst": answers(2, 70, 0.7, 3), "cola": answers(2, 70, 0.7, 4)},
                       (2, 3))  # fmt: skip
    (note,) = contrast_notes([groups[0], other], groups[0])
    assert note.startswith("Seeds: other has 2 runs, base has 5; 2 pairs of the same seed.")
