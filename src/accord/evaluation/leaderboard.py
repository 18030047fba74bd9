"""Prediction files in the form that the CS 224N leaderboard reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accord.errors import UsageError
from accord.kinds import LabelledKind, all_kinds, spelt, texts_of


def leaderboard_kinds() -> dict[str, LabelledKind[Any]]:
    """Return the kinds of task that the course has files for, by their names."""
    labelled = [kind for kind in all_kinds() if isinstance(kind, LabelledKind)]
    return {spelt(kind.name, texts): kind for kind in labelled for texts in kind.leaderboard}


def cs224n_lines(
    kind: str, ids: Iterable[str], values: Iterable[str] | Iterable[float]
) -> list[str]:
    r"""Return the file's lines: the header `id \t COLUMN `, then `ID , VALUE ` for each row.

    *Source:* the starter code of the default final project of Stanford's CS 224N.

    Args:
        kind: the task's kind, which decides the header.
        ids: the rows' ids `[n]`, in the order of the test file.
        values: names of classes, or numbers, `[n]`.

    Raises:
        UsageError: the course has no file for such a task.

    Example:
        >>> cs224n_lines("classification", ["a1", "b2"], ["3", "0"])
        ['id \t Predicted_Sentiment \n', 'a1 , 3 \n', 'b2 , 0 \n']
    """
    known = leaderboard_kinds()
    if kind not in known:
        raise UsageError(f"format cs224n: takes tasks of kind {', '.join(known)}, got '{kind}'")
    asked = known[kind]
    # NumPy's scalars print as their own type; a Python float prints as the course's files do.
    texts = (str(value) if asked.answer_is_text else str(float(value)) for value in values)
    rows = (f"{key} , {text} \n" for key, text in zip(ids, texts, strict=True))
    return [f"id \t {asked.leaderboard[texts_of(kind)]} \n", *rows]
