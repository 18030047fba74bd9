"""Prediction files in the form that the CS 224N leaderboard reads."""

from __future__ import annotations

from collections.abc import Iterable

from accord.errors import UsageError

# The spellings are the course's own, `Similiary` included.
COLUMNS: dict[str, str] = {
    "classification": "Predicted_Sentiment",
    "pair-classification": "Predicted_Is_Paraphrase",
    "pair-regression": "Predicted_Similiary",
}


def cs224n_lines(
    kind: str, ids: Iterable[str], values: Iterable[str] | Iterable[float]
) -> list[str]:
    r"""Return the file's lines: the header `id \t COLUMN `, then `ID , VALUE ` for each row.

    *Source:* the starter code of the default final project of Stanford's CS 224N.

    Args:
        kind: the task's kind, which decides the header.
        ids: the rows' ids `[n]`, in the order of the test file.
        values: label names for the classification kinds, numbers for pair-regression, `[n]`.

    Raises:
        UsageError: the course has no file for such a task.

    Example:
        >>> cs224n_lines("classification", ["a1", "b2"], ["3", "0"])
        ['id \t Predicted_Sentiment \n', 'a1 , 3 \n', 'b2 , 0 \n']
    """
    if kind not in COLUMNS:
        raise UsageError(f"format cs224n: takes tasks of kind {', '.join(COLUMNS)}, got '{kind}'")
    texts = map(str, values) if kind.endswith("classification") else map(_decimal, values)
    rows = (f"{key} , {text} \n" for key, text in zip(ids, texts, strict=True))
    return [f"id \t {COLUMNS[kind]} \n", *rows]


def _decimal(value: str | float) -> str:
    # NumPy's scalars print as their own type; a Python float prints as the course's files do.
    return str(float(value))
