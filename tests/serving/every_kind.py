"""A tiny model with tasks of every kind, and rows that they take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kind_cases import all_cases

from accord.encoders.families.bert import BertEncoder
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model

CASES = all_cases(labelled=True)
LONGEST = 48
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", "good", "bad", "##ly"]


def saved(folder: Path, tiny_encoder: Callable[..., BertEncoder]) -> Path:
    """Save the model; return its folder."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    model = MultitaskModel(tiny_encoder(), [case.task for case in CASES]).eval()
    with torch.no_grad():
        for case in CASES:
            for parameter in model.head(case.task.name).parameters():
                parameter.normal_()
    columns = {case.task.name: InputFormat(tuple(case.columns)) for case in CASES}
    save_model(model, folder / "kinds", columns, LONGEST, folder)
    return folder / "kinds"


def rows_of(form: str, count: int, seed: int = 0) -> list[Any]:
    """Draw rows of a form."""
    rng = np.random.default_rng(seed)

    def text() -> str:
        words = ["a", "b", "good", "badly", "é-c", "?", '"q"', "P"]
        return " ".join(rng.choice(words, rng.integers(1, 9)))

    make: dict[str, Callable[[], Any]] = {
        "a text": text,
        "a pair of texts": lambda: [text(), text()],
        "a list of words": lambda: ["x", "y", *text().split()],  # two would be a pair
        "a text and its candidates": lambda: [text(), [text() for _ in range(rng.integers(2, 5))]],
    }
    return [make[form]() for _ in range(count)]
