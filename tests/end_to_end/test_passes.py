"""Passes as large as memory lets them be, and what is left to do where it is too small."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.errors import TrainingError
from accord.plan.making import plan_run
from accord.runs.memory import Memory
from accord.training import passes
from accord.training.passes import Room, fitting_pass_tokens, largest_step
from accord.training.run import resume_run, start_run
from accord.training.setup import prepare
from accord.training.step import Learner

AUTO = {"training.micro_batch_tokens": "auto", "training.epochs": 1}
FITTING = 96


@pytest.fixture
def room(monkeypatch):
    """Let passes take a byte for each token, and give them so many bytes: (bytes)."""

    def give(size):
        free = size / 0.9
        made = Room(free, lambda tokens: tokens)
        monkeypatch.setattr(passes, "_by_estimate", lambda setup, largest: made)

    return give


def recorded(run, name="resolved.json"):
    return json.loads((run / name).read_text()).get("pass_tokens")


def newest_state(run):
    file = max(run.glob("checkpoints/step-*/progress.json"), key=lambda f: f.stat().st_mtime)
    return json.loads(file.read_text())


def test_a_run_takes_the_passes_that_fit(project, train, tmp_path, room, outcome, capsys):
    """It is the run of a config that names their size."""
    room(FITTING)
    start_run(plan_run(load_config(project(AUTO))).only, tmp_path / "auto")
    chosen = recorded(tmp_path / "auto")
    assert FITTING * 8 // 9 <= chosen <= FITTING
    assert f"passes of at most {chosen} tokens, which fit in memory" in capsys.readouterr().err
    assert newest_state(tmp_path / "auto")["pass_tokens"] == chosen
    named = train(project({**AUTO, "training.micro_batch_tokens": chosen}), tmp_path / "named")
    assert outcome(tmp_path / "auto") == outcome(named)
    assert recorded(named) is None
    whole = train(project({"training.epochs": 1}), tmp_path / "whole")
    assert outcome(whole) != outcome(named)


@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "none-yet"])
def test_a_run_that_goes_on_keeps_its_passes(
    stopped, project, train, tmp_path, room, outcome, kept
):
    room(FITTING)
    run = stopped(AUTO, 3)
    chosen = recorded(run)
    if not kept:
        shutil.rmtree(run / "checkpoints")
    room(10 * FITTING)
    resume_run(run, quiet=True)
    assert recorded(run) == newest_state(run)["pass_tokens"] == chosen
    room(FITTING)
    assert outcome(run) == outcome(train(project(AUTO), tmp_path / "whole"))


def test_a_forced_edit_of_something_else_keeps_them_too(stopped, room, accord_cli):
    room(FITTING)
    run = stopped(AUTO, 3)
    chosen = recorded(run)
    room(10 * FITTING)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("keep = 9", "keep = 7"))
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert recorded(run) == newest_state(run)["pass_tokens"] == chosen


def setup_of(config):
    return prepare(plan_run(load_config(config)).only)


def test_the_largest_step_is_no_smaller_than_any(project):
    setup = setup_of(project({**AUTO, "training.batching": "proportional", "training.epochs": 2}))
    largest = largest_step(setup)
    real = [setup.batch(step).tokens for step in range(setup.total_steps)]
    assert setup.packed(0, largest.drawn, None).tokens == largest.tokens >= max(real)
    lengths = [source.lengths(setup.data.assembler) for source in setup.sources]
    assert largest.longest == max(each.max() for each in lengths)
    rows = {tuple(map(len, setup.sampler.draw(step))) for step in range(setup.total_steps)}
    assert tuple(map(len, largest.drawn)) in rows  # as many of each task as a step has


@pytest.mark.parametrize(("available", "whole"), [(1 << 40, True), (None, True), (0, False)])
def test_on_a_cpu_the_estimate_is_held_against_what_is_available(
    project, monkeypatch, available, whole
):
    monkeypatch.setattr(passes, "examine_memory", lambda: Memory(available, available))
    monkeypatch.setattr(passes, "held_bytes", lambda: 0)
    setup = setup_of(project(AUTO))
    largest = largest_step(setup)
    expected = largest.tokens if whole else largest.longest
    assert fitting_pass_tokens(setup) == expected


def test_the_estimate_of_a_cpu_grows_with_passes(project):
    setup = setup_of(project(AUTO))
    taken = passes._by_estimate(setup, largest_step(setup)).taken_bytes
    assert taken(20) < taken(40)


@pytest.fixture
def gpu(monkeypatch):
    """A GPU's memory of a byte for each token of a pass, beside 100 that lie there: (bytes)."""
    peak, rehearsed = [], []
    rehearse = Learner.rehearse

    def take(self, step, batch):
        sizes = [int(micro.inputs.cu_seqlens[-1]) for micro in batch.passes]
        rehearsed.append(max(sizes))
        rehearse(self, step, batch)
        if max(sizes) > limit[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        peak.append(100 + max(sizes))

    limit = [10**9]

    def give(free, fails_above=10**9):
        limit[0] = fails_above
        replaced = {
            "memory_allocated": lambda device: 100,
            "memory_reserved": lambda device: 150,
            "mem_get_info": lambda device: (free - 50, 10**9),
            "max_memory_allocated": lambda device: peak[-1],
            "reset_peak_memory_stats": lambda device: peak.clear(),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(torch.cuda, name, function)
        monkeypatch.setattr(passes, "_moments_to_come", lambda setup: 0)
        monkeypatch.setattr(Learner, "rehearse", take)
        return rehearsed

    return give


@pytest.mark.parametrize(("free", "fails_above"), [(FITTING / 0.89, 10**9), (10**9, FITTING)])
def test_on_a_gpu_the_peak_of_rehearsed_steps_decides(project, gpu, free, fails_above):
    """Whether the peak is too high, or memory runs out first."""
    setup = setup_of(project(AUTO))
    rehearsed = gpu(free, fails_above)
    largest = largest_step(setup)
    room = passes._on_gpu(setup, largest)
    found = passes.most_fitting(room.holds, largest.longest, largest.tokens)
    assert max(rehearsed) > FITTING  # one too large was tried
    assert room.holds(found)
    assert not room.holds(found * 9 // 8 + 32)  # fillers are a part of what a pass takes


def test_a_rehearsal_changes_nothing(project, train, tmp_path, gpu, outcome, monkeypatch):
    """Steps after it are what they would have been, with methods and rules that have a state."""
    changes = {
        **AUTO, "training.gradients": "cagrad", "training.balancing": "uncertainty",
        "training.unfreeze_over": 0.5,
    }  # fmt: skip
    rehearsed = gpu(FITTING / 0.89)
    monkeypatch.setattr(passes, "_by_estimate", passes._on_gpu)
    auto = train(project(changes), tmp_path / "auto")
    assert rehearsed
    named = {**changes, "training.micro_batch_tokens": recorded(auto)}
    rehearsed.clear()
    assert outcome(auto) == outcome(train(project(named), tmp_path / "named"))
    assert not rehearsed


def test_moments_that_are_to_come_are_counted(project):
    setup = setup_of(project(AUTO))
    trained = [p for p in setup.learner.model.parameters() if p.requires_grad]
    assert passes._moments_to_come(setup) == 8 * sum(p.numel() for p in trained)
    setup.learner.step(0, setup.batch(0), 1.0)
    assert passes._moments_to_come(setup) < 8 * sum(p.numel() for p in trained)


def test_a_kind_that_compares_a_step_s_texts_has_one_pass(project, accord_cli):
    config = project({**AUTO, "tasks.alike.kind": "simcse"})
    assert plan_run(load_config(config)).only.training.micro_batch_tokens is None
    said = accord_cli("check", config).err
    assert (
        "training.micro_batch_tokens is not used: 'simcse' (tasks.alike) compares all texts of a"
        " step with each other, in one pass"
    ) in said


FULL = "CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.fixture
def out_of_memory(monkeypatch):
    """Let memory run out in a step, counted from 0, that is one pass."""
    take = Learner.step

    def arrange(at):
        def step(self, number, batch, *rest):
            if number == at and len(batch.passes) == 1:
                raise torch.OutOfMemoryError(f"{FULL}\nSee the documentation.")
            return take(self, number, batch, *rest)

        monkeypatch.setattr(Learner, "step", step)

    return arrange


def test_a_full_memory_names_the_key_and_the_run_goes_on(
    project, tmp_path, out_of_memory, accord_cli, train
):
    """Without dropout it comes to the same weights, up to rounding."""
    still = {"training.epochs": 1, "encoder.dropout": 0.0, "checkpoint.every_steps": 2}
    still |= {f"tasks.{name}.dropout": 0.0 for name in ("mood", "same", "near")}
    whole, run = train(project(still), tmp_path / "whole"), tmp_path / "run"
    out_of_memory(3)
    answer = accord_cli("train", project(still), "--out", run, "--quiet")
    config = run / "config.toml"
    assert answer.code == 1
    assert answer.err == (
        'accord: out of memory: set training.micro_batch_tokens = "auto" or'
        f" encoder.gradient_checkpointing = true in {config}, and then 'accord resume {run}'"
        f" goes on; '{FULL}'\n"
    )
    text = config.read_text()
    config.write_text(text.replace("[training]\n", "[training]\nmicro_batch_tokens = 60\n"))
    said = accord_cli("resume", run)
    assert said.code == 0, said.err
    assert "warning: edited: training.micro_batch_tokens: None -> 60" in said.err
    assert (
        "resuming after step 2 of 6; in passes of at most 60 tokens, not a whole step, which draw"
        " dropout masks of their own: sums may differ"
    ) in said.err
    assert json.loads((run / "results.json").read_text())["repeatable"] is False
    begun = json.loads((run / "resolved.json").read_text())
    assert begun["config"]["training"]["micro_batch_tokens"] == 60
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (run, whole))
    for name, value in theirs.items():
        # A key's bias shifts all scores alike: its gradient is rounding alone, which Adam enlarges.
        assert "key.bias" in name or torch.allclose(ours[name], value, atol=1e-5), name
    again = accord_cli("resume", run)
    assert (again.code, "nothing to resume" in again.err) == (0, True)


def test_what_is_edited_again_is_measured_again(stopped, room, accord_cli):
    run = stopped({**AUTO, "training.micro_batch_tokens": 40}, 2)
    config = run / "config.toml"
    config.write_text(
        config.read_text().replace("micro_batch_tokens = 40", 'micro_batch_tokens = "auto"')
    )
    room(FITTING)
    assert accord_cli("resume", run, "--quiet").code == 0
    assert FITTING * 8 // 9 <= recorded(run) <= FITTING
    assert newest_state(run)["pass_tokens"] == recorded(run)


@pytest.mark.parametrize(
    ("changes", "tokens", "cure"),
    [
        ({}, None, 'training.micro_batch_tokens = "auto" or encoder.gradient_checkpointing = true'),
        ({}, 90, "training.micro_batch_tokens = 45 or encoder.gradient_checkpointing = true"),
        ({"encoder.gradient_checkpointing": True}, 90, "set training.micro_batch_tokens = 45 in"),
        ({"tasks.alike.kind": "simcse"}, None, "set encoder.gradient_checkpointing = true in"),
        ({"encoder.mode": "frozen"}, None, "a smaller training.batch_size takes less"),
        ({"tasks.alike.kind": "simcse", "encoder.gradient_checkpointing": True}, None,
         "a smaller training.batch_size takes less"),
    ],
)  # fmt: skip
def test_a_full_memory_s_cure_is_one_that_is_allowed(
    project, tmp_path, monkeypatch, changes, tokens, cure
):
    def step(*arguments):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(Learner, "step", step)
    named = {} if tokens is None else {"training.micro_batch_tokens": tokens}
    plan = plan_run(load_config(project({**changes, **named}))).only
    with pytest.raises(TrainingError) as raised:
        start_run(plan, tmp_path / "run", quiet=True)
    assert cure in str(raised.value)


def test_in_stages_the_whole_run_s_config_is_edited(
    staged_project, tmp_path, out_of_memory, accord_cli
):
    run = tmp_path / "run"
    out_of_memory(1)
    answer = accord_cli("train", staged_project(), "--out", run, "--quiet")
    assert f"in {run / 'config.toml'}, and then 'accord resume {run}' goes on" in answer.err
    config = run / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("[training]\n", "[training]\nmicro_batch_tokens = 20\n", 1))
    said = accord_cli("resume", run)
    assert said.code == 0, said.err
    for stage in (run / "stages").iterdir():
        begun = json.loads((stage / "resolved.json").read_text())
        assert begun["config"]["training"]["micro_batch_tokens"] == 20
    assert "nothing to resume" in accord_cli("resume", run).err
