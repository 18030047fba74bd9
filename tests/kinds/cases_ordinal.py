"""Named steps in an order that isn't the alphabet's, and numbers; of pairs, by two sequences."""

from kind_cases import Case
from torch import Tensor, arange

from accord.tasks import Task

GRADES = ("poor", "fair", "good", "excellent")


def passing(steps: int):
    def sure(targets: Tensor) -> Tensor:
        return 60.0 * (targets[:, None] > arange(steps)).float() - 30.0

    return sure


CASES = [
    Case(
        Task("grade", "ordinal", "coral", "quadratic_kappa", labels=GRADES),
        {"labels": list(GRADES), "label": "y"},
        {"poor": 0, " excellent ": 3, "good": 2, "fair": 1},
        {"exelent": "did you mean 'excellent'", "": "is empty: no label", "Good": "unknown label",
         "-1": "stands for a hidden label", "1": "unknown label '1'"},
        passing(3),
    ),
    Case(
        Task("closer", "pair-ordinal", "coral", "mae", labels=("1", "2", "5"), pooling="cls"),
        {"labels": [1, 2, 5], "metric": "mae", "pooling": "cls"},
        {"1": 0, "2.0": 1, " 5": 2},
        {"3": "unknown label '3'", "NA": "is 'NA': no label"},
        passing(2),
    ),
    Case(
        Task("rare-grade", "ordinal", "coral", "macro_f1", labels=GRADES,
             class_weights=(1.0, 0.25, 1.0, 6.0)),
        {"labels": list(GRADES), "metric": "macro_f1",
         "class_weights": {" fair": 0.25, "excellent": 6}},
        {"poor": 0, "excellent": 3, "good": 2, "fair": 1},
        {},
        passing(3),
    ),
    Case(
        Task("apart", "pair-ordinal", "coral", "accuracy", labels=("0", "1"), encoding="separate"),
        {"labels": [0, 1], "metric": "accuracy", "encoding": "separate", "loss": "coral"},
        {"0": 0, "1": 1},
        {"2": "unknown label '2'"},
        passing(1),
    ),
]  # fmt: skip
