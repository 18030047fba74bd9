"""Numbers within a range that begins at 0, below it and above it; under each loss and head."""

from kind_cases import Case

from accord.tasks import Task

WORDS = {
    "six": "'six' is not a number", "3,5": "a decimal comma", "": "is empty: no label",
    "inf": "not a finite number", "1_0": "is not a number", "7": "outside the range",
}  # fmt: skip


def scaled(low: float, high: float):
    return lambda targets: ((targets - low) / (high - low)).float()[:, None]


def logistic(low: float, high: float):
    return lambda targets: ((targets - low) / (high - low)).logit(eps=1e-6).float()[:, None]


CASES = [
    Case(
        Task("score", "regression", "mse", "pearson", range=(0.0, 5.0)),
        {"range": [0, 5]},
        {"0": 0.0, "2.5": 2.5, " 5.0 ": 5.0, "1e-3": 0.001},
        {**WORDS, "-1": "outside the range", "?": "stands for a hidden label"},
        scaled(0, 5),
    ),
    Case(
        Task("like", "pair-regression", "binary_cross_entropy", "spearman", range=(-1.0, 1.0),
             pooling="cls"),
        {"range": [-1, 1.0], "loss": "binary_cross_entropy", "metric": "spearman",
         "pooling": "cls"},
        {"-1": -1.0, "0.5": 0.5, "-0.25": -0.25},
        WORDS,
        logistic(-1, 1),
    ),
    Case(
        Task("near", "pair-regression", "mse", "pearson", range=(1.0, 4.0), encoding="separate",
             head="cosine"),
        {"range": [1, 4], "encoding": "separate", "head": "cosine"},
        {"1": 1.0, "4": 4.0, "2.75": 2.75},
        WORDS,
        scaled(1, 4),
    ),
    Case(
        Task("moving", "pair-regression", "mse", "pearson", range=(0.0, 1.0), encoding="separate",
             targets="popart"),
        {"range": [0, 1], "encoding": "separate", "targets": "popart"},
        {"0": 0.0, "1": 1.0, "0.125": 0.125},
        WORDS,
        scaled(0, 1),
    ),
]  # fmt: skip
