"""A trained model, ready to answer: texts in, answers of all its tasks out."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from accord.data.examples import Given
from accord.data.loader import Assembler
from accord.data.textfiles import QuotingName
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.data.warnings import unseen_note
from accord.encoders.prepared import Prepared
from accord.errors import UsageError, nearest
from accord.evaluation.inference import (
    check_finite,
    head_logits,
    whole_logits,
)
from accord.evaluation.labelled_file import read_labelled
from accord.evaluation.passes import CHUNK_ROWS
from accord.evaluation.pooling import pooled_vectors
from accord.evaluation.predictions import (
    Record,
    predicted_columns,
    predicted_probabilities,
    predicted_values,
    records_of,
)
from accord.evaluation.texts import Form, Text, TextReader, checked, form_of, forms
from accord.kernels.matmul import DEFAULT, MatmulPolicy, choose_matmul_policy
from accord.kinds import Answers, Evaluation, labelled_kind
from accord.model.head_blocks import HeadBlocks
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, find_model_folder, load_model, read_tasks
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.runs.devices import choose_device
from accord.tasks import Task

Texts = Sequence[Text]


class Answered(NamedTuple):
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
    texts: Sequence[Given]


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
        self._numbers = {task.name: number for number, task in enumerate(self.tasks)}
        self.model, self.inputs, self.matmul, self.folder = model, inputs, matmul, folder
        self._prepared = Prepared(model.encoder, matmul)
        self.tokenizer = load_tokenizer(folder)
        self.assembler = Assembler(special_ids(self.tokenizer), max_length)
        self._reader = TextReader(self.tokenizer, self.assembler)
        self._reading = {task.name: self._reader.reading(task) for task in self.tasks}
        self._blocks = HeadBlocks(model)

    def task(self, name: str) -> Task:
        """Return a task by its name.

        Raises:
            UsageError: if the model has none of that name.
        """
        if name not in self._numbers:
            raise UsageError(f"the model has no task '{name}'{nearest(name, [*self._numbers])}")
        return self.tasks[self._numbers[name]]

    def read_quotes(self, task: str, quoting: QuotingName | None) -> None:
        """Read the quotes in a task's files by a rule; None keeps that of its training.

        Raises:
            UsageError: if there is no such task.
        """
        name = self.task(task).name
        if quoting is not None:
            self.inputs[name] = replace(self.inputs[name], quoting=quoting)

    def answer(
        self, texts: Texts, tasks: Sequence[str] | None = None, probabilities: bool = False
    ) -> list[dict[str, Any]]:
        """Answer all tasks in one pass of the encoder.

        Each distinct text or pair is encoded once for all tasks that read it, up to the first layer
        from which on some have parts of their own.

        Args:
            texts: strings, pairs, lists of words or texts with candidates, as `predict` takes them.
            tasks: names of those to answer; default: all.
            probabilities: for tasks with classes, say each one's probability.

        Returns:
            For each text, by the name of each task that takes texts of its form, what `predict`
            says of it, or `predict_proba` where probabilities are asked for and there are classes.

        Raises:
            UsageError: if there is no such task, or none that takes a text, or no text that a task
                named takes.
            ModelError where the model's outputs aren't finite.

        Example:
            >>> model.answer(["A lovely film."])  # doctest: +SKIP
            [{'sst': '4', 'topic': 'film', 'emotions': ['joy']}]
        """
        _refuse_string(texts)
        wanted = self.tasks if tasks is None else tuple(self.task(name) for name in tasks)
        taken = {form for task in wanted for form in forms(task)}
        rows: dict[Form, list[int]] = {}
        for index, text in enumerate(texts):
            rows.setdefault(form_of(text, index, taken), []).append(index)
        answers: list[dict[str, Any]] = [{} for _ in texts]
        for form, places in rows.items():
            names = [task.name for task in wanted if form in forms(task)]
            answered = self._noted(names, [texts[i] for i in places], places)
            for name, made in answered.items():
                for i, value in zip(places, self._said(name, made, probabilities), strict=True):
                    answers[i][name] = value
        for task in [] if tasks is None or not texts else wanted:
            if not rows.keys() & {*forms(task)}:
                raise UsageError(
                    f"task '{task.name}' takes {' or '.join(forms(task))}, and none is given"
                )
        return answers

    def _said(self, name: str, answered: Answered, probabilities: bool) -> Sequence[Any]:
        task = self.task(name)
        if probabilities and labelled_kind(task).probability_names(task):
            return predicted_probabilities(answered.logits, task)
        return predicted_values(answered.logits, task)

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
        return predicted_values(self._noted([task], texts)[task].logits, self.task(task))

    def predict_proba(self, task: str, texts: Texts) -> list[dict[str, float]]:
        """Return each class's probability for texts; arguments and errors as `predict`.

        Raises:
            UsageError: if the task has no classes with probabilities.
        """
        settled = self.task(task)
        if not labelled_kind(settled).probability_names(settled):
            raise UsageError(f"task '{task}' is of kind '{settled.kind}': it has no probabilities")
        return predicted_probabilities(self._noted([task], texts)[task].logits, settled)

    def logits(self, task: str, texts: Texts) -> Tensor:
        """Return the head's output for texts, float32 [n, ...]; an ensemble's `mean_logits`.

        Warns of texts that are cut to the length that the model reads.

        Args:
            task: one of the model's tasks.
            texts: as `predict` takes them.
        """
        return self._noted([task], texts)[task].logits

    def details(self, task: str, texts: Texts) -> list[Record]:
        """Return what a run's files of predictions have of each text: its prediction, and with it
        probabilities, entities or an order of candidates; arguments as `predict` takes them.

        Example:
            >>> model.details("entities", ["Ada lives in Paris."])  # doctest: +SKIP
            [{'prediction': ['B-who', 'O', 'O', 'B-place', 'O'], 'entities': [...]}]
        """
        answered = self._noted([task], texts)[task]
        columns = predicted_columns(answered.logits, self.task(task), {}, texts=answered.texts)
        return records_of(columns)

    def _noted(
        self, tasks: Sequence[str], texts: Texts, index: Sequence[int] | None = None
    ) -> dict[str, Answered]:
        """Return `answered`; warns of what is cut."""
        made = self.answered(tasks, texts, index)
        notes = dict.fromkeys(
            note
            for name, one in made.items()
            for note in self.cut_notes(self.task(name), one.cut, one.unseen, len(one.logits))
        )
        for note in notes:  # each once, whatever the number of tasks that say the same
            warnings.warn(note, stacklevel=3)
        return made

    def cut_notes(self, task: Task, cut: int, unseen: int, rows: int) -> Iterator[str]:
        """Say how many of some rows are cut, and how many words the model doesn't see."""
        if cut:
            yield f"{cut} of {rows} rows are cut to {self.assembler.max_length} tokens"
        if unseen:
            yield unseen_note(task, unseen)

    def answered(
        self, tasks: Sequence[str], texts: Texts, index: Sequence[int] | None = None
    ) -> dict[str, Answered]:
        """Return the logits of some tasks for the same texts, and what was not seen of these.

        Args:
            tasks: of the model's tasks, each of which takes these texts.
            texts: as `predict` takes them.
            index: the number of each in messages; default: its place.
        """
        _refuse_string(texts)
        settled = {name: self.task(name) for name in tasks}
        index = range(len(texts)) if index is None else index
        first: dict[str, Task] = {}
        for task in settled.values():
            first.setdefault(task.kind, task)
        rows = {
            kind: [checked(text, task, i) for i, text in zip(index, texts, strict=True)]
            for kind, task in first.items()
        }
        parts: dict[str, list[Answered]] = {name: [] for name in settled}
        for start in range(0, len(texts), CHUNK_ROWS):
            chunk = {kind: every[start : start + CHUNK_ROWS] for kind, every in rows.items()}
            by_task = {name: chunk[task.kind] for name, task in settled.items()}
            made = [member._pass(by_task) for member in self.members]
            for name, task in settled.items():
                parts[name].append(_mean(task, [answered[name] for answered in made]))
        return {name: _whole(task, parts[name], rows[task.kind]) for name, task in settled.items()}

    def _pass(self, rows: Mapping[str, Sequence[Given]]) -> dict[str, Answered]:
        """Return the logits of some tasks for the same rows, as each takes them, in one pass of
        the encoder over all that they read."""
        alike: dict[Hashable, list[str]] = {}
        for name in rows:
            alike.setdefault(self._reading[name], []).append(name)
        read = [self._reader.read(self.task(first), rows[first]) for first, *_ in alike.values()]
        pooled = pooled_vectors(
            self.model,
            [each.examples for each in read],
            self.matmul,
            tasks=[[self._numbers[name] for name in names] for names in alike.values()],
            prepared=self._prepared,
        )
        logits = head_logits(self.model, pooled, self._blocks)
        check_finite(self.tasks, logits, self.folder)
        return {
            name: Answered(logits[self._numbers[name]], each.cut, each.unseen, rows[name])
            for each, names in zip(read, alike.values(), strict=True)
            for name in names
        }

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
        examples = read_labelled(settled, self.inputs[task], source, skip_bad_rows)
        logits = self.logits(task, [example.as_given for example in examples])
        kind = labelled_kind(settled)
        labels = kind.target_form(settled).array([example.label for example in examples])
        return kind.evaluate(settled, labels, logits)


def _mean(task: Task, members: Sequence[Answered]) -> Answered:
    """Return what an ensemble says of rows that all of its members were asked of."""
    if len(members) == 1:
        return members[0]
    logits = labelled_kind(task).mean_logits(task, [one.logits for one in members])
    cut, unseen = max(one.cut for one in members), max(one.unseen for one in members)
    return Answered(logits, cut, unseen, members[0].texts)


def _whole(task: Task, parts: Sequence[Answered], rows: Sequence[Given]) -> Answered:
    """Return what is said of all rows, given what is said of some after the others."""
    if len(parts) == 1:
        return parts[0]
    logits = whole_logits(task, [part.logits for part in parts])
    return Answered(
        logits, sum(part.cut for part in parts), sum(part.unseen for part in parts), rows
    )


def _refuse_string(texts: object) -> None:
    if isinstance(texts, str):
        raise UsageError(f"a model takes a list of texts, got one string: {texts!r:.60}")


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
