"""The one path to predictions: sequences, packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accord.data.batches import View
from accord.data.loader import Assembler, TaskData
from accord.data.ragged import ranges
from accord.data.sources import shared_rows, sources_of
from accord.encoders.packing import TokenSequence, pack
from accord.encoders.prepared import Prepared
from accord.encoders.units import Unit, Units, joined, located, vector_counts
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


@dataclass(frozen=True)
class Pooled:
    """What a task's head needs of some examples.

    Attributes:
        vectors: float32 [V, H], on the model's device.
        counts: int64 [n], how many of them each example has.
        units: where they belong, for a kind with a varying number of them.
    """

    vectors: Tensor
    counts: np.ndarray
    units: Units | None = None

    def rows(self, index: np.ndarray) -> tuple[Tensor, Units | None]:
        """Return some examples' vectors, in this order, and where they belong."""
        chosen = torch.from_numpy(ranges(self.counts, index)).to(self.vectors.device)
        units = None
        if self.units is not None:
            every = torch.from_numpy(np.asarray(index, dtype=np.int64)).to(chosen.device)
            number = torch.arange(len(every), device=chosen.device)
            counts = torch.from_numpy(self.counts[index]).to(chosen.device)
            units = Units(
                torch.repeat_interleave(number, counts),
                self.units.place[chosen],
                self.units.sizes[every],
            )
        return self.vectors[chosen], units

    def part(self, index: np.ndarray) -> Pooled:
        """Return what the head needs of some examples, in this order."""
        vectors, units = self.rows(index)
        return Pooled(vectors, self.counts[index], units)


@torch.inference_mode()
def pooled_vectors(
    model: MultitaskModel,
    groups: Sequence[Sequence[Sequence[TokenSequence]]],
    matmul: MatmulPolicy = DEFAULT,
    pass_tokens: int | None = None,
    key: DropoutKey | None = None,
    tasks: Sequence[Sequence[int]] | None = None,
    prepared: Prepared | None = None,
) -> list[Pooled]:
    """Encode and pool the examples of any number of tasks.

    Args:
        model: its encoder is used; its tasks say how each pools.
        groups: of examples that some tasks read, each example's sequences; may be empty.
        matmul: in what precision, and how this machine multiplies.
        pass_tokens: most tokens of one pass, fillers not counted, but for a single sequence that
            is longer; default: `tokens_of_a_pass`.
        key: names dropout masks, which differ by pass; None is no dropout.
        tasks: the numbers of the tasks that read each group; default: the one of its place.
        prepared: the model's encoder, by the same `matmul`.

    Returns:
        For each task its vectors, in the order of its group's examples.
    """
    _evaluating(model)
    device = model.encoder.word_table.device
    hidden = model.encoder.config.hidden_size
    readers = [(i,) for i in range(len(groups))] if tasks is None else tasks
    sequences = [[one for example in group for one in example] for group in groups]
    kept = {
        task: _Kept.of(kind_of(model.tasks[task]).units, group, sequence, hidden, device)
        for group, sequence, of in zip(groups, sequences, readers, strict=True)
        for task in of
    }
    pass_tokens = pass_tokens or tokens_of_a_pass(device, model.encoder.config)
    for number, members in enumerate(_passes(sequences, pass_tokens)):
        present = [i for i, member in enumerate(members) if member]
        batch_sequences = [[sequences[i][j] for j in members[i]] for i in present]
        tokens = sum(len(one.input_ids) for group in batch_sequences for one in group)
        multiple = matmul.row_multiple if prepared is None else prepared.row_multiple(tokens)
        batch = pack(batch_sequences, multiple).to(device)
        masks = None if key is None else replace(key, micro_batch=number)
        views = [View(task, place) for place, i in enumerate(present) for task in readers[i]]
        with computing(matmul), matmul.autocast(device):
            readers_here = [view.task for view in views]
            pooled = model.pooled(batch, readers_here, masks, views=views, prepared=prepared)
        for view, part in zip(views, pooled, strict=True):
            kept[view.task].take(members[present[view.group]], part)
    return [kept[task].pooled for task in range(len(model.tasks))]


def _evaluating(model: MultitaskModel) -> None:
    """Put a model into evaluation mode; to do so again takes milliseconds."""
    if model.training:
        model.eval()


