"""A trained model, ready to predict texts and files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from accord.data.examples import Example, Unlabelled, read_examples, unlabelled_note
from accord.data.files import files_of
from accord.data.loader import Assembler, uncut_lengths
from accord.data.plan import TaskPlan
from accord.data.ragged import padded
from accord.data.rows import Note
from accord.data.textfiles import QuotingName
from accord.data.tokenizing import encode_texts, encode_words, load_tokenizer, special_ids
from accord.data.warnings import DataWarning, unseen_note
from accord.encoders.packing import TokenSequence
from accord.encoders.prepared import prepare
from accord.encoders.units import joined
from accord.errors import DataError, UsageError, nearest
from accord.evaluation.inference import (
    CHUNK_ROWS,
    check_finite,
    head_logits,
    no_logits,
    pooled_vectors,
)
from accord.evaluation.prediction_formats import Record
from accord.evaluation.predictions import predicted_columns, predicted_values, records_of
from accord.kernels.matmul import DEFAULT, MatmulPolicy, choose_matmul_policy
from accord.kinds import Answers, Evaluation, kind_of, labelled_kind
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, find_model_folder, load_model, read_tasks
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.plural import count
from accord.runs.devices import choose_device
from accord.spelling import canonical_label
from accord.tasks import Task

Texts = Sequence[str | Sequence[str | Sequence[str]]]


Given = str | tuple[str, ...]
"""A row's texts; or, for a kind that labels words, its text as it was given, or its words."""


@dataclass(frozen=True)
class Answered:
    """What a model says of some rows.

    Attributes:
        logits: float32 [n, ...].
        cut: how many rows are longer than the model reads.
        unseen: how many words have no vector: they are cut off, or no token is left of them.
        texts: the rows.
    """

    logits: Tensor
    cut: int
    unseen: int
    texts: Sequence[Given] = ()


