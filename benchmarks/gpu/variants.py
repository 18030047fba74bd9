"""Every method, rule, scheme, regulariser and kind: a step on a GPU beside the same on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from epoch import first_rows, task_tables
from torch import Tensor
from workload import TINY, data_folder, minilm_folder

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.config.file import parse_config
from accord.data.tokenizing import save_tokenizer
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.pretrained import save_encoder
from accord.plan.making import plan_run
from accord.runs.repeatable import in_one_order
from accord.training.combining import Combination
from accord.training.setup import Setup, prepare
from gpu.figures import Figure, Recorder
from gpu.kinds import kinds
from gpu.settings import Settings

ERROR = 5e-3  # of all gradients after two steps, in float32: products add up in another order,
# and AdamW's first step moves an entry by its sign, however small it is
ROWS = 48
Table = dict[str, Any]


def variants(recorder: Recorder, settings: Settings, base: Table, folder: Path) -> None:
    """Try all of them on `project`'s rows, and kinds on rows of theirs; each is a law."""
    for kind, tasks, compared in kinds(folder):
        table = {**base, "tasks": tasks}
        changes: Table = {} if compared else {"encoder": {"dropout": 0.1}}
        recorder.check(
            f"step: kind {kind}",
            partial(one, recorder, settings, table, f"kind {kind}", changes, compared), law=True,
        )  # fmt: skip
    for name, changes, compared in choices():
        recorder.check(
            f"step: {name}",
            partial(one, recorder, settings, base, name, changes, compared), law=True,
        )  # fmt: skip


def project(settings: Settings, folder: Path) -> Table:
    """Write a tiny encoder and a few real rows; return a config as nested mapping."""
    torch.manual_seed(0)
    tiny = BertEncoder(BertConfig(**TINY), pooler=True)
    with torch.no_grad():
        for parameter in tiny.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.08)
    save_encoder(tiny, folder / "tiny")
    save_tokenizer(minilm_folder(), folder / "tiny")
    tasks = task_tables(data_folder(settings.data))
    for name, table in tasks.items():
        out = folder / name
        out.mkdir()
        table |= {split: first_rows(table, split, ROWS, out) for split in ("train", "dev")}
        table["dropout"] = 0.0
    return {
        "encoder": {"path": str(folder / "tiny"), "dropout": 0.0},
        "tasks": tasks,
        "training": {
            "batch_size": 8,
            "epochs": 2,
            "steps_per_epoch": 4,
            "lr": 1e-5,
            "head_lr": 1e-5,
        },
    }


def choices() -> Iterator[tuple[str, Table, bool]]:
    """Yield each choice, what it changes, and whether a CPU draws the same."""
    for name in gradients.method_names():
        yield f"gradients {name}", {"training": {"gradients": name}}, True
    for name in balancing.rule_names():
        changes: Table = {"training": {"balancing": name}}
        if name == "fixed":
            changes["methods"] = {"fixed": {"weights": {}}}
        yield f"balancing {name}", changes, True
    for name in sampling.rule_names():
        yield f"batching {name}", {"training": {"batching": name}}, True
    for name in sharing.scheme_names():
        given = {"own-layers": {"shared": 1}, "pal": {"size": 24}}.get(name)
        yield f"sharing {name}", {
            "sharing": {"schemes": [name]}, **({"methods": {name: given}} if given else {}),
        }, True  # fmt: skip
    for name in regularisers.regulariser_names():
        yield f"regulariser {name}", {
            "training": {"regularisers": [name]}, "encoder": {"dropout": 0.1},
        }, False  # fmt: skip


def one(
    recorder: Recorder, settings: Settings, base: Table, name: str, changes: Table, compared: bool
) -> None:
    """Take two steps on both devices in float32, and one more on the device in bfloat16."""
    table = merged(base, changes)
    if "fixed" in table.get("methods", {}):
        weights = {task: 0.5 + i for i, task in enumerate(table["tasks"])}
        table["methods"]["fixed"] = {"weights": weights}
    results = {
        device: gradient(ready(table, device, "float32"), 2)
        for device in dict.fromkeys((str(settings.device), "cpu"))
    }
    half = gradient(ready(table, str(settings.device), "bfloat16"), 1)
    ours, expected = results[str(settings.device)], results["cpu"]
    if not all(bool(each.isfinite().all()) for each in (ours, half)):
        raise ArithmeticError("not finite")
    error = float((ours - expected).norm() / expected.norm()) if compared else 0.0
    note = "relative to a CPU's" if compared else "finite; a CPU draws others"
    recorder.add(Figure(f"step: {name}", error, "law", ERROR, note=note))


def merged(base: Table, changes: Table) -> Table:
    """A config with some keys of its sections changed."""
    return {**base, **{
        section: {**base.get(section, {}), **change} for section, change in changes.items()
    }}  # fmt: skip


def ready(table: Table, device: str, precision: str) -> Setup:
    """Prepare a run; a method that needs memories takes its first task for one."""
    settings = merged(table, {"training": {"device": device, "precision": precision}})
    chosen = gradients.get_method(settings["training"].get("gradients", "sum"))
    if chosen.remembers:
        settings = merged(settings, {"training": {"gradients": "sum"}})
    setup = prepare(plan_run(parse_config(settings)).only)
    if chosen.remembers:
        setup.learner.combination = Combination.of(
            setup.data.tasks, chosen, finished=(setup.data.tasks[0].name,)
        )
    return setup


def gradient(setup: Setup, steps: int) -> Tensor:
    """Take some steps; return the last one's gradient of all parameters, on the host.

    As a run does by default: what a GPU can't compute in one order raises.
    """
    learner = setup.learner
    learner.model.train()
    with in_one_order(setup.device.type == "cuda"):
        for step in range(steps):
            learner.step(step, setup.batch(step), 1.0)
    return torch.cat([
        (torch.zeros_like(p) if p.grad is None else p.grad).detach().float().cpu().flatten()
        for p in learner.model.parameters()
    ])  # fmt: skip
