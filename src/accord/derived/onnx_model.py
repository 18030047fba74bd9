"""Exported graphs as onnxruntime executes them, on sequences of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.derived.padded import answers
from accord.encoders.packing import TokenSequence, pack
from accord.encoders.units import located
from accord.errors import ModelError
from accord.kinds import kind_of, labelled_kind
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

DESCRIPTION = "onnx.json"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_PADDED_TOKENS = 512  # of a pass, fillers counted: with more it was measured to be no quicker
Examples = Sequence[Sequence[TokenSequence]]


class OnnxModel:
    """The graphs of a folder.

    Args:
        folder: that holds them.
        description: what its `onnx.json` says.
        threads: of a product; default: torch's.
    """

    def __init__(
        self, folder: Path, description: dict[str, Any], threads: int | None = None
    ) -> None:
        self.folder, self.description = folder, description
        self._threads = threads or torch.get_num_threads()
        self._sessions: dict[str, Any] = {}

    def open(self) -> None:
        """Load all graphs now, rather than when they are first executed.

        Raises:
            ModelError: if one is missing or broken.
        """
        for graph in self.description["graphs"]:
            try:
                self._session(graph)
            except Exception as error:  # onnxruntime's own have no common class
                line = str(error).splitlines()[0]
                raise ModelError(f"{self.folder / graph}: can't be loaded: {line}") from None

    def _session(self, graph: str) -> Any:
        if graph not in self._sessions:
            from onnxruntime import InferenceSession, SessionOptions

            options = SessionOptions()
            options.intra_op_num_threads = self._threads
            options.log_severity_level = 3
            # Its idle threads would spin on, on the cores of whoever has the next turn.
            options.add_session_config_entry("session.force_spinning_stop", "1")
            self._sessions[graph] = InferenceSession(
                str(self.folder / graph), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[graph]

    def outputs(self, task: Task, examples: Examples, answers: bool = False) -> Tensor:
        """Return a task's logits, or answers, of examples (`all_outputs`)."""
        return self.all_outputs([task], examples, answers)[0]

    def all_outputs(
        self, tasks: Sequence[Task], examples: Examples, answers: bool = False
    ) -> list[Tensor]:
        """Return several tasks' logits, or answers, of the same examples, by one graph.

        Args:
            tasks: in the same graph.
            examples: the sequences of each.
            answers: what the graph makes of logits.

        Returns:
            For each task a row for each example, candidate or word that has tokens, float32
            [V, ...]; a word's is that of its first token, or the mean of its tokens', as the task
            pools.
        """
        entries = [self.description["tasks"][task.name] for task in tasks]
        names = [entry["answers" if answers else "logits"] for entry in entries]
        graph = entries[0]["graph"]
        separate = graph == "separate.onnx"
        rows = list(examples) if separate else [[one] for example in examples for one in example]
        parts: list[list[Tensor]] = [[torch.empty(0)] * len(rows) for _ in tasks]
        for chosen in _batches(rows):
            batch = _padded([rows[i] for i in chosen], self.description["pad_token_id"])
            if not separate:
                batch = {name: value[:, 0] for name, value in batch.items()}
            feed = {name: batch[name] for name in self.description["inputs"]}
            for part, values in zip(parts, self._session(graph).run(names, feed), strict=True):
                for i, value in zip(chosen, values, strict=True):
                    part[i] = torch.from_numpy(np.asarray(value))
        return [_joined(task, part, rows) for task, part in zip(tasks, parts, strict=True)]

    def logits(self, task: Task, examples: Examples) -> Tensor:
        """Return logits as the model has them: [n, outputs], or [n, most, outputs]."""
        _, units = located(kind_of(task).units, examples)
        return labelled_kind(task).arranged(task, self.outputs(task, examples), units)

    def difference_from(self, model: MultitaskModel, number: int, max_length: int) -> float:
        """Return how far a task's answers are from the model's on random sequences: of values as a
        share of their range.

        Args:
            model: that the graphs are of.
            number: of the task.
            max_length: tokens that a sequence may have.
        """
        task, config = model.tasks[number], model.encoder.config
        generator = np.random.default_rng(0)
        types = min(config.type_vocab_size, 2)
        each = task.sequences if kind_of(task).units == "rows" else 1
        sequences = [
            _random(generator, min(length, max_length), config.vocab_size, types)
            for length in (1, 2, 3, 7, 24, max_length)
            for _ in range(each)
        ]
        with torch.no_grad():
            (pooled,) = model.pooled(pack([sequences]), [number])
            wanted = answers(task, model.heads[task.name](pooled))
        examples = [sequences[i : i + each] for i in range(0, len(sequences), each)]
        low, high = (0.0, 1.0) if task.labels else task.range
        distances = (self.outputs(task, examples, answers=True) - wanted).abs()
        return float(distances.max()) / (high - low)


def _batches(rows: Examples) -> Iterator[list[int]]:
    """Yield the numbers of rows that are computed together, those of like length."""
    lengths = [max(len(one.input_ids) for one in row) for row in rows]
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > _PADDED_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _joined(task: Task, parts: Sequence[Tensor], rows: Examples) -> Tensor:
    if not rows:
        return torch.empty(0, task.outputs)
    if kind_of(task).units == "words":
        return torch.cat([
            _of_words(part, one, task.pooling)
            for part, (one,) in zip(parts, rows, strict=True)
        ])  # fmt: skip
    return torch.stack([*parts])


def _random(
    generator: np.random.Generator, length: int, vocabulary: int, types: int
) -> TokenSequence:
    ids = generator.integers(0, vocabulary, length)
    each = np.arange(length)
    first = length if types == 1 else -(-length // 2)
    return TokenSequence(ids, first, spans=np.stack([each, each + 1], 1))


def _padded(rows: Examples, pad: int) -> dict[str, np.ndarray]:
    """Return the graphs' inputs for examples of as many sequences each, int64 [n, sequences, L]."""
    longest = max(len(one.input_ids) for row in rows for one in row)
    shape = (len(rows), len(rows[0]), longest)
    ids, mask, types = np.full(shape, pad), np.zeros(shape, int), np.zeros(shape, int)
    for i, row in enumerate(rows):
        for j, one in enumerate(row):
            length = len(one.input_ids)
            ids[i, j, :length], mask[i, j, :length] = one.input_ids, 1
            types[i, j, one.first : length] = 1
    return dict(zip(INPUTS, (ids, mask, types), strict=True))


def _of_words(tokens: Tensor, sequence: TokenSequence, pooling: str) -> Tensor:
    """Return the rows of words, [words, C], of those of a sequence's tokens, [L, C]."""
    assert sequence.spans is not None
    spans = [(start, stop) for start, stop in sequence.spans.tolist() if start < stop]
    rows = [tokens[start] if pooling == "first" else tokens[start:stop].mean(0)
            for start, stop in spans]  # fmt: skip
    return torch.stack(rows) if rows else tokens[:0]