class Predictor:
    """A model folder's encoder and heads with their tokenizer; or the first of an ensemble's.

    `tasks` are those that the model serves.

    Args:
        model: encoder and heads.
        inputs: how each task's files name their columns.
        max_length: tokens that a sequence may have.
        folder: where the tokenizer is.
        matmul: in what precision, and how this machine multiplies.
        others: an ensemble's other members, whose answers are averaged with this one's.
        thresholds: of an ensemble's tasks; default: the model's own.
    """

    def __init__(
        self,
        model: MultitaskModel,
        inputs: dict[str, InputFormat],
        max_length: int,
        folder: Path,
        matmul: MatmulPolicy = DEFAULT,
        others: Sequence[Predictor] = (),
        thresholds: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
    ) -> None:
        self.members = (self, *others)
        self.tasks = tuple(
            replace(task, thresholds=thresholds.get(task.name, task.thresholds))
            for task in model.tasks
        )
        self.model, self.inputs, self.matmul, self.folder = model, inputs, matmul, folder
        self.prepared = prepare(model.encoder, matmul)
        self.tokenizer = load_tokenizer(folder)
        self.assembler = Assembler(special_ids(self.tokenizer), max_length)

    def task(self, name: str) -> Task:
        """Return a task by its name.

        Raises:
            UsageError: if the model has none of that name.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise UsageError(
            f"the model has no task '{name}'{nearest(name, [task.name for task in self.tasks])}"
        )

    def read_quotes(self, task: str, quoting: QuotingName | None) -> None:
        """Read the quotes in a task's files by a rule; None keeps that of its training.

        Raises:
            UsageError: if there is no such task.
        """
        name = self.task(task).name
        if quoting is not None:
            self.inputs[name] = replace(self.inputs[name], quoting=quoting)

    def predict(self, task: str, texts: Texts) -> Answers:
        """Predict texts.

        Args:
            task: one of the model's tasks.
            texts: strings; for a pair task tuples of two; where rows have candidates, tuples of the
                text and a list of these.

        Returns:
            Label names or lists of them, or values in the task's own units, in the order given.

        Raises:
            UsageError: if there is no such task, or a text is no string or no pair.
            ModelError where the model's outputs aren't finite.
        """
        return predicted_values(self.logits(task, texts), self.task(task))

    def logits(self, task: str, texts: Texts) -> Tensor:
        """Return the head's output for texts, float32 [n, ...]; an ensemble's `mean_logits`.

        Warns of texts that are cut to the length that the model reads.

        Args:
            task: one of the model's tasks.
            texts: as `predict` takes them.
        """
        return self._answered(task, texts, stacklevel=3).logits

    def details(self, task: str, texts: Texts) -> list[Record]:
        """Return what files of predictions have of each text: its prediction, and with it
        probabilities, entities or an order of candidates; arguments as `predict` takes them.

        Example:
            >>> model.details("entities", ["Ada lives in Paris."])  # doctest: +SKIP
            [{'prediction': ['B-who', 'O', 'O', 'B-place', 'O'], 'entities': [...]}]
        """
        answered = self._answered(task, texts, stacklevel=3)
        columns = predicted_columns(answered.logits, self.task(task), {}, texts=answered.texts)
        return records_of(columns)

    def _answered(self, task: str, texts: Texts, stacklevel: int) -> Answered:
        """Return `answered`; warns of what is cut."""
        made = self.answered(task, texts)
        for note in self.cut_notes(self.task(task), made.cut, made.unseen, len(made.logits)):
            warnings.warn(note, stacklevel=stacklevel)
        return made

    def cut_notes(self, task: Task, cut: int, unseen: int, rows: int) -> Iterator[str]:
        """Say how many of some rows are cut, and how many words the model doesn't see."""
        if cut:
            yield f"{cut} of {rows} rows are cut to {self.assembler.max_length} tokens"
        if unseen:
            yield unseen_note(task, unseen)

    def answered(self, task: str, texts: Texts) -> Answered:
        """Return `logits`, and what was not seen of the texts."""
        settled = self.task(task)
        if isinstance(texts, str):
            raise UsageError(f"predict takes a list of texts, got one string: {texts!r:.60}")
        rows = [_checked(text, settled, i) for i, text in enumerate(texts)]
        parts, cut, unseen = [], 0, 0
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            made = [m._chunk(m.task(task), chunk) for m in self.members]
            members = [answered.logits for answered in made]
            parts.append(labelled_kind(settled).mean_logits(settled, members))
            cut += max(answered.cut for answered in made)
            unseen += max(answered.unseen for answered in made)
        logits = joined(parts) if parts else no_logits(settled)
        return Answered(logits, cut, unseen, rows)

    def _chunk(self, task: Task, rows: Sequence[Given]) -> Answered:
        """Return the logits of some rows."""
        index, kind = self.tasks.index(task), kind_of(task)
        segments, counts, pieces = self._encoded(task, rows)
        examples: list[list[list[TokenSequence]]] = [[] for _ in self.tasks]
        examples[index] = [
            self.assembler.laid_out(
                segments[stop - texts : stop],
                kind.layout_of(task, texts),
                pieces[stop - texts : stop],
            )
            for texts, stop in zip(counts.tolist(), counts.cumsum().tolist(), strict=True)
        ]
        pooled = pooled_vectors(self.model, examples, self.matmul, prepared=self.prepared)[index]
        lengths = padded(np.array([*map(len, segments)], dtype=np.int64), counts, 0)
        uncut = uncut_lengths(task, self.assembler.special.framing, lengths, counts)
        cut = (uncut > self.assembler.max_length).any(axis=1).sum()
        logits = head_logits(self.model, index, pooled.vectors, pooled.units)
        check_finite(logits, task, self.folder)
        unseen = 0 if pooled.units is None else int(pooled.units.absent().sum())
        return Answered(logits, int(cut), unseen)

    def _encoded(
        self, task: Task, rows: Sequence[Given]
    ) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
        """Return the tokens of all rows' texts, how many texts each row has, and, for a kind that
        labels words, how many tokens each word has."""
        if kind_of(task).units != "words":
            counts = np.array([*map(len, rows)], dtype=np.int64)
            return encode_texts(self.tokenizer, [text for row in rows for text in row]), counts, []
        options = labelled_kind(task).reading(task)
        words = [
            [row[start:stop] for start, stop in kind_of(task).word_places(options, row)]
            if isinstance(row, str)
            else row
            for row in rows
        ]
        tokens, lengths = encode_words(self.tokenizer, words)
        pieces = np.split(lengths, np.cumsum([*map(len, words)])[:-1])
        segments = np.split(tokens, np.cumsum([each.sum() for each in pieces])[:-1])
        return segments, np.ones(len(rows), dtype=np.int64), pieces

    def evaluate_file(self, task: str, source: Path, skip_bad_rows: bool = False) -> Evaluation:
        """Evaluate the model on a labelled file.

        Args:
            task: one of the model's tasks.
            source: a file with the task's text and label columns.
            skip_bad_rows: leave out rows that can't be used, rather than stop.

        Raises:
            UsageError: if there is no such task, or a row can't be read.
        """
        settled = self.task(task)
        examples = self._read(settled, source, skip_bad_rows)
        logits = self.logits(task, [as_text(example) for example in examples])
        kind = labelled_kind(settled)
        labels = kind.target_form(settled).array([example.label for example in examples])
        return kind.evaluate(settled, labels, logits)

    def _read(self, task: Task, source: Path, skip_bad_rows: bool) -> list[Example]:
        """Read a labelled file's rows; warns of rows left out, and of what its reader notes.

        Raises:
            DataError: for a bad row, or a file without rows.
        """
        plan = file_plan(task, self.inputs[task.name])
        files = files_of(plan, str(source))
        examples, skipped, left_out = [], [], Counter[str]()
        notes: list[Note] = []
        for row in read_examples(files, plan, task, labelled=True, notes=notes):
            if isinstance(row, Example):
                examples.append(row)
            elif isinstance(row, Unlabelled):
                left_out[row.why] += 1
            elif skip_bad_rows:
                skipped.append(row)
            else:
                raise DataError(f"{row} (--skip-bad-rows would leave it out)")
        for what, cure, number in notes:
            warnings.warn(str(DataWarning(str(files.paths[number]), what, cure)), stacklevel=2)
        if skipped:
            rows = count(len(skipped), "row")
            warnings.warn(f"{rows} skipped; the first: {skipped[0]}", stacklevel=2)
        called = kind_of(task).row_called
        for why, rows_left_out in left_out.items():
            warnings.warn(unlabelled_note(str(files), rows_left_out, why, called), stacklevel=2)
        if not examples:
            raise DataError(f"{source}: has no rows to use")
        return examples


