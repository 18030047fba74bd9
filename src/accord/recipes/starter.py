"""A starter configuration for tasks guessed from files, as commented TOML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from accord.data.guessing import GuessedTask
from accord.errors import printable

_TRAINING = """
# [tasks.words]               # learns from the tasks' texts without their labels
# kind = "masked-lm"          # or "simcse"

[training]
epochs = 3
batch_size = 32               # examples of each task in a step
batching = "finish-largest"   # or "finish-smallest", "proportional"
gradients = "sum"             # or "pcgrad", where tasks conflict
"""


def starter_config(tasks: Sequence[GuessedTask], encoder: str, folder: Path) -> str:
    """Return the configuration as TOML text.

    Args:
        tasks: at least one.
        encoder: a folder in Hugging Face format, or a hub id.
        folder: where the configuration will stand; files below it are named relative to it.
    """
    head = (
        "# Written by 'accord init' from the files' columns: a guess to start from.\n\n"
        f"[encoder]\npath = {quote(encoder)}\n"
    )
    return head + "".join(_section(task, folder) for task in tasks) + _TRAINING


def quote(text: str) -> str:
    """Return a text as a TOML string.

    Example:
        >>> quote("text")
        '"text"'
    """
    # A JSON string is a TOML string too, except for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(task: GuessedTask, folder: Path) -> str:
    lines = ["", *(f"# {printable(reason)}" for reason in task.reasons), f"[tasks.{task.name}]"]
    lines.append(f"kind = {quote(task.kind)}")
    lines += [f"{split} = {_files(paths, folder)}" for split, paths in task.files.items()]
    if "dev" not in task.files:
        lines.append("# no dev file: a share of train serves as one (training.dev_share)")
    columns = [quote(name) for name in task.text]
    lines.append(f"text = {columns[0] if len(columns) == 1 else '[' + ', '.join(columns) + ']'}")
    if task.columns:
        lines.append(f"label = [{', '.join(map(quote, task.columns))}]   # each holds 0 or 1")
    else:
        lines.append(f"label = {quote(task.label)}")
    lines += [f"{key} = {quote(value)}" for key, value in task.options.items()]
    if task.id is not None:
        lines.append(f"id = {quote(task.id)}")
    if task.labels:
        lines.append(f"labels = [{', '.join(quote(label) for label in task.labels)}]")
    elif task.range is not None:
        lines.append(f"range = [{task.range[0]!r}, {task.range[1]!r}]   # as found in the files")
    if task.missing:
        names = ", ".join(quote(label) for label in task.missing)
        lines.append(f"missing = [{names}]   # rows without a label are left out, and counted")
    if task.file_encoding is not None:
        lines.append(f"file_encoding = {quote(task.file_encoding)}")
    lines.append('on_bad_row = "stop"   # "skip" leaves out rows that can\'t be used')
    return "\n".join(lines) + "\n"


def _files(paths: Sequence[Path], folder: Path) -> str:
    names = [quote(_path(path, folder)) for path in paths]
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def _path(path: Path, folder: Path) -> str:
    absolute = path.absolute()
    inside = absolute.is_relative_to(folder.absolute())
    return str(absolute.relative_to(folder.absolute()) if inside else absolute)
