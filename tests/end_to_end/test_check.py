"""`accord check` sees the data as training does, and starts nothing."""

import json

import pytest

from accord.plan.making import plan_run

FEW = "can't tell a good model from a bad one"  # the project's dev splits are small


def warnings(answer):
    """What a command warned of, but for few dev rows."""
    lines = [line.removeprefix("warning: ") for line in answer.err.splitlines()]
    return [line for line in lines if FEW not in line]


def listed(answer):
    return [line for line in json.loads(answer.out)["warnings"] if FEW not in line]


def test_it_counts_what_training_will_use(project, accord_cli, train, tmp_path, listing):
    config = project({"tasks.mood.dev": None, "training.dev_share": 0.25})
    before = listing(tmp_path)
    answer = accord_cli("check", config, "--json")
    assert answer.code == 0
    (warning,) = warnings(answer)
    assert warning.startswith("tasks.mood: fewer than 3 dev rows of classes")
    assert listing(tmp_path) == before
    report = json.loads(answer.out)
    rows = {
        (task["task"]["name"], split["split"]): split["rows"]
        for task in report["tasks"]
        for split in task["splits"]
    }
    assert rows == {
        ("mood", "train"): 16, ("mood", "dev"): 6, ("mood", "test"): 12, ("same", "train"): 14,
        ("same", "dev"): 8, ("near", "train"): 9, ("near", "dev"): 7, ("near", "test"): 6,
    }  # fmt: skip
    resolved = json.loads((train(config, tmp_path / "run") / "resolved.json").read_text())
    assert [task["task"] for task in report["tasks"]] == resolved["tasks"]
    assert report["max_length"] == resolved["max_length"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "4.0: 1.0 for a text (mood) and 3.0 for a pair (near, same)"),  # same: two sequences
        (  # the last layer twice: of one task for first tokens alone, of the other for all
            {"tasks.same.encoding": "joint"},
            "3.0: 1.0 for a text (mood) and 2.0 for a pair (near, same)",
        ),
        (
            {"tasks.same.encoding": "joint", "tasks.near.pooling": "mean"},
            "2.0: 1.0 for a text (mood) and 1.0 for a pair (near, same)",
        ),
        (
            {"tasks.same.encoding": "joint", "sharing.schemes": ["task-norm"]},
            "3.0: 1.0 for a text (mood) and 2.0 for a pair",
        ),
    ],
)
def test_it_says_how_many_layers_an_answer_takes(
    project, accord_cli, train, tmp_path, changes, said
):
    config = project({**changes, "training.epochs": 1}, ("near", "mood", "same"))
    report = json.loads(accord_cli("check", config, "--json").out)["layers_computed"]
    results = json.loads((train(config, tmp_path / "run") / "results.json").read_text())
    assert results["layers_computed"] == report
    (line,) = [
        line for line in accord_cli("check", config).out.splitlines() if "layers computed" in line
    ]
    by_input = said.partition(": ")[2].split(" and ")
    assert f"tasks: {said[:3]}: " in line
    assert all(part in line for part in by_input)


def test_of_stages_the_last_one_s_model_answers(staged_project, accord_cli):
    report = json.loads(accord_cli("check", staged_project(), "--json").out)
    assert list(report["layers_computed"]["inputs"]) == ["pair"]


def test_check_shows_kinds_and_counts_of_labels(project, accord_cli):
    answer = accord_cli("check", project())
    assert (answer.code, warnings(answer)) == (0, [])
    assert "same: pair-classification, separate encoding, labels 0, 1" in answer.out
    assert "near: pair-regression, joint encoding, range 0 to 5" in answer.out
    assert "neg: 8, mixed: 7, pos: 7" in answer.out


@pytest.mark.parametrize("command", ["check", "train"])
def test_it_refuses_what_training_refuses(project, accord_cli, tmp_path, command):
    config = project({"tasks.mood.labels": ["neg", "pos"]})
    out = ["--out", tmp_path / "run"] if command == "train" else []
    answer = accord_cli(command, config, *out)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "mood-train.csv:3: mood: unknown label 'mixed'" in answer.err


@pytest.mark.parametrize("dev", [None, "same-dev.tsv"])
def test_a_limit_holds_for_checking_and_training_alike(project, accord_cli, dev):
    from accord.config.file import load_config
    from accord.training.setup import prepare

    config = project({"tasks.same.limit": 6, "tasks.same.dev": dev}, ("same",))
    report = json.loads(accord_cli("check", config, "--json").out)
    rows = {split["split"]: split["rows"] for split in report["tasks"][0]["splits"]}
    data = prepare(plan_run(load_config(config)).only).data
    assert rows == {"train": len(data.train[0]), "dev": len(data.dev[0])}
    assert sum(rows.values()) == (6 if dev is None else 12)


