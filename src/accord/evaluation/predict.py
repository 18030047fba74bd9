"""A trained model, ready to predict texts and files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
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
from accord.data.tokenizing import encode_texts, load_tokenizer, special_ids
from accord.data.warnings import DataWarning
from accord.encoders.packing import TokenSequence
from accord.encoders.units import joined
from accord.errors import DataError, UsageError, nearest
from accord.evaluation.inference import (
    CHUNK_ROWS,
    check_finite,
    head_logits,
    no_logits,
    pooled_vectors,
)
from accord.evaluation.predictions import predicted_values
from accord.kernels.matmul import DEFAULT, MatmulPolicy, choose_matmul_policy
from accord.kinds import Answers, Evaluation, kind_of, labelled_kind
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, find_model_folder, load_model
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.plural import count
from accord.runs.devices import choose_device
from accord.spelling import canonical_label
from accord.tasks import Task

Texts = Sequence[str | Sequence[str | Sequence[str]]]


class Predictor:
    """A model folder's encoder and heads with their tokenizer; or the first of an ensemble's.

    Args:
        model: encoder and heads.
        inputs: how each task's files name their columns.
        max_length: tokens that a sequence may have.
        folder: where the tokenizer is.
        matmul: in what precision, and how this machine multiplies.
        others: an ensemble's other members, whose answers are averaged with this one's.
    """

    def __init__(
        self,
        model: MultitaskModel,
        inputs: dict[str, InputFormat],
        max_length: int,
        folder: Path,
        matmul: MatmulPolicy = DEFAULT,
        others: Sequence[Predictor] = (),
    ) -> None:
        self.members = (self, *others)
        self.model, self.inputs, self.matmul, self.folder = model, inputs, matmul, folder
        self.tokenizer = load_tokenizer(folder)
        self.assembler = Assembler(special_ids(self.tokenizer), max_length)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that the model serves."""
        return self.model.tasks

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
        logits, cut = self.logits_and_cut(task, texts)
        if cut:
            warnings.warn(self.cut_note(cut, len(logits)), stacklevel=2)
        return logits

    def cut_note(self, cut: int, rows: int) -> str:
        """Say how many of some rows are cut."""
        return f"{cut} of {rows} rows are cut to {self.assembler.max_length} tokens"

    def logits_and_cut(self, task: str, texts: Texts) -> tuple[Tensor, int]:
        """Return `logits`, and how many of the rows are cut."""
        settled = self.task(task)
        if isinstance(texts, str):
            raise UsageError(f"predict takes a list of texts, got one string: {texts!r:.60}")
        rows = [_checked(text, settled, i) for i, text in enumerate(texts)]
        parts, cut = [], 0
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            made = [m._chunk(m.task(task), chunk) for m in self.members]
            members = [logits for logits, _ in made]
            parts.append(labelled_kind(settled).mean_logits(settled, members))
            cut += max(rows_cut for _, rows_cut in made)
        return (joined(parts) if parts else no_logits(settled)), cut

    def _chunk(self, task: Task, rows: Sequence[tuple[str, ...]]) -> tuple[Tensor, int]:
        """Return the logits of some rows, and how many of these are cut."""
        index, kind = self.tasks.index(task), kind_of(task)
        segments = encode_texts(self.tokenizer, [text for row in rows for text in row])
        counts = np.array([*map(len, rows)], dtype=np.int64)
        examples: list[list[list[TokenSequence]]] = [[] for _ in self.tasks]
        examples[index] = [
            self.assembler.laid_out(segments[stop - texts : stop], kind.layout_of(task, texts))
            for texts, stop in zip(counts.tolist(), counts.cumsum().tolist(), strict=True)
        ]
        pooled = pooled_vectors(self.model, examples, self.matmul)[index]
        lengths = padded(np.array([*map(len, segments)], dtype=np.int64), counts, 0)
        uncut = uncut_lengths(task, self.assembler.special.framing, lengths, counts)
        cut = (uncut > self.assembler.max_length).any(axis=1).sum()
        logits = head_logits(self.model, index, pooled.vectors, pooled.units)
        check_finite(logits, task, self.folder)
        return logits, int(cut)

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
        for why, rows_left_out in left_out.items():
            warnings.warn(unlabelled_note(str(files), rows_left_out, why), stacklevel=2)
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
    )


def as_text(example: Example) -> str | tuple[str, ...]:
    """Return an example's text or texts, as `Predictor.predict` takes them."""
    return example.texts[0] if len(example.texts) == 1 else example.texts


def _checked(text: object, task: Task, index: int) -> tuple[str, ...]:
    """Return a row's texts, or say which row is not what the task takes."""
    parts: Any = _with_candidates(text, task, index) if kind_of(task).varying else text
    if not kind_of(task).varying:
        parts = (text,) if task.texts == 1 else text
        if not isinstance(parts, tuple | list) or len(parts) != task.texts:
            raise UsageError(
                f"text {index}: task '{task.name}' takes pairs of texts, got {text!r:.80}"
            )
    for part in parts:
        if not isinstance(part, str):
            raise UsageError(f"text {index}: should be a string, got {type(part).__name__}")
        if any("\ud800" <= character <= "\udfff" for character in part):
            raise UsageError(f"text {index}: holds a lone surrogate, which is no character")
    return tuple(part.strip() for part in parts)


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
    return _load_alone(first, place, matmul, members)


def _load_alone(
    folder: Path, place: torch.device, matmul: MatmulPolicy, others: Sequence[Predictor] = ()
) -> Predictor:
    model, inputs, max_length = load_model(folder)
    model.to(place).eval()
    return Predictor(model, inputs, max_length, folder, matmul, others)
