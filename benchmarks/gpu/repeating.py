"""Whether two runs, and one that was stopped and resumed, are the same to the byte."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from epoch import first_rows, task_tables
from safetensors.torch import load_file
from workload import data_folder, minilm_folder

from accord.config.file import parse_config
from accord.config.sections import Config
from accord.errors import Stopped
from accord.plan.making import plan_run
from accord.training.run import resume_run, start_run
from accord.training.step import Learner
from gpu.figures import Figure, Recorder
from gpu.settings import Settings

EPOCHS, STEPS, STOP = 2, 10, 14  # stopped within the second epoch


def repeatability(recorder: Recorder, settings: Settings, folder: Path) -> None:
    """Train three times: twice as it is, once stopped after some steps and resumed."""
    config = twenty_steps(settings, folder)
    start_run(plan_run(config).only, folder / "one", quiet=True)
    start_run(plan_run(config).only, folder / "two", quiet=True)
    add(recorder, "two runs, largest difference", folder / "one", folder / "two")
    stopped_and_resumed(config, folder / "three")
    add(recorder, "stopped and resumed, largest difference", folder / "one", folder / "three")


def twenty_steps(settings: Settings, folder: Path) -> Config:
    """MiniLM in bfloat16 with PCGrad on some real rows; two tiny epochs on a CPU."""
    tasks = task_tables(data_folder(settings.data))
    rows = 640 if settings.gpu else 40
    for name, table in tasks.items():
        out = folder / f"rows-{name}"
        out.mkdir()
        table |= {split: first_rows(table, split, rows, out) for split in ("train", "dev")}
    return parse_config({
        "encoder": {"path": str(minilm_folder() if settings.gpu else folder / "tiny")},
        "tasks": tasks,
        "training": {
            "epochs": EPOCHS, "steps_per_epoch": STEPS, "gradients": "pcgrad", "lr": 1e-4,
            "batch_size": 32 if settings.gpu else 2, "precision": "bfloat16",
            "device": str(settings.device),
        },
    })  # fmt: skip


def stopped_and_resumed(config: Config, out: Path) -> None:
    """Send the process a stop signal in a step, as a queue does, and go on."""
    plain = Learner.step

    def step(self: Learner, number: int, *arguments: Any) -> Any:
        record = plain(self, number, *arguments)
        if number == STOP:
            os.kill(os.getpid(), signal.SIGTERM)
        return record

    try:
        with patch.object(Learner, "step", step):
            start_run(plan_run(config).only, out, quiet=True)
    except Stopped:
        resume_run(out, quiet=True)
        return
    raise AssertionError("the run was not stopped")


def add(recorder: Recorder, name: str, one: Path, other: Path) -> None:
    """Compare two runs' models: 0 is equal to the byte."""
    same, worst = True, 0.0
    for file in ("model.safetensors", "heads.safetensors"):
        first, second = (run / "model" / file for run in (one, other))
        same &= first.read_bytes() == second.read_bytes()
        left, right = load_file(first), load_file(second)
        worst = max([worst, *(float((left[k] - right[k]).abs().max()) for k in left)])
    note = "equal to the byte" if same else ""
    recorder.add(Figure(name, worst if same else max(worst, 1e-30), "law", 0.0, note=note))
