"""The training step: everything that happens between two states of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from accord.data.batches import StepBatch
from accord.kernels.matmul import DEFAULT, computing
from accord.kernels.recorder import Recorder
from accord.model.multitask import MultitaskModel
from accord.model.soft import Coupling
from accord.optim.adamw import AdamW, Bucket, clip_factor, scale_lr
from accord.optim.averaging import Averages
from accord.pertask.jacobian import Jacobian
from accord.training.combining import Combination, Decision
from accord.training.measurement import Measurement, NotFinite, Passed
from accord.training.objective import Objective


@dataclass(frozen=True)
class StepRecord:
    """What is kept of a step.

    Attributes:
        losses: each present task's mean loss, unweighted.
        gramian: of the shared gradients of the present sources' losses, before any method; None
            where the encoder is frozen, or one gradient was collected for all.
        balance: the balancing rule's weights, one per present source.
        weights: the gradient method's, one per present source, for each group of parameters that it
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


@dataclass(frozen=True)
class Taken:
    """A step that was taken, as its observers see it.

    Attributes:
        step: its number, counted from 0.
        batch: its examples.
        losses: of each present task before it, float64 [h].
    """

    step: int
    batch: StepBatch
    losses: Tensor


Observer = Callable[[Taken], None]


@dataclass
class Learner:
    """The model with all that a step changes.

    Attributes:
        model: encoder and heads.
        optimizer: over both, from `parameter_groups`.
        objective: the losses, and how a pass computes them.
        combination: makes one gradient of the tasks'.
        jacobian: collects the shared gradients; has no columns where the encoder is frozen.
        clip: largest gradient norm; 0 is none.
        coupling: holds the tasks' own copies of the encoder together; None where nothing does.
        averages: of the weights over steps, which are evaluated and kept in their place; None keeps
            none.
        observers: are told of each step that was taken, in order.
        recorder: runs what a static step does on the device.
        most_rows: of J, that something beside the steps asks for, such as cosines of halves.
    """

    model: MultitaskModel
    optimizer: AdamW
    objective: Objective
    combination: Combination
    jacobian: Jacobian = field(default_factory=lambda: Jacobian(()))
    clip: float = 1.0
    coupling: Coupling | None = None
    averages: Averages | None = None
    observers: Sequence[Observer] = ()
    recorder: Recorder = field(default_factory=Recorder)
    most_rows: int = 0

    @computing(DEFAULT)  # the passes alone are in the run's precision: what is made of them isn't
    def step(self, step: int, batch: StepBatch, lr_factor: float) -> StepRecord:
        """Take one step.

        Args:
            step: counted from 0 over the whole run; keys all random draws.
            batch: the step's examples.
            lr_factor: the schedule's share of the peak rate.

        Raises:
            NotFinite: if a loss or gradient isn't; nothing was updated.
        """
        measured = self.measure(step, batch)
        decision = self.decide(step, batch, measured)
        norm = self.apply(step, batch, measured, decision)
        penalty = self.update(batch, measured, decision, lr_factor)
        for observe in self.observers:
            observe(Taken(step, batch, measured.losses))

        names = [self.model.tasks[i].name for i in batch.present]
        apart = len(measured.gramians) > 0 and not self.combination.summed
        return StepRecord(
            losses=dict(zip(names, measured.losses.tolist(), strict=True)),
            gramian=measured.gramians.sum(0) if apart else None,
            balance=decision.balance.tolist(),
            weights=[] if decision.weights is None else decision.weights.tolist(),
            gradient_norm=norm,
            penalty=penalty,
        )

    def measure(self, step: int, batch: StepBatch) -> Measurement:
        """Take all passes forward and back: losses, shared gradients by task, heads' gradients.

        Raises:
            NotFinite: if any isn't.
        """
        rows = None if self.combination.summed else len(batch.sources)
        measured = self._passes(step, batch, rows).measured()
        if not measured.is_finite:
            raise NotFinite(step, measured)
        return measured

    def decide(self, step: int, batch: StepBatch, measured: Measurement) -> Decision:
        """Ask the balancing rule and the gradient method how much each source counts."""
        losses, key = batch.by_group(measured.losses), (self.objective.seed, step)
        return self.combination.decide(losses, measured.gramians, batch.sources, key)

    def apply(
        self, step: int, batch: StepBatch, measured: Measurement, decision: Decision
    ) -> float:
        """Put the combined, clipped gradients where the optimizer finds them.

        Returns:
            Their norm before clipping.

        Raises:
            NotFinite: if it isn't.
        """
        combined = decision.combine(measured.shared, measured.gramians)
        balance = decision.balance[list(batch.group_of)]
        norm = math.hypot(combined.norm, float((measured.head_norms * balance).norm()))
        if not math.isfinite(norm):
            raise NotFinite(step, measured, norm)
        factor = clip_factor(norm, self.clip) if self.clip else 1.0
        weights = balance * factor
        if batch.is_static and combined.weights is not None and bool(weights.all()):
            self._write(batch, measured, combined.weights * factor, weights)
            return norm
        combined.write(factor)
        for task, weight in zip(batch.present, weights.tolist(), strict=True):
            self._weigh_head(task, weight)
        return norm

    def update(
        self, batch: StepBatch, measured: Measurement, decision: Decision, lr_factor: float
    ) -> float | None:
        """Take the optimizer's step, and keep the states of rule and method; return the penalty."""
        penalty = None if self.coupling is None else self.coupling.pull()
        scale_lr(self.optimizer, lr_factor)
        buckets = self.optimizer.advance()
        if batch.is_static and all(bucket.fits_fused_kernel() for bucket in buckets):
            self._update(buckets, measured.kept)
        else:
            self.optimizer.finish(buckets)
        self.combination.keep(decision)
        return penalty

    def _write(
        self, batch: StepBatch, measured: Measurement, shared: Tensor, heads: Tensor
    ) -> None:
        """Write a static step's gradients by weights that the device holds.

        Args:
            batch: the step's.
            measured: in it.
            shared: the weights of J's rows, [t] or [groups, t].
            heads: those of each present task's own gradients, [h]; none is 0.
        """
        owned = [self.head_gradients(task) for task in batch.present]

        def work(tensors: Mapping[str, Tensor]) -> None:
            measured.shared.write(tensors["shared"])
            for gradients, weight in zip(owned, tensors["heads"], strict=True):
                if gradients:
                    torch._foreach_mul_(gradients, weight)

        weights = {"shared": shared, "heads": heads}
        key, name = ("write", measured.shared.number), "the combination of gradients"
        if self._recorded(key, weights, work, measured.kept, name):
            measured.shared.write_again()

    def _update(self, buckets: Sequence[Bucket], kept: bool) -> None:
        """Take the optimizer's step by numbers that the device holds.

        Args:
            buckets: of the step.
            kept: whether its gradients stand in a recording's memory.
        """
        places = [t.data_ptr() for bucket in buckets for t in (*bucket.params, *bucket.grads)]
        key = tuple(len(bucket.grads) for bucket in buckets), *places
        numbers = {
            "rates": torch.tensor([bucket.group["lr"] for bucket in buckets]),
            "counts": torch.tensor([float(bucket.step) for bucket in buckets]),
        }
        self._recorded(
            ("update", *key),
            numbers,
            lambda tensors: self.optimizer.update(buckets, tensors["rates"], tensors["counts"]),
            kept,
            "the optimizer's step",
        )

    def _recorded(
        self, key: tuple[str, *tuple[Hashable, ...]], numbers: Mapping[str, Tensor],
        work: Callable[[Mapping[str, Tensor]], None], kept: bool, name: str,
    ) -> bool:  # fmt: skip
        """Do some work by numbers from the host; return whether a recording did it again.

        Args:
            key: all of the work but the numbers follows from it.
            numbers: on the host.
            work: given them as float32 on the device.
            kept: whether what it reads and writes stands where it will stand again.
            name: of it, for errors.
        """
        device = self.objective.device
        tensors = {
            name: number.float().to(device, non_blocking=True) for name, number in numbers.items()
        }
        if not kept:
            work(tensors)
            return False
        return self.recorder.run(key, tensors, work, name).again

    @computing(DEFAULT)
    def rehearse(self, step: int, batch: StepBatch) -> None:
        """Take a step up to its update, for the memory that this takes; nothing is changed by it.

        What isn't finite is left to the step itself.
        """
        with suppress(NotFinite):
            measured = self.measure(step, batch)
            self.apply(step, batch, measured, self.decide(step, batch, measured))
        self.optimizer.zero_grad()

    @computing(DEFAULT)
    def gramian(self, step: int, batch: StepBatch) -> Tensor:
        """Return G of a batch, float64 [t, t], without a step: nothing is updated."""
        passed = self._passes(step, batch, len(batch.sources))
        self.optimizer.zero_grad()
        return passed.measured().gramians.sum(0)

    @computing(DEFAULT)
    def measured_apart(self, step: int, batch: StepBatch) -> Measurement:
        """Take a step's passes once more, each task's gradients from its own rows alone.

        In a static step they are products with zeros where a row is another task's, of which one
        value that isn't finite spoils every task's.
        """
        self.objective.begin(step, batch)
        rows = None if self.combination.summed else len(batch.sources)
        return self._pass(step, batch, rows, static=False).measured()

    def head_gradients(self, task: int) -> list[Tensor]:
        """Return the gradients of what a task has of its own."""
        parameters = self.model.own_parameters(task)
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def _passes(self, step: int, batch: StepBatch, rows: int | None) -> Passed:
        """Take all passes forward and back.

        Args:
            step: keys the draws.
            batch: the step's examples.
            rows: of J; None collects one gradient for all.
        """
        if self.jacobian.reserve(self._rows_of_run(rows)):
            self.recorder.forget()  # they write into the matrix of before
        if not batch.is_static:
            return self._pass(step, batch, rows)
        self.objective.begin(step, batch)
        passed, kept, again = self.recorder.run(
            ("passes", rows, batch.size),
            batch.tensors,
            lambda tensors: self._pass(step, batch.holding(tensors), rows, static=True),
            f"a pass of {batch.described}",
        )
        if again:
            self.optimizer.zero_grad()
            passed.restore()
        return replace(passed, kept=kept)

    def _rows_of_run(self, rows: int | None) -> int:
        """Return how many rows J needs in this run, as far as is known, if it has some now."""
        if not self.recorder.records:
            return rows or 1
        return max(rows or 1, self.most_rows, 1 if rows is None else len(self.combination.names))

    def _pass(self, step: int, batch: StepBatch, rows: int | None, static: bool = False) -> Passed:
        """Take all passes as they are; where static, nothing but the device is asked."""
        self.optimizer.zero_grad()
        parts = []
        shared = self.jacobian.begin(rows, self._word_ids(batch), static=static)
        with shared.collecting(), self.objective.trained_at(step):
            for means in self.objective.means(step, batch):
                torch.autograd.backward(batch.total(means))
                parts.append(means.detach().double())
        losses = torch.stack(parts).sum(0)
        owned = [
            [p for p in self.model.own_parameters(task) if p.grad is not None]
            for task in batch.present
        ]
        flat = [gradient for task in batch.present for gradient in self.head_gradients(task)]
        norms = torch.stack(torch._foreach_norm(flat)).double() if flat else losses[:0]
        gramians = shared.gramians()
        return Passed(
            torch.cat([losses, norms, gramians.flatten()]),
            tuple(gramians.shape),
            tuple(map(len, owned)),
            [(parameter, parameter.grad) for of in owned for parameter in of],
            shared,
        )

    def _word_ids(self, batch: StepBatch) -> Tensor:
        """Return the ids of the words that may have a gradient: the step's, or all."""
        if self.model.uses_word_table(batch.present):
            return torch.arange(self.model.encoder.config.vocab_size)
        return batch.token_ids

    def _weigh_head(self, task: int, weight: float) -> None:
        """Multiply a task's own gradients; with 0 there are none, so nothing decays either."""
        if weight == 0:
            for parameter in self.model.own_parameters(task):
                parameter.grad = None
        elif weight != 1 and (gradients := self.head_gradients(task)):
            torch._foreach_mul_(gradients, weight)
