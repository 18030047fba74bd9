"""Graphs with weights of int8, and what that costs each task."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from accord.data.datasets import TaskFiles
from accord.data.loader import Assembler, TaskData
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.derived.onnx_model import OnnxModel
from accord.derived.single import Single
from accord.errors import DataError, UsageError
from accord.evaluation.predict import file_plan
from accord.kinds import labelled_kind


def quantise(
    single: Single, chosen: Sequence[int], graphs: OnnxModel, file: Path
) -> tuple[dict[str, tuple[str, float, float]], dict[str, str]]:
    """Make graphs' weights int8, a scale for each column, and compare figures on a labelled file.

    Activations are rounded as they come, by onnxruntime's dynamic quantisation.

    Args:
        single: the model.
        chosen: numbers of its tasks in the graphs.
        graphs: are changed on disk.
        file: a labelled one, with the columns of some tasks.

    Returns:
        For each task that the file has rows of, its metric's name and value before and after; and
        for each other one why not.

    Raises:
        UsageError: if the file has rows of none.
    """
    assembler = Assembler(special_ids(load_tokenizer(single.folder)), single.max_length)
    splits, unmeasured = _splits(single, chosen, file)
    before = {name: _metric(graphs, assembler, split) for name, split in splits.items()}
    for graph in graphs.description["graphs"]:
        _quantise_graph(graphs.folder / graph)
    after = graphs.opened_again()
    costs = {
        name: (split.task.metric_name, before[name], _metric(after, assembler, split))
        for name, split in splits.items()
    }
    return costs, unmeasured


def _splits(
    single: Single, chosen: Sequence[int], file: Path
) -> tuple[dict[str, TaskData], dict[str, str]]:
    """Return the file's rows as those of each task that it has rows of, or why it hasn't."""
    tokenizer = load_tokenizer(single.folder)
    splits, reasons = {}, {}
    for task in (single.model.tasks[number] for number in chosen):
        plan = replace(file_plan(task, single.inputs[task.name]), dev=str(file))
        try:
            splits[task.name] = TaskFiles(task, plan, tokenizer, warnings.warn).dev(0.0)
        except DataError as error:
            reasons[task.name] = str(error)
    if not splits:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UsageError(f"{file}: has rows of none of the tasks: {why}")
    return splits, reasons


def _metric(graphs: OnnxModel, assembler: Assembler, split: TaskData) -> float:
    examples = assembler.examples(split, np.arange(len(split)))
    logits = graphs.logits(split.task, examples)
    return labelled_kind(split.task).metric(split.task, split.labels, logits)


def _quantise_graph(file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice on vision models
    try:
        quantize_dynamic(
            file, file, op_types_to_quantize=["MatMul", "Gather"], per_channel=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
    finally:
        logging.disable(disabled)
