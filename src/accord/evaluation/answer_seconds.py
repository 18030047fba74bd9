"""How long answers to all tasks take: by one model in one pass, against each task alone."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

import torch

from accord.data.examples import Given
from accord.errors import UsageError
from accord.evaluation.dev_texts import plan_of, read_dev_texts
from accord.evaluation.loading import load
from accord.evaluation.predict import Predictor
from accord.kinds import kind_of
from accord.model.layers_computed import CANDIDATE, PAIR, TEXT, InputLayers
from accord.plural import count

TEXTS, ROUNDS, WARM_UP = 100, 3, 16
_PLURALS = {TEXT: "texts", PAIR: "pairs", CANDIDATE: "texts with candidates"}


@dataclass(frozen=True)
class InputSeconds:
    """Seconds per 1,000 rows of one kind of input.

    Attributes:
        input: as `InputLayers` has it.
        tasks: the names of those that are answered together.
        rows: how many were answered.
        together: of all tasks, in one pass.
        alone: of each task in a call of its own, summed.
    """

    input: str
    tasks: tuple[str, ...]
    rows: int
    together: float
    alone: float


@dataclass(frozen=True)
class AnswerSeconds:
    """What answers to all tasks took on this machine: seconds per 1,000 rows.

    Attributes:
        threads: that computed; on a GPU, of the processes beside it.
        inputs: in the order in which tasks first have them.
    """

    threads: int
    inputs: tuple[InputSeconds, ...]

    @property
    def together(self) -> float:
        """Seconds for 1,000 rows of each kind of input, in one pass each."""
        return sum(each.together for each in self.inputs)

    @property
    def alone(self) -> float:
        """The same, each task in a call of its own."""
        return sum(each.alone for each in self.inputs)

    def words(self, alone: str) -> str:
        """Say the figures for each kind of input.

        Args:
            alone: what the other side is called.
        """
        parts = [
            f"per 1,000 {_PLURALS[each.input]} ({', '.join(each.tasks)}) {each.together:.3g} s in"
            f" one pass and {each.alone:.3g} s {alone}"
            for each in self.inputs
        ]
        rows = ", ".join(f"{each.rows} {_PLURALS[each.input]}" for each in self.inputs)
        return (
            f"{'; '.join(parts)} (medians of {ROUNDS} rounds over {rows} of dev;"
            f" {count(self.threads, 'thread')})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "together": self.together,
            "alone": self.alone,
            "threads": self.threads,
            "rounds": ROUNDS,
            "inputs": {
                each.input: {
                    "tasks": list(each.tasks), "rows": each.rows,
                    "together": each.together, "alone": each.alone,
                } for each in self.inputs
            },
        }  # fmt: skip


def measure_answers(
    model: Path,
    inputs: Sequence[InputLayers],
    alone: Mapping[str, Path] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> AnswerSeconds:
    """Measure how long answers to a model's tasks take, on dev texts of its run.

    One model is loaded at a time. Each answers a few rows before it is timed.

    Args:
        model: the folder of a run's model.
        inputs: its kinds of input, each with its tasks.
        alone: the folder of a model for each task, as far as there are any; default: the model
            itself is asked for one task after the other.
        clock: returns seconds.

    Raises:
        AccordError: if a model or its run's dev files can't be read.
    """
    shared = load(model)
    rows = {each.input: _rows(shared, each, model) for each in inputs}
    kinds = {task: each.input for each in inputs for task in each.tasks}
    together = {
        each.input: _seconds(shared, each.tasks, rows[each.input], clock) for each in inputs
    }
    asked = dict.fromkeys(kinds, model) if alone is None else alone
    single = {
        task: _seconds(shared if alone is None else load(folder), [task], rows[kinds[task]], clock)
        for task, folder in asked.items()
    }
    return AnswerSeconds(
        torch.get_num_threads(),
        tuple(
            InputSeconds(
                each.input, each.tasks, len(rows[each.input]), together[each.input],
                sum(single.get(task, 0.0) for task in each.tasks),
            )
            for each in inputs
        ),
    )  # fmt: skip


def _rows(model: Predictor, each: InputLayers, folder: Path) -> list[Given]:
    """Return some distinct dev rows, in turn of each task, in a form that all of the tasks take."""
    plan = plan_of(folder)
    if plan is None:
        raise UsageError(f"{folder}: lies in no run folder that names dev files")
    tasks = [model.task(name) for name in each.tasks]
    by_task = [read_dev_texts(task, plan, folder) for task in tasks]
    mixed = [row for turn in zip_longest(*by_task) for row in turn if row is not None]
    if each.input == TEXT:  # words of a task that labels these are a text to the others
        mixed = [row if isinstance(row, str) else " ".join(row) for row in mixed]
    if each.input == CANDIDATE:
        fewest = max(kind_of(task).fewest for task in tasks)
        mixed = [row for row in mixed if len(row) > fewest]
    if not mixed:
        raise UsageError(f"{folder}: no dev row is left that could be answered")
    return list(dict.fromkeys(mixed))[:TEXTS]


def _seconds(
    model: Predictor, tasks: Sequence[str], rows: Sequence[Given], clock: Callable[[], float]
) -> float:
    """Return the seconds that answers of some tasks take, per 1,000 rows."""
    rounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that are cut: `predict` says it of a user's rows
        model.answer(rows[:WARM_UP], tasks)
        for _ in range(ROUNDS):
            start = clock()
            model.answer(rows, tasks)
            rounds.append(clock() - start)
    return 1000 * median(rounds) / len(rows)
