"""An exported folder of graphs as what answers: onnxruntime computes, Accord reads and decodes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from accord.data.examples import Given
from accord.data.loader import Assembler
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.derived.onnx_model import DESCRIPTION, OnnxModel
from accord.encoders.units import located
from accord.errors import ModelError
from accord.evaluation.answerer import Answerer
from accord.evaluation.member import Members
from accord.evaluation.task_groups import Answered, TaskGroup, check_finite
from accord.evaluation.texts import Read, TextReader
from accord.installed import need
from accord.kinds import kind_of, labelled_kind
from accord.model.saved import described_tasks
from accord.tasks import Task
from accord.untrusted import read_json


class GraphRows(NamedTuple):
    """Rows that were read for graphs.

    Attributes:
        rows: as each kind of task takes them.
        read: they, as tasks read them that read alike.
    """

    rows: Mapping[str, Sequence[Given]]
    read: Mapping[Hashable, Read]


@dataclass(frozen=True)
class GraphMember:
    """Graphs with what they read by (`member.Computes`).

    Attributes:
        graphs: with the heads of all tasks.
        reader: makes sequences of texts.
        folder: where they lie, for messages.
    """

    graphs: OnnxModel
    reader: TextReader
    folder: Path

    def likeness(self, task: str) -> Hashable:
        """Return the task: each has outputs of its own."""
        return task

    def pass_tokens(self) -> int:
        """Return 0: graphs cut rows into passes by themselves."""
        return 0

    def read(
        self, groups: Sequence[TaskGroup], rows: Mapping[str, Sequence[Given]], pass_tokens: int,
        whole: bool,
    ) -> GraphRows:  # fmt: skip
        """Return rows as all of some groups read them."""
        read: dict[Hashable, Read] = {}
        for group in groups:
            reading = self.reader.reading(group.tasks[0])
            if reading not in read:
                read[reading] = self.reader.read(group.tasks[0], rows[group.kind])
        return GraphRows(rows, read)

    def said(self, groups: Sequence[TaskGroup], rows: GraphRows) -> list[Answered]:
        """Return what the graphs say of rows; each is executed once for all that read alike."""
        together: dict[Hashable, list[Task]] = {}
        for group in groups:
            together.setdefault(self.reader.reading(group.tasks[0]), []).append(group.tasks[0])
        logits = {}
        for reading, tasks in together.items():
            examples = rows.read[reading].examples
            every = self.graphs.all_outputs(tasks, examples)
            for task, values in zip(tasks, every, strict=True):
                _, units = located(kind_of(task).units, examples)
                logits[task.name] = labelled_kind(task).arranged(task, values, units)
        check_finite(groups, [logits[group.tasks[0].name] for group in groups], self.folder)
        return [
            Answered(logits[group.tasks[0].name], read.cut, read.unseen, rows.rows[group.kind])
            for group in groups
            for read in [rows.read[self.reader.reading(group.tasks[0])]]
        ]


def load_graphs(folder: Path, threads: int | None = None) -> Answerer:
    """Load what `accord export --to onnx` wrote.

    Args:
        folder: that it wrote.
        threads: of a product; default: torch's.

    Raises:
        UsageError: if onnxruntime is missing.
        ModelError: if it is no such folder, or a file of it is missing or broken.

    Example:
        >>> load_graphs(Path("graphs")).answer(["A lovely film."])  # doctest: +SKIP
        [{'sst': '4'}]
    """
    need("a folder of ONNX graphs", "onnx", "onnxruntime")
    description = read_graphs(folder)
    tasks, inputs, max_length = described_tasks(description["accord"], folder / DESCRIPTION)
    tokenizer = load_tokenizer(folder)
    reader = TextReader(tokenizer, Assembler(special_ids(tokenizer), max_length))
    graphs = OnnxModel(folder, description, threads)
    graphs.open()
    member = GraphMember(graphs, reader, folder)
    cpu = torch.device("cpu")
    return Answerer(tasks, inputs, reader, folder, Members((member,)), cpu)


def read_graphs(folder: Path) -> dict[str, Any]:
    """Return what a folder of graphs says of itself.

    Raises:
        ModelError: if it is none.
    """
    file = folder / DESCRIPTION
    if not file.is_file():
        raise ModelError(
            f"{folder}: holds no graphs; 'accord export MODEL OUT --to onnx' writes them"
        )
    description: Any = read_json(file)
    if not isinstance(description, dict) or "accord" not in description:
        raise ModelError(f"{file}: is incomplete: export the model again")
    return description
