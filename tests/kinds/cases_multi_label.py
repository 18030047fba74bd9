"""Names joined by the usual separator and by others; lists; numbers; of pairs too."""

from kind_cases import Case
from torch import Tensor

from accord.kinds.multi_label import MultiLabelTask

MOODS = ("anger", "fear", "joy")
LOSS = "binary_cross_entropy"


def said(targets: Tensor) -> Tensor:
    return 60.0 * targets.float() - 30.0


CASES = [
    Case(
        MultiLabelTask("moods", "multi-label", LOSS, "micro_f1", labels=MOODS,
                       tuned=False),
        {"labels": list(MOODS), "label": "y", "thresholds": "fixed"},
        {"anger": [1, 0, 0], " joy | anger ": [1, 0, 1], '["fear"]': [0, 1, 0],
         "fear|joy|anger": [1, 1, 1]},
        {"joyy": "unknown label 'joyy'; did you mean 'joy'", "": "is empty: no label",
         "joy|fear|joy": "label 'joy' stands there twice", "joy||fear": "holds an empty name",
         "joy|": "holds an empty name", "-1": "stands for a hidden label", "nan": "no label",
         "joy,fear": "labels joined by ','", "['joy']": "'y' holds no JSON list: ['joy']",
         '["joy", null]': "is not a list of names", '["joy", ["fear"]]': "is not a list of names",
         '["joy", "joy"]': "twice", "joy|nan": "unknown label 'nan'"},
        said,
    ),
    Case(
        MultiLabelTask("codes", "pair-multi-label", LOSS, "macro_f1", labels=("1", "2", "10"),
                       pooling="cls", separator=","),
        {"labels": [1, 2, 10], "separator": ",", "metric": "macro_f1", "pooling": "cls",
         "loss": LOSS},
        {"1": [1, 0, 0], "10,1.0": [1, 0, 1], "[2, 10]": [0, 1, 1]},
        {"3": "unknown label '3'", "1,NA": "unknown label 'NA'", "NA": "is 'NA': no label",
         "1|2": "unknown label '1|2'"},
        said,
    ),
    Case(
        MultiLabelTask("rare-moods", "multi-label", LOSS, "macro_f1", labels=MOODS, tuned=False,
                       class_weights=(1.0, 7.5, 0.5)),
        {"labels": list(MOODS), "metric": "macro_f1", "thresholds": "fixed",
         "class_weights": {"joy": 0.5, "fear ": 7.5}},
        {"anger": [1, 0, 0], "joy|fear": [0, 1, 1], "fear": [0, 1, 0]},
        {},
        said,
    ),
    Case(
        MultiLabelTask("topics", "pair-multi-label", LOSS, "example_f1", labels=("a b", "c"),
                       encoding="separate", separator=" / ", empty="none"),
        {"labels": ["a b", "c"], "separator": " / ", "metric": "example_f1", "empty": "none",
         "encoding": "separate"},
        {"a b": [1, 0], "c / a b": [1, 1], "c": [0, 1]},
        {"a": "unknown label 'a'", "c / none": "'none' means no label at all"},
        said,
    ),
    Case(
        MultiLabelTask("flags", "multi-label", LOSS, "accuracy", labels=("hot", "new"), empty="",
                       pooling="pooler"),
        {"labels": ["hot", "new"], "metric": "accuracy", "empty": "", "pooling": "pooler"},
        {"": [0, 0], "[]": [0, 0], "new": [0, 1], "hot|new": [1, 1]},
        {"none": "unknown label 'none'"},
        said,
    ),
]  # fmt: skip
