"""How many tokens texts have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accord.evaluation.answerer import Answerer
from accord.evaluation.texts import Text, form_of, forms
from accord.kinds import kind_of
from accord.tasks import Task


def sequence_tokens(
    predictor: Answerer, texts: Sequence[Text], tasks: Sequence[str] | None
) -> list[list[int]]:
    """Return for each text how many tokens its sequences have before they are cut, special tokens
    included: one number, or one for each of a pair that are read apart, or for each candidate.

    Args:
        predictor: that answers them.
        texts: that it takes.
        tasks: to be answered; None: all. The first that takes a text says what its sequences are.
    """
    asked = [predictor.task(name) for name in tasks] if tasks else predictor.tasks
    first = {form: task for task in reversed(asked) for form in forms(task)}
    readers = [first[form_of(text, place, first)] for place, text in enumerate(texts)]
    parts = [_parts(text, task) for text, task in zip(texts, readers, strict=True)]
    encoded = predictor.tokenizer.encode_batch_fast(
        [part for each in parts for part in each], add_special_tokens=False
    )
    lengths = iter([len(each.ids) for each in encoded])
    framing = predictor.assembler.special.framing
    counted = []
    for each, task in zip(parts, readers, strict=True):
        own = np.array([[next(lengths) for _ in each]], dtype=np.int64)
        layout = kind_of(task).layout_of(task, len(each))
        counted.append(framing.sequence_lengths(own, layout)[0].tolist())
    return counted


def _parts(text: Text, task: Task) -> list[str]:
    """Return a text's strings as a task tokenises them."""
    if isinstance(text, str):
        return [text]
    if kind_of(task).units == "words":
        return [" ".join(map(str, text))]
    if len(text) == 2 and not isinstance(text[1], str):
        return [str(text[0]), *text[1]]
    return [*map(str, text)]
