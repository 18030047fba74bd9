"""A model folder put together from the tasks of others, whose weights it has to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.data.datasets import Say
from accord.data.examples import Given
from accord.derived.finished import check_done, check_new, write_new
from accord.derived.same_answers import prove
from accord.derived.single import single_folder
from accord.durable import link, load_tensors, write_tensors
from accord.encoders.pretrained import HUB_FILES
from accord.errors import TrainingError, check_known
from accord.model.parts import Sharing
from accord.model.saved import (
    HEADS,
    PARTS,
    PLACE,
    load_model,
    read_description,
    read_sharing,
    write_description,
)


@dataclass(frozen=True)
class SavedTask:
    """All that a model folder holds of one task.

    Attributes:
        entry: its entry in accord.json.
        head: tensors, by their names behind the task's.
        parts: tensors, by their names in a model of which it is the first task.
        sharing: the schemes that it has parts of.
    """

    entry: Mapping[str, Any]
    head: Mapping[str, Tensor]
    parts: Mapping[str, Tensor]
    sharing: Sharing

    @property
    def name(self) -> str:
        """The task's name."""
        return str(self.entry["name"])

    @property
    def parameters(self) -> int:
        """How many numbers were learned for it alone."""
        return sum(value.numel() for value in (*self.head.values(), *self.parts.values()))


@dataclass(frozen=True)
class Opened:
    """A model that another is made from.

    Attributes:
        folder: of the model.
        tasks: its tasks.
        others: those of them that stay.
    """

    folder: Path
    tasks: list[SavedTask]
    others: list[SavedTask]


def open_model(source: Path, out: Path, leaving: Sequence[str]) -> Opened:
    """Read a model that some tasks leave.

    Args:
        source: a run folder or model folder.
        out: the folder that is to be written; must not exist yet.
        leaving: names of tasks.

    Raises:
        UsageError: if `out` is there, there is no task of a name, or no single model that loads.
        RunFolderError: if the model is that of a run that is not done.
    """
    check_new(out)
    check_done(source)
    folder = single_folder(source)
    tasks = saved_tasks(folder)
    check_known(folder, leaving, [task.name for task in tasks])
    return Opened(folder, tasks, [task for task in tasks if task.name not in leaving])


def saved_tasks(folder: Path) -> list[SavedTask]:
    """Read the tasks of a single model's folder.

    Raises:
        ModelError, EncoderError: if it can't be loaded.
    """
    load_model(folder)  # refuses whatever isn't whole
    entries, sharing = read_description(folder)["tasks"], read_sharing(folder)
    heads = load_tensors(folder / HEADS)
    parts = load_tensors(folder / PARTS) if sharing.schemes else {}
    return [
        SavedTask(
            entry,
            _behind(heads, f"{entry['name']}."),
            {PLACE.sub("0", name): value for name, value in parts.items()
             if (place := PLACE.search(name)) and int(place[0]) == number},
            sharing.of_task(number),
        )
        for number, entry in enumerate(entries)
    ]  # fmt: skip


def _behind(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def write_composed(base: Path, tasks: Sequence[SavedTask], folder: Path) -> None:
    """Fill a folder with the encoder of a model and some tasks; files are linked where they can be.

    Args:
        base: the folder whose encoder, tokenizer and longest length are taken.
        tasks: in order; each was trained on that encoder.
        folder: an empty one.

    Raises:
        OSError: if it can't be written.
    """
    for file in base.iterdir():
        if any(fnmatch(file.name, pattern) for pattern in HUB_FILES):
            link(file.resolve(), folder / file.name)
    heads = {f"{task.name}.{name}": value for task in tasks for name, value in task.head.items()}
    write_tensors(folder / HEADS, heads)
    sharing = Sharing.joined([task.sharing for task in tasks])
    if sharing.schemes:
        write_tensors(folder / PARTS, {
            PLACE.sub(str(place), name): value
            for place, task in enumerate(tasks) for name, value in task.parts.items()
        })  # fmt: skip
    write_description(
        folder,
        read_description(base)["max_length"],
        sharing if sharing.schemes else None,
        [task.entry for task in tasks],
    )


def write_proved(
    opened: Opened,
    tasks: Sequence[SavedTask],
    out: Path,
    spare: Sequence[Given] = (),
    say: Say = lambda line: None,
) -> tuple[str, ...]:
    """Write a model folder of some tasks, once those of the old model that stay have answered as
    before, to the byte.

    Args:
        opened: the model whose encoder it has.
        tasks: as `write_composed`.
        out: the folder to write.
        spare: rows of other tasks, for those whose own dev rows can't be read any more.
        say: told what is being done.

    Returns:
        One line for each task that stays: on which texts that was seen.

    Raises:
        UsageError: if it can't be written.
        TrainingError: if an answer differs; nothing was written.
    """
    proofs: list[str] = []

    def fill(aside: Path) -> None:
        try:
            write_composed(opened.folder, tasks, aside)
            _check_weights(opened.others, saved_tasks(aside))
            names = [task.name for task in opened.others]
            proofs.extend(prove(opened.folder, aside, names, spare, say))
        except BaseException:
            shutil.rmtree(aside)
            raise

    write_new(out, fill)
    return tuple(proofs)


def _check_weights(before: Sequence[SavedTask], after: Sequence[SavedTask]) -> None:
    """Check that tasks have the same tensors in another model.

    Raises:
        TrainingError: naming a task that hasn't.
    """
    new = {task.name: task for task in after}
    for old in before:
        for one, other in ((old.head, new[old.name].head), (old.parts, new[old.name].parts)):
            equal = (torch.equal(value, other[key]) for key, value in one.items())
            if one.keys() != other.keys() or not all(equal):
                raise TrainingError(f"weights of '{old.name}' would change; nothing was written")
