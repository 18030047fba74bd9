"""The training step: everything that happens between two states of the model."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from accord.dropout import DropoutKey
from accord.errors import TrainingError
from accord.gradients._registry import Method, State, step_weights
from accord.jacobian import Jacobian
from accord.loader import MicroBatch, StepBatch
from accord.losses import LOSSES
from accord.model import MultitaskModel
from accord.optim import AdamW, clip_factor, scale_lr
from accord.packing import PackedBatch


@dataclass(frozen=True)
class StepRecord:
    """What a step measured.

    Attributes:
        losses: each present task's mean loss, unweighted.
        gramian: of the shared gradients of those losses, before any method; None where the
            encoder is frozen.
        weights: the method's, one a present task.
        gradient_norm: of all parameters, before clipping.
    """

    losses: dict[str, float]
    gramian: Tensor | None
    weights: list[float]
    gradient_norm: float


@dataclass
class Learner:
    """The model with all that a step changes, and the settings that it goes by.

    Attributes:
        model: encoder and heads.
        optimizer: over both, from `parameter_groups`.
        method: combines the tasks' gradients.
        seed: of the run.
        clip: largest gradient norm; 0 is none.
        bfloat16: whether to run under autocast.
        jacobian: collects the shared gradients; None where the encoder is frozen.
        joint: collect one gradient for all tasks (no Gram matrix; the method is not asked).
        method_state: the method's.
    """

    model: MultitaskModel
    optimizer: AdamW
    method: Method
    seed: int = 0
    clip: float = 1.0
    bfloat16: bool = False
    jacobian: Jacobian | None = None
    joint: bool = False
    method_state: State = field(default_factory=dict)

    def step(self, step: int, batch: StepBatch, lr_factor: float) -> StepRecord:
        """Take one step.

        Args:
            step: counted from 0 over the whole run; keys all random draws.
            batch: the step's examples.
            lr_factor: the schedule's share of the peak rate.

        Raises:
            TrainingError: if a loss or gradient is not finite; nothing was changed.
        """
        self.optimizer.zero_grad()
        if self.jacobian is not None:
            self.jacobian.begin(1 if self.joint else len(batch.present), batch.token_ids)

        losses = torch.zeros(len(batch.present), dtype=torch.float64)
        for i, micro in enumerate(batch.passes):
            means = self._losses(micro, batch, DropoutKey(self.seed, step, i))
            weighted = means * torch.tensor(batch.loss_weights, device=means.device)
            torch.autograd.backward(weighted.sum())
            losses += means.detach().cpu()

        gramian, weights, method_state = self._combine(batch, step)
        norm = self._gradient_norm(gramian, weights)
        self._check_finite(losses, norm, batch, step)
        self.method_state = method_state
        factor = clip_factor(norm, self.clip) if self.clip else 1.0
        self._write(weights, factor)
        scale_lr(self.optimizer, lr_factor)
        self.optimizer.step()

        names = [self.model.tasks[i].name for i in batch.present]
        scale = torch.tensor(batch.loss_weights, dtype=torch.float64)
        logged = gramian is not None and len(gramian) == len(scale)
        return StepRecord(
            losses=dict(zip(names, losses.tolist(), strict=True)),
            gramian=gramian / torch.outer(scale, scale) if logged and gramian is not None else None,
            weights=weights.tolist(),
            gradient_norm=norm,
        )

    def _losses(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> Tensor:
        """Return this pass's share of each present task's mean loss, [t]."""
        present, inputs = batch.present, micro.inputs
        with self._autocast():
            if isinstance(inputs, PackedBatch):
                pooled = self.model.pooled(inputs, present, self.jacobian, key)
            else:
                pooled = inputs
        logits = self.model.logits(pooled, present, key)
        parts = []
        for own, targets, i, rows in zip(logits, micro.targets, present, batch.rows, strict=True):
            loss = LOSSES[self.model.tasks[i].loss]
            parts.append(loss(own, targets).sum() / len(rows))
        return torch.stack(parts)

    def _combine(self, batch: StepBatch, step: int) -> tuple[Tensor | None, Tensor, State]:
        """Return the Gram matrix, the method's weights and its state after them."""
        if self.jacobian is None:
            return None, torch.ones(len(batch.present), dtype=torch.float64), self.method_state
        gramian = self.jacobian.gramian()
        if self.joint or not bool(gramian.isfinite().all()):
            return gramian, torch.ones(len(gramian), dtype=torch.float64), self.method_state
        weights, state = step_weights(
            self.method, gramian, self.method_state, batch.present, (self.seed, step)
        )
        return gramian, weights, state

    def _head_gradients(self) -> list[Tensor]:
        return [p.grad for p in self.model.heads.parameters() if p.grad is not None]

    def _gradient_norm(self, gramian: Tensor | None, weights: Tensor) -> float:
        """‖Jᵀw‖² is wᵀGw, so the shared gradient's norm costs no pass over it."""
        shared = 0.0 if gramian is None else float(weights @ gramian @ weights)
        heads = self._head_gradients()
        own = float(torch.stack(torch._foreach_norm(heads)).norm()) if heads else 0.0
        return math.sqrt(max(0.0, shared) + own**2) if math.isfinite(shared) else shared

    def _write(self, weights: Tensor, factor: float) -> None:
        if self.jacobian is not None:
            self.jacobian.write(weights * factor)
        heads = self._head_gradients()
        if heads and factor < 1:
            torch._foreach_mul_(heads, factor)

    def _check_finite(self, losses: Tensor, norm: float, batch: StepBatch, step: int) -> None:
        if math.isfinite(norm) and bool(losses.isfinite().all()):
            return
        bad = [
            self.model.tasks[i].name
            for i, loss in zip(batch.present, losses.tolist(), strict=True)
            if not math.isfinite(loss)
        ]
        what = f"the loss of {', '.join(bad)}" if bad else "the gradient"
        raise TrainingError(f"step {step + 1}: {what} is not finite; nothing was updated")

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bfloat16)
