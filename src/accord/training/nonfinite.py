"""Which tasks and examples caused a loss or gradient that is not finite."""

from __future__ import annotations

import torch

from accord.data.batches import StepBatch
from accord.errors import NonFiniteError
from accord.kernels.matmul import computing
from accord.training.measurement import NotFinite
from accord.training.step import Learner


@torch.no_grad()
def blame(learner: Learner, error: NotFinite, batch: StepBatch) -> NonFiniteError:
    """Find the tasks, and with another forward pass the examples.

    Args:
        learner: whose step it was; nothing of it is changed.
        error: what the step raised.
        batch: the step's examples.
    """
    names, objective = [learner.model.tasks[i].name for i in batch.present], learner.objective
    objective.begin(error.step, batch)
    with computing(objective.matmul):
        passes = [
            objective.example_losses(micro, batch.present, key)
            for micro, key in objective.keyed(error.step, batch)
        ]
    rows = {}
    for name, drawn, parts in zip(names, batch.rows, zip(*passes, strict=True), strict=True):
        bad = ~torch.cat(parts).isfinite().cpu().numpy()
        if bad.any():
            rows[name] = drawn[bad].tolist()
    what = "loss"
    if not rows:  # every example's is finite now: the fault is elsewhere in the two passes
        finite = error.measured.losses.isfinite().tolist()
        what = "gradient" if all(finite) else "loss"
        if all(finite):
            finite = _finite_gradients(learner, error, batch)
        blamed = [i for i, good in enumerate(finite) if not good] or range(len(names))
        rows = {names[i]: batch.rows[i].tolist() for i in blamed}
    what = f"the {what} of {', '.join(rows)}"
    return NonFiniteError(f"step {error.step + 1}: {what} is not finite; nothing was updated", rows)


def _finite_gradients(learner: Learner, error: NotFinite, batch: StepBatch) -> list[bool]:
    """Return for each present task whether its gradients are finite, as far as can be told."""
    measured = error.measured
    if batch.is_static:
        with torch.enable_grad():
            measured = learner.measured_apart(error.step, batch)
    diagonal = measured.gramians.sum(0).diagonal().expand(len(batch.sources))
    shared = diagonal[list(batch.group_of)].isfinite().tolist()
    heads = [
        all(bool(gradient.isfinite().all()) for gradient in learner.head_gradients(place))
        for place in batch.present
    ]
    return [one and other for one, other in zip(shared, heads, strict=True)]
