"""A model as ONNX graphs: one for each kind of input, with the heads of all tasks that read it.

text.onnx       a text                                [batch, tokens]
pair.onnx       two texts joined to one sequence       [batch, tokens]
separate.onnx   two texts, each a sequence of its own  [batch, 2, tokens]
onnx.json       what the graphs' inputs and outputs are, and how to read texts
tokenizer.json  and what else describes the tokenizer
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from accord.data.tokenizing import save_tokenizer
from accord.derived.finished import check_new, write_new
from accord.derived.onnx_model import DESCRIPTION, INPUTS, OnnxModel
from accord.derived.padded import PaddedModel
from accord.derived.quantised import Cost, LabelledRows, quantise
from accord.derived.single import Single, open_single, write_json
from accord.errors import ModelError
from accord.installed import need
from accord.kinds import kind_of, labelled_kind
from accord.model.saved import read_description
from accord.tasks import Task

FORMAT = 1
OPSET = 23  # the first with attention as one operation
_TOLERANCE = 1e-4
_PROTOBUF_BYTES = 2**31 - 2**24  # a file of ONNX may hold no more


@dataclass
class Exported:
    """What was written.

    Attributes:
        graphs: for each file its tasks.
        layers: for each file how many of the encoder's layers one pass applies.
        difference: the largest of the graphs' answers from the model's, of the same sequences; of
            values as shares of their range.
        costs: of int8, for each task that the file has rows of.
        unmeasured: why other tasks have none.
    """

    graphs: dict[str, list[str]] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    difference: float = 0.0
    costs: dict[str, Cost] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)


def export_onnx(
    source: Path, out: Path, tasks: Sequence[str] = (), int8_data: Path | None = None
) -> Exported:
    """Write a folder of ONNX graphs, each compared with the model before it is there.

    Args:
        source: a run folder, or its model/.
        out: the folder to write; must not be there yet.
        tasks: by name; none are all.
        int8_data: weights become int8 numbers, activations as they come (onnxruntime's dynamic
            quantisation); a labelled file that says what this costs.

    Raises:
        UsageError: if the extra is missing, there is no such task, `out` is there, or no task can
            be measured on the file.
        ModelError: if the model can't be loaded, or a graph doesn't say what it says.
    """
    need("accord export --to onnx", "onnx", "onnx", "onnxruntime", "onnxscript")
    check_new(out)
    single = open_single(source)
    chosen = single.numbers(tasks)
    rows = None if int8_data is None else LabelledRows.of(single, chosen, int8_data)
    exported = Exported(unmeasured={} if rows is None else rows.unfit)

    def write(folder: Path) -> None:
        save_tokenizer(single.folder, folder)
        for name, members in _graphs(single, chosen).items():
            exported.layers[name] = _write_graph(single, members, folder / name)
            exported.graphs[name] = [single.model.tasks[number].name for number in members]
        description = _description(single, chosen, exported)
        graphs = OnnxModel(folder, description)
        exported.difference = checked_difference(single, chosen, graphs)
        description["largest_difference"] = exported.difference
        if rows is not None:
            exported.costs = quantise(graphs, rows)
            description["weights"] = "int8"
        write_json(folder / DESCRIPTION, description)

    write_new(out, write)
    return exported


def graph_of(task: Task) -> str:
    """Return the file that a task's head is in, by what the encoder reads for it."""
    if task.sequences == 2 and kind_of(task).units == "rows":
        return "separate.onnx"
    return "pair.onnx" if task.joins_texts else "text.onnx"


def _graphs(single: Single, chosen: Sequence[int]) -> dict[str, list[int]]:
    graphs: dict[str, list[int]] = {}
    for number in chosen:
        graphs.setdefault(graph_of(single.model.tasks[number]), []).append(number)
    return graphs


