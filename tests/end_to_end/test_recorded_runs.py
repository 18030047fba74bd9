"""Runs whose steps are recorded, as on a GPU: resumed they leave the bytes of one never stopped."""

import re

import candidates
import pytest
import torch
from tape import TapeGraphs

from accord.config.file import load_config, parse_config
from accord.kernels.matmul import DEFAULT
from accord.kernels.recorder import Recorder
from accord.plan.making import plan_run
from accord.training.recording import obstacles
from accord.training.setup import prepare

WAYS = {
    "pcgrad": {"training.gradients": "pcgrad"},
    "sum": {"training.gradients": "sum", "averaging.method": "ema"},
    "popart": {"training.gradients": "cagrad", "tasks.near.targets": "popart"},
    "whole-j": {"training.gradients": "graddrop", "training.balancing": "famo"},
    "halves": {"training.gradients": "pcgrad", "training.halves_every": 4},
    "frozen": {"encoder.mode": "frozen", "training.gradients": "sum"},
    "proportional": {"training.batching": "proportional", "training.gradients": "gradvac"},
}


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """Let every run here record its steps, by tapes; what ran them."""
    made: list[Recorder] = []

    def recorder(device: object) -> Recorder:
        made.append(Recorder(TapeGraphs()))
        return made[-1]

    monkeypatch.setattr("accord.training.setup.records", lambda *_: True)
    monkeypatch.setattr("accord.training.setup.recorder_of", recorder)
    # A tape runs again in torch's own setting, whatever it was when it was recorded.
    monkeypatch.setattr("accord.training.setup.choose_matmul_policy", lambda *_: DEFAULT)
    return made


@pytest.mark.quick("pcgrad", "popart")
@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_a_resumed_run_with_nothing_recorded_yet_leaves_the_same_bytes(
    killed_and_whole, outcome, recorders, changes
):
    longer = {"training.epochs": 3, "training.steps_per_epoch": 6, "encoder.dropout": 0.1}
    run, whole = killed_and_whole({**longer, **changes}, last=10)
    assert any(recorder.recorded for recorder in recorders)
    assert outcome(run) == outcome(whole)


def test_recorded_steps_are_the_same_steps(project, train, outcome, recorders, tmp_path):
    toml = project({"training.epochs": 2, "training.steps_per_epoch": 8, "encoder.dropout": 0.1,
                    "training.gradients": "pcgrad"})  # fmt: skip
    recorded = train(toml, tmp_path / "recorded")
    assert recorders[-1].recorded > 2
    log = (recorded / "log.txt").read_text()
    said = re.search(
        r"static steps: 12 steps of (\d+) sizes?, (\d+) of them run again; recorded (\d+) parts of"
        r" steps in \d+\.\d s; recordings held up to (\d+\.\d) MiB beside the run\n",
        log,
    )
    assert said, log
    sizes, again, parts = map(int, said.groups()[:3])
    # A size's first step is as it is, its second recorded, and each other one run again.
    assert again >= 12 - 2 * sizes
    assert parts == recorders[-1].recorded
    assert float(said[4]) > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accord.training.setup.recorder_of", lambda device: Recorder())
        plain = train(toml, tmp_path / "plain")
    assert outcome(recorded) == outcome(plain)


def test_a_memory_that_is_full_while_a_step_is_recorded_says_so(
    project, tmp_path, recorders, accord_cli, monkeypatch
):
    def full(self, work):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(TapeGraphs, "record", full)
    answer = accord_cli("train", project({"training.epochs": 1}), "--out", tmp_path / "run")
    assert answer.code == 1
    (line,) = [line for line in answer.err.splitlines() if line.startswith("accord: ")]
    assert re.match(
        r"accord: out of memory, while a pass of 256 tokens, fillers counted, in \d+ sequences of"
        r" at most \d+ was recorded as a CUDA graph: set training.micro_batch_tokens = ",
        line,
    )


HALF = {"training.precision": "bfloat16"}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        (HALF, []),
        ({}, ["without training.precision = 'bfloat16', or flash attention"]),
        ({"encoder.mode": "frozen"}, []),
        ({**HALF, "encoder.gradient_checkpointing": True}, []),
        (
            {**HALF, "training.micro_batch_tokens": 60, "encoder.gradient_checkpointing": True},
            ["training.micro_batch_tokens makes"],
        ),
        ({**HALF, "training.regularisers": ["r-drop"]}, ["training.regularisers take"]),
    ],
    ids=["bfloat16", "float32", "frozen", "layers computed twice", "passes", "regularisers"],
)
def test_what_keeps_a_gpu_from_graphs(project, monkeypatch, changes, reasons):
    monkeypatch.setattr("accord.kernels.attention.flash.works", lambda device: True)
    plan = plan_run(load_config(project(changes))).only
    found = [*obstacles(plan, prepare(plan).learner, torch.device("cuda"))]
    assert len(found) == len(reasons)
    assert all(map(str.startswith, found, reasons))


def test_tasks_whose_steps_can_t_be_recorded_are_named_once(project, recorders, tmp_path):
    """Beside tasks whose steps can: a step that has none of these is recorded."""
    config = candidates.config(candidates.write_files(tmp_path))
    del config["tasks"]["flat"]
    said: list[str] = []
    prepare(plan_run(parse_config(config)).only, said.append)
    assert [line for line in said if "CUDA graphs" in line] == [
        "steps with pick, rank run without CUDA graphs: how many words or candidates there are"
        " differs from step to step"
    ]
    said.clear()
    prepare(plan_run(load_config(project({}))).only, said.append)
    assert not [line for line in said if "CUDA graphs" in line]
