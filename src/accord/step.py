"""The training step: everything that happens between two states of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accord.dropout import DropoutKey
from accord.gradients._registry import Method, State, step_weights
from accord.jacobian import Jacobian
from accord.loader import MicroBatch, StepBatch
from accord.losses import LOSSES
from accord.model import MultitaskModel
from accord.nonfinite import non_finite
from accord.optim import AdamW, clip_factor, scale_lr
from accord.packing import PackedBatch
from accord.products import DEFAULT, Products, computing


@dataclass(frozen=True)
class StepRecord:
    """What a step measured.

    Attributes:
        losses: each present task's mean loss, unweighted.
        gramian: of the shared gradients of those losses, before any method; None where the
            encoder is frozen.
        weights: the method's, one a present task.
        gradient_norm: of all parameters, before clipping.
        skipped: whether nothing was updated, as something was not finite.
    """

    losses: dict[str, float]
    gramian: Tensor | None
    weights: list[float]
    gradient_norm: float
    skipped: bool = False


@dataclass
class Learner:
    """The model with all that a step changes, and the settings that it goes by.

    Attributes:
        model: encoder and heads.
        optimizer: over both, from `parameter_groups`.
        method: combines the tasks' gradients.
        seed: of the run.
        clip: largest gradient norm; 0 is none.
        products: in what precision, and how this machine multiplies.
        jacobian: collects the shared gradients; None where the encoder is frozen.
        joint: collect one gradient for all tasks (no Gram matrix; the method is not asked).
        method_state: the method's.
        skips_left: how many more steps that are not finite may be left out.
    """

    model: MultitaskModel
    optimizer: AdamW
    method: Method
    seed: int = 0
    clip: float = 1.0
    products: Products = DEFAULT
    jacobian: Jacobian | None = None
    joint: bool = False
    method_state: State = field(default_factory=dict)
    skips_left: int = 0

    def step(self, step: int, batch: StepBatch, lr_factor: float) -> StepRecord:
        """Take one step.

        Args:
            step: counted from 0 over the whole run; keys all random draws.
            batch: the step's examples.
            lr_factor: the schedule's share of the peak rate.

        Raises:
            NonFiniteError: if a loss or gradient is not finite; nothing was changed.
        """
        self.optimizer.zero_grad()
        if self.jacobian is not None:
            self.jacobian.begin(1 if self.joint else len(batch.present), batch.token_ids)

        losses, gramian, head_norm = self._to_host(self._gradients(step, batch))

        weights, method_state = self._combine(gramian, batch, step)
        norm = _gradient_norm(gramian, weights, head_norm)
        names = [self.model.tasks[i].name for i in batch.present]
        if not (math.isfinite(norm) and bool(losses.isfinite().all())):
            return self._leave_out(losses, gramian, norm, batch, step)
        self.method_state = method_state
        self._write(weights, clip_factor(norm, self.clip) if self.clip else 1.0)
        scale_lr(self.optimizer, lr_factor)
        self.optimizer.step()

        scale = torch.tensor(batch.loss_weights, dtype=torch.float64)
        logged = gramian is not None and len(gramian) == len(scale)
        return StepRecord(
            losses=dict(zip(names, losses.tolist(), strict=True)),
            gramian=gramian / torch.outer(scale, scale) if logged and gramian is not None else None,
            weights=weights.tolist(),
            gradient_norm=norm,
        )

    def gramian(self, step: int, batch: StepBatch) -> Tensor:
        """Return G of a batch, float64 [t, t], without a step: nothing is updated."""
        assert self.jacobian is not None
        self.optimizer.zero_grad()
        self.jacobian.begin(len(batch.present), batch.token_ids)
        self._gradients(step, batch)
        gramian = self.jacobian.gramian().cpu()
        self.optimizer.zero_grad()
        return gramian

    def _gradients(self, step: int, batch: StepBatch) -> Tensor:
        """Collect the gradients of all passes; return each present task's mean loss, [t]."""
        with computing(self.products):
            parts = [
                self._backward(micro, batch, DropoutKey(self.seed, step, i))
                for i, micro in enumerate(batch.passes)
            ]
        return torch.stack(parts).sum(0)

    def _backward(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> Tensor:
        """Add this pass's gradients; return its share of each present task's mean loss, [t]."""
        means = self._losses(micro, batch, key)
        weights = torch.tensor(batch.loss_weights).to(means.device, non_blocking=True)
        torch.autograd.backward((means * weights).sum())
        return means.detach().double()

    def _losses(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> Tensor:
        """Return this pass's share of each present task's mean loss, [t]."""
        parts = self.example_losses(micro, batch, key)
        return torch.stack([
            own.sum() / len(rows) for own, rows in zip(parts, batch.rows, strict=True)
        ])  # fmt: skip

    def example_losses(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> list[Tensor]:
        """Return the loss of each example in this pass, [n] for each present task."""
        present, inputs = batch.present, micro.inputs
        with self.products.autocast(self.device):
            if isinstance(inputs, PackedBatch):
                pooled = self.model.pooled(inputs, present, self.jacobian, key)
            else:
                pooled = inputs
        logits = self.model.logits(pooled, present, key)
        return [
            LOSSES[self.model.tasks[i].loss](own, targets)
            for own, targets, i in zip(logits, micro.targets, present, strict=True)
        ]

    def _to_host(self, losses: Tensor) -> tuple[Tensor, Tensor | None, float]:
        """Fetch losses [t], G and the heads' gradient norm: the step's one wait for a GPU."""
        heads = self._head_gradients()
        norms = torch.stack(torch._foreach_norm(heads)).double() if heads else losses.new_zeros(1)
        gramian = losses.new_zeros(0, 0) if self.jacobian is None else self.jacobian.gramian()
        fetched = torch.cat([losses, norms.norm()[None], gramian.flatten()]).cpu()
        own, norm, entries = (
            fetched[: len(losses)],
            fetched[len(losses)],
            fetched[len(losses) + 1 :],
        )
        return own, None if self.jacobian is None else entries.view(gramian.shape), float(norm)

    def _combine(self, gramian: Tensor | None, batch: StepBatch, step: int) -> tuple[Tensor, State]:
        """Return the method's weights and its state after them."""
        if gramian is None:
            return torch.ones(len(batch.present), dtype=torch.float64), self.method_state
        if self.joint or not bool(gramian.isfinite().all()):
            return torch.ones(len(gramian), dtype=torch.float64), self.method_state
        return step_weights(
            self.method, gramian, self.method_state, batch.present, (self.seed, step)
        )

    def _head_gradients(self) -> list[Tensor]:
        return [p.grad for p in self.model.heads.parameters() if p.grad is not None]

    def _write(self, weights: Tensor, factor: float) -> None:
        if self.jacobian is not None:
            self.jacobian.write(weights * factor)
        heads = self._head_gradients()
        if heads and factor < 1:
            torch._foreach_mul_(heads, factor)

    def _leave_out(
        self, losses: Tensor, gramian: Tensor | None, norm: float, batch: StepBatch, step: int
    ) -> StepRecord:
        """Update nothing: say which examples are to blame, or leave the step out if allowed."""
        names = [self.model.tasks[i].name for i in batch.present]
        if self.skips_left <= 0:
            raise non_finite(self, losses, gramian, batch, step)
        self.skips_left -= 1
        self.optimizer.zero_grad()
        return StepRecord(dict(zip(names, losses.tolist(), strict=True)), None, [], norm, True)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def _gradient_norm(gramian: Tensor | None, weights: Tensor, head_norm: float) -> float:
    """‖Jᵀw‖² is wᵀGw, so the shared gradient's norm costs no pass over it."""
    shared = 0.0 if gramian is None else float(weights @ gramian @ weights)
    return math.sqrt(max(0.0, shared) + head_norm**2) if math.isfinite(shared) else shared
