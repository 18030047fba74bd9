"""Grades of few candidates and of more, under each loss."""

import json

from kind_cases import Case
from torch import Tensor

from accord.kinds.ranking import RankingTask

GOOD = {"[1, 0]": [1, 0], "[0, 0.5, 2, 0.5]": [0, 0.5, 2, 0.5], "[3,1,0]": [3, 1, 0],
        "[false, true]": [0, 1]}  # fmt: skip
FAR = {"[30, 0]": [30, 0], "[0, 30, 90, 30]": [0, 30, 90, 30], "[0,1e2]": [0, 100]}
"""Scores that are these are apart by more than their sigmoid's precision."""

BAD = {
    "[1, -0.5]": "y[1]: -0.5 is below 0", "[1, \"x\"]": "y[1]: x is not a number",
    "[0, null]": "'y[1]' is empty: no grade", "[1": "holds no JSON list", "1": "holds one grade",
    "": "is empty: no label", "[]": "holds 0 grades, but 'two' 2 candidates",
    "[1e999, 0]": "is not a number",
}  # fmt: skip


def candidates(label: str) -> list[str]:
    try:
        grades = json.loads(label)
    except ValueError:
        grades = 2
    count = len(grades) if isinstance(grades, list) and grades else 2
    return ["a", "b", "a b", "b a"][:count]  # of like texts rounding decides


def surely(targets: Tensor) -> Tensor:
    return targets.nan_to_num(float("-inf")).float()[..., None]


def case(name: str, loss: str, metric: str, good: dict) -> Case:
    task = RankingTask(name, "ranking", loss, metric)
    keys = {"loss": loss, "metric": metric, "label": "y"}
    return Case(task, keys, good, BAD, surely, candidates=candidates)


CASES = [case("graded", "listwise", "ndcg", GOOD), case("in-pairs", "pairwise", "mrr", FAR)]
