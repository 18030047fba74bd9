"""Tiny worlds for the laws of a step: tasks with data, a model, and a learner that measures."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from accord.balancing import get_rule
from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler, TaskData
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.families.bert import BertEncoder
from accord.encoders.packing import PackedBatch
from accord.gradients import Method
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.kinds.multi_label import MultiLabelTask
from accord.methods import Signals
from accord.model.losses import LOSSES
from accord.model.multitask import HARD, MultitaskModel
from accord.model.parts import Sharing
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.pertask.step import Step
from accord.pertask.written import Written
from accord.tasks import Task
from accord.training.combining import Combination
from accord.training.objective import Objective
from accord.training.observers import observers
from accord.training.step import Learner, StepRecord

Split = Callable[..., TaskData]
MakeEncoder = Callable[..., BertEncoder]
CPU = torch.device("cpu")

SST = Task("sst", "classification", "cross_entropy", "accuracy", labels=tuple("abcde"), dropout=0)
QUORA = Task(
    "quora", "pair-classification", "mse", "accuracy", labels=("0", "1"), pooling="pooler",
    dropout=0,
)  # fmt: skip
STS = Task("sts", "pair-regression", "mse", "pearson", range=(0, 5), pooling="cls", dropout=0)
LOGISTIC = replace(QUORA, name="logistic", loss="binary_cross_entropy", pooling="cls")
SEPARATE = replace(STS, name="separate", encoding="separate", pooling="mean")
APART = replace(SEPARATE, name="apart", pooling="pooler")
COSINE = replace(SEPARATE, name="cosine", head="cosine")
SMOOTHED = replace(SST, class_weights=(9.0, 0.25, 1.0, 1.0, 3.0), label_smoothing=0.2)
WEIGHTED = replace(LOGISTIC, name="weighted", class_weights=(0.5, 4.0))
ORDERED = Task(
    "ordered", "ordinal", "coral", "mae", labels=tuple("abcd"), dropout=0,
    class_weights=(2.0, 0.5, 1.0, 7.0),
)  # fmt: skip
SETS = MultiLabelTask(
    "sets", "multi-label", "binary_cross_entropy", "micro_f1", labels=tuple("abc"), dropout=0,
    class_weights=(8.0, 0.5, 1.0), pooling="pooler",
)  # fmt: skip
COSINE_CLS = replace(COSINE, name="cosine_cls", pooling="cls")

MIXES = {
    "one": [SST],
    "one pooler": [QUORA],
    "cls only": [STS, LOGISTIC],
    "cls and pooler": [STS, QUORA, LOGISTIC],
    "all poolings": [SST, QUORA, STS],
    "weighted": [SMOOTHED, STS, WEIGHTED],
    "weighted steps and sets": [ORDERED, SETS],
    "separate": [SEPARATE, APART, SST],
    "cosine": [COSINE, QUORA],
    "cosine alone": [COSINE_CLS],
    "five": [COSINE_CLS, APART, SST, LOGISTIC, STS],
}


def weigh(signals: Signals, state: dict[str, Tensor], generator: object) -> tuple[Tensor, dict]:
    """Give each row a weight of its own, so that a mix-up shows."""
    return torch.arange(1.0, len(signals.losses) + 1, dtype=torch.float64) * 0.7, state


UNEVEN = Method("uneven", weigh, "", (), "", "", lambda tasks: {}, frozenset(), "sum", ([], []))


class RecordedStep(Step):
    """Keeps J and G as they are before `write`, which may scale a single row in place."""

    def write(self, weights: Tensor) -> Written:
        self.J, self.G = self.dense(), self.gramian()
        return super().write(weights)


class Recorded(Jacobian):
    """Shows the last step's J and G."""

    step_type = RecordedStep

    @property
    def J(self) -> Tensor:  # noqa: N802
        return self.step.J  # type: ignore[union-attr]

    @property
    def G(self) -> Tensor:  # noqa: N802
        return self.step.G  # type: ignore[union-attr]


def losses_of(task: Task, logits: Tensor, targets: Tensor) -> Tensor:
    """Each example's loss [n], smoothed by hand, and weighted by its class or its labels."""
    if targets.ndim > 1:
        yes, no = (logits.sigmoid().log(), (-logits).sigmoid().log())
        return -(torch.tensor(task.class_weights) * targets * yes + (1 - targets) * no).mean(1)
    losses = LOSSES[task.loss](logits, targets)
    if task.label_smoothing:
        even = -logits.log_softmax(1).mean(1)
        losses = (1 - task.label_smoothing) * losses + task.label_smoothing * even
    weights = torch.tensor(task.class_weights or [1.0] * max(2, len(task.labels)))
    return losses * weights[targets.long()] if task.class_weights else losses


