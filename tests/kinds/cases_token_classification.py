"""Entities in both schemes, and plain tags; tags as texts and as JSON, and spans."""

from kind_cases import Case
from torch import Tensor, nn, where

from accord.kinds import labelled_kind
from accord.kinds.token_classification import TokenTask

BIO = ("O", "B-place", "I-place", "B-who", "I-who")
IOBES = ("O", *(f"{letter}-place" for letter in "BIES"))


def surely(task: TokenTask):
    """Logits of the sound tags that targets stand for."""

    def logits(targets: Tensor) -> Tensor:
        tags = labelled_kind(task).targets(task, targets).long()
        sure = 30.0 * nn.functional.one_hot(tags.clamp(min=0), len(task.labels)).float()
        return where((tags < 0)[..., None], float("-inf"), sure)

    return logits


def case(task: TokenTask, keys: dict, good: dict, bad: dict) -> Case:
    return Case(
        task, keys, good, bad, surely(task),
        lambda label: " ".join("ab"[i % 2] for i in range(len(label.split()))),
    )  # fmt: skip


CASES = [
    case(
        TokenTask("places", "token-classification", "cross_entropy", "entity_f1", labels=BIO,
                  scheme="bio", words="spaces", pooling="first"),
        {"labels": list(BIO), "label": "y", "words": "spaces"},
        {"O B-place I-place O": [0, 1, 2, 0], '["B-who", "B-place"]': [3, 1], "B-who": [3],
         "O O B-who I-who O B-place": [0, 0, 3, 4, 0, 1]},
        {"O B-plac": "unknown tag 'B-plac' of word 2", "": "is empty: no label",
         "?": "stands for a hidden label", "NaN": "is 'NaN': no label"},
    ),
    case(
        TokenTask("parts", "token-classification", "cross_entropy", "word_accuracy",
                  labels=("O", "NN", "VB"), words="spaces", pooling="mean"),
        {"labels": ["O", "NN", "VB"], "label": "y", "words": "spaces", "pooling": "mean"},
        {"NN VB NN": [1, 2, 1], "O": [0], "VB VB O O NN": [2, 2, 0, 0, 1]},
        {"NN VP": "unknown tag 'VP' of word 2"},
    ),
    case(
        TokenTask("ends", "token-classification", "cross_entropy", "entity_f1", labels=IOBES,
                  scheme="iobes", repair=True, words="spaces", pooling="first"),
        {"labels": list(IOBES), "label": "y", "words": "spaces", "repair": True},
        {"S-place O B-place I-place E-place": [1, 0, 1, 2, 2], "B-place I-place": [1, 2],
         "O I-place": [0, 1]},
        {"[null]": "which is not a tag", "[": "holds no JSON list"},
    ),
]  # fmt: skip
