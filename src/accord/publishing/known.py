"""What is known of a model that its card says: of its folder, and of the run that made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from accord.encoders.encoder import EncoderConfig
from accord.errors import AccordError, RunFolderError
from accord.evaluation.answer_seconds import AnswerSeconds, measure_answers
from accord.model.layers_computed import LayersComputed, layers_of_folder, summed
from accord.model.origin import Origin
from accord.model.parts import Sharing
from accord.model.saved import (
    InputFormat,
    find_model_folder,
    load_model,
    read_origins,
    read_sharing,
    read_tasks,
)
from accord.model.saved_ensemble import member_folders
from accord.report.record import RunRecord, read_run
from accord.runs.folder import STATUS
from accord.runs.results import RESULTS
from accord.statistics.interval import rows_interval
from accord.tasks import Task

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Known:
    """A model.

    Attributes:
        folder: of the model.
        tasks: that it answers.
        inputs: how each task's files name their columns.
        max_length: tokens that a sequence may have.
        encoder: its sizes; of an ensemble the first member's.
        parameters: of all heads, parts and encoders.
        sharing: what of the encoder tasks have of their own; of an ensemble the first member's.
        layers: of the encoder that an answer to all tasks takes.
        origins: what tasks were made from, where the folder says it.
        members: how many models answer together; 1 but of an ensemble.
        run: that made it; None where the folder lies in none.
        answering: how long answers to all tasks take, in one pass and task after task; None where
            the run's dev texts can't be read, or there is no run.
    """

    folder: Path
    tasks: Sequence[Task]
    inputs: dict[str, InputFormat]
    max_length: int
    encoder: EncoderConfig
    parameters: int
    sharing: Sharing
    layers: LayersComputed
    origins: dict[str, Origin]
    members: int
    run: RunRecord | None
    answering: AnswerSeconds | None

    def interval(self, task: Task) -> tuple[float, float] | None:
        """Return the 95 % interval of a task's held-out figure over rows; None where these say
        nothing of others.

        Raises:
            RunFolderError: if the run's predictions can't be read.
        """
        assert self.run is not None
        rows = self.run.heldout(task.name)
        return rows_interval(
            task.metric, rows.labels, np.asarray(rows.evaluated), rows.halves, task.positive_class
        )

    def splits(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield each task's splits: task, split, names of its files, rows. No folder is named."""
        assert self.run is not None
        for (task, section), split in product(self.run.config.tasks.items(), SPLITS):
            if recorded := self.run.contents.recorded(task, split):
                given = getattr(section, split, None)
                if given is None:
                    names = "a share of train" if split == "dev" else "texts of other tasks"
                else:
                    names = _names(given)
                rows = recorded.rpartition(":")[2]
                yield task, split, names, f"{int(rows):,}" if rows.isdecimal() else rows

    @property
    def base_model(self) -> str | None:
        """The hub's id of the encoder that the run began with; None where it was a folder."""
        path = None if self.run is None else self.run.config.encoder.path
        return None if path is None or Path(path).is_absolute() else path


def know(source: Path) -> Known:
    """Read all that there is to know of a model, check that it loads, and time its answers.

    Args:
        source: a run folder or its model/, an ensemble's or any model's folder.

    Raises:
        ModelError, EncoderError: if it is no model, or is damaged.
        RunFolderError: if the run that it lies in isn't done, or can't be read.
    """
    run = run_of(source)
    folder = find_model_folder(source)
    tasks, inputs, max_length = read_tasks(folder)
    if run is not None:
        _check_figures(run, tasks)
    members = member_folders(folder)
    models = [load_model(member)[0] for member in members]
    layers = summed([layers_of_folder(member) for member in members])
    return Known(
        folder, tasks, inputs, max_length, models[0].encoder.config,
        sum(parameter.numel() for model in models for parameter in model.parameters()),
        read_sharing(members[0]), layers, read_origins(folder), len(members), run,
        None if run is None else _answering(folder, layers),
    )  # fmt: skip


def _answering(folder: Path, layers: LayersComputed) -> AnswerSeconds | None:
    try:
        return measure_answers(folder, layers.inputs)
    except AccordError:  # files that are gone; the card says that nothing was measured
        return None


def run_of(source: Path) -> RunRecord | None:
    """Return the run that a path names, or in which a model folder lies."""
    inside = source.absolute().parent
    for folder in (source, inside if source.absolute().name == "model" else None):
        if folder is not None and (folder / STATUS).is_file():
            return read_run(folder)
    return None


def _check_figures(run: RunRecord, tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.name not in run.results["heldout"] or task.name not in run.results["metrics"]:
            raise RunFolderError(f"{run.path / RESULTS}: has no figures of '{task.name}'")


def _names(given: Any) -> str:
    """Return the names of files, or the pattern or folder that stands for them, without a path."""
    values = [given] if isinstance(given, str) else list(given)
    names = [Path(str(value)).name for value in values]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
