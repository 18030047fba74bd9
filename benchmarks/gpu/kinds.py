"""A few made-up rows for each kind of task, and of tasks that share a file's rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Table = dict[str, Any]
Row = dict[str, Any]

ROWS = 24
WORDS = ["a", "film", "of", "warm", "dull", "fine", "poor", "music", "plot", "cast", "ending"]
TAGS = ["O", "B-who", "I-who"]


def kinds(folder: Path) -> Iterator[tuple[str, dict[str, Table], bool]]:
    """Yield a name, tasks by name, and whether they draw without dropout, for each kind."""
    rng = random.Random(0)
    made: dict[str, tuple[Table, Callable[[], Row]]] = {
        "ordinal": (
            {"labels": [0, 1, 2]}, lambda: {"text": text(rng), "label": rng.randrange(3)}
        ),
        "multi-label": (
            {"labels": WORDS[:3]},
            lambda: {"text": text(rng), "label": rng.sample(WORDS[:3], rng.randint(1, 3))},
        ),
        "token-classification": (
            {"labels": TAGS, "words": "spaces"}, lambda: tagged(rng),
        ),
        "multiple-choice": ({"text": ["text", "options"]}, lambda: choice(rng)),
        "ranking": ({"text": ["text", "options"], "id": "id"}, lambda: ranked(rng)),
    }  # fmt: skip
    for kind, (keys, row) in made.items():
        yield kind, {kind: {**table(folder, kind, row), **keys}}, True
    labelled = table(folder, "ordinal", made["ordinal"][1]) | made["ordinal"][0]
    yield "masked-lm", {"graded": labelled, "words": {"kind": "masked-lm"}}, True
    yield "simcse", {"graded": labelled, "alike": {"kind": "simcse"}}, False
    shared = table(folder, "classification", lambda: both(rng))
    yield "two labels of a row", {
        label: {**shared, "label": label, "labels": [0, 1], "missing": [""]}
        for label in ("first", "second")
    }, True  # fmt: skip


def table(folder: Path, kind: str, row: Callable[[], Row]) -> Table:
    """Write rows of a kind; return its `[tasks.NAME]`."""
    files = {split: folder / f"{kind}-{split}.jsonl" for split in ("train", "dev")}
    for file in files.values():
        lines = (json.dumps({"id": str(i), **row()}) for i in range(ROWS))
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    paths = {split: str(file) for split, file in files.items()}
    return {"kind": kind, "text": "text", "label": "label", "dropout": 0.0, **paths}


def text(rng: random.Random, least: int = 2) -> str:
    """Some words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(least, 9)))


def tagged(rng: random.Random) -> Row:
    """A text with a tag for each of its words."""
    words = text(rng).split()
    tags = ["B-who" if i % 3 == 0 else rng.choice(["O", "I-who"]) if i % 3 == 1 else "O"
            for i in range(len(words))]  # fmt: skip
    return {"text": " ".join(words), "label": " ".join(tags)}


def choice(rng: random.Random) -> Row:
    """A text, what may follow it, and which does."""
    options = [text(rng) for _ in range(rng.randint(2, 4))]
    return {"text": text(rng), "options": options, "label": rng.randrange(len(options))}


def ranked(rng: random.Random) -> Row:
    """A text, candidates, and their grades."""
    options = [text(rng) for _ in range(rng.randint(2, 4))]
    return {"text": text(rng), "options": options, "label": [rng.randint(0, 2) for _ in options]}


def both(rng: random.Random) -> Row:
    """A text with labels of two tasks, of which one may be missing."""
    row = {"text": text(rng), "first": rng.randrange(2), "second": rng.randrange(2)}
    missing = rng.choice(["first", "second", None])
    return row if missing is None else {**row, missing: ""}
