"""Where a head's vectors belong, for kinds of task that label words or candidates of an example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from accord.data.ragged import ranges
from accord.encoders.packing import TokenSequence

Unit = Literal["rows", "words", "sequences"]
"""What a head has a vector for: rows, as many for each of them; or words or sequences, of which an
example has a varying number."""


@dataclass(frozen=True)
class Units:
    """The units that a head has a vector for: words of examples, or their candidates.

    A word that was cut off, or of which the tokenizer makes nothing, counts among an example's
    words and has no vector.

    Attributes:
        example: int64 [V], the example that each vector is of.
        place: int64 [V], the unit's place in it.
        sizes: int64 [n], how many units each example has.
        host_sizes: the same, on the host: a GPU would be waited for to tell a shape.
    """

    example: Tensor
    place: Tensor
    sizes: Tensor
    host_sizes: np.ndarray

    @property
    def width(self) -> int:
        """The most units of an example."""
        return int(self.host_sizes.max(initial=0))

    def arranged(self, values: Tensor) -> Tensor:
        """Return values [V, C] by example and place, [n, width, C]; -inf where there is no
        vector."""
        shape = (len(self.sizes), self.width, values.shape[1])
        empty = values.new_full(shape, float("-inf"))
        return empty.index_put((self.example, self.place), values)

    def absent(self) -> Tensor:
        """Return which units have no vector, bool [n, width]."""
        places = torch.arange(self.width, device=self.sizes.device)
        present = places < self.sizes[:, None]
        seen = torch.zeros_like(present).index_put(
            (self.example, self.place), torch.ones_like(self.example, dtype=torch.bool)
        )
        return present & ~seen

    def mapped(self, move: Callable[[Tensor], Tensor]) -> Units:
        """Return the same with each tensor moved."""
        return Units(move(self.example), move(self.place), move(self.sizes), self.host_sizes)


def located(
    unit: Unit, examples: Sequence[Sequence[TokenSequence]], at: np.ndarray | None = None
) -> tuple[Tensor | None, Units | None]:
    """Return which vectors of some examples a task has, and where they belong.

    Args:
        unit: what the task has a vector for.
        examples: the sequences of each.
        at: those that are the task's, ascending; None: all.

    Returns:
        Numbers of sequences among all of the examples', or of words that have a vector; None for
        all of them. And the units; None where a kind has one vector per sequence, and as many
        sequences in every example.
    """
    index = None
    if at is not None:
        index = torch.from_numpy(ranges(vector_counts(unit, examples), at))
        examples = [examples[i] for i in at]
    if unit == "rows":
        return index, None
    seen = [_seen(unit, example) for example in examples]
    sizes = np.array([*map(len, seen)], dtype=np.int64)
    present = np.concatenate([*seen, np.empty(0, dtype=bool)])
    which = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(present)) - np.repeat(sizes.cumsum() - sizes, sizes)
    example, at_place, of_all = map(torch.from_numpy, (which[present], place[present], sizes))
    return index, Units(example, at_place, of_all, sizes)


def vector_counts(unit: Unit, examples: Sequence[Sequence[TokenSequence]]) -> np.ndarray:
    """Return how many vectors each of some examples has, int64 [n]: of its sequences, or of those
    words that have a token where the kind labels words."""
    if unit != "words":
        return np.array([*map(len, examples)], dtype=np.int64)
    counts = [np.count_nonzero(_seen(unit, example)) for example in examples]
    return np.array(counts, dtype=np.int64)


def _seen(unit: Unit, example: Sequence[TokenSequence]) -> np.ndarray:
    """Return which of an example's units have a vector, bool: all of its sequences, and the words
    that have a token."""
    if unit != "words":
        return np.ones(len(example), dtype=bool)
    (sequence,) = example  # a kind that labels words has one sequence per example
    assert sequence.spans is not None
    return np.asarray(sequence.spans[:, 0] < sequence.spans[:, 1])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Put arrays of rows end to end; where rows have several units, as wide as the widest, with
    -inf behind the others."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.shape[1] for part in parts)
    padded = [
        part if part.ndim < 3 else pad(part, (0, 0, 0, most - part.shape[1]), value=float("-inf"))
        for part in parts
    ]
    return torch.cat(padded)
