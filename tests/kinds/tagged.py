"""Tasks of tags, and entities drawn for them."""

import random

from accord.kinds._entities import tags_of_types
from accord.kinds.token_classification import TokenTask

TYPES = ("place", "who")
WORDS = ("Ada", "Zoë", "saw", "New", "York", "北", "don", "'", "t", ",", "12", "é")
KIND = "token-classification"


def task_of(scheme: str = "bio", **more: object) -> TokenTask:
    labels = tags_of_types(TYPES, scheme) if scheme != "plain" else ("NN", "O", "VB")
    metric = "word_accuracy" if scheme == "plain" else "entity_f1"
    return TokenTask("t", KIND, "cross_entropy", metric, labels=labels, scheme=scheme,
                     pooling="first", **more)  # type: ignore[arg-type]  # fmt: skip


def drawn_codes(rng: random.Random, words: int) -> list[int]:
    """Entities of random lengths, some of them neighbours."""
    codes: list[int] = []
    while len(codes) < words:
        kind, length = rng.choice([None, None, 0, 1]), rng.randint(1, 3)
        codes += [0] * length if kind is None else [2 * kind + 1] + [2 * kind + 2] * (length - 1)
    return codes[:words]
