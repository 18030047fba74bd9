"""The one path to predictions: sequences, packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.encoders.packing import TokenSequence, pack
from accord.errors import ModelError
from accord.evaluation.passes import tokens_of_a_pass
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing
from accord.kinds import Evaluation, Hiding, kind_of
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

CHUNK_ROWS = 4096  # of one sort by length: bounds memory, whatever the file's size
FIXED_MASKS = 0  # seed of an evaluation's masks
FIXED_WORDS = (FIXED_MASKS, 0, 0)  # key of the words that it hides


@torch.inference_mode()
def pooled_vectors(
    model: MultitaskModel,
    sequences: Sequence[Sequence[TokenSequence]],
    matmul: MatmulPolicy = DEFAULT,
    pass_tokens: int | None = None,
    key: DropoutKey | None = None,
) -> list[Tensor]:
    """Encode and pool sequences of any number of tasks.

    Args:
        model: its encoder is used; its tasks say how each pools.
        sequences: for each of the model's tasks its sequences; may be empty.
        matmul: in what precision, and how this machine multiplies.
        pass_tokens: most tokens of one pass, fillers not counted, but for a single sequence that
            is longer; default: `tokens_of_a_pass`.
        key: names dropout masks, which differ by pass; None is no dropout.

    Returns:
        For each task a tensor [sequences, H], in the order given, on the model's device.
    """
    model.eval()
    device = model.encoder.word_table.device
    hidden = model.encoder.config.hidden_size
    vectors = [torch.empty(len(own), hidden, device=device) for own in sequences]
    pass_tokens = pass_tokens or tokens_of_a_pass(device, model.encoder.config)
    for number, members in enumerate(_passes(sequences, pass_tokens)):
        present = [i for i, own in enumerate(members) if own]
        own = [[sequences[i][j] for j in members[i]] for i in present]
        batch = pack(own, matmul.row_multiple).to(device)
        masks = None if key is None else replace(key, micro_batch=number)
        with computing(matmul), matmul.autocast(device):
            pooled = model.pooled(batch, present, key=masks)
        for i, part in zip(present, pooled, strict=True):
            vectors[i][torch.tensor(members[i], device=device)] = part.float()
    return vectors


def _passes(sequences: Sequence[Sequence[TokenSequence]], limit: int) -> Iterator[list[list[int]]]:
    """Yield for each pass every task's members, sequences of like length together."""
    order = sorted(
        ((len(sequence.input_ids), task, i) for task, own in enumerate(sequences)
         for i, sequence in enumerate(own)),
        reverse=True,
    )  # fmt: skip
    members: list[list[int]] = [[] for _ in sequences]
    tokens = 0
    for length, task, i in order:
        if tokens and tokens + length > limit:
            yield members
            members, tokens = [[] for _ in sequences], 0
        members[task].append(i)
        tokens += length
    if tokens:
        yield members


@torch.inference_mode()
def head_logits(model: MultitaskModel, task: int, vectors: Tensor) -> Tensor:
    """Apply one task's head to pooled vectors: float32 [n, outputs] on the host."""
    model.eval()
    return model.logits([vectors], [task])[0].cpu()


