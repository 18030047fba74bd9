"""J's columns of an embedding, of which a step has its own ids' alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter


class EmbeddingRows:
    """J's columns of an embedding, for a step's ids alone: [T, U, H]."""

    def __init__(self, parameter: Parameter, rows: int, ids: Tensor) -> None:
        self.parameter = parameter
        self.ids = self._distinct(ids)
        shape = (rows, len(self.ids), parameter.shape[1])
        self.values = torch.zeros(shape, device=parameter.device)
        self.touched = False

    def _distinct(self, ids: Tensor) -> Tensor:
        distinct: Tensor = torch.unique(ids)
        return distinct.to(self.parameter.device, non_blocking=True)

    def place(self, ids: Tensor) -> Tensor:
        """Return where ids stand among the step's."""
        return torch.searchsorted(self.ids, ids)

    def tensors(self) -> list[Tensor]:
        """Return what it holds."""
        return [self.ids, self.values]

    @classmethod
    def of_distinct(cls, parameter: Parameter, rows: int, ids: Tensor) -> EmbeddingRows:
        """Make the columns of ids that are known to be distinct, int64 [U] on the embedding's
        device, in shapes that depend on U alone."""
        return _DistinctRows(parameter, rows, ids)

    def check_complete(self) -> None:
        """Check that the step has every id.

        Raises:
            ValueError: if it hasn't.
        """
        if len(self.ids) != len(self.parameter):
            raise ValueError(f"J has {len(self.ids)} words of {len(self.parameter)}")


class _DistinctRows(EmbeddingRows):
    """Of ids in any order: they are found by a table of all ids, not by a search."""

    def _distinct(self, ids: Tensor) -> Tensor:
        numbers = torch.arange(len(ids), device=ids.device)
        everywhere = torch.zeros(len(self.parameter), dtype=torch.int64, device=ids.device)
        self._places = everywhere.index_copy_(0, ids, numbers)
        return ids

    def tensors(self) -> list[Tensor]:
        """Return what it holds."""
        return [*super().tensors(), self._places]

    def place(self, ids: Tensor) -> Tensor:
        """Return where ids stand among the step's."""
        return self._places[ids]