def _write_graph(single: Single, tasks: Sequence[int], file: Path) -> int:
    """Write the graph of some tasks, and return how many layers it applies."""
    padded = PaddedModel(single.model, tasks)
    inputs = INPUTS[: 2 + (single.model.encoder.config.type_vocab_size > 1)]
    shape = (3, 2, 5) if file.name == "separate.onnx" else (3, 5)  # none is 1, and no two alike
    example = tuple(torch.ones(shape, dtype=torch.int64) for _ in inputs)
    dynamic = dict.fromkeys((0, len(shape) - 1), torch.export.Dim.DYNAMIC)
    sizes = sum(parameter.nbytes for parameter in padded.parameters())
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            padded, example, file, dynamo=True, dynamic_shapes=(dynamic,) * len(inputs),
            input_names=list(inputs), output_names=_outputs(padded.tasks), opset_version=OPSET,
            external_data=sizes > _PROTOBUF_BYTES, verbose=False,
        )  # fmt: skip
    return padded.layers_computed


def _outputs(tasks: Sequence[Task]) -> list[str]:
    return [name for task in tasks for name in (_output(task, "logits"), _output(task, "answers"))]


def _output(task: Task, what: str) -> str:
    return f"{task.name}.{what}"  # with a dot, which no name in a graph has but those of weights


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says of itself."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _description(single: Single, chosen: Sequence[int], exported: Exported) -> dict[str, Any]:
    """Return what the graphs' users have to know."""
    config = single.model.encoder.config
    tasks = [single.model.tasks[number] for number in chosen]
    return {
        "format": FORMAT,
        "opset": OPSET,
        "weights": "float32",
        "model_type": config.model_type,
        "layers": config.num_hidden_layers,
        "max_length": single.max_length,
        "pad_token_id": config.pad_token_id,
        "inputs": list(INPUTS[: 2 + (config.type_vocab_size > 1)]),
        "graphs": {
            name: {"tasks": names, "layers_computed": exported.layers[name]}
            for name, names in exported.graphs.items()
        },
        "tasks": {task.name: _task_description(task) for task in tasks},
        "accord": {  # by which Accord itself reads texts and decodes answers
            "max_length": single.max_length,
            "tasks": [
                entry
                for entry in read_description(single.folder)["tasks"]
                if entry["name"] in {task.name for task in tasks}
            ],
        },
    }


def _task_description(task: Task) -> dict[str, Any]:
    kind = labelled_kind(task)
    of = {"rows": "text", "words": "token", "sequences": "candidate"}[kind.units]
    shares = bool(task.labels)
    return {
        "kind": task.kind,
        "graph": graph_of(task),
        "logits": _output(task, "logits"),
        "answers": _output(task, "answers"),
        "answers_are": "probabilities" if shares else "scores" if of == "candidate" else "values",
        "one_for_each": "pair" if of == "text" and task.texts == 2 else of,
        "pooling": task.pooling,
        **({"labels": list(task.labels)} if shares else {}),
        **({"scheme": task.options["scheme"]} if of == "token" else {}),
        **({"range": list(task.range)} if not shares and of != "candidate" else {}),
        **({"thresholds": _thresholds(task)} if kind.answer_is_list and of == "text" else {}),
    }  # fmt: skip


def _thresholds(task: Task) -> list[float]:
    """Return the probability from which on each label is predicted."""
    return list(task.thresholds or (0.5,) * len(task.labels))


def checked_difference(single: Single, chosen: Sequence[int], graphs: OnnxModel) -> float:
    """Return how far the graphs' answers are from the model's, on sequences of random tokens.

    Raises:
        ModelError: if they are not the same: the exporter doesn't know this family or part.
    """
    worst = 0.0
    for number in chosen:
        task = single.model.tasks[number]
        difference = graphs.difference_from(single.model, number, single.max_length)
        worst = max(worst, difference)
        if not difference <= _TOLERANCE:
            raise ModelError(
                f"{single.folder}: {task.name}: the graph doesn't say what the model says: answers"
                f" differ by {difference:.1g}; nothing was written"
            )
    return worst
