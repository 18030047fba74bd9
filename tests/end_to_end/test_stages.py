"""Runs in stages: one folder, each stage from the model of the one before."""

import json
import tomllib

import pytest
import torch
from projects import LOST, STAGES
from safetensors.torch import load_file

import accord
from accord.config.file import dump_config, load_config, parse_config, stage_configs
from accord.plan.making import plan_run
from accord.training.setup import prepare
from accord.training.stages.stage import stages_of


def test_one_folder_holds_it_all(staged_project, run_stages, tmp_path, metrics):
    run = run_stages(staged_project(), tmp_path / "run")
    assert [folder.name for folder in sorted((run / "stages").iterdir())] == ["1", "2-pairs"]
    first, last = run / "stages" / "1", run / "stages" / "2-pairs"
    results, own = (json.loads((each / "results.json").read_text()) for each in (run, last))
    before = json.loads((first / "results.json").read_text())
    assert results["metrics"] == own["metrics"]
    assert results["heldout"] == own["heldout"]
    assert [set(row["heldout"]) for row in results["stages"]] == [{"mood"}, {"same", "near"}]
    assert (
        results["steps"]
        == before["steps"] + own["steps"]
        == len(metrics(first)) + len(metrics(last))
    )
    assert results["exposure"] == own["exposure"]
    assert [row["name"] for row in results["stages"]] == ["1", "pairs"]
    assert [row["epochs"] for row in results["stages"]] == [1, 2]
    assert [set(row["metrics"]) for row in results["stages"]] == [{"mood"}, {"same", "near"}]
    assert "continual" not in results
    for name in ("model/model.safetensors", "model/heads.safetensors", "metrics.jsonl",
                 "environment.json", "predictions/near-test.csv", "predictions/near-heldout.csv",
                 "scores.safetensors"):  # fmt: skip
        assert (run / name).read_bytes() == (last / name).read_bytes()
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["stage"]) == ("done", "stage 2/2 pairs")
    weights = [line["method_weights"] for line in metrics(last)]
    assert any(own != {"same": 1.0, "near": 1.0} for own in weights)  # PCGrad, where they conflict


def test_what_no_stage_uses_is_said_once(staged_project, accord_cli, tmp_path):
    changes = {"methods.cagrad.c": 0.2, "averaging.decay": 0.9}  # the second stage uses one
    config = staged_project(STAGES.replace("pcgrad", "cagrad"), changes)
    answer = accord_cli("train", config, "--out", tmp_path / "run", "--set", "training.epochs=1")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["epochs"] for row in results["stages"]] == [1, 1]  # also where one has its own
    line = "averaging.decay is not used: averaging.method is 'none'"
    assert answer.err.count("not used") == answer.err.count(f"warning: {line}\n") == 1
    assert (tmp_path / "run" / "log.txt").read_text().count(line) == 1


def test_a_stage_begins_with_the_model_of_the_one_before(staged_project, run_stages, tmp_path):
    stages = '[[stages]]\ntasks = ["mood", "same"]\n[[stages]]\ntasks = ["near", "same"]\n'
    changes = {"sharing.schemes": ["pal", "own-layers"], "methods.own-layers.shared": 1,
               "methods.pal.size": 8, "methods.pal.heads": 2, "layers": 2}  # fmt: skip
    config = staged_project(stages, changes)
    run = run_stages(config, tmp_path / "run")
    model = run / "stages" / "1" / "model"
    heads, parts = (load_file(model / f"{name}.safetensors") for name in ("heads", "parts"))
    setup = prepare(stages_of(plan_run(load_config(config)), run)[1].plan)
    assert [task.name for task in setup.data.tasks] == ["same", "near"]
    own = setup.learner.model
    assert torch.equal(own.head("same").linear.weight, heads["same.linear.weight"])
    shared = load_file(model / "model.safetensors")
    assert torch.equal(own.encoder.embeddings.word, shared["embeddings.word_embeddings.weight"])
    same, near = dict(own.parts.named_of_task(0)), dict(own.parts.named_of_task(1))
    for name, value in same.items():
        before = parts.get(name.replace(".per_task.0.", ".per_task.1."))  # its place was the second
        assert before is None or torch.equal(value, before), name
    assert any(name in parts and not torch.equal(own, parts[name]) for name, own in near.items())


@pytest.mark.slow
def test_the_command_line(staged_project, accord_cli, tmp_path):
    config, run = staged_project(), tmp_path / "run"
    answer = accord_cli("train", config, "--out", run)
    assert answer.code == 0, answer.err
    assert "expected for all 2 stages: about" in answer.err
    assert answer.err.count(LOST) == 1
    assert LOST.removeprefix("warning: ") in (run / "log.txt").read_text()
    assert answer.err.count("[stage 1/2] epoch ") == 1
    assert answer.err.count("[stage 2/2 pairs] epoch ") == 2
    assert "after stage" in answer.out
    answer = accord_cli("evaluate", run, "--json")
    assert answer.code == 0, answer.err
    results = json.loads((run / "results.json").read_text())
    figures = json.loads(answer.out)
    assert figures["same"]["accuracy"] == pytest.approx(results["metrics"]["same"])
    near = accord.load(run).predict("near", [("a film", "a film")])
    assert len(near) == 1
    other = ("--set", "training.seed=4", "--quiet", "--json")
    answer = accord_cli("train", config, "--out", tmp_path / "quiet", *other)
    assert (answer.err, json.loads(answer.out)["stages"][1]["name"]) == ("", "pairs")
    for command in ("compare", "ensemble", "soup"):
        out = ["--out", tmp_path / command] if command != "compare" else []
        answer = accord_cli(command, run, tmp_path / "quiet", *out)
        assert answer.code == 0, answer.err


