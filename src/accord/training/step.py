"""The training step: everything that happens between two states of the model."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from accord.data.loader import MicroBatch, StepBatch
from accord.encoders.packing import PackedBatch
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import DEFAULT, Products, computing
from accord.model.multitask import MultitaskModel
from accord.model.soft import Coupling
from accord.optim.adamw import AdamW, clip_factor, scale_lr
from accord.optim.averaging import Averages
from accord.pertask.jacobian import Jacobian
from accord.training.combining import Combination, Decision
from accord.training.nonfinite import non_finite
from accord.training.regularising import Regularisation
from accord.training.unfreezing import Unfreezing


@dataclass(frozen=True)
class StepRecord:
    """What a step measured.

    Attributes:
        losses: each present task's mean loss, unweighted.
        gramian: of the shared gradients of those losses, before any method; None where the
            encoder is frozen.
        balance: the balancing rule's weights, one a present task.
        weights: the gradient method's, one a present task, for each group of parameters that it
            weighs apart; none where it gives none.
        gradient_norm: of all parameters, before clipping.
        skipped: whether nothing was updated, as something was not finite.
        penalty: on the distance of the tasks' copies, weighted; None where they have none.
    """

    losses: dict[str, float]
    gramian: Tensor | None
    balance: list[float]
    weights: list[list[float]]
    gradient_norm: float
    skipped: bool = False
    penalty: float | None = None


@dataclass
class Learner:
    """The model with all that a step changes, and the settings that it goes by.

    Attributes:
        model: encoder and heads.
        optimizer: over both, from `parameter_groups`.
        combination: makes one gradient of the tasks'.
        seed: of the run.
        clip: largest gradient norm; 0 is none.
        products: in what precision, and how this machine multiplies.
        jacobian: collects the shared gradients; None where the encoder is frozen.
        joint: collect one gradient for all tasks, their sum: no Gram matrix, no method is asked.
        averages: of the weights over steps; None keeps none.
        coupling: holds the tasks' own copies of the encoder together; None where nothing does.
        regularisation: adds terms to the losses; None leaves them plain.
        unfreezing: says what is still frozen at a step; None trains everything from the first.
        skips_left: how many more steps that are not finite may be left out.
    """

    model: MultitaskModel
    optimizer: AdamW
    combination: Combination
    seed: int = 0
    clip: float = 1.0
    products: Products = DEFAULT
    jacobian: Jacobian | None = None
    joint: bool = False
    averages: Averages | None = None
    coupling: Coupling | None = None
    regularisation: Regularisation | None = None
    unfreezing: Unfreezing | None = None
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
            self.jacobian.begin(1 if self.joint else len(batch.present), self._word_ids(batch))

        losses, gramians, head_norms = self._to_host(self._gradients(step, batch), batch)

        finite = all(bool(own.isfinite().all()) for own in (losses, gramians, head_norms))
        decision = self._decide(losses, gramians, batch, step) if finite else None
        norm = self._write(decision, gramians, head_norms, batch, step) if decision else math.nan
        if decision is None or not math.isfinite(norm):
            return self._leave_out(losses, gramians, norm, batch, step)
        penalty = None if self.coupling is None else self.coupling.pull()
        scale_lr(self.optimizer, lr_factor)
        self.optimizer.step()
        self.combination.keep(decision)
        self._look_back(step, batch, losses)
        self._observe(step, batch)

        names = [self.model.tasks[i].name for i in batch.present]
        return StepRecord(
            losses=dict(zip(names, losses.tolist(), strict=True)),
            gramian=gramians.sum(0) if len(gramians) and not self.joint else None,
            balance=decision.balance.tolist(),
            weights=[] if decision.weights is None else decision.weights.tolist(),
            gradient_norm=norm,
            penalty=penalty,
        )

    def gramian(self, step: int, batch: StepBatch) -> Tensor:
        """Return G of a batch, float64 [t, t], without a step: nothing is updated."""
        assert self.jacobian is not None
        self.optimizer.zero_grad()
        self.jacobian.begin(len(batch.present), self._word_ids(batch))
        self._gradients(step, batch)
        gramian = self.jacobian.gramian().cpu()
        self.optimizer.zero_grad()
        return gramian

    def _word_ids(self, batch: StepBatch) -> Tensor:
        """Return the ids of the words that may have a gradient: the step's, or all."""
        if self.model.uses_word_table(batch.present):
            return torch.arange(self.model.encoder.config.vocab_size)
        return batch.token_ids

    def _gradients(self, step: int, batch: StepBatch) -> Tensor:
        """Collect the gradients of all passes; return each present task's mean loss, [t]."""
        parts = []
        thawing = self.unfreezing.at(step) if self.unfreezing else contextlib.nullcontext()
        with thawing, computing(self.products):
            for i, micro in enumerate(batch.passes):
                means = self._losses(micro, batch, DropoutKey(self.seed, step, i))
                torch.autograd.backward(means.sum())
                parts.append(means.detach().double())
        return torch.stack(parts).sum(0)

    def _losses(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> Tensor:
        """Return this pass's share of each present task's mean loss, [t]."""
        parts = self.example_losses(micro, batch, key)
        return torch.stack([
            own.sum() / len(rows) for own, rows in zip(parts, batch.rows, strict=True)
        ])  # fmt: skip

    def example_losses(self, micro: MicroBatch, batch: StepBatch, key: DropoutKey) -> list[Tensor]:
        """Return the loss of each example in this pass, [n] for each present task."""
        present, inputs = batch.present, micro.inputs
        if self.regularisation is not None:
            ask = partial(self.logits, micro, present)
            return self.regularisation.losses(ask, micro, present, key)
        if not isinstance(inputs, PackedBatch):
            return self.model.losses(inputs, micro.targets, present, key)
        with self.products.autocast(self.device):
            pooled = self.model.pooled(inputs, present, self.jacobian, key)
        return self.model.losses(pooled, micro.targets, present, key, inputs.words, self.jacobian)

    def logits(
        self, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey,
        shift: Tensor | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Pass over some examples: a list of [n, outputs], one for each present task.

        Args:
            micro: the examples.
            present: indices of their tasks.
            key: names the dropout masks.
            shift: added to the first layer's input, [N, H]; None is nothing.
        """
        pooled = micro.inputs
        with self.products.autocast(self.device):
            if isinstance(pooled, PackedBatch):
                pooled = self.model.pooled(pooled, present, self.jacobian, key, shift)
        return self.model.logits(pooled, present, key)

    def _to_host(self, losses: Tensor, batch: StepBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Fetch losses [t], each group's G, each head's gradient norm: one wait for a GPU."""
        heads = [self._head_gradients(i) for i in batch.present]
        flat = [own for gradients in heads for own in gradients]
        norms = torch.stack(torch._foreach_norm(flat)).double() if flat else losses[:0]
        none = losses.new_zeros(0, len(losses), len(losses))
        gramians = none if self.jacobian is None else self.jacobian.gramians()
        fetched = torch.cat([losses, norms, gramians.flatten()]).cpu()
        sizes = [len(losses), *map(len, heads), gramians.numel()]
        own, *by_head, entries = torch.split(fetched, sizes)
        return own, entries.view(gramians.shape), torch.stack([part.norm() for part in by_head])

    def _decide(self, losses: Tensor, gramians: Tensor, batch: StepBatch, step: int) -> Decision:
        if self.joint:
            return self.combination.joint(len(losses))
        return self.combination.decide(losses, gramians, batch.present, (self.seed, step))

    def _write(
        self, decision: Decision, gramians: Tensor, heads: Tensor, batch: StepBatch, step: int
    ) -> float:
        """Put the combined gradients where the optimizer finds them; return their norm uncut."""
        head_norm = float((heads * decision.balance).norm())
        if self.jacobian is None:
            norm = head_norm
        elif decision.weights is None:
            whole = self.combination.whole(decision, (self.seed, step))
            norm = math.hypot(self.jacobian.write_by(whole), head_norm)
        else:
            norm = math.hypot(decision.norm(gramians), head_norm)
        foretold = decision.weights is not None and not decision.cancels(gramians)
        if self.jacobian is not None and decision.weights is not None and not foretold:
            self.jacobian.write(decision.shared)
            norm = math.hypot(self.jacobian.norm(), head_norm)
        factor = clip_factor(norm, self.clip) if self.clip and math.isfinite(norm) else 1.0
        if self.jacobian is not None and foretold:
            self.jacobian.write(decision.shared * factor)
        elif self.jacobian is not None and factor < 1:
            self.jacobian.scale(factor)
        for i, weight in zip(batch.present, (decision.balance * factor).tolist(), strict=True):
            self._weigh_own(i, weight)
        return norm

    def _weigh_own(self, task: int, weight: float) -> None:
        """Multiply a task's own gradients; with 0 there are none, so nothing decays either."""
        if weight == 0:
            for parameter in self.model.own_parameters(task):
                parameter.grad = None
        elif weight != 1 and (gradients := self._head_gradients(task)):
            torch._foreach_mul_(gradients, weight)

    def _look_back(self, step: int, batch: StepBatch, before: Tensor) -> None:
        """Where the balancing rule asks for it, judge the step's examples again, masks and all."""
        if "losses_after" not in self.combination.balancing.method.needs:
            return
        with torch.no_grad(), computing(self.products):
            parts = [
                self._losses(micro, batch, DropoutKey(self.seed, step, i)).double()
                for i, micro in enumerate(batch.passes)
            ]
        after = torch.stack(parts).sum(0).cpu()
        if bool(after.isfinite().all()):  # else nothing is learnt: the next step finds whose it is
            self.combination.learn(before, after, batch.present)

    def _observe(self, step: int, batch: StepBatch) -> None:
        """Let what follows targets or weights follow this step's."""
        compared = None if self.regularisation is None else self.regularisation.averages
        self.model.observe(batch.targets, batch.present, compared)
        for averages in (self.averages, compared):
            if averages is not None:
                averages.update(step + 1)

    def _head_gradients(self, task: int) -> list[Tensor]:
        own = self.model.own_parameters(task)
        return [p.grad for p in own if p.grad is not None]

    def _leave_out(
        self, losses: Tensor, gramians: Tensor, norm: float, batch: StepBatch, step: int
    ) -> StepRecord:
        """Update nothing: say which examples are to blame, or leave the step out if allowed."""
        names = [self.model.tasks[i].name for i in batch.present]
        if self.skips_left <= 0:
            gramian = None if self.jacobian is None else gramians.sum(0)
            raise non_finite(self, losses, gramian, batch, step)
        self.skips_left -= 1
        self.optimizer.zero_grad()
        found = dict(zip(names, losses.tolist(), strict=True))
        return StepRecord(found, None, [], [], norm, skipped=True)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device
