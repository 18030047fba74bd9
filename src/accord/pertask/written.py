"""What a step leaves where the optimizer finds it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Written:
    """The gradient that a step wrote.

    Attributes:
        gradients: each parameter's that has one.
    """

    gradients: list[Tensor]
    _norm: float | None = None

    def norm(self) -> float:
        """Return its norm, measured before any scaling."""
        if self._norm is None:
            norms = torch._foreach_norm(self.gradients) if self.gradients else ()
            self._norm = float(torch.stack(norms).double().norm()) if norms else 0.0
        return self._norm

    def scale(self, factor: float) -> None:
        """Multiply it by a number."""
        if self.gradients:
            torch._foreach_mul_(self.gradients, factor)
