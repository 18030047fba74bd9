"""What has to be known beside a comparison."""

import re

import pytest

from accord.comparison.family import compare_groups
from accord.comparison.notes import (
    correction_note,
    evaluation_note,
    gap_note,
    pairing_note,
    sharing_cautions,
    tuned_notes,
)

SELECTION = {"by": "accord tune", "candidates": 12}


def test_a_group_that_was_tuned_on_the_rows_it_is_evaluated_by(make_group, answers):
    ours = {"sst": answers(2, 40, 0.9)}
    tuned = make_group("tuned", ours, selection=SELECTION)
    fair = make_group("fair", ours, on="test", selection=SELECTION)
    (note,) = tuned_notes([tuned, fair, make_group("plain", ours)])
    assert note.startswith("CHOSEN ON THESE ROWS: the settings of tuned are the best of 12 that")


def test_which_rows_are_evaluated(make_group, answers):
    dev = make_group("a", {"sst": answers(2, 40, 0.9)})
    test = make_group("b", {"cola": answers(2, 1200, 0.9)}, on="test")
    assert evaluation_note([dev, test]) == (
        "All figures are of held-out rows: dev, each half scored with the epoch that the other half"
        " chose (sst 40 rows); the labelled test files (cola 1,200 rows)."
    )
    assert gap_note([dev]).endswith("averaged over its tasks: a +1.0.")


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ((0, 1), (0, 1), None),
        ((0, 1, 2, 3, 4), (4, 5, 6, 7, 8), "a has 5 runs, b has 5; 1 pair of the same seed."),
        ((0, 1, 2), (0, 1), "a has 3 runs, b has 2; 2 pairs of the same seed."),
        ((0,), (1,), "a has 1 run, b has 1; no two of the same seed."),
    ],
)
def test_runs_whose_seeds_differ(make_group, answers, ours, theirs, said):
    groups = [
        make_group(name, {"sst": answers(len(seeds), 8, 0.9)}, seeds)
        for name, seeds in (("a", ours), ("b", theirs))
    ]
    note = pairing_note(*groups)
    assert note == (said and f"Seeds: {said} All of them count.")


def test_every_note_names_the_shared_model(make_group, answers):
    groups = [
        make_group("sst", {"sst": answers(2, 40, 0.8)}, examples=64),
        make_group("cola", {"cola": answers(2, 40, 0.8)}, examples=64),
    ]
    groups += [
        make_group(name, {each: answers(2, 40, 0.9) for each in ("sst", "cola")}, seeds,
                   examples=seen, training={"epochs": 7, "lr": lr})
        for name, seeds, seen, lr in (("one", (0, 1), 64, 1e-3), ("two", (1, 2), 128, 1e-4))
    ]  # fmt: skip
    lines = sharing_cautions(compare_groups(groups).sharing)
    assert [re.split(r" \(|; the|;", line)[0] for line in lines] == [
        "NOT LIKE FOR LIKE: sst had 64 examples alone and 128 in two",
        "NOT LIKE FOR LIKE: cola had 64 examples alone and 128 in two",
        "sst, cola: alone and in one also differ in training.epochs, training.lr.",
        "sst, cola: alone and in two also differ in training.epochs, training.lr.",
        "Seeds: two has 2 runs, sst has 2",
        "Seeds: two has 2 runs, cola has 2",
        "Exploratory: one is the best of 2 groups on these very runs, so its lead is too large on"
        " average. Runs of other seeds, of this group and of the single tasks, would confirm it.",
    ]


def test_only_what_was_corrected_is_counted(make_group, answers):
    groups = [
        make_group("sst", {"sst": answers(3, 40, 0.8)}),
        make_group("cola", {"cola": answers(1, 40, 0.8)}),
        make_group("both", {each: answers(3, 40, 0.9) for each in ("sst", "cola")}),
    ]
    known, single = (each.compared.difference for each in compare_groups(groups).sharing)
    assert "for one comparison, at 5 %" in correction_note([known])
    assert "2 comparisons, corrected together by Holm's" in correction_note([known, known])
    assert "for one comparison" in correction_note([known, single])
    assert "a verdict takes two runs of each" in correction_note([known, single])
    assert correction_note([single]).startswith("One run each: intervals are over the rows alone")
