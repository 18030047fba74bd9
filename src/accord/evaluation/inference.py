"""The one path to predictions: sequences, packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.data.sources import shared_rows, sources_of
from accord.encoders.packing import TokenSequence, pack
from accord.encoders.prepared import Prepared
from accord.encoders.units import joined
from accord.errors import ModelError
from accord.evaluation.inputs import Examples, Inputs, Pooled, Stream
from accord.evaluation.passes import tokens_of_a_pass
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing
from accord.kinds import Evaluation, Hiding, kind_of, labelled_kind
from accord.model.branching import pooled_by_task
from accord.model.head_blocks import HeadBlocks
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

CHUNK_ROWS = 4096  # of one sort by length: bounds memory, whatever the file's size
FIXED_MASKS = 0  # seed of an evaluation's masks
FIXED_WORDS = (FIXED_MASKS, 0, 0)  # key of the words that it hides


@torch.inference_mode()
def pooled_vectors(
    model: MultitaskModel,
    groups: Sequence[Examples],
    matmul: MatmulPolicy = DEFAULT,
    pass_tokens: int | None = None,
    key: DropoutKey | None = None,
    tasks: Sequence[Sequence[int]] | None = None,
    prepared: Prepared | None = None,
) -> dict[int, Pooled]:
    """Encode and pool the examples of any number of tasks, each distinct sequence once.

    Where tasks have parts of the encoder of their own, layers from the first of these on are
    computed once for each of them (`accord.model.branching`).

    Args:
        model: its encoder is used; its tasks say how each pools.
        groups: of examples that some tasks read, each example's sequences; may be empty.
        matmul: in what precision, and how this machine multiplies.
        pass_tokens: most tokens of one pass, fillers not counted, except for a single sequence that
            is longer; default: `tokens_of_a_pass`.
        key: names dropout masks, which differ by pass and by sequence, equal ones too; None is no
            dropout.
        tasks: the numbers of the tasks that read each group; default: the one of its place.
        prepared: the model's encoder, by the same `matmul`.

    Returns:
        For each task, by its number, its vectors, in the order of its group's examples.
    """
    _evaluating(model)
    device, hidden = model.encoder.word_table.device, model.encoder.config.hidden_size
    readers = [(i,) for i in range(len(groups))] if tasks is None else tasks
    inputs = Inputs.of(groups, readers, apart=key is not None)
    together: dict[int, list[int]] = {}
    for task in (task for group in readers for task in group):
        together.setdefault(model.alike[task], []).append(task)
    streams = [
        Stream(tuple(alike), kind_of(model.tasks[first]).units, inputs, hidden, device)
        for first, alike in together.items()
    ]
    limit = pass_tokens or tokens_of_a_pass(device, model.encoder.config)
    for number, (group, members) in enumerate(_passes(inputs.sequences, limit)):
        sequences = [inputs.sequences[group][i] for i in members]
        tokens = sum(len(sequence.input_ids) for sequence in sequences)
        multiple = matmul.row_multiple if prepared is None else prepared.row_multiple(tokens)
        batch = pack([sequences], multiple).to(device)
        reading = {first: stream for stream in streams
                   if (first := stream.reader(group)) is not None}  # fmt: skip
        with computing(matmul), matmul.autocast(device):
            if key is None:
                pooled = pooled_by_task(model, batch, reading, prepared)
            else:
                masks, (task,) = replace(key, micro_batch=number), reading
                pooled = {task: model.pooled(batch, [task], masks)[0]}
        for task, vectors in pooled.items():
            reading[task].take(group, members, vectors)
    by_task = {task: stream for stream in streams for task in stream.tasks}
    return {
        task: by_task[task].pooled(task, examples)
        for examples, of_group in zip(groups, readers, strict=True) for task in of_group
    }  # fmt: skip


def _evaluating(model: MultitaskModel) -> None:
    """Put a model into evaluation mode; to do so again takes milliseconds."""
    if model.training:
        model.eval()


def _passes(
    sequences: Sequence[Sequence[TokenSequence]], limit: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield for each pass a group and members of it, those of like length together."""
    for group, every in enumerate(sequences):
        members: list[int] = []
        tokens = 0
        for length, i in sorted(((len(one.input_ids), i) for i, one in enumerate(every)),
                                reverse=True):  # fmt: skip
            if tokens and tokens + length > limit:
                yield group, members
                members, tokens = [], 0
            members.append(i)
            tokens += length
        if tokens:
            yield group, members


@torch.inference_mode()
def head_logits(
    model: MultitaskModel, pooled: Mapping[int, Pooled], blocks: HeadBlocks | None = None
) -> dict[int, Tensor]:
    """Apply some tasks' heads to what was pooled for them.

    Args:
        model: has the heads.
        pooled: of each task, by its number.
        blocks: of the model as it is now; made here if there are none.

    Returns:
        For each task float32 [n, outputs], or [n, most, outputs] where an example has several
        units, on the host.
    """
    _evaluating(model)
    blocks = blocks or HeadBlocks(model)
    together: dict[int, list[int]] = {}
    for number, part in pooled.items():
        if number in blocks:
            together.setdefault(id(part.vectors), []).append(number)
    outputs: dict[int, Tensor] = {}
    for tasks in together.values():
        outputs |= blocks.outputs(pooled[tasks[0]].vectors, tasks)
    logits = {}
    for number, part in pooled.items():
        task, head = model.tasks[number], model.head(model.tasks[number].name)
        if number in outputs:
            values = head.finish(part.of_examples(outputs[number]))
        else:
            values = head(part.of_examples(part.vectors))
        logits[number] = labelled_kind(task).arranged(task, values, part.units).cpu()
    return logits


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
        chosen = {}
        for source, rows in zip(sources, chunk, strict=True):
            for i, places in zip(source.tasks, source.places, strict=True):
                at = np.flatnonzero(places[rows.start : rows.stop] >= 0)
                if data[i].task.labelled:
                    chosen[i] = every[i].chosen(at)
                advance(len(at))
        for i, logits in head_logits(model, chosen).items():
            parts[i].append(logits)
    return [whole_logits(split.task, part) for part, split in zip(parts, data, strict=True)]


def whole_logits(task: Task, parts: Sequence[Tensor]) -> Tensor:
    """Return the logits of all rows, given those of some after the others; there may be none."""
    return joined(parts) if parts else no_logits(task)


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
        for _, members in _passes([sequences], limit):
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
        examples = [[sequence] for sequence in sequences]
        masks = DropoutKey(FIXED_MASKS, number)
        pooled = pooled_vectors(
            self.model, [examples], self.matmul, key=masks, tasks=[[self.task]]
        )[self.task]
        wanted = [torch.zeros(len(sequences) // self.data.task.sequences, device=self.device)]
        vectors = pooled.of_examples(pooled.vectors)
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


def check_finite(tasks: Sequence[Task], logits: Mapping[int, Tensor], folder: Path) -> None:
    """Check that a saved model gives numbers: of others the first class would be the largest.

    Args:
        tasks: the model's.
        logits: of some of them by number, [rows, ...].
        folder: the model's.

    Raises:
        ModelError: if not.
    """
    if math.isfinite(torch.cat([each.flatten() for each in logits.values()]).sum()):
        return  # as all are then; a sum that isn't says nothing yet
    for number, each in logits.items():
        bad = int(kind_of(tasks[number]).failed(each).sum())
        if bad:
            raise ModelError(
                f"{folder}: the model's outputs for task '{tasks[number].name}' aren't finite for"
                f" {bad} of {len(each)} rows: its weights overflow"
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
