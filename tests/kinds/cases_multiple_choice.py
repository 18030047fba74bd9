"""Labels by place, from 0 and from 1, by letter and by text."""

import numpy as np
from kind_cases import Case
from torch import Tensor, nn, where

from accord.kinds.multiple_choice import MultipleChoiceTask

TEXTS = ("a", "b b", "3", "a b", "b")
HIDDEN = "stands for a hidden label"


def choices(label: str) -> list[str]:
    """Three choices, or five of a row whose label names one behind them."""
    return list(TEXTS[: 5 if label in BEHIND else 3])


BEHIND = ("4", "5", "D", "d", "E", "e", "b")


def sizes(targets: np.ndarray) -> np.ndarray:
    return np.where(targets > 2, 5, 3)


def surely(targets: Tensor) -> Tensor:
    sure = 30.0 * nn.functional.one_hot(targets, 5).float()
    behind = Tensor([[float("-inf")] * 2])
    sure[:, 3:] = where((targets > 2)[:, None], sure[:, 3:], behind)
    return sure[..., None]


def case(name: str, keys: dict, good: dict, bad: dict) -> Case:
    task = MultipleChoiceTask(name, "multiple-choice", "cross_entropy", "accuracy", **keys)
    return Case(
        task, keys, good, bad, surely, candidates=choices, units=sizes,
        labels_are_answers=task.answer != "text",
    )  # fmt: skip


CASES = [
    case(
        "by-index", {"answer": "index"}, {"0": 0, " 2": 2, "1.0": 1, "4": 4},
        {"3": "'3' is none of the 3 choices, 0 to 2", "-1": HIDDEN, "": "is empty: no label",
         "NA": "no label", "A": "'A' is none of the 3 choices", "0.5": "none of the 3"},
    ),
    case(
        "by-number", {"answer": "number"}, {"1": 0, "3": 2, "5": 4},
        {"0": "'0' is none of the 3 choices, 1 to 3", "9": "none of the 3", "-1": HIDDEN},
    ),
    case(
        "by-letter", {"answer": "letter"}, {"A": 0, "c": 2, "D": 3, "e": 4, "b ": 1},
        {"F": "'F' is none of the 3 choices, A to C", "1": "none of the 3", "AB": "none of the"},
    ),
    case(
        "by-text", {"answer": "text"}, {"a": 0, " b b ": 1, "3.0": 2, "b": 4},
        {"c": "'c' is the text of no choice", "B B": "the text of no choice", "": "no label"},
    ),
]  # fmt: skip