def logits_of(
    model: MultitaskModel,
    data: Sequence[TaskData],
    assembler: Assembler,
    *,
    matmul: MatmulPolicy = DEFAULT,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[Tensor]:
    """Compute the logits of every row of each task's split, all tasks in the same passes.

    A task without labels has no logits: what stands for them are its texts' losses
    (`text_losses`).

    Args:
        model: its tasks are those of `data`, in the same order.
        data: a split of each task.
        assembler: makes sequences.
        matmul: in what precision, and how this machine multiplies.
        advance: called with the number of rows done since the last call.

    Returns:
        For each task float32 [rows, outputs] on the host.
    """
    texts = [i for i, own in enumerate(data) if not own.task.labelled]
    if texts:
        labelled = [
            TaskData(own.task, own.store, own.rows[:0]) if i in texts else own
            for i, own in enumerate(data)
        ]
        found = _label_logits(model, labelled, assembler, matmul, advance)
        for i in texts:
            found[i] = text_losses(model, data[i], i, assembler, matmul)
            advance(len(data[i]))
        return found
    return _label_logits(model, data, assembler, matmul, advance)


def _label_logits(
    model: MultitaskModel, data: Sequence[TaskData], assembler: Assembler, matmul: MatmulPolicy,
    advance: Callable[[int], None],
) -> list[Tensor]:  # fmt: skip
    parts: list[list[Tensor]] = [[] for _ in data]
    for chunk in _chunks([len(own) for own in data]):
        sequences = [assembler.sequences(own, rows) for own, rows in zip(data, chunk, strict=True)]
        vectors = pooled_vectors(model, sequences, matmul)
        for i, own in enumerate(vectors):
            if data[i].task.labelled:
                parts[i].append(head_logits(model, i, own))
        advance(sum(map(len, chunk)))
    return [torch.cat(own) if own else torch.empty(0, 1) for own in parts]


@torch.inference_mode()
def text_losses(
    model: MultitaskModel, data: TaskData, task: int, assembler: Assembler,
    matmul: MatmulPolicy = DEFAULT,
) -> Tensor:  # fmt: skip
    """Return each text's loss under fixed masks: float32 [rows, 1] on the host.

    Masks, of words or of dropout, are those of each text's place in the split, whatever the run's
    seed and step: the mean of two evaluations differs by the model alone.

    Args:
        model: whose task it is.
        data: the task's split.
        task: its index in the model.
        assembler: makes sequences.
        matmul: in what precision, and how this machine multiplies.
    """
    passes = _TextPasses(model, data, task, assembler, matmul)
    return kind_of(data.task).text_losses(data.task, passes).float().cpu()[:, None]


@dataclass(frozen=True)
class _TextPasses:
    """Passes over a split's texts (`accord.kinds.TextPasses`)."""

    model: MultitaskModel
    data: TaskData
    task: int
    assembler: Assembler
    matmul: MatmulPolicy

    def __len__(self) -> int:
        return len(self.data)

    @property
    def device(self) -> torch.device:
        return self.model.encoder.embeddings.word.device

    def chunks(self) -> Iterator[range]:
        for (rows,) in _chunks([len(self)]):
            yield rows

    def sequences(self, rows: Sequence[int] | np.ndarray) -> list[TokenSequence]:
        return self.assembler.sequences(self.data, rows)

    def hiding(self, first: int) -> Hiding:
        return self.assembler.hiding(FIXED_WORDS, first)

    def alone(self, sequences: Sequence[TokenSequence], masked_share: float) -> Tensor:
        self.model.eval()
        limit = tokens_of_a_pass(self.device, self.model.encoder.config, masked_share)
        losses = torch.empty(len(sequences), device=self.device)
        for (members,) in _passes([sequences], limit):
            batch = pack([[sequences[i] for i in members]], self.matmul.row_multiple)
            batch = batch.to(self.device)
            with computing(self.matmul), self.matmul.autocast(self.device):
                pooled = self.model.pooled(batch, [self.task])
            with computing(self.matmul):
                wanted = [torch.zeros(len(members), device=self.device)]
                (own,) = self.model.losses(pooled, wanted, [self.task], words=batch.words)
            losses[torch.tensor(members, device=self.device)] = own
        return losses

    def together(self, sequences: Sequence[TokenSequence], number: int) -> Tensor:
        every: list[Sequence[TokenSequence]] = [[] for _ in self.model.tasks]
        every[self.task] = sequences
        masks = DropoutKey(FIXED_MASKS, number)
        vectors = pooled_vectors(self.model, every, self.matmul, key=masks)[self.task]
        wanted = [torch.zeros(len(sequences) // self.data.task.sequences, device=self.device)]
        (losses,) = self.model.losses([vectors], wanted, [self.task])
        return losses


def split_logits(
    model: MultitaskModel, data: TaskData, assembler: Assembler, *, matmul: MatmulPolicy = DEFAULT
) -> Tensor:
    """Compute the logits of one task's split, as `logits_of` does for all tasks."""
    splits = [
        data if task.name == data.task.name else TaskData(task, data.store, data.rows[:0])
        for task in model.tasks
    ]
    every = logits_of(model, splits, assembler, matmul=matmul)
    return every[[task.name for task in model.tasks].index(data.task.name)]


def check_finite(logits: Tensor, task: Task, folder: Path) -> None:
    """Check that a saved model gives numbers: of others the first class would be the largest.

    Args:
        logits: [rows, outputs].
        task: whose.
        folder: the model's.

    Raises:
        ModelError: if not.
    """
    bad = int((~logits.isfinite().all(dim=1)).sum())
    if bad:
        raise ModelError(
            f"{folder}: the model's outputs for task '{task.name}' aren't finite for {bad} of"
            f" {len(logits)} rows: its weights overflow"
        )


def _chunks(sizes: Sequence[int]) -> Iterator[list[range]]:
    """Cut all tasks' rows into chunks, each with the tasks' rows in proportion."""
    count = max(1, -(-sum(sizes) // CHUNK_ROWS))
    for i in range(count):
        yield [range(size * i // count, size * (i + 1) // count) for size in sizes]


def evaluate(data: TaskData, logits: Tensor) -> Evaluation:
    """Compare a split's logits [rows, outputs] with its labels."""
    return kind_of(data.task).evaluate(data.task, data.labels, logits)


def task_metric(task: Task, labels: np.ndarray, logits: Tensor) -> float:
    """Return a task's metric alone; arguments as `Kind.evaluate`."""
    return kind_of(task).metric(task, labels, logits)
