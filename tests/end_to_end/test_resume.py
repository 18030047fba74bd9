"""A run that was stopped anywhere and resumed leaves the bytes of one that never stopped."""

import json
import shutil
import signal

import held
import pytest
import torch

from accord.durable import write_manifest
from accord.errors import Stopped
from accord.gradients import Method
from accord.training.run import resume_run

METHODS = [
    pytest.param("proportional", "sum", marks=pytest.mark.slow), ("proportional", "pcgrad"),
    pytest.param("finish-largest", "sum", marks=pytest.mark.slow), ("finish-smallest", "pcgrad"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("batching", "gradients"), METHODS)
def test_stopped_within_an_epoch_and_resumed_it_leaves_the_same_bytes(
    stopped, project, train, tmp_path, outcome, metrics, batching, gradients
):
    last = 5
    changes = {"training.batching": batching, "training.gradients": gradients}
    changes |= {"training.epochs": 2, "training.steps_per_epoch": 3}
    run = stopped(changes, last)
    assert len(metrics(run, "dev")) == 1
    assert metrics(run)[-1]["step"] == last
    resume_run(run, quiet=True)
    whole = train(project(changes), tmp_path / "whole")
    assert outcome(run) == outcome(whole)
    assert len(metrics(run)) == 6


WAYS = {
    "frozen": {"encoder.mode": "frozen"},
    "bfloat16": {"training.precision": "bfloat16", "training.gradients": "pcgrad"},
    "passes": {"training.micro_batch_tokens": 60, "encoder.gradient_checkpointing": True},
    "cosine-new-layers": {
        "tasks.same.head": "cosine",
        "tasks.same.loss": "mse",
        "training.layer_decay": 0.8,
        "encoder.reinit_layers": 1,
        "layers": 2,
    },
    "dev-share": {
        "tasks.mood.dev": None,
        "tasks.near.dev": None,
        "training.dev_share": 0.3,
        "training.epochs": 3,
    },
    "layers": {
        "training.gradients": "gradvac",
        "training.granularity": "layer",
        "training.balancing": "gradnorm",
    },
    "whole-j": {"training.gradients": "graddrop", "training.balancing": "famo"},
    "annealed": {
        "training.batching": "annealed",
        "training.balancing": "dwa",
        "training.epochs": 3,
    },
    "one-task": {
        "training.batching": "fair-exposure",
        "training.tasks_per_step": "one",
        "training.balancing": "uncertainty",
    },
    "popart": {
        "training.batching": "temperature",
        "tasks.near.targets": "popart",
        "training.epochs": 3,
    },
    "round-robin": {"training.batching": "round-robin", "training.balancing": "imtl-l"},
}


@pytest.mark.quick("layers", "bfloat16")
@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_killed_and_resumed_every_way_to_train_leaves_the_same_bytes(
    killed_and_whole, outcome, changes
):
    run, whole = killed_and_whole(changes, last=6 if changes.get("training.epochs") == 3 else 4)
    assert outcome(run) == outcome(whole)


def _steadied(signals, state, generator):
    """A method that remembers: weights from a running mean of the Gram matrix, and a draw."""
    gramian = signals.gramian
    mean = 0.8 * state["mean"] + 0.2 * gramian
    noise = torch.rand(len(gramian), generator=generator, dtype=torch.float64)
    return 1 + noise / (1 + mean.diagonal()), {"mean": mean}


def test_a_method_s_state_and_draws(killed_and_whole, outcome, monkeypatch):
    def initial_state(tasks):
        return {"mean": torch.zeros(tasks, tasks, dtype=torch.float64)}

    method = Method(
        "steadied", _steadied, "none", ("gramian", "state"), "", "", initial_state, frozenset(),
        "sum", ([], []),
    )  # fmt: skip
    monkeypatch.setattr("accord.training.building.get_method", lambda name: method)
    run, whole = killed_and_whole({})
    assert outcome(run) == outcome(whole)


@pytest.mark.slow
def test_dropout_is_on_in_these_tests(unbroken, outcome):
    short = {"training.epochs": 1}
    with_dropout, without = unbroken(short), unbroken({**short, "encoder.dropout": 0.0})
    assert (
        outcome(with_dropout)["model/model.safetensors"]
        != (outcome(without)["model/model.safetensors"])
    )


@pytest.mark.slow
def test_stopped_twice_and_stopped_in_the_last_step(stopped, stop_after, unbroken, outcome):
    run = stopped({}, 2)
    stop_after(9)
    with pytest.raises(Stopped):
        resume_run(run, quiet=True)
    stop_after(12)  # there is nothing left to stop
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(unbroken())


@pytest.mark.quick("checkpoint")
@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "none-yet"])
def test_after_kill_9(
    start_accord, wait_for_steps, project, unbroken, tmp_path, outcome, kept, accord_cli
):
    changes = {"checkpoint.every_steps": 5}
    config, run = project(changes), tmp_path / "run"
    taken = 8 if kept else 3  # the first checkpoint is after the fifth step
    process = start_accord("train", config, "--out", run, before=held.before(taken + 1))
    wait_for_steps(process, run, taken)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (list((run / "checkpoints").glob("step-*")) != []) == kept
    assert json.loads((run / "status.json").read_text())["state"] == "running"

    # What a kill in the middle of writing leaves behind.
    half = run / "checkpoints" / ".new-step-9"
    half.mkdir(exist_ok=True)
    (half / "progress.json").write_text("{")
    empty = run / "checkpoints" / "step-9999"
    empty.mkdir()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "ste')

    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    how = "resuming after step 6 of" if kept else "no sound checkpoint: starting over"
    assert how in answer.err
    assert outcome(run) == outcome(unbroken(changes))


