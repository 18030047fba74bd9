"""What a method is given at each step, and the state that it carries on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
"""What a method carries from step to step; every axis of every tensor runs over the tasks."""


@dataclass(frozen=True)
class Signals:
    """What a step measured of the t tasks present in it; float64 on the host.

    Attributes:
        losses: each task's mean loss, [t].
        gramian: G = J Jᵀ of the shared parameters' gradients, [t, t]; empty where the encoder is
            frozen. A balancing rule sees that of the plain losses, a gradient method that of the
            balanced ones.
        last_norms: norms of the gradients of the last shared layer, [t]; empty unless needed.
        shares: examples of each task in a usual step of this epoch, [t].
        others: of all other tasks that the run trains together, present or not, [t].
        regression: whether a task is one, bool [t].
        memories: whether a task is finished and its rows are a memory's, bool [t].
        names: of the tasks.
        steps_per_epoch: of the run.
        step: counted from 0 over the run.
    """

    losses: Tensor
    gramian: Tensor
    last_norms: Tensor
    shares: Tensor
    others: Tensor
    regression: Tensor
    memories: Tensor
    names: tuple[str, ...] = ()
    steps_per_epoch: int = 1
    step: int = 0

    @classmethod
    def of(
        cls,
        gramian: Sequence[Sequence[float]] | Tensor | None = None,
        losses: Sequence[float] | Tensor | None = None,
        **others: Any,
    ) -> Signals:
        """Make signals by hand, for a look at a method: what isn't given is one or empty.

        Example:
            >>> Signals.of([[1.0, -1.0], [-1.0, 4.0]]).losses.tolist()
            [1.0, 1.0]
        """
        G = _float64(() if gramian is None else gramian)
        tasks = len(G) if losses is None else len(losses)
        fields = {
            "last_norms": G.diagonal().sqrt() if G.ndim == 2 else _float64(()),
            "shares": torch.ones(tasks, dtype=torch.float64),
            "others": torch.full((tasks,), tasks - 1.0, dtype=torch.float64),
            "regression": torch.zeros(tasks, dtype=torch.bool),
            "memories": torch.zeros(tasks, dtype=torch.bool),
            "names": tuple(f"task{i}" for i in range(tasks)),
        }
        loss_values = torch.ones(tasks, dtype=torch.float64) if losses is None else _float64(losses)
        return cls(
            loss_values, G if G.ndim == 2 else _float64(()).view(0, 0), **{**fields, **others}
        )

    def only(self, kept: Tensor) -> Signals:
        """Return what was measured of some of the tasks.

        Args:
            kept: which ones, bool [t].
        """
        if bool(kept.all()):
            return self
        return replace(
            self,
            losses=self.losses[kept],
            gramian=self.gramian[kept][:, kept] if len(self.gramian) else self.gramian,
            last_norms=self.last_norms[kept] if len(self.last_norms) else self.last_norms,
            shares=self.shares[kept],
            others=self.others[kept],
            regression=self.regression[kept],
            memories=self.memories[kept],
            names=tuple(
                name for name, is_kept in zip(self.names, kept.tolist(), strict=False) if is_kept
            ),
        )


def _float64(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)