class World:
    """Tasks with data, a model, and a learner whose rate is 0: it measures and moves nothing."""

    def __init__(
        self, tasks: Sequence[Task], encoder: BertEncoder, split: Split,
        weights: Sequence[float] = (), sharing: Sharing = HARD, joint: bool = False,
        matmul: MatmulPolicy = DEFAULT, **ours: object,
    ) -> None:  # fmt: skip
        self.tasks = tasks
        self.data = [split(task, 8, seed) for seed, task in enumerate(tasks)]
        self.model = MultitaskModel(encoder, tasks, sharing)
        with torch.no_grad():
            for parameter in self.own_parameters():
                parameter.copy_(0.5 * torch.randn_like(parameter))
        self.jacobian = Recorded(encoder.parameters(), encoder.embeddings.word)
        parts = [(str(i), p) for i, p in enumerate(self.own_parameters())]
        groups = parameter_groups([(encoder.named_parameters(), 0.0), (parts, 0.0)], 0.0)
        named = {task.name: weight for task, weight in zip(tasks, weights, strict=False)}
        combination = Combination.of(
            tasks, UNEVEN, get_rule("fixed"), options={"fixed": {"weights": named}}
        )
        combination.summed = joint
        settings = {"combination": combination, "clip": 0.0, "jacobian": self.jacobian, **ours}
        self.objective = Objective(self.model, matmul=matmul)
        self.learner = Learner(self.model, AdamW(groups, lr=0.0), self.objective, **settings)  # type: ignore[arg-type]

    def own_parameters(self) -> list[torch.nn.Parameter]:
        """What each task has of its own."""
        return [p for i in range(len(self.tasks)) for p in self.model.own_parameters(i)]

    def batch(
        self,
        counts: Sequence[int] | None = None,
        micro_batch_tokens: int | None = None,
        seed: int = 0,
        multiple: int = 1,
        static: bool = False,
    ) -> StepBatch:
        rng = np.random.default_rng(seed)
        counts = [3] * len(self.tasks) if counts is None else counts
        drawn = [
            rng.permutation(len(split))[:count]
            for split, count in zip(self.data, counts, strict=True)
        ]
        return step_batch(
            drawn, each_alone(self.data),
            Assembler(SpecialIds(1, 2, 0), 24), CPU, micro_batch_tokens, multiple,
            vocabulary=self.model.encoder.config.vocab_size if static else None,
        )  # fmt: skip

    def step(self, batch: StepBatch, number: int = 0) -> StepRecord:
        learner = self.learner
        learner.observers = list(observers(self.objective, learner.combination, learner.averages))
        return learner.step(number, batch, 1.0)

    def columns(self) -> list[torch.nn.Parameter]:
        """The shared parameters in J's order."""
        word = self.model.encoder.embeddings.word
        return [p for p in self.model.encoder.parameters() if p is not word] + [word]

    def separate(self, batch: StepBatch) -> tuple[list[Tensor], Tensor]:
        """Losses, and J [T, P] by one autograd pass for each task."""
        losses = [torch.zeros(()) for _ in batch.present]
        for micro in batch.passes:
            assert isinstance(micro.inputs, PackedBatch)
            pooled = self.model.pooled(micro.inputs, batch.present)
            logits = self.model.logits(pooled, batch.present)
            for row, i in enumerate(batch.present):
                parts = losses_of(self.tasks[i], logits[row], micro.targets[row])
                losses[row] = losses[row] + parts.sum() / len(batch.rows[row])
        rows = []
        for loss in losses:
            trained = [p for p in self.columns() if p.requires_grad]
            grad = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
            grads = {id(p): g for p, g in zip(trained, grad, strict=True) if g is not None}
            parts = [grads.get(id(p), torch.zeros_like(p)).flatten() for p in self.columns()]
            rows.append(torch.cat(parts))
        return losses, torch.stack(rows)

    def written(self) -> Tensor:
        """The shared `.grad`s as one vector, None as zeros."""
        return torch.cat([
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self.columns()
        ])  # fmt: skip


def assert_rows_close(ours: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Each row by its own size: a small task's row is not hidden by a large one's."""
    assert ours.shape == expected.shape
    scale = expected.abs().amax(1, keepdim=True)
    assert bool((scale > 0).all())
    # Of a row whose terms nearly cancel, float32's rounding of the terms is left, up to 5e-6.
    scale = scale.clamp(min=0.5)
    torch.testing.assert_close(ours / scale, expected / scale, rtol=1e-4, atol=tolerance)