@dataclass(frozen=True)
class _Kept:
    """A task's vectors while passes give them.

    Attributes:
        pooled: those there are so far.
        counts: int64, how many each sequence has.
    """

    pooled: Pooled
    counts: np.ndarray

    @classmethod
    def of(
        cls, unit: Unit, examples: Sequence[Sequence[TokenSequence]],
        sequences: Sequence[TokenSequence], hidden: int, device: torch.device,
    ) -> _Kept:  # fmt: skip
        _, units = located(unit, examples)
        per_sequence = vector_counts(unit, [[sequence] for sequence in sequences])
        counts = vector_counts(unit, examples)
        vectors = torch.empty(int(counts.sum()), hidden, device=device)
        return cls(Pooled(vectors, counts, units and units.to(device)), per_sequence)

    def take(self, members: Sequence[int], vectors: Tensor) -> None:
        """Put the vectors of some of the sequences in their place."""
        place = torch.from_numpy(ranges(self.counts, members))
        self.pooled.vectors[place.to(vectors.device)] = vectors.float()


def _passes(sequences: Sequence[Sequence[TokenSequence]], limit: int) -> Iterator[list[list[int]]]:
    """Yield for each pass every task's members, sequences of like length together."""
    order = sorted(
        ((len(sequence.input_ids), task, i) for task, members in enumerate(sequences)
         for i, sequence in enumerate(members)),
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
def head_logits(
    model: MultitaskModel, task: int, vectors: Tensor, units: Units | None = None
) -> Tensor:
    """Apply one task's head to pooled vectors: float32 [n, outputs], or [n, most, outputs] where
    an example has several units, on the host."""
    _evaluating(model)
    return model.logits([vectors], [task], units=[units])[0].cpu()


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
        For each task float32 [rows, outputs] on the host, or [rows, most, outputs] where rows have
        several units.
    """
    texts = [i for i, split in enumerate(data) if not split.task.labelled]
    if texts:
        labelled = [
            TaskData(split.task, split.store, split.rows[:0]) if i in texts else split
            for i, split in enumerate(data)
        ]
        logits = _label_logits(model, labelled, assembler, matmul, advance)
        for i in texts:
            logits[i] = text_losses(model, data[i], i, assembler, matmul)
            advance(len(data[i]))
        return logits
    return _label_logits(model, data, assembler, matmul, advance)


def _label_logits(
    model: MultitaskModel, data: Sequence[TaskData], assembler: Assembler, matmul: MatmulPolicy,
    advance: Callable[[int], None],
) -> list[Tensor]:  # fmt: skip
    parts: list[list[Tensor]] = [[] for _ in data]
    sources = sources_of(data, shared_rows(data))
    for chunk in _chunks([len(source) for source in sources]):
        groups = [
            source.examples(assembler, np.arange(rows.start, rows.stop))
            for source, rows in zip(sources, chunk, strict=True)
        ]
        every = pooled_vectors(model, groups, matmul, tasks=[source.tasks for source in sources])
        for source, rows in zip(sources, chunk, strict=True):
            for i, places in zip(source.tasks, source.places, strict=True):
                at = np.flatnonzero(places[rows.start : rows.stop] >= 0)
                if data[i].task.labelled:
                    parts[i].append(head_logits(model, i, *every[i].rows(at)))
                advance(len(at))
    return [
        joined(part) if part else no_logits(split.task)
        for part, split in zip(parts, data, strict=True)
    ]


def no_logits(task: Task) -> Tensor:
    """Return the logits of no rows, [0, outputs] or [0, 1, outputs]."""
    shape = (0,) if kind_of(task).units == "rows" else (0, 1)
    return torch.empty(*shape, task.outputs)


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
                (batch_losses,) = self.model.losses(pooled, wanted, [self.task], words=batch.words)
            losses[torch.tensor(members, device=self.device)] = batch_losses
        return losses

    def together(self, sequences: Sequence[TokenSequence], number: int) -> Tensor:
        every: list[list[list[TokenSequence]]] = [[] for _ in self.model.tasks]
        every[self.task] = [[sequence] for sequence in sequences]
        masks = DropoutKey(FIXED_MASKS, number)
        pooled = pooled_vectors(self.model, every, self.matmul, key=masks)[self.task]
        wanted = [torch.zeros(len(sequences) // self.data.task.sequences, device=self.device)]
        (losses,) = self.model.losses([pooled.vectors], wanted, [self.task])
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
        logits: [rows, ...].
        task: whose.
        folder: the model's.

    Raises:
        ModelError: if not.
    """
    bad = int(kind_of(task).failed(logits).sum())
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
    """Compare a split's logits [rows, ...] with its labels."""
    return kind_of(data.task).evaluate(data.task, data.labels, logits)


def task_metric(
    task: Task, labels: np.ndarray, logits: Tensor, halves: np.ndarray | None = None
) -> float:
    """Return a task's metric alone; arguments as `Kind.metric`."""
    return kind_of(task).metric(task, labels, logits, halves)
