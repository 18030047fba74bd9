"""The one path to predictions: sequences, packed by length, encoded, pooled, put back in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.encoders.packing import TokenSequence, pack
from accord.errors import ModelError
from accord.judging.metrics import metric_value
from accord.judging.passes import tokens_of_a_pass
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import DEFAULT, Products, computing
from accord.model.heads import decode
from accord.model.losses import LOSSES, targets
from accord.model.multitask import MultitaskModel
from accord.statistics.baselines import best_constant
from accord.tasks import CLASS_METRICS, VALUE_METRICS, AuxiliaryTask, Task

CHUNK_ROWS = 4096  # of one sort by length: bounds memory, whatever the file's size
GROUP_ROWS = 64  # dev texts that SimCSE tells from each other
FIXED_MASKS = 0  # seed of an evaluation's masks
FIXED_WORDS = (FIXED_MASKS, 0, 0)  # key of the words that it hides


@torch.inference_mode()
def pooled_vectors(
    model: MultitaskModel,
    sequences: Sequence[Sequence[TokenSequence]],
    products: Products = DEFAULT,
    pass_tokens: int | None = None,
    key: DropoutKey | None = None,
) -> list[Tensor]:
    """Encode and pool sequences of any number of tasks.

    Args:
        model: its encoder is used; its tasks say how each pools.
        sequences: for each of the model's tasks its sequences; may be empty.
        products: in what precision, and how this machine multiplies.
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
        batch = pack(own, products.row_multiple).to(device)
        masks = None if key is None else replace(key, micro_batch=number)
        with computing(products), products.autocast(device):
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
    products: Products = DEFAULT,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[Tensor]:
    """Compute the logits of every row of each task's split, all tasks in the same passes.

    A task without labels has no logits: what stands for them are its texts' losses
    (`text_losses`).

    Args:
        model: its tasks are those of `data`, in the same order.
        data: a split of each task.
        assembler: makes sequences.
        products: in what precision, and how this machine multiplies.
        advance: called with the number of rows done since the last call.

    Returns:
        For each task float32 [rows, outputs] on the host.
    """
    texts = [i for i, own in enumerate(data) if isinstance(own.task, AuxiliaryTask)]
    if texts:
        labelled = [
            TaskData(own.task, own.store, own.rows[:0]) if i in texts else own
            for i, own in enumerate(data)
        ]
        found = _label_logits(model, labelled, assembler, products, advance)
        for i in texts:
            found[i] = text_losses(model, data[i], i, assembler, products)
            advance(len(data[i]))
        return found
    return _label_logits(model, data, assembler, products, advance)


def _label_logits(
    model: MultitaskModel, data: Sequence[TaskData], assembler: Assembler, products: Products,
    advance: Callable[[int], None],
) -> list[Tensor]:  # fmt: skip
    parts: list[list[Tensor]] = [[] for _ in data]
    for chunk in _chunks([len(own) for own in data]):
        sequences = [assembler.sequences(own, rows) for own, rows in zip(data, chunk, strict=True)]
        vectors = pooled_vectors(model, sequences, products)
        for i, own in enumerate(vectors):
            if not isinstance(data[i].task, AuxiliaryTask):
                parts[i].append(head_logits(model, i, own))
        advance(sum(map(len, chunk)))
    return [torch.cat(own) if own else torch.empty(0, 1) for own in parts]


@torch.inference_mode()
def text_losses(
    model: MultitaskModel, data: TaskData, task: int, assembler: Assembler,
    products: Products = DEFAULT,
) -> Tensor:  # fmt: skip
    """Return each text's loss under fixed masks: float32 [rows, 1] on the host.

    Masks, of words or of dropout, are those of each text's place in the split, whatever the run's
    seed and step: the mean of two evaluations differs by the model alone. A masked language model
    has no dropout here; its texts are weighted so that the mean over texts is that over all masked
    words. SimCSE's texts are compared within groups of 64, in an order of their own: neighbours in
    a file may be alike.

    Args:
        model: whose task it is.
        data: the task's split.
        task: its index in the model.
        assembler: makes sequences.
        products: in what precision, and how this machine multiplies.
    """
    if data.task.kind == "masked-lm":
        found = _masked_losses(model, data, task, assembler, products)
    else:
        found = _contrastive_losses(model, data, task, assembler, products)
    return found.float().cpu()[:, None]


