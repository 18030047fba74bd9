"""Graphs with weights of int8, and what that costs each task."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from accord.data.datafiles import find_files
from accord.data.datasets import TaskFiles
from accord.data.loader import Assembler, TaskData
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.derived.onnx_model import OnnxModel
from accord.derived.single import Single
from accord.errors import DataError, UsageError
from accord.evaluation.labelled_file import file_plan
from accord.kinds import labelled_kind


@dataclass(frozen=True)
class LabelledRows:
    """A labelled file's rows, as those of each task that it has rows of.

    Attributes:
        splits: by task.
        unfit: why it has none of each other task.
        assembler: makes sequences of them.
    """

    splits: dict[str, TaskData]
    unfit: dict[str, str]
    assembler: Assembler

    @classmethod
    def of(cls, single: Single, chosen: Sequence[int], file: Path) -> LabelledRows:
        """Read a file.

        Args:
            single: the model.
            chosen: numbers of its tasks.
            file: with the columns of some of them.

        Raises:
            UsageError: if it has rows of none, or can't be read.
        """
        find_files(str(file))
        tokenizer = load_tokenizer(single.folder)
        splits, unfit = {}, {}
        for task in (single.model.tasks[number] for number in chosen):
            plan = replace(file_plan(task, single.inputs[task.name]), dev=(str(file),))
            try:
                splits[task.name] = TaskFiles(task, plan, tokenizer, warnings.warn).dev(0.0)
            except DataError as error:
                unfit[task.name] = str(error)
        if not splits:
            why = "; ".join(f"{name}: {reason}" for name, reason in unfit.items())
            raise UsageError(f"{file}: has rows of none of the tasks: {why}")
        return cls(splits, unfit, Assembler(special_ids(tokenizer), single.max_length))

    def metrics(self, graphs: OnnxModel) -> dict[str, float]:
        """Return each task's metric, by the logits that graphs give."""
        return {name: _metric(graphs, self.assembler, split) for name, split in self.splits.items()}


@dataclass(frozen=True)
class Cost:
    """A task's metric as graphs compute in float32, and with weights of int8.

    Attributes:
        metric: its name.
        float32: its value before.
        int8: and after.
    """

    metric: str
    float32: float
    int8: float


def quantise(graphs: OnnxModel, rows: LabelledRows) -> dict[str, Cost]:
    """Make graphs' weights int8, with a scale for each column, and say what it costs.

    Activations are rounded as they come, by onnxruntime's dynamic quantisation.

    Args:
        graphs: are changed on disk.
        rows: on which figures are compared.

    Returns:
        The cost for each task that there are rows of.
    """
    before = rows.metrics(graphs)
    for graph in graphs.description["graphs"]:
        _quantise_graph(graphs.folder / graph)
    after = rows.metrics(OnnxModel(graphs.folder, graphs.description))
    return {
        name: Cost(split.task.metric_name, before[name], after[name])
        for name, split in rows.splits.items()
    }


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
    file.with_name(f"{file.name}.data").unlink(missing_ok=True)  # of weights that were too large