@pytest.mark.slow
def test_killed_between_an_evaluation_and_its_checkpoint(
    stopped_copy, unbroken, outcome, monkeypatch
):
    """The best model was saved already, though the step it belongs to is taken again."""
    run = stopped_copy({}, 11)

    def die(*rest):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("accord.training.loop.save_checkpoint", die)
        with pytest.raises(MemoryError):
            resume_run(run, quiet=True)
    assert json.loads((run / "status.json").read_text())["state"] == "failed"
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(unbroken())


def test_a_finished_run_says_so_and_stays_as_it_is(finished, accord_cli, listing):
    before = listing(finished)
    answer = accord_cli("resume", finished, "--json")
    assert answer.code == 0
    assert "this run is done; nothing to resume" in answer.err
    assert json.loads(answer.out)["best_epoch"] == json.loads(before["results.json"])["best_epoch"]
    assert listing(finished) == before


def _edit_resolved(run, project):
    file = run / "resolved.json"
    table = json.loads(file.read_text())
    table["config"]["training"]["lr"] = 2e-3
    file.write_text(json.dumps(table))


def _edit_config(run, project):
    file = run / "config.toml"
    file.write_text(file.read_text().replace("lr = 0.001", "lr = 0.002"))


def _edit_data(run, project):
    file = project / "same-dev.tsv"
    file.write_text(file.read_text().replace("\t1\n", "\t0\n", 1))


@pytest.mark.quick("checkpoint")
@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "none-yet"])
def test_a_change_since_is_refused(stopped, accord_cli, listing, tmp_path, kept):
    run = stopped({}, 2)
    if not kept:
        shutil.rmtree(run / "checkpoints")
    files = [run / "resolved.json", run / "config.toml", tmp_path / "project" / "same-dev.tsv"]
    as_begun = {file: file.read_bytes() for file in files}
    for edit in (_edit_resolved, _edit_config, _edit_data):
        edit(run, tmp_path / "project")
        before = listing(tmp_path)
        answer = accord_cli("resume", run, "--quiet")
        assert (answer.code, answer.out) == (2, ""), edit
        assert answer.err.count("\n") == 1, edit
        assert str(run) in answer.err, edit
        assert "changed since this run began" in answer.err, edit
        assert listing(tmp_path) == before, edit
        for file, content in as_begun.items():
            file.write_bytes(content)


