"""Which group of a task alone a shared model is compared with, and in what the two differ."""

from dataclasses import replace
from pathlib import Path

import pytest

from accord.comparison.group import Group
from accord.comparison.settings import nearest_single_task
from accord.config.file import parse_config
from accord.report.record import RunRecord
from accord.runs.contents import Contents
from accord.tasks import Task

TASKS = {
    "sst": {"kind": "classification", "train": "s", "text": "t"},
    "sts": {"kind": "pair-regression", "train": "p", "text": ["a", "b"]},
}


EVALUATED = {
    "sst": Task("sst", "classification", "cross_entropy", "accuracy", ("neg", "pos")),
    "sts": Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0)),
}
DATA = {"sst.train": "a:9", "sst.dev": "b:4", "sts.train": "c:9", "sts.dev": "d:4"}
ENCODER = {"weights": "w", "config.json": "x"}


def group(
    tasks, seen, *, name="", stages=(), encoder="e", resolved=None, results=None, sts=None,
    metric="pearson", more=None, **training,
) -> Group:  # fmt: skip
    """Two runs whose examples of each task are so many, and two more.

    `resolved` is what their folder tells of contents, and `sts` are keys of that task.
    """
    tables = {**TASKS, "sts": {**TASKS["sts"], **(sts or {})}}
    config = parse_config({
        "encoder": {"path": encoder, **(more or {})}, "tasks": {own: tables[own] for own in tasks},
        "training": training, "stages": list(stages),
    })  # fmt: skip
    evaluated = {own: EVALUATED[own] for own in tasks}
    if "sts" in evaluated:
        evaluated["sts"] = replace(evaluated["sts"], metric=metric)
    runs = [
        RunRecord(name, Path("run"), config, evaluated, {
            "exposure": {
                task: {"examples": seen + more, "tokens": 10 * seen, "steps": 7} for task in tasks
            },
            "heldout": {task: {"on": "dev, cross-fitted"} for task in tasks},
            **(results or {}),
        }, {})
        for more in (0, 2)
    ]  # fmt: skip
    for run in runs:
        run.__dict__["contents"] = Contents(resolved or {"data": DATA, "encoder": ENCODER})
    return Group(name, runs)


def told(encoder=ENCODER, **changes):
    """What `resolved.json` holds, with other contents: sts_train="z:9"."""
    data = {key.replace("_", "."): own for key, own in changes.items()}
    return {"data": {**DATA, **data}, "encoder": encoder}


def nearest(alone, together):
    found, differing = nearest_single_task("sts", together, alone)
    return None if found is None else found.name, differing


def test_of_several_alone_the_one_that_was_shown_as_much_counts() -> None:
    together = group(["sst", "sts"], 7856, steps_per_epoch=90)
    once, equal = group(["sts"], 2000, name="once"), group(["sts"], 7856, name="eq", examples=7857)
    assert nearest([once, equal], together) == ("eq", ())
    assert nearest([equal, once], together) == ("eq", ())
    assert nearest([once], together) == ("once", ())  # what was shown is compared, and said apart


def test_other_settings_count_before_exposure() -> None:
    together = group(["sst", "sts"], 7856)
    once = group(["sts"], 2000, name="once")
    quicker = group(["sts"], 7856, name="lr", lr=1e-2, examples=7857)
    assert nearest([quicker, once], together) == ("once", ())
    slower = replace(group(["sts"], 7856, lr=1e-3), name="slow")
    assert nearest([quicker, slower], together) == (None, ())


def test_keys_of_exposure_are_no_difference_of_their_own():
    together = group(["sst", "sts"], 500, batching="uniform")
    assert nearest([group(["sts"], 500, name="a")], together) == ("a", ())
    assert nearest([group(["sts"], 600, name="a")], together) == ("a", ())


def test_nor_are_they_a_stage_s():
    stages = [
        {"tasks": ["sst"]}, {"tasks": ["sst", "sts"], "training": {"epochs": 2}},
    ]  # fmt: skip
    together = group(["sst", "sts"], 500, stages=stages)
    own = [{"tasks": ["sts"], "training": {"epochs": 2, "examples": 500}}]
    assert nearest([group(["sts"], 500, name="a", stages=own)], together) == ("a", ())
    assert nearest([group(["sts"], 900, name="a", stages=own)], together) == ("a", ())
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


def test_what_only_takes_another_way_to_the_same_is_no_difference():
    together = group(["sst", "sts"], 500)
    alone = group(
        ["sts"], 500, name="a", sts={"test": "labelled"}, micro_batch_tokens=64, halves_every=2,
        max_skipped_steps=3, more={"gradient_checkpointing": True},
    )  # fmt: skip
    assert nearest([alone], together) == ("a", ())


@pytest.mark.parametrize("side", [0, 1])
def test_allowed_skips_count_where_steps_were_skipped(side):
    skipped = [{}, {}]
    skipped[side] = {"skipped_steps": 1}
    together = group(["sst", "sts"], 500, results=skipped[0])
    alone = group(["sts"], 500, name="a", results=skipped[1], max_skipped_steps=3)
    assert nearest([alone], together) == ("a", ("training.max_skipped_steps",))


def test_data_are_compared_by_content():
    together = group(["sst", "sts"], 500)
    edited = group(["sts"], 500, name="edited", resolved=told(sts_train="z:9"))
    assert nearest([edited], together) == ("edited", ("tasks.sts.train (content)",))
    moved = {"train": "elsewhere", "delimiter": "comma", "limit": 900, "text": ["x", "y"]}
    same = group(["sts"], 500, name="moved", encoder="copy", sts=moved, dev_share=0.2)
    assert nearest([same], together) == ("moved", ())
    assert nearest([edited, same], together) == ("moved", ())
    other = group(["sts"], 500, name="o", resolved=told({"weights": "v"}))
    assert nearest([other], together) == ("o", ("encoder.path (content)",))
    of_sst = group(["sts"], 500, name="s", resolved=told(sst_train="z:9"))
    assert nearest([of_sst], together) == ("s", ())


def test_without_contents_paths_are_compared():
    together, alone = (
        group(tasks, 500, name="a", resolved={"data": {}}, sts={"train": file})
        for tasks, file in ((["sst", "sts"], "p"), (["sts"], "q"))
    )
    assert nearest([alone], together) == ("a", ("tasks.sts.train",))


def test_new_layers_are_drawn_by_the_seed_and_no_other_encoder():
    together, alone = (
        group(tasks, 500, name="a", more={"reinit_layers": 1}, resolved=told({"weights": weights}))
        for tasks, weights in ((["sst", "sts"], "v"), (["sts"], "w"))
    )
    assert nearest([alone], together) == ("a", ())


def test_data_that_were_changed_while_the_run_was_stopped_are_others():
    forced = {"forced": [{"changes": ["data sts.train: content"], "fingerprint_before": "f"}]}
    together = group(["sst", "sts"], 500)
    alone = group(["sts"], 500, name="a", resolved={**told(), **forced})
    assert nearest([alone], together) == ("a", ("tasks.sts.train (content)",))


@pytest.mark.parametrize("other", [{"resolved": told(sts_dev="z:4")}, {"metric": "spearman"}])
def test_one_that_can_be_compared_goes_before_one_that_is_nearer(other):
    together = group(["sst", "sts"], 500)
    near = group(["sts"], 500, name="near", **other)
    far = group(["sts"], 500, name="far", lr=1e-2)
    assert nearest([near, far], together) == ("far", ("training.lr",))
    assert nearest([near], together)[0] == "near"