@pytest.mark.slow
def test_options_of_no_use_are_said_once_by_check_and_train(project, accord_cli, tmp_path):
    config = project({"methods.cagrad.c": 0.2, "training.epochs": 1})
    line = "[methods.cagrad] is not used: training.gradients is 'sum'"
    answer = accord_cli("check", config, "--json")
    assert warnings(answer) == listed(answer) == [line]
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.err.count("not used") == answer.err.count(f"warning: {line}\n") == 1
    assert (tmp_path / "run" / "log.txt").read_text().count(line) == 1
    answer = accord_cli("train", config, "--out", tmp_path / "mood", "--task", "mood",
                        "--set", "training.gradients=cagrad")  # fmt: skip
    assert (answer.code, "not used" in answer.err) == (0, False)


@pytest.mark.slow
def test_a_grid_and_a_search_may_name_options_of_methods_that_not_all_runs_choose(
    project, accord_cli, tmp_path
):
    from accord.config.file import load_config

    config = project({"training.epochs": 1, "methods.mgda.normalise": "l2"}, ("mood", "near"))
    grid = config.parent / "grid.toml"
    grid.write_text(
        'config = "accord.toml"\n[axes]\ngradients = ["sum", "cagrad"]\n'
        '"methods.cagrad.c" = [0.2]\n'
    )
    answer = accord_cli("grid", grid, "--out", tmp_path / "grid")
    assert (answer.code, "not used" in answer.err) == (0, False)
    answer = accord_cli(
        "tune", config, "--out", tmp_path / "tuned", "--trials", 2, "--search",
        "gradients=sum,cagrad", "--search", "methods.cagrad.c=0.1:0.5",
    )  # fmt: skip
    assert (answer.code, "not used" in answer.err) == (0, False)
    assert plan_run(load_config(tmp_path / "tuned" / "best.toml")).notes == ()


@pytest.mark.parametrize("batching", ["proportional", "finish-largest", "finish-smallest"])
def test_an_epoch_that_ends_before_the_config_s_steps_says_so(project, accord_cli, batching):
    from accord.config.file import load_config
    from accord.training.setup import prepare

    changes = {"training.batching": batching, "training.dev_share": 0.2, "tasks.near.dev": None}
    config = project(changes, ("mood", "near"))
    steps = prepare(plan_run(load_config(config)).only).sampler.steps
    line = (
        f"training.steps_per_epoch: is {steps + 1}, but an epoch of batching '{batching}' ends"
        f" after {steps}; more epochs make a longer run"
    )
    exact = prepare(plan_run(load_config(config, [f"training.steps_per_epoch={steps}"])).only)
    assert exact.unused == ()
    longer = f"training.steps_per_epoch={steps + 1}"
    assert prepare(plan_run(load_config(config, [longer])).only).unused == (line,)
    answer = accord_cli("check", config, "--set", longer, "--json")
    assert listed(answer) == [line]
    drawn = accord_cli("check", config, "--set", longer, "--set", "training.batching=uniform")
    assert (drawn.code, warnings(drawn)) == (0, [])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"training.balancing": "dwa", "training.epochs": 2},
            "training.balancing: 'dwa' weighs all tasks alike in the first 12 steps, and the run",
        ),
        (
            {
                "training.balancing": "fixed", "methods.fixed.weights": {"mood": 3.0},
                "training.gradients": "imtl-g",
            },
            "training.balancing: 'imtl-g' gives the same direction whatever the losses' weights;",
        ),
    ],
)  # fmt: skip
def test_weights_that_would_change_nothing_are_said(project, accord_cli, changes, line):
    config = project({**changes, "training.steps_per_epoch": 6, "training.batching": "uniform"})
    (actual,) = listed(accord_cli("check", config, "--json"))
    assert actual.startswith(line)
    longer = ("training.epochs=3", "training.gradients=pcgrad")
    sets = [part for each in longer for part in ("--set", each)]
    assert listed(accord_cli("check", config, *sets, "--json")) == []


def test_an_absurd_number_of_epochs_keeps_nobody_waiting(project, accord_cli):
    answer = accord_cli("check", project({"training.epochs": 10**12}))
    assert answer.code == 0, answer.err