def test_a_damaged_run_is_refused_in_one_line(stopped_copy, accord_cli):
    run = stopped_copy({}, 2)
    for damage in ("{", "{}", '{"config": {"encoder": {}}}', "[]"):
        (run / "resolved.json").write_text(damage)
        answer = accord_cli("resume", run, "--quiet")
        assert answer.code == 2, damage
        assert answer.err.count("\n") == 1, damage
        assert "resolved.json" in answer.err, damage


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parameters", "optimizer", "method"])
def test_where_the_only_checkpoint_is_cut_the_run_starts_over(
    stopped_copy, unbroken, outcome, accord_cli, name
):
    changes = {"training.epochs": 1}
    run = stopped_copy(changes, 2)
    file = run / "checkpoints" / "step-2" / f"{name}.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    assert f"step-2 is damaged and left out: {name}.safetensors has" in answer.err
    assert "no sound checkpoint: starting over" in answer.err
    assert outcome(run) == outcome(unbroken(changes))


def test_another_thread_count_is_said(stopped_copy, accord_cli):
    run = stopped_copy({"training.epochs": 1}, 2)
    file = run / "checkpoints" / "step-2" / "progress.json"
    file.write_text(file.read_text().replace('"threads": 1', '"threads": 3'))
    (file.parent / "manifest.json").unlink()
    write_manifest(file.parent)
    assert "with 1 thread, not 3: sums may differ" in accord_cli("resume", run).err


H100 = {"name": "NVIDIA H100 80GB HBM3", "CUDA": "12.8"}


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (H100, None),
        ({}, "on NVIDIA H100 80GB HBM3 (CUDA 12.8), not a CPU"),
        ({**H100, "CUDA": "13.0"}, "on NVIDIA H100 80GB HBM3 (CUDA 12.8), not NVIDIA H100 80GB HBM3"
         " (CUDA 13.0)"),
        ({**H100, "name": "NVIDIA A100"}, "on NVIDIA H100 80GB HBM3 (CUDA 12.8), not NVIDIA A100"
         " (CUDA 12.8)"),
    ],
)  # fmt: skip
def test_another_card_is_said(stopped_copy, accord_cli, monkeypatch, before, line):
    """What a GPU's run says, of a run on a CPU that is taken for one."""
    run = stopped_copy({"training.epochs": 1}, 2)
    for module in ("run", "resuming"):
        monkeypatch.setattr(f"accord.training.{module}.card_of", lambda device: H100)
    file = run / "checkpoints" / "step-2" / "progress.json"
    assert json.loads(file.read_text())["card"] == {}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"card": before}))
    (file.parent / "manifest.json").unlink()
    write_manifest(file.parent)
    said = accord_cli("resume", run).err
    assert ("sums may differ" in said) is (line is not None)
    assert line is None or f"; {line}: sums may differ" in said
    assert line is None or f"; {line}: sums may differ" in (run / "log.txt").read_text()
    assert json.loads((run / "results.json").read_text())["repeatable"] is (line is None)
    newest = run / "checkpoints" / "step-6" / "progress.json"
    assert json.loads(newest.read_text())["card"] == H100
    assert json.loads((run / "environment.json").read_text())["card"] == H100


@pytest.mark.parametrize("before", [True, False])
def test_steps_of_other_shapes_are_said(stopped_copy, accord_cli, before):
    """As where an edit of its config leaves a GPU's run no CUDA graphs."""
    run = stopped_copy({"training.epochs": 1}, 2)
    file = run / "checkpoints" / "step-2" / "progress.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"static": before}))
    (file.parent / "manifest.json").unlink()
    write_manifest(file.parent)
    line = "; without CUDA graphs, not with, which draw dropout masks of their own: sums may differ"
    assert (line in accord_cli("resume", run).err) is before


def test_only_the_newest_checkpoints_stay(project, train, tmp_path):
    changes = {"checkpoint.keep": 2, "checkpoint.every_steps": 4}
    run = train(project(changes), tmp_path / "run")
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"step-8", "step-12"}
