"""An ensemble's folder: model folders as members, and an accord.json that says how many.

    accord.json      as a model's: the tasks, and beside them "members": 2
    members/0        a whole model folder, which transformers opens too
    members/1

A folder may come from a stranger. It names no path: members are numbered.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from accord.durable import link
from accord.encoders.pretrained import HUB_FILES
from accord.errors import ModelError
from accord.model.saved import (
    DESCRIPTION,
    HEADS,
    MEMBERS,
    PARTS,
    joined_origins,
    read_description,
    read_tasks,
)
from accord.tasks import Task

MOST = 1000
MODEL_FILES = (*HUB_FILES, DESCRIPTION, HEADS, PARTS)
_ALIKE = ("kind", "labels", "range", "loss", "metric")
"""What members have to agree in about a task; how each reads and pools its texts is its own."""


def save_ensemble(members: Sequence[Path], folder: Path) -> None:
    """Fill an ensemble's folder; files are linked where the file system can.

    A label's threshold, where members have tuned any, is the mean of theirs.

    Args:
        members: folders of models that are alike. The first one's columns are the ensemble's.
        folder: an empty one.

    Raises:
        OSError: if it can't be written.
    """
    first = read_description(members[0])
    description = {name: first[name] for name in ("format", "max_length")}
    made = {name: origin.to_json() for name, origin in joined_origins(members).items()}
    description["tasks"] = [
        {
            **entry,
            "thresholds": _mean_thresholds(entry["name"], members),
            "made": made.get(entry["name"]),
        }
        for entry in first["tasks"]
    ]
    for number, source in enumerate(members):
        target = folder / MEMBERS / str(number)
        target.mkdir(parents=True)
        for file in source.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in MODEL_FILES):
                link(file.resolve(), target / file.name)
    text = json.dumps({**description, MEMBERS: len(members)}, indent=2)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def _mean_thresholds(name: str, members: Sequence[Path]) -> list[float]:
    tasks = [task for member in members for task in read_tasks(member)[0] if task.name == name]
    if not any(task.thresholds for task in tasks):
        return []
    each = [task.thresholds or (0.5,) * len(task.labels) for task in tasks]
    return [math.fsum(label) / len(each) for label in zip(*each, strict=True)]


def is_ensemble(folder: Path) -> bool:
    """Whether a model folder's description names members.

    Raises:
        ModelError: if it can't be read.
    """
    return MEMBERS in read_description(folder)


def member_folders(folder: Path) -> list[Path]:
    """Return the folders of the models whose answers are averaged: the folder itself, if no others.

    Args:
        folder: that holds an accord.json.

    Raises:
        ModelError: if a member is missing, is one too many, is no plain model, or has other tasks.
    """
    if not is_ensemble(folder):
        return [folder]
    count = read_description(folder)[MEMBERS]
    if not isinstance(count, int) or not 2 <= count <= MOST:
        raise ModelError(f"{folder / DESCRIPTION}: members is {count!r:.80}, not 2 to {MOST}")
    members = [folder / MEMBERS / str(number) for number in range(count)]
    for member in (folder / MEMBERS, *members):
        if member.is_symlink() or not member.is_dir():
            raise ModelError(f"{member}: is not a folder; the ensemble has {count} members")
    folders = {
        entry.name for entry in (folder / MEMBERS).iterdir() if not entry.name.startswith(".")
    }
    if strangers := folders - {member.name for member in members}:
        raise ModelError(
            f"{folder / MEMBERS}: '{min(strangers)}' is not one of the {count} members"
        )
    check_same_tasks([folder, *members])
    return members


def check_same_tasks(folders: Sequence[Path]) -> None:
    """Check that models can answer for each other.

    Args:
        folders: of models; the first one's tasks are asked of the others.

    Raises:
        ModelError: naming the folder and the task in which it differs, or that it is an ensemble.
    """
    first, *others = folders
    tasks, _, _ = read_tasks(first)
    for folder in others:
        if is_ensemble(folder):
            raise ModelError(f"{folder}: is an ensemble itself; members are plain models")
        fault = _difference(tasks, read_tasks(folder)[0])
        if fault is not None:
            raise ModelError(f"{folder / DESCRIPTION}: {fault} {first}")


def _difference(tasks: Sequence[Task], others: Sequence[Task]) -> str | None:
    """Return how a model's tasks differ from others, to be followed by whose these are."""
    by_name = {task.name: task for task in others}
    for task in tasks:
        if task.name not in by_name:
            return f"has no task '{task.name}', unlike"
        for name in _ALIKE:
            if getattr(by_name[task.name], name) != getattr(task, name):
                return f"task '{task.name}' has another {name} than in"
    extra = by_name.keys() - {task.name for task in tasks}
    return f"has a task '{min(extra)}', unlike" if extra else None
