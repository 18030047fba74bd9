"""Runs that differ in their seed alone: which they are, what they are called."""

from dataclasses import replace
from pathlib import Path

import pytest

from accord.comparison.contents import content_notes
from accord.comparison.group import find_group, group_runs, margin_of
from accord.comparison.unchanged import changes_between, check_unchanged, material_of
from accord.errors import RunFolderError, UsageError
from accord.runs.contents import Contents


def named(group, *names):
    return [replace(run, name=name) for run, name in zip(group.runs, names, strict=True)]


def test_a_group_is_called_by_what_its_runs_share(make_group, answers):
    ours = {"sst": answers(2, 8, 0.9)}
    one, other = make_group("a", ours), make_group("b", ours, training={"lr": 1e-3})
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
    said = r"^out/x, out/y: are runs of one config and of one seed, 0; leave one out$"
    with pytest.raises(UsageError, match=said):
        group_runs([replace(run, path=Path(f"out/{each}")) for each in "xy"])


def resolved(run, data, **more):
    """A copy of a run whose folder tells these contents."""
    copy = replace(run)
    copy.__dict__["contents"] = Contents({"data": data, "encoder": {"weights": "w"}, **more})
    return copy


@pytest.mark.parametrize(
    "change", [{"sst.train": "z:9"}, {"sst.dev": "z:4"}, {"sst.test labels": "z"}, {}]
)
def test_runs_on_other_data_are_no_group(make_group, answers, change):
    one, other = make_group("a", {"sst": answers(2, 8, 0.9)}, on="test").runs
    data = {"sst.train": "a:9", "sst.dev": "b:4", "sst.test": "c:8", "sst.test labels": "d"}
    groups = group_runs([resolved(one, data), resolved(other, {**data, **change})])
    assert len(groups) == (2 if change else 1)
    if {"sst.train", "sst.dev"} & set(change):
        (note,) = content_notes(groups)
        key = next(iter(change)).removeprefix("sst.")
        assert note.endswith(f"the same config, but differ in tasks.sst.{key} (content).")
    else:
        assert content_notes(groups) == []


def test_runs_on_a_moved_file_are_one(make_group, answers):
    ours, data = {"sst": answers(1, 8, 0.9)}, {"sst.train": "a:9", "sst.dev": "b:4"}
    kind = {"kind": "classification", "text": "a"}
    runs = [
        *make_group("a", ours, (0,), tasks={"sst": {**kind, "train": "here", "limit": 9}}).runs,
        *make_group("b", ours, (1,), tasks={"sst": {**kind, "train": "there"}}).runs,
    ]
    assert len(group_runs([resolved(run, data) for run in runs])) == 1
    assert len(group_runs(runs)) == 2  # as their folders tell no contents


def test_runs_of_a_group_have_the_same_tasks(make_group, answers):
    """A label that only one run's dev file had, say: one config, and other classes."""
    one, other = make_group("a", {"sst": answers(2, 8, 0.9)}).runs
    more = replace(other.tasks["sst"], labels=("neg", "mid", "pos"))
    groups = group_runs([one, replace(other, tasks={"sst": more})])
    assert [group.runs for group in groups] == [[one], [replace(other, tasks={"sst": more})]]


def test_a_group_was_chosen_if_any_of_its_runs_was(make_group, answers):
    ours = {"sst": answers(1, 8, 0.9)}
    plain = make_group("a", ours, (0,))
    few, many = (
        make_group(f"{n}", ours, (n,), selection={"by": "accord tune", "candidates": n})
        for n in (3, 9)
    )
    assert plain.selection is None
    (actual,) = group_runs([*plain.runs, *few.runs, *many.runs])
    assert actual.selection == many.runs[0].config.selection


def check(*runs):
    check_unchanged(map(material_of, runs))


def test_a_file_that_was_edited_between_runs_is_named(make_group, answers):
    one, other = make_group("a", {"sst": answers(2, 8, 0.9)}).runs
    data = {"sst.train": "a:9", "sst.dev": "b:4"}
    check(resolved(one, data), resolved(other, data))
    for key, split in data.items():
        edited = resolved(one, data), resolved(other, {**data, key: "z:9"})
        said = rf"^t: was changed between .*=0 and .*=1 \({key}: content {split} -> z:9\);"
        with pytest.raises(RunFolderError, match=said):
            check(*edited)
        (change,) = changes_between(map(material_of, edited))
        check_unchanged(map(material_of, edited), [change.identity])
        others = resolved(one, data), resolved(other, {**data, key: "y:9"})
        with pytest.raises(RunFolderError, match="was changed between"):  # agreed to another one
            check_unchanged(map(material_of, others), [change.identity])
    with pytest.raises(RunFolderError, match=r"^e: was changed between"):
        check(resolved(one, data), resolved(other, data, encoder={"weights": "v"}))
    told = [resolved(one, data, encoder={"config.json": each}) for each in "vw"]
    with pytest.raises(RunFolderError, match=r"^e/config.json: was changed between"):
        check(*told)


def test_other_settings_of_the_data_are_no_edit(make_group, answers):
    ours, kind = {"sst": answers(1, 8, 0.9)}, {"kind": "classification", "text": "a"}
    runs = [
        resolved(make_group(f"{i}", ours, (i,), tasks={"sst": {**kind, **more}}).runs[0],
                 {"sst.train": f"{i}:9", "sst.dev": f"{i}:4"})
        for i, more in enumerate([{"train": "x"}, {"train": "x", "limit": 4}, {"train": "y"},
                                  {"train": "x", "dev": "y"}])
    ]  # fmt: skip
    check(*runs)


def test_a_group_is_found_by_its_name_or_a_run_s(make_group, answers):
    ours = {"sst": answers(2, 8, 0.9)}
    groups = [make_group("adam", ours), make_group("adamw", ours)]
    assert find_group(groups, "adam") is groups[0]
    assert find_group(groups, "adam,seed=1") is groups[0]
    assert find_group(groups, "amw") is groups[1]
    with pytest.raises(UsageError, match="'ada': several groups"):
        find_group(groups, "ada")


def test_neither_margin_nor_selection_parts_a_group(make_group, answers):
    ours = {"sst": answers(1, 8, 0.9)}
    plain = make_group("a", ours, (0,))
    more = make_group("b", ours, (1,), comparison={"margin": 0.5},
                      selection={"by": "accord tune", "candidates": 3})  # fmt: skip
    assert len(group_runs([*plain.runs, *more.runs])) == 1


def test_the_margin_is_an_option_s_or_the_configs(make_group, answers):
    ours = {"sst": answers(1, 8, 0.9)}
    plain, half, one = (
        make_group(f"{margin}", ours, comparison={"margin": margin} if margin else {})
        for margin in (None, 0.5, 1)
    )
    assert margin_of([plain], None) is None
    assert margin_of([plain, half], None) == pytest.approx(0.005)
    assert margin_of([half, one], 2) == pytest.approx(0.02)
    with pytest.raises(UsageError, match=r"margins of 0.5, 1 points: choose by --margin"):
        margin_of([half, one, plain], None)
