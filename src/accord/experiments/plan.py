"""Which runs each experiment needs."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from accord.data.sampler import Sampler
from accord.errors import DataError
from accord.experiments.paper import BATCH_SIZE, EPOCHS, FROZEN_LR, LR, TASKS, Subset
from accord.grids.cells import Cell, Settings, make_cells
from accord.recipes.cs224n import cs224n_recipe
from accord.sampling import Budget as Allowance
from accord.sampling import get_rule

EXPERIMENTS = {
    "exp1": "frozen against fine-tuned, each task alone (table 1)",
    "exp2": "the three batching methods on all three tasks (table 2)",
    "exp3": "every subset of the tasks, on equally many steps (table 3, figure 1)",
    "exp4": "with and without gradient surgery (table 4)",
    "cfimdb": "the single-task classifier on SST and CFIMDB (the paper's first check)",
    "leaderboard": "the leaderboard's files, of single-task models and of one shared (table 5)",
    "pairs": "pairs as one sequence or each text alone, by CLS and mean pooling",
}
Budget = Literal["tokens", "steps", "examples"]


@dataclass(frozen=True)
class Options:
    """What may be changed about the paper's settings.

    Attributes:
        data: folder with the course's files.
        encoder: a folder in Hugging Face format, or a hub id.
        seeds: of every cell.
        epochs: passes, as each batching method counts them.
        lr: constant rate of a fine-tuned encoder and its heads.
        frozen_lr: of heads on a frozen encoder.
        batch_size: examples of each task in a step.
        precision: of linear layers and attention.
        pairs: how a pair is encoded.
        pooling: what of the encoder's output a head sees.
        limit: rows of each file that are used; None is all.
        equal_budget: give every cell of an experiment as much of this as the largest has.
        halves_every: steps between measurements of the cosine within a task's own batch.
    """

    data: Path
    encoder: str
    seeds: tuple[int, ...] = (0,)
    epochs: int = EPOCHS
    lr: float = LR
    frozen_lr: float = FROZEN_LR
    batch_size: int = BATCH_SIZE
    precision: str = "float32"
    pairs: str = "separate"
    pooling: str = "cls"
    limit: int | None = None
    equal_budget: Budget | None = None
    halves_every: int | None = 20


@dataclass(frozen=True)
class Size:
    """A task's training rows and their mean length in tokens."""

    rows: int
    tokens: float


def base_config(options: Options, cfimdb: bool) -> dict[str, Any]:
    """Return the config that all cells vary: the paper's settings, changed by the options.

    Args:
        options: of the reproduction.
        cfimdb: whether the CFIMDB files are needed too.

    Raises:
        DataError: if a file that is needed isn't there.
    """
    table = tomllib.loads(cs224n_recipe(options.data, options.encoder))
    tasks: dict[str, Any] = table["tasks"]
    if cfimdb:
        tasks["cfimdb"] = _cfimdb(options.data)
    for name, task in tasks.items():
        task["pooling"] = options.pooling
        if name in ("quora", "sts"):
            task |= {"encoding": options.pairs, "loss": "mse"}  # section 3.1
        if options.limit is not None:
            task["limit"] = options.limit
    table["training"] = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "precision": options.precision,
        "schedule": "constant",
        "warmup": 0.0,
        "clip": 0,
        "weight_decay": 0.0,  # the paper names none; the course's optimizer has this default
    }
    return table


def _cfimdb(data: Path) -> dict[str, Any]:
    files = {
        split: data / f"ids-cfimdb-{split}{'-student' * (split == 'test')}.csv"
        for split in ("train", "dev", "test")
    }
    for split in ("train", "dev"):
        if not files[split].is_file():
            raise DataError(f"{files[split]}: no such file; this experiment needs it")
    found = {split: str(path.absolute()) for split, path in files.items() if path.is_file()}
    return {
        "kind": "classification", **found, "text": "sentence", "label": "sentiment", "id": "id",
        "labels": [0, 1], "on_bad_row": "skip",
    }  # fmt: skip


def plan(
    names: Sequence[str], options: Options, sizes: Mapping[str, Size]
) -> dict[str, list[Cell]]:
    """Return each experiment's cells; those that two experiments share are one.

    Args:
        names: of the experiments.
        options: of the reproduction.
        sizes: of each task's training data.

    Returns:
        For each experiment its cells, seed by seed.
    """
    base = base_config(options, "cfimdb" in names)
    known: dict[str, Cell] = {}
    result = {}
    for name in names:
        settings = [
            {**own, "seed": seed}
            for seed in options.seeds
            for own in with_budget(list(settings_of(name, options, sizes)), options, sizes)
        ]
        cells = make_cells(
            base, settings, {}, Path.cwd(), where=name, derived=lambda own: _rates(own, options)
        )
        result[name] = [known.setdefault(cell.identity, cell) for cell in cells]
    return result


def _rates(own: Settings, options: Options) -> Settings:
    lr = options.frozen_lr if own["mode"] == "frozen" else options.lr
    extra: Settings = {"training.lr": lr, "training.head_lr": lr}
    if len(own["tasks"]) > 1 and options.halves_every:
        extra["training.halves_every"] = options.halves_every
    return extra


def settings_of(name: str, options: Options, sizes: Mapping[str, Size]) -> Iterator[Settings]:
    """Yield what an experiment varies, seeds left out."""
    yield from _SETTINGS[name](_Maker(options, sizes))


