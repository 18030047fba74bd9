"""Which tasks and examples are to blame for a loss or gradient that is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from accord.errors import NonFiniteError
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import computing

if TYPE_CHECKING:
    from accord.data.loader import StepBatch
    from accord.training.step import Learner


@torch.no_grad()
def non_finite(
    learner: Learner, losses: Tensor, gramian: Tensor, batch: StepBatch, step: int
) -> NonFiniteError:
    """Find the tasks, and with another forward pass the examples.

    Args:
        learner: whose step it was; nothing of it is changed.
        losses: each present task's mean loss, [t].
        gramian: of the step, [t, t]; zeros where the encoder is frozen.
        batch: the step's examples.
        step: its number.
    """
    names = [learner.model.tasks[i].name for i in batch.present]
    with computing(learner.products):
        passes = [
            learner.example_losses(micro, batch, DropoutKey(learner.seed, step, i))
            for i, micro in enumerate(batch.passes)
        ]
    rows = {}
    for name, own, parts in zip(names, batch.rows, zip(*passes, strict=True), strict=True):
        bad = ~torch.cat(parts).isfinite().cpu().numpy()
        if bad.any():
            rows[name] = own[bad].tolist()
    what = "loss"
    if not rows:  # every example's is finite now: the fault is elsewhere in the two passes
        finite = losses.isfinite().tolist()
        what = "gradient" if all(finite) else "loss"
        if all(finite):
            finite = _finite_gradients(learner, gramian, batch.present)
        blamed = [i for i, own in enumerate(finite) if not own] or range(len(names))
        rows = {names[i]: batch.rows[i].tolist() for i in blamed}
    what = f"the {what} of {', '.join(rows)}"
    return NonFiniteError(f"step {step + 1}: {what} is not finite; nothing was updated", rows)


def _finite_gradients(learner: Learner, gramian: Tensor, present: tuple[int, ...]) -> list[bool]:
    """Return for each present task whether its gradients are finite, as far as can be told."""
    parts = [
        all(bool(p.grad.isfinite().all()) for p in learner.model.own_parameters(place)
            if p.grad is not None)
        for place in present
    ]  # fmt: skip
    return [
        bool(own.isfinite()) and part for own, part in zip(gramian.diagonal(), parts, strict=True)
    ]
