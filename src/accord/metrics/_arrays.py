"""Arrays, as metrics take and give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def quotient(over: Floats, under: Floats) -> Floats:
    """Return over / under, and 0 where under is 0."""
    over, under = np.broadcast_arrays(over, under)
    return np.divide(over, under, out=np.zeros(over.shape), where=under != 0)
