"""Tasks one after another: finished ones' heads stay, their memories' rows hold the shared part."""

import csv
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from accord.config.file import load_config, stage_configs
from accord.data.loader import TaskData
from accord.plan.making import plan_run
from accord.plan.unused import effective
from accord.training.setup import prepare

ONE_BY_ONE = """
[[stages]]
tasks = ["mood"]
[[stages]]
tasks = ["same"]
[[stages]]
tasks = ["near"]
"""
METHODS = ["none", "replay", "gem", "a-gem"]


@pytest.fixture
def in_turn(project, run_stages, tmp_path):
    """Train the three tasks one after another: (method, changes) -> the run."""

    def call(method, changes=None, stages=ONE_BY_ONE):
        memory = f'[memory]\nmethod = "{method}"\nsize = 6\nchoice = "balanced"\n'
        file = project({"training.epochs": 2, **(changes or {})})
        file.write_text(file.read_text() + stages + memory)
        return run_stages(file, tmp_path / method)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_three_tasks_in_turn(in_turn, method, metrics, accord_cli):
    run = in_turn(method, {"tasks.near.targets": "popart", "training.epochs": 1})
    results = json.loads((run / "results.json").read_text())
    rows = [row["heldout"] for row in results["stages"]]
    assert results["heldout"].keys() == results["metrics"].keys()
    seen = [["mood"], ["same", "mood"], ["near", "mood", "same"]]
    assert [list(row) for row in rows] == seen
    actual = results["continual"]
    assert actual["of"] == "held-out values"
    assert actual["average_accuracy"] == pytest.approx(np.mean(list(rows[2].values())))
    lost = [
        max(rows[0]["mood"], rows[1]["mood"]) - rows[2]["mood"],
        rows[1]["same"] - rows[2]["same"],
    ]
    assert actual["forgetting"] == pytest.approx(np.mean(lost))
    gained = [rows[2]["mood"] - rows[0]["mood"], rows[2]["same"] - rows[1]["same"]]
    assert actual["backward_transfer"] == pytest.approx(np.mean(gained))
    heads = [load_file(run / "stages" / str(i) / "model" / "heads.safetensors") for i in (1, 2, 3)]
    for name, value in heads[0].items():
        assert all(torch.equal(head[name], value) for head in heads)
    lines = metrics(run / "stages" / "3")
    present = {"near"} if method == "none" else {"mood", "same", "near"}
    assert all(line["losses"].keys() == present for line in lines)
    weights = [line["method_weights"] for line in lines]
    assert all(weight["near"] == 1 for weight in weights)
    if method in ("gem", "a-gem"):
        assert {weight["mood"] for weight in weights} != {1.0}
        assert all(weight["mood"] >= 0 for weight in weights)
        for line, weight in zip(lines, weights, strict=True):
            lower = np.array([row + [0.0] * (3 - len(row)) for row in line["gramian"]])
            gramian = lower + np.tril(lower, -1).T
            held = gramian @ [weight[name] for name in seen[2]]
            opposed = held[1:] if method == "gem" else held[1:2] + held[2:]
            assert (opposed >= -1e-5 * np.abs(gramian).max()).all()  # six digits are written
    answer = accord_cli("evaluate", run, "--json")
    assert answer.code == 0, answer.err
    said = accord_cli("resume", run)
    assert f"forgetting {actual['forgetting']:.4f}" in said.out
    assert results["exposure"]["mood"]["rows"] == 22


@pytest.mark.slow
def test_a_task_without_labels_hides_nothing_that_was_forgotten(in_turn, tmp_path, accord_cli):
    """It has no metric: a stage that trains it evaluates no more tasks than it trains."""
    words = '[tasks.words]\nkind = "masked-lm"\n[[stages]]\ntasks = ["mood"]\n'
    run = in_turn("gem", stages=words + '[[stages]]\ntasks = ["same", "near", "words"]\n')
    results = json.loads((run / "results.json").read_text())
    assert list(results["metrics"]) == ["same", "near", "mood"]
    first, last = (row["heldout"] for row in results["stages"])
    assert results["continual"]["forgetting"] == pytest.approx(first["mood"] - last["mood"])
    shown = json.loads(accord_cli("compare", run, "--json").out)["groups"][0]
    assert shown["metrics"].keys() == {"mood", "same", "near"}


