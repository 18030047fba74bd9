"""Rows' targets, as a store keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TargetForm:
    """What a store keeps of each row's target.

    Attributes:
        dtype: as numpy spells it, with its byte order; where rows are ragged it has a sign.
        shape: of one row's target; () is a single number.
        ragged: whether each row's target is a list of numbers, of which some have more than others:
            a tag for each word, a grade for each candidate. Arrays of them are as wide as the
            widest row, with -1 behind the integers of others and NaN behind their floats.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    ragged: bool = False

    @property
    def fill(self) -> float:
        """What stands behind the shorter of ragged rows."""
        return -1 if "i" in self.dtype else float("nan")

    def none(self) -> Any:
        """Return what stands in the place of a target where a row has none."""
        import numpy as np

        return [] if self.ragged else np.zeros(self.shape, dtype=self.dtype)

    def flat(self, targets: Sequence[Any]) -> tuple[Array, Array]:
        """Return ragged targets end to end, [total], and how many are each row's, int64 [rows]."""
        import numpy as np

        every = [number for target in targets for number in target]
        return np.array(every, dtype=self.dtype), np.array([*map(len, targets)], dtype=np.int64)

    def differ(self, targets: Array) -> bool:
        """Whether some rows' targets, as `array` has them, are not all alike; if ragged, the
        numbers of all rows."""
        import numpy as np

        if self.ragged:
            targets = targets[~np.isnan(targets) & (targets != self.fill)]
        return len(np.unique(targets, axis=0)) > 1

    def array(self, targets: Sequence[Any]) -> Array:
        """Return some rows' targets as one array, [rows, *shape], or [rows, most] if ragged."""
        import numpy as np

        if self.ragged:
            from accord.data.ragged import padded

            return padded(*self.flat(targets), self.fill)
        return np.array(targets, dtype=self.dtype).reshape(len(targets), *self.shape)