def file_plan(
    task: Task, form: InputFormat, text: Sequence[str] = (), id_column: str | None = None
) -> TaskPlan:
    """Return how a file of a task is read.

    Args:
        task: whose.
        form: how the task's files named their columns in training.
        text: the text columns, where they are named otherwise.
        id_column: likewise.

    Raises:
        UsageError: if there are too many text columns, or too few.
    """
    text = tuple(text) or form.text
    if kind_of(task).varying:
        wanted = "" if len(text) > 1 else "two text columns or more"
    else:
        wanted = ["", "one text column", "two text columns"][task.texts * (len(text) != task.texts)]
    if wanted:
        raise UsageError(f"task '{task.name}' takes {wanted}, got {len(text)}")
    return TaskPlan(
        task.kind,
        text,
        label=form.label,
        label_columns=labelled_kind(task).label_columns(task, form.label),
        id=form.id if id_column is None else id_column,
        delimiter=form.delimiter,
        quoting=form.quoting,
        missing=frozenset(map(canonical_label, form.missing)),
        file_encoding=form.file_encoding,
        options=labelled_kind(task).reading(task),
    )


def as_text(example: Example) -> str | tuple[str, ...]:
    """Return an example's text or texts, as `Predictor.predict` takes them."""
    if example.given is not None:
        return example.given[0]
    return example.texts[0] if len(example.texts) == 1 else example.texts


def _checked(text: object, task: Task, index: int) -> Given:
    """Return a row's texts, or its text or words where these have labels; or say which row is not
    what the task takes."""
    if kind_of(task).units == "words":
        words = (text,) if isinstance(text, str) else text
        if not isinstance(words, tuple | list):
            raise UsageError(
                f"text {index}: task '{task.name}' takes texts or lists of words, got {text!r:.80}"
            )
        _check_strings(words, index)
        return text if isinstance(text, str) else tuple(words)
    parts: Any = _with_candidates(text, task, index) if kind_of(task).varying else text
    if not kind_of(task).varying:
        parts = (text,) if task.texts == 1 else text
        if not isinstance(parts, tuple | list) or len(parts) != task.texts:
            raise UsageError(
                f"text {index}: task '{task.name}' takes pairs of texts, got {text!r:.80}"
            )
    _check_strings(parts, index)
    return tuple(part.strip() for part in parts)


def _check_strings(parts: Sequence[object], index: int) -> None:
    for part in parts:
        if not isinstance(part, str):
            raise UsageError(f"text {index}: should be a string, got {type(part).__name__}")
        if any("\ud800" <= character <= "\udfff" for character in part):
            raise UsageError(f"text {index}: holds a lone surrogate, which is no character")


def _with_candidates(text: object, task: Task, index: int) -> tuple[object, ...]:
    """Return a row's text, and its candidates, which may stand in a list."""
    if isinstance(text, tuple | list) and len(text) == 2 and isinstance(text[1], tuple | list):
        text = (text[0], *text[1])
    fewest = kind_of(task).fewest
    if not isinstance(text, tuple | list) or len(text) <= fewest:
        raise UsageError(
            f"text {index}: task '{task.name}' takes a text and {fewest} or more"
            f" {kind_of(task).candidate}s, got {text!r:.80}"
        )
    return tuple(text)


def load(folder: str | Path, device: str = "auto", precision: Precision = "float32") -> Predictor:
    """Load a trained model, or all members of an ensemble.

    Args:
        folder: a model folder, or the run folder that holds it.
        device: where it runs: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.
        precision: 'float32' or 'bfloat16'.

    Raises:
        ModelError, EncoderError, ConfigError: if it can't be loaded, or not there.

    Example:
        >>> model = load("runs/first")  # doctest: +SKIP
        >>> model.predict("quora", [("How old is he?", "What is his age?")])  # doctest: +SKIP
        ['1']
    """
    if precision not in get_args(Precision):
        raise UsageError(
            f"precision: '{precision}' is unknown; allowed: {', '.join(get_args(Precision))}"
        )
    path = find_model_folder(Path(folder))
    place = choose_device(device)
    matmul = choose_matmul_policy(place, precision == "bfloat16")
    first, *others = member_folders(path)
    members = [_load_alone(other, place, matmul) for other in others]
    thresholds = {task.name: task.thresholds for task in read_tasks(path)[0]}
    return _load_alone(first, place, matmul, members, thresholds)


def _load_alone(
    folder: Path,
    place: torch.device,
    matmul: MatmulPolicy,
    others: Sequence[Predictor] = (),
    thresholds: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
) -> Predictor:
    model, inputs, max_length = load_model(folder)
    model.to(place).eval()
    return Predictor(model, inputs, max_length, folder, matmul, others, thresholds)