@pytest.mark.slow
def test_some_tasks_alone(staged_project, accord_cli, tmp_path):
    config = staged_project(STAGES + '[memory]\nmethod = "replay"\nsize = 5\n')
    for tasks, stages in ((["near"], 1), (["mood", "near"], 2), (["mood"], 1)):
        run = tmp_path / "-".join(tasks)
        chosen = [part for task in tasks for part in ("--task", task)]
        answer = accord_cli("train", config, "--out", run, *chosen, "--json")
        assert answer.code == 0, answer.err
        results = json.loads(answer.out)
        assert len(results["stages"]) == stages
        assert results["metrics"].keys() == set(tasks)
        assert ("continual" in results) == (stages == 2)


@pytest.mark.slow
def test_a_grid_s_cells_and_a_search_s_trials_may_have_stages(
    staged_project, accord_cli, tmp_path, metrics
):
    config = staged_project('[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["near", "mood"]\n',
                            tasks=("mood", "near"))  # fmt: skip
    grid = config.parent / "grid.toml"
    grid.write_text('config = "accord.toml"\n[axes]\nlr = [1e-3, 1e-4]\n')
    answer = accord_cli("grid", grid, "--out", tmp_path / "grid", "--dry-run")
    assert answer.code == 0, answer.err
    answer = accord_cli("grid", grid, "--out", tmp_path / "grid")
    assert answer.code == 0, answer.err
    cells = sorted((tmp_path / "grid" / "cells").iterdir())
    assert [len(list((cell / "stages").iterdir())) for cell in cells] == [2, 2]
    again = accord_cli("grid", grid, "--out", tmp_path / "grid")
    assert again.err.count(": found") == 2
    search = ("--search", "lr=1e-4:1e-3", "--trials", 1, "--out", tmp_path / "tuned")
    assert accord_cli("tune", config, *search).code == 0
    assert (tmp_path / "tuned" / "trials" / "0" / "stages" / "2").is_dir()
    assert load_config(tmp_path / "tuned" / "best.toml").stages == load_config(config).stages
    answer = accord_cli("tune", config, "--trials", 1, "--out", tmp_path / "weights")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    grid.write_text('config = "accord.toml"\n[axes]\n"stages.3.tasks" = [["mood"]]\n')
    answer = accord_cli("grid", grid, "--out", tmp_path / "other")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "'stages.3.tasks': no stage '3'; the stages are 1, 2" in answer.err


def test_a_config_with_stages_is_written_and_read_as_an_equal_one(staged_project):
    config = load_config(staged_project(STAGES + '[memory]\nmethod = "replay"\n'))
    again = parse_config(tomllib.loads(dump_config(config)))
    assert again == config
    assert again.stages[1].training == {"epochs": 2, "gradients": "pcgrad"}


def test_each_stage_s_config(staged_project):
    config = load_config(staged_project(
        """
[[stages]]
tasks = ["mood"]
encoder = { gradient_checkpointing = true }
[[stages]]
tasks = ["near", "same"]
averaging = { method = "ema" }
methods = { cagrad = { c = 0.5 } }
training = { gradients = "cagrad" }
""",
        {"training.balancing": "dwa", "methods.dwa.window": 3},
    ))  # fmt: skip
    first, second = stage_configs(config)
    assert (first.encoder.heads, list(first.tasks)) == ("new", ["mood"])
    assert first.encoder.gradient_checkpointing
    assert plan_run(first).only.training.balancing == "equal"  # there is one task
    assert second.encoder.heads == "keep"
    assert not second.encoder.gradient_checkpointing
    assert second.training.balancing == "dwa"
    assert second.methods == {"dwa": {"window": 3}, "cagrad": {"c": 0.5}}
    assert (first.averaging.method, second.averaging.method) == ("none", "ema")
    assert not first.stages


def test_further_pretraining_comes_first(staged_project, run_stages, tmp_path):
    stages = """
[tasks.words]
kind = "masked-lm"

[[stages]]
tasks = ["words"]

[[stages]]
tasks = ["mood"]
"""
    config = staged_project(stages, tasks=["mood"])
    run = run_stages(config, tmp_path / "run")
    first, second = (load_file(run / "stages" / own / "model/model.safetensors") for own in "12")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    rows = json.loads((run / "results.json").read_text())["stages"]
    assert [list(row["metrics"]) for row in rows] == [["words"], ["mood"]]
    assert accord.load(run).predict("mood", ["so so"])
