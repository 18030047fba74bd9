"""From a model to logits: of pooled vectors, and of every row of the tasks' splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.data.sources import Source, shared_rows, sources_of
from accord.encoders.units import joined
from accord.evaluation.inputs import Pooled
from accord.evaluation.packed import Packed, packed_inputs
from accord.evaluation.passes import chunks, tokens_of_a_pass
from accord.evaluation.pooling import encoded, evaluating
from accord.evaluation.text_losses import text_losses
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.kinds import Evaluation, kind_of, labelled_kind
from accord.model.head_blocks import HeadBlocks
from accord.model.multitask import MultitaskModel
from accord.runs.ahead import Ahead, made_ahead
from accord.tasks import Task


def fetched(values: Sequence[Tensor]) -> list[Tensor]:
    """Return float32 tensors of one device on the host: with one wait for a GPU, however many."""
    if all(each.device.type == "cpu" for each in values):
        return [*values]
    flat = torch.cat([each.flatten() for each in values]).cpu()
    parts = torch.split(flat, [each.numel() for each in values])
    return [part.view(each.shape).clone() for part, each in zip(parts, values, strict=True)]


def head_logits(
    model: MultitaskModel, pooled: Mapping[int, Pooled], blocks: HeadBlocks | None = None
) -> dict[int, Tensor]:
    """Return `head_outputs` on the host."""
    outputs = head_outputs(model, pooled, blocks)
    return dict(zip(outputs, fetched([*outputs.values()]), strict=True))


@torch.inference_mode()
def head_outputs(
    model: MultitaskModel, pooled: Mapping[int, Pooled], blocks: HeadBlocks | None = None
) -> dict[int, Tensor]:
    """Apply some tasks' heads to what was pooled for them.

    Args:
        model: has the heads.
        pooled: of each task, by its number.
        blocks: of the model as it is now; made here if there are none.

    Returns:
        For each task float32 [n, outputs], or [n, most, outputs] where an example has several
        units, on the model's device.
    """
    evaluating(model)
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
        logits[number] = labelled_kind(task).arranged(task, values, part.units)
    return logits


@torch.inference_mode()
def group_outputs(
    model: MultitaskModel, tasks: tuple[int, ...], pooled: Pooled, blocks: HeadBlocks
) -> Tensor:
    """Apply the heads of some tasks that see the same, and have plain linear heads of one width if
    they are several.

    Returns:
        float32 [tasks · n, outputs], one task's rows after the other's; of a single task what
        `head_outputs` gives. On the model's device.
    """
    if len(tasks) == 1:
        return head_outputs(model, {tasks[0]: pooled}, blocks)[tasks[0]]
    outputs = blocks.stacked(pooled.vectors, tasks)
    rows = outputs if pooled.which is None else outputs.index_select(1, pooled.which)
    return rows.flatten(0, 1)


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
    most = made_ahead(model.encoder.word_table.device)
    with Ahead(_packed_chunks(model, sources, assembler, matmul, most > 0), most) as every_chunk:
        for chunk, packed in every_chunk:
            every = encoded(model, packed, matmul)
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


def _packed_chunks(
    model: MultitaskModel, sources: Sequence[Source], assembler: Assembler, matmul: MatmulPolicy,
    whole: bool,
) -> Iterator[tuple[list[range], Packed]]:  # fmt: skip
    """Yield each chunk's rows of the sources, and these packed."""
    limit = tokens_of_a_pass(model.encoder.word_table.device, model.encoder.config)
    tasks = [source.tasks for source in sources]
    for chunk in chunks([len(source) for source in sources]):
        groups = [
            source.examples(assembler, np.arange(rows.start, rows.stop))
            for source, rows in zip(sources, chunk, strict=True)
        ]
        packed = packed_inputs(model, groups, matmul, limit, tasks)
        yield chunk, packed.whole() if whole else packed


def whole_logits(task: Task, parts: Sequence[Tensor]) -> Tensor:
    """Return the logits of all rows, given those of some after the others; there may be none."""
    return joined(parts) if parts else no_logits(task)


def no_logits(task: Task) -> Tensor:
    """Return the logits of no rows, [0, outputs] or [0, 1, outputs]."""
    shape = (0,) if kind_of(task).units == "rows" else (0, 1)
    return torch.empty(*shape, task.outputs)


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


def evaluate(data: TaskData, logits: Tensor) -> Evaluation:
    """Compare a split's logits [rows, ...] with its labels."""
    return kind_of(data.task).evaluate(data.task, data.labels, logits)


def task_metric(
    task: Task, labels: np.ndarray, logits: Tensor, halves: np.ndarray | None = None
) -> float:
    """Return a task's metric alone; arguments as `Kind.metric`."""
    return kind_of(task).metric(task, labels, logits, halves)