@dataclass(frozen=True)
class _Maker:
    """Makes cells' settings; none says what makes no difference to it."""

    options: Options
    sizes: Mapping[str, Size]

    def alone(self, task: str, mode: str = "finetune") -> Settings:
        return {"tasks": [task], "mode": mode}

    def together(
        self, tasks: Subset = TASKS, batching: str = "finish-smallest", gradients: str = "sum"
    ) -> Settings:
        own = {"tasks": list(tasks), "mode": "finetune", "batching": batching}
        capped = self.cap(tasks) if batching == "finish-smallest" else {}
        return {**own, "gradients": gradients, **capped}

    def cap(self, tasks: Subset) -> Settings:
        """Cap an epoch at the steps of the smallest of all three tasks, where that cuts any."""
        size = self.options.batch_size
        cap = math.ceil(min(self.sizes[task].rows for task in TASKS) / size)
        steps = math.ceil(min(self.sizes[task].rows for task in tasks) / size)
        return {"steps": cap} if cap < steps else {}

    def as_few(self, task: str) -> Settings:
        """One task alone, on as many examples as finish-smallest draws of it with all three."""
        return self.alone(task) | self.cap((task,))

    def as_many(self, task: str) -> Settings:
        """One task alone, on as many examples as finish-largest draws of it with all three."""
        rows = tuple(self.sizes[name].rows for name in TASKS)
        budget = Allowance(self.options.batch_size, epochs=self.options.epochs)
        sampler = Sampler(TASKS, rows, get_rule("finish-largest"), budget, seed=0)
        drawn = dict(zip(TASKS, sampler.examples(self.options.epochs), strict=True))
        own = self.alone(task)
        # Where that is once an epoch, the paper's cell is that cell.
        once = self.options.epochs * self.sizes[task].rows
        return own if drawn[task] == once else {**own, "examples": drawn[task]}

    def pairs(self, encoding: str, pooling: str) -> Settings:
        """All three tasks; says how pairs are encoded where other cells do it differently."""
        changes: Settings = {}
        if encoding != self.options.pairs:
            changes["pairs"] = encoding
        if pooling != self.options.pooling:
            changes["pooling"] = pooling
        return self.together() | changes


def _exp1(make: _Maker) -> Iterator[Settings]:
    yield from (make.alone(task, mode) for task in TASKS for mode in ("frozen", "finetune"))


def _exp2(make: _Maker) -> Iterator[Settings]:
    for batching in ("finish-smallest", "finish-largest", "proportional"):
        yield make.together(batching=batching)


def _exp3(make: _Maker) -> Iterator[Settings]:
    for tasks in subsets():
        if len(tasks) == 1:
            yield make.as_few(tasks[0])
        else:
            yield make.together(tasks)
    yield from (make.alone(task, "frozen") for task in TASKS)  # figure 1's baseline


def _exp4(make: _Maker) -> Iterator[Settings]:
    for tasks in subsets():
        if len(tasks) > 1:
            yield from (make.together(tasks, gradients=own) for own in ("sum", "pcgrad"))


def _cfimdb_cells(make: _Maker) -> Iterator[Settings]:
    modes = ("frozen", "finetune")
    yield from (make.alone(task, mode) for task in ("sst", "cfimdb") for mode in modes)


def _leaderboard(make: _Maker) -> Iterator[Settings]:
    yield from map(make.alone, TASKS)
    yield from (make.together(batching=own) for own in ("finish-smallest", "finish-largest"))
    if make.options.equal_budget is None:  # which gives the other cells as much
        extra = [own for task in TASKS for own in (make.as_many(task), make.as_few(task))]
        yield from (own for own in extra if len(own) > len(make.alone(TASKS[0])))


def _pairs(make: _Maker) -> Iterator[Settings]:
    for encoding in ("separate", "joint"):
        yield from (make.pairs(encoding, pooling) for pooling in ("cls", "mean"))


_SETTINGS: dict[str, Callable[[_Maker], Iterator[Settings]]] = {
    "exp1": _exp1,
    "exp2": _exp2,
    "exp3": _exp3,
    "exp4": _exp4,
    "cfimdb": _cfimdb_cells,
    "leaderboard": _leaderboard,
    "pairs": _pairs,
}


def subsets() -> list[Subset]:
    """Return every subset of the paper's tasks, the single ones first."""
    return [own for count in (1, 2, 3) for own in combinations(TASKS, count)]


EXACT_STEPS = "training.steps_per_epoch"
"""Under which an equal budget sets the steps of an epoch, so that it isn't taken for a cap."""


def with_budget(
    settings: list[Settings], options: Options, sizes: Mapping[str, Size]
) -> list[Settings]:
    """Give each cell what the largest of them gets, to the nearest step of each epoch.

    A cell that needs more than its epochs have gets more epochs, all of one length.
    """
    if options.equal_budget is None:
        return settings
    each = [_epoch(own, options, sizes) for own in settings]
    budget = max(steps * amount for steps, amount in each) * options.epochs
    found = []
    for own, (steps, amount) in zip(settings, each, strict=True):
        total = budget / amount
        epochs = max(1, math.ceil(total / steps - 1e-9))
        exact = max(1, round(total / epochs))
        shortened = {EXACT_STEPS: exact} if exact < steps else {}
        found.append({**own, "epochs": epochs, **shortened})
    return found


def _epoch(own: Settings, options: Options, sizes: Mapping[str, Size]) -> tuple[int, float]:
    """Return an epoch's steps, and what of the budget each of them takes."""
    parts = [sizes[task] for task in own["tasks"]]
    shape = get_rule(own.get("batching", "finish-largest")).function(
        [part.rows for part in parts], Allowance(options.batch_size, steps=own.get("steps"))
    )
    if options.equal_budget == "steps":
        return shape.steps, 1.0
    tokens = options.equal_budget == "tokens"
    drawn = (
        batch * (part.tokens if tokens else 1.0)
        for batch, part in zip(shape.shares, parts, strict=True)
    )
    return shape.steps, math.fsum(drawn)
