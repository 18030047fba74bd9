"""Runs that differ in their seed alone: which they are, what they are called."""

from dataclasses import replace

import pytest

from accord.comparison.group import find_group, group_runs, margin_of
from accord.errors import UsageError


def named(group, *names):
    return [replace(run, name=name) for run, name in zip(group.runs, names, strict=True)]


def test_a_group_is_called_by_what_its_runs_share(make_group, answers):
    own = {"sst": answers(2, 8, 0.9)}
    one, other = make_group("a", own), make_group("b", own, training={"lr": 1e-3})
    for names, shown in (
        (["out/mood,lr=0.1,seed=3", "out/mood,lr=0.1,seed=4"], "out/mood,lr=0.1"),
        (["out/seed10", "out/seed11"], "out"),
        (["out/run-1", "out/run-2"], "out/run"),
        (["0", "1"], "0 and 1 more"),
    ):
        assert [group.name for group in group_runs(named(one, *names))] == [shown]
    runs = [*named(one, "x-1", "x-2"), *named(other, "x-3", "x-4")]
    assert [group.name for group in group_runs(runs)] == ["x-1 and 1 more", "x-3 and 1 more"]


def test_a_seed_counts_once(make_group, answers):
    (run,) = make_group("a", {"sst": answers(1, 8, 0.9)}).runs
    with pytest.raises(UsageError, match=r"^x, y: are runs of one config and of one seed, 0;"):
        group_runs([replace(run, name="x"), replace(run, name="y")])


def test_a_group_is_found_by_its_name_or_a_run_s(make_group, answers):
    own = {"sst": answers(2, 8, 0.9)}
    groups = [make_group("adam", own), make_group("adamw", own)]
    assert find_group(groups, "adam") is groups[0]
    assert find_group(groups, "adam,seed=1") is groups[0]
    assert find_group(groups, "amw") is groups[1]
    with pytest.raises(UsageError, match="'ada': several groups"):
        find_group(groups, "ada")


def test_neither_margin_nor_selection_parts_a_group(make_group, answers):
    own = {"sst": answers(1, 8, 0.9)}
    plain = make_group("a", own, (0,))
    more = make_group("b", own, (1,), comparison={"margin": 0.5},
                      selection={"by": "accord tune", "candidates": 3})  # fmt: skip
    assert len(group_runs([*plain.runs, *more.runs])) == 1


def test_the_margin_is_an_option_s_or_the_configs(make_group, answers):
    own = {"sst": answers(1, 8, 0.9)}
    plain, half, one = (
        make_group(f"{margin}", own, comparison={"margin": margin} if margin else {})
        for margin in (None, 0.5, 1)
    )
    assert margin_of([plain], None) is None
    assert margin_of([plain, half], None) == pytest.approx(0.005)
    assert margin_of([half, one], 2) == pytest.approx(0.02)
    with pytest.raises(UsageError, match=r"margins of 0.5, 1 points: choose by --margin"):
        margin_of([half, one, plain], None)