GRID = """
config = "accord.toml"
seeds = 2
[axes]
"memory.method" = ["none", "gem"]
[[cells]]
[[cells]]
stages = []
"""


@pytest.mark.slow
def test_sequences_and_multitask_training_stand_side_by_side(project, accord_cli, tmp_path):
    few = {"training.epochs": 1, "training.steps_per_epoch": 2}
    file, out = project(few), tmp_path / "grid"
    file.write_text(file.read_text() + ONE_BY_ONE + "[memory]\nsize = 6\n")
    (file.parent / "grid.toml").write_text(GRID)
    call = ("grid", file.parent / "grid.toml", "--out", out, "--against", "method=none")
    answer = accord_cli(*call)
    assert answer.code == 0, answer.err
    actual = json.loads(accord_cli(*call, "--json").out)
    names = ["method=none", "method=gem", "stages=none,method=none"]  # without stages all are one
    assert [group["name"] for group in actual["groups"]] == names
    none, gem, joint = actual["groups"]
    assert joint["continual"] == {}
    for each in (none, gem):
        runs = [json.loads((out / "cells" / f"{each['name']},seed={seed}/results.json").read_text())
                for seed in (0, 1)]  # fmt: skip
        for key, figure in each["continual"].items():
            values = [run["continual"][key] for run in runs]
            assert figure["mean"] == pytest.approx(np.mean(values))
            assert figure["sd"] == pytest.approx(np.std(values, ddof=1))
        assert each["continual"].keys() == {"average_accuracy", "forgetting", "backward_transfer"}
    compared = {(each["group"], each["task"]) for each in actual["against"]}
    tasks = ("mood", "same", "near", "mean of tasks")
    assert compared == {(name, task) for name in names[1:] for task in tasks}

    columns = ["average accuracy", "forgetting", "backward transfer"]
    (header,) = (line for line in answer.out.splitlines() if "held-out rows  " in line)
    assert [header.count(column) for column in columns] == [1, 1, 1]
    with (out / "tables" / "groups.csv").open() as stream:
        rows = {row["group"]: row for row in csv.DictReader(stream)}
    runs = [json.loads((out / "cells" / f"{names[2]},seed={seed}/results.json").read_text())
            for seed in (0, 1)]  # fmt: skip
    means = [np.mean([task["value"] for task in run["heldout"].values()]) for run in runs]
    average = f"{np.mean(means):.3f} ± {np.std(means, ddof=1):.3f}"
    assert [rows[names[2]][column] for column in columns] == [average, "–", "–"]
    figure = gem["continual"]["forgetting"]
    assert rows["method=gem"]["forgetting"] == f"{figure['mean']:.3f} ± {figure['sd']:.3f}"
    runs = sorted((out / "cells").iterdir())
    assert accord_cli("compare", *runs).out.count("average accuracy") == 1
    assert "average accuracy" not in accord_cli("compare", runs[-1]).out


