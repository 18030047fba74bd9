"""Classes by name, by number and by truth value; under each loss, and of pairs."""

from kind_cases import Case
from torch import Tensor, nn

from accord.tasks import Task

MOODS = ("bad", "fair", "good")
HIDDEN = "stands for a hidden label"


def one_of(classes: int):
    return lambda targets: 30.0 * nn.functional.one_hot(targets, classes).float()


def one_logit(targets: Tensor) -> Tensor:
    return 30.0 * (2 * targets - 1).float()[:, None]


CASES = [
    Case(
        Task("mood", "classification", "cross_entropy", "accuracy", labels=MOODS),
        {"labels": list(MOODS), "label": "y"},
        {"bad": 0, " good ": 2, "fair": 1},
        {"goood": "unknown label 'goood'; did you mean 'good'", "": "is empty: no label",
         "-1": HIDDEN, "nan": "no label; 'labels' has to name it", "Good": "unknown label 'Good'"},
        one_of(3),
    ),
    Case(
        Task("rare", "classification", "cross_entropy", "macro_f1", labels=MOODS,
             class_weights=(2.5, 1.0, 0.5), label_smoothing=0.25),
        {"labels": list(MOODS), "metric": "macro_f1", "label_smoothing": 0.25,
         "class_weights": {"good": 0.5, " bad": 2.5}},
        {"bad": 0, "good": 2, "fair": 1},
        {},
        one_of(3),
    ),
    Case(
        Task("same", "pair-classification", "binary_cross_entropy", "f1", labels=("0", "1"),
             pooling="cls", positive="1"),
        {"labels": [0, 1], "loss": "binary_cross_entropy", "metric": "f1", "pooling": "cls"},
        {"0": 0, "1.0": 1, " 1": 1},
        {"2": "unknown label '2'", "-1": HIDDEN, "NA": "is 'NA': no label", "0.5": "unknown label"},
        one_logit,
    ),
    Case(
        Task("true", "pair-classification", "mse", "macro_f1", labels=("false", "true"),
             encoding="separate", pooling="pooler", positive="true"),
        {"labels": [False, True], "loss": "mse", "metric": "macro_f1", "encoding": "separate",
         "pooling": "pooler"},
        {"False": 0, "TRUE": 1},
        {"yes": "unknown label 'yes'", "none": "no label"},
        lambda targets: targets.float()[:, None],
    ),
]  # fmt: skip