def _masked_losses(
    model: MultitaskModel, data: TaskData, task: int, assembler: Assembler, products: Products
) -> Tensor:
    model.eval()
    device, words = model.encoder.word_table.device, 0
    share = data.task.mask_share if isinstance(data.task, AuxiliaryTask) else 0.0
    limit = tokens_of_a_pass(device, model.encoder.config, share)
    losses = torch.empty(len(data), device=device)
    for (rows,) in _chunks([len(data)]):
        sequences = assembler.masked(data, rows, FIXED_WORDS, rows.start)
        for (members,) in _passes([sequences], limit):
            batch = pack([[sequences[i] for i in members]], products.row_multiple).to(device)
            with computing(products), products.autocast(device):
                pooled = model.pooled(batch, [task])
            with computing(products):
                wanted = [torch.zeros(len(members), device=device)]
                (own,) = model.losses(pooled, wanted, [task], words=batch.words)
            losses[torch.tensor(members, device=device) + rows.start] = own
            words += len(batch.words[0].ids)
    return losses * (len(data) / words)


def _contrastive_losses(
    model: MultitaskModel, data: TaskData, task: int, assembler: Assembler, products: Products
) -> Tensor:
    order = np.random.default_rng(0).permutation(len(data))
    losses = torch.empty(len(data), device=model.encoder.word_table.device)
    for start in range(0, len(order), GROUP_ROWS):
        group = order[start : start + GROUP_ROWS]
        sequences: list[list[TokenSequence]] = [[] for _ in model.tasks]
        sequences[task] = assembler.sequences(data, group)
        masks = DropoutKey(FIXED_MASKS, start // GROUP_ROWS)
        vectors = pooled_vectors(model, sequences, products, key=masks)[task]
        wanted = [torch.zeros(len(group), device=losses.device)]
        (own,) = model.losses([vectors], wanted, [task])
        losses[torch.from_numpy(group).to(losses.device)] = own
    return losses


def split_logits(
    model: MultitaskModel, data: TaskData, assembler: Assembler, *, products: Products = DEFAULT
) -> Tensor:
    """Compute the logits of one task's split, as `logits_of` does for all tasks."""
    splits = [
        data if task.name == data.task.name else TaskData(task, data.store, data.rows[:0])
        for task in model.tasks
    ]
    every = logits_of(model, splits, assembler, products=products)
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


@dataclass(frozen=True)
class Evaluation:
    """How a model did on one task's split.

    Attributes:
        metric: the task's own metric.
        figures: all metrics that fit the task's kind, the task's own of the best constant
            prediction, and the mean loss.
        logits: float32 [rows, outputs].
        remark: says so where a constant prediction is as good.
    """

    metric: float
    figures: dict[str, float]
    logits: Tensor
    remark: str = ""


def judge(data: TaskData, logits: Tensor) -> Evaluation:
    """Compare a split's logits [rows, outputs] with its labels."""
    return judge_labels(data.task, data.labels, logits)


def judge_labels(task: Task, labels: np.ndarray, logits: Tensor) -> Evaluation:
    """Compare logits with labels.

    Args:
        task: whose.
        labels: float64 [rows], class indices or values in the task's units.
        logits: [rows, outputs].
    """
    if isinstance(task, AuxiliaryTask):
        return _judge_texts(logits)
    predictions = decode(logits, task).numpy()
    names = CLASS_METRICS if task.is_classification else VALUE_METRICS
    figures = {
        task.name_of(name): metric_value(name, predictions, labels, task.positive_class)
        for name in names
        if name != "f1" or task.positive is not None
    }
    constant = best_constant(task.metric, labels, task.positive_class)
    figures["constant"] = constant.value
    wanted = targets(torch.from_numpy(labels), task)
    figures["loss"] = float(LOSSES[task.loss](logits, wanted).double().mean())
    value = figures[task.metric_name]
    remark = constant.remark(task.metric_name, value, task.labels)
    return Evaluation(value, figures, logits, remark)


def task_metric(task: Task, labels: np.ndarray, logits: Tensor) -> float:
    """Return a task's metric alone; arguments as `judge_labels`."""
    if isinstance(task, AuxiliaryTask):
        return _judge_texts(logits).metric
    predictions = decode(logits, task).numpy()
    return metric_value(task.metric, predictions, labels, task.positive_class)


def _judge_texts(losses: Tensor) -> Evaluation:
    """Judge a task without labels by its texts' losses [rows, 1]."""
    loss = float(losses.double().mean())
    likelihood = math.exp(-loss) if math.isfinite(loss) else 0.0
    return Evaluation(likelihood, {"likelihood": likelihood, "loss": loss}, losses)