@pytest.mark.slow
def test_a_memory_of_nothing_is_said_to_be_of_no_use(project, accord_cli, tmp_path):
    short = {
        "training.epochs": 1, "training.steps_per_epoch": 2, "training.gradients": "pcgrad",
    }  # fmt: skip
    file = project(short)
    file.write_text(file.read_text() + ONE_BY_ONE + '[memory]\nmethod = "gem"\n')
    line = "warning: memory.method is not used: no stage finishes a task, nor does memory.finished"
    answer = accord_cli("train", file, "--out", tmp_path / "joint", "--set", "stages=[]")
    assert answer.code == 0, answer.err
    assert answer.err.count(line) == 1
    assert line in accord_cli("check", file, "--set", "stages=[]").err
    again = load_config(file, ["stages=[]"])
    assert plan_run(again).only.training.gradients == "pcgrad"
    assert effective(again)["memory"] is None
    file = project(short)
    answer = accord_cli("train", file, "--out", tmp_path / "plain")
    assert "[memory]" not in answer.err
    one, other = (
        load_file(tmp_path / each / "model/model.safetensors") for each in ("joint", "plain")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
def test_without_a_method_it_is_the_plain_sequence(in_turn, project, run_stages, tmp_path):
    """Tasks that are only evaluated change no bit of how the others are trained."""
    short = {"training.epochs": 1, "training.steps_per_epoch": 3}
    run = in_turn("none", short)
    file = project(short)
    file.write_text(file.read_text() + ONE_BY_ONE)
    plain = run_stages(file, tmp_path / "plain")
    one, other = (load_file(each / "model" / "model.safetensors") for each in (run, plain))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def remembering(project, unbroken):
    """A config whose 'mood' is finished, as users write it: (memory's keys, changes)."""
    before = unbroken({"training.epochs": 1}, ("mood",))

    def call(memory, changes=None, tasks=("mood", "near")):
        given = {"encoder.path": str(before / "model"), "encoder.heads": "keep", **memory}
        return project({"training.epochs": 1, **given, **(changes or {})}, tasks)

    return call


@pytest.mark.slow
def test_the_memory_s_rows_are_drawn_and_its_head_is_not_trained(remembering, train, tmp_path):
    memory = {"memory.finished": ["mood"], "memory.method": "replay", "memory.size": 6,
              "memory.choice": "balanced", "training.batch_size": 2}  # fmt: skip
    config = remembering(memory)
    setup = prepare(plan_run(load_config(config)).only)
    mood, near = setup.data.train
    assert (len(mood), len(near)) == (6, 9)
    assert np.bincount(mood.labels.astype(int)).tolist() == [2, 2, 2]
    drawn = [setup.sampler.draw(step) for step in range(3)]
    assert sorted(np.concatenate([each[0] for each in drawn])) == list(range(6))
    before = setup.learner.model.head("mood").linear.weight.clone()
    setup.learner.step(0, setup.batch(0), 1.0)
    assert torch.equal(setup.learner.model.head("mood").linear.weight, before)
    results = json.loads((train(config, tmp_path / "run") / "results.json").read_text())
    assert [epoch["sum"] for epoch in results["epochs"]] == [
        epoch["metrics"]["near"] for epoch in results["epochs"]
    ]


def test_a_regression_with_a_moving_scale_goes_on_as_it_was(project, train, tmp_path):
    """Taken over and trained it says what it said; finished, its layer is the saved one."""
    changes = {"training.epochs": 1, "tasks.near.targets": "popart"}
    before = train(project(changes, ("near",)), tmp_path / "before")
    keep = {**changes, "encoder.path": str(before / "model"), "encoder.heads": "keep"}
    saved = load_file(before / "model" / "heads.safetensors")
    setup = prepare(plan_run(load_config(project(keep, ("near",)))).only)
    head, vectors = setup.learner.model.head("near"), torch.randn(5, 16)
    plain = torch.nn.functional.linear(vectors, saved["near.linear.weight"],
                                       saved["near.linear.bias"])  # fmt: skip
    torch.testing.assert_close(head(vectors), plain, rtol=1e-5, atol=1e-6)
    assert float(head.scale.std) < 1

    memory = {"memory.finished": ["near"], "memory.method": "gem", "memory.size": 1}
    setup = prepare(plan_run(load_config(project({**keep, **memory}, ("near", "mood")))).only)
    held = setup.learner.model.head("near")
    assert torch.equal(held(vectors), plain)
    losses = torch.ones(3)
    whole = setup.data.full_train["near"]  # a memory's one row has no spread
    spread = whole.targets(np.arange(len(whole))).double().std(correction=0)
    assert len(setup.data.train[0]) == 1
    torch.testing.assert_close(held.scale.losses(losses), losses / spread.square().float())
    setup.learner.step(0, setup.batch(0), 1.0)
    assert torch.equal(held.linear.weight, saved["near.linear.weight"])
    assert isinstance(setup.data.train[0], TaskData)


@pytest.mark.parametrize(
    ("memory", "changes", "line"),
    [
        ({"memory.finished": ["mod"]}, {}, "memory.finished: no task 'mod'; did you mean 'mood'?"),
        ({"memory.finished": ["mood", "near"]}, {}, "memory.finished: leaves no task to train"),
        (
            {"memory.finished": ["mood"], "memory.method": "gem"},
            {"encoder.mode": "frozen"},
            "memory.method: 'gem' holds shared gradients; a frozen encoder has none",
        ),
        (
            {"memory.finished": ["mood"], "memory.method": "gem"},
            {"training.gradients": "pcgrad"},
            "memory.method: 'gem' is the gradient method, but training.gradients is 'pcgrad'",
        ),
        (
            {"memory.finished": ["mood"], "memory.method": "replay"},
            {"training.gradients": "gem"},
            "training.gradients: 'gem' uses memories; memory.method = 'gem' chooses it",
        ),
        (
            {"memory.finished": ["mood"]},
            {"training.balancing": "dwa"},
            "training.balancing: 'dwa' weighs tasks against each other; there is one task",
        ),
        (
            {"memory.finished": ["mood"]},
            {"encoder.heads": "new"},
            "memory.finished: finished tasks' heads are not trained; encoder.heads = 'keep' takes",
        ),
        (
            {"memory.finished": ["mood"], "memory.method": "gem", "memory.size": 23},
            {},
            "memory.size: 23 is more than the 22 training rows of 'mood'",
        ),
        (
            {"memory.finished": ["near"], "memory.method": "gem", "memory.size": 3},
            {},
            "memory.finished: ",
        ),
        (
            {"memory.finished": ["mood"]},
            {"tasks.mood.labels": ["neg", "pos", "mixed"]},
            "tasks.mood: encoder.heads = 'keep', but the head in ",
        ),
    ],
)
def test_a_fault_is_one_line(remembering, accord_cli, tmp_path, memory, changes, line):
    config = remembering(memory, changes)
    answer = accord_cli("train", config, "--out", tmp_path / "run", "--quiet")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert line in answer.err
    assert not (tmp_path / "run").exists()


def test_heads_are_kept_from_a_model_folder_alone(project, accord_cli, tmp_path):
    config = project({"encoder.heads": "keep"})
    answer = accord_cli("train", config, "--out", tmp_path / "run", "--quiet")
    assert answer.code == 2
    assert "encoder.heads = 'keep' takes heads from a model folder of Accord's" in answer.err


@pytest.mark.slow
def test_a_stage_without_labels_is_chosen_by_its_own_likelihood(project, run_stages, tmp_path):
    """The finished task is the only one with a metric, and chooses no epoch."""
    stages = (
        '[tasks.words]\nkind = "masked-lm"\n'
        '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["words"]\n'
        'training = { epochs = 4 }\n[[stages]]\ntasks = ["near"]\n[memory]\nsize = 6\n'
    )
    file = project({"training.epochs": 1, "training.steps_per_epoch": 2}, ("mood", "near"))
    file.write_text(file.read_text() + stages)
    run = run_stages(file, tmp_path / "run")
    results = json.loads((run / "stages" / "2" / "results.json").read_text())
    likelihoods = [epoch["figures"]["words"]["likelihood"] for epoch in results["epochs"]]
    assert [epoch["sum"] for epoch in results["epochs"]] == likelihoods
    assert results["best_epoch"] == 1 + int(np.argmax(likelihoods))
    assert list(results["metrics"]) == ["mood"]


@pytest.mark.parametrize("method", ["none", "gem"])
def test_texts_of_finished_tasks_are_read_whole(project, method):
    """A memory keeps few labels; a task without labels needs none."""
    file = project({"training.epochs": 1}, ("mood", "near"))
    file.write_text(
        file.read_text() + '[tasks.words]\nkind = "masked-lm"\n'
        '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["near", "words"]\n'
        f'[memory]\nmethod = "{method}"\nsize = 2\n'
    )
    config = load_config(file)
    second = stage_configs(config)[1]
    setup = prepare(plan_run(second).only, planned=True)
    sizes = dict(zip(second.tasks, map(len, setup.data.train), strict=True))
    plain = prepare(plan_run(load_config(project({}, ("mood", "near")))).only)
    mood, near = (len(split) for split in plain.data.train)
    assert sizes["words"] == mood + 2 * near
