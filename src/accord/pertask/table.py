"""J's columns of an embedding, of which a step has its own ids' alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter


class EmbeddingRows:
    """J's columns of an embedding, for a step's ids alone: [T, U, H]."""

    def __init__(self, parameter: Parameter, rows: int, ids: Tensor) -> None:
        self.parameter = parameter
        self.ids = torch.unique(ids).to(parameter.device)
        shape = (rows, len(self.ids), parameter.shape[1])
        self.values = torch.zeros(shape, device=parameter.device)
        self.touched = False

    def place(self, ids: Tensor) -> Tensor:
        """Return where ids stand among the step's."""
        return torch.searchsorted(self.ids, ids)

    def check_complete(self) -> None:
        """Check that the step has every id.

        Raises:
            ValueError: if it hasn't.
        """
        if len(self.ids) != len(self.parameter):
            raise ValueError(f"J has {len(self.ids)} words of {len(self.parameter)}")
