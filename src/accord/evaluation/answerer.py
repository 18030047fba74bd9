"""What answers: texts in, answers of all tasks out, whatever computes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from accord.data.examples import Given
from accord.data.in_memory import Rows, has_columns
from accord.data.row_files import passing_rows
from accord.data.textfiles import QuotingName
from accord.data.warnings import unseen_note
from accord.errors import UsageError, nearest
from accord.evaluation.labelled_file import read_labelled
from accord.evaluation.member import Members, ReadTexts, by_task
from accord.evaluation.passes import CHUNK_ROWS
from accord.evaluation.predictions import (
    Record,
    predicted_columns,
    predicted_probabilities,
    predicted_values,
    records_of,
)
from accord.evaluation.row_texts import texts_by_tasks, texts_of_rows
from accord.evaluation.task_groups import Answered, TaskGroup
from accord.evaluation.texts import Form, Text, TextReader, checked, form_of, forms
from accord.kinds import Answers, Evaluation, labelled_kind
from accord.model.saved import InputFormat
from accord.runs.ahead import Ahead, made_ahead
from accord.tasks import Task

Texts = Sequence[Text]
Say = Callable[[TaskGroup, Answered], Iterable[tuple[str, Sequence[Any]]]]


class Answerer:
    """Tasks that are answered together, with what their texts are read by.

    Args:
        tasks: in the order in which answers name them.
        inputs: how each task's files name their columns.
        reader: makes sequences of texts.
        folder: where it all lies.
        members: what computes; several make an ensemble.
        device: where.
    """

    def __init__(
        self, tasks: Sequence[Task], inputs: dict[str, InputFormat], reader: TextReader,
        folder: Path, members: Members, device: torch.device,
    ) -> None:  # fmt: skip
        self.tasks, self.inputs, self.folder, self.device = tuple(tasks), inputs, folder, device
        self.tokenizer, self.assembler = reader.tokenizer, reader.assembler
        self._together = members
        self._numbers = {task.name: number for number, task in enumerate(self.tasks)}
        self._names = tuple(task.name for task in self.tasks)
        # A hundred tasks are sorted once, not in every call.
        self._by_form = lru_cache(maxsize=64)(self._names_by_form)
        self._groups = lru_cache(maxsize=64)(self._groups_of)

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
        self, texts: Texts | Rows, tasks: Sequence[str] | None = None, probabilities: bool = False
    ) -> list[dict[str, Any]]:
        """Answer all tasks in one pass of the encoder.

        Each distinct text or pair is encoded once for all tasks that read it, up to the first layer
        from which on some have parts of their own.

        Args:
            texts: strings, pairs, lists of words or texts with candidates, as `predict` takes them;
                or rows, of which each task reads the columns that its files had in training.
            tasks: names of those to answer; default: all, of rows all whose columns are there.
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
        return self._answers(texts, tasks, lambda group, one: group.said(one, probabilities))

    def records(
        self, texts: Texts | Rows, tasks: Sequence[str] | None = None, probabilities: bool = False
    ) -> list[dict[str, Record]]:
        """Answer as `answer`, and say all that there is to say.

        Returns:
            For each text, by task: `answer`, what a kind says beside it (`entities` of tags,
            `order` of candidates), and `probabilities` where they are asked for and there are any.

        Example:
            >>> model.records(["A lovely film."], ["sst"], probabilities=True)  # doctest: +SKIP
            [{'sst': {'answer': '4', 'probabilities': {'0': 0.01, '1': 0.02, '4': 0.93}}}]
        """
        return self._answers(texts, tasks, lambda group, one: group.records(one, probabilities))

    def _answers(
        self, texts: Texts | Rows, tasks: Sequence[str] | None, say: Say
    ) -> list[dict[str, Any]]:
        """Return for each text or row, by task, what is said of a group's rows."""
        if not has_columns(texts):
            return self._said(cast("Texts", texts), tasks, say)
        wanted = self.tasks if tasks is None else [*map(self.task, dict.fromkeys(tasks))]
        by_tasks = texts_by_tasks(wanted, self.inputs, cast("Rows", texts), every=tasks is not None)
        said: dict[str, list[Any]] = {}
        for names, read in by_tasks:
            answers = self._said(read, names, say)
            said |= {name: [answer[name] for answer in answers] for name in names}
        names = [task.name for task in wanted if task.name in said]
        each = zip(*(said[name] for name in names), strict=True)
        return [dict(zip(names, values, strict=True)) for values in each]

    def _texts(self, task: str, texts: Texts | Rows) -> Texts:
        """Return texts, or those of rows, as a task reads them."""
        _refuse_string(texts)
        if not has_columns(texts):
            return cast("Texts", texts)
        return texts_of_rows(self.task(task), self.inputs[task], cast("Rows", texts))

    def _said(self, texts: Texts, tasks: Sequence[str] | None, say: Say) -> list[dict[str, Any]]:
        """Return for each text, by task, what is said of a group's rows."""
        by_form, rows = self._sorted(texts, tasks)
        listed = [*texts]  # columns of frames have other indices
        answers: list[dict[str, Any]] = [{} for _ in listed]
        for form, places in rows.items():
            names = by_form[form]
            answered = self._noted(names, [listed[i] for i in places], places, above=5)
            said = dict(each for group, one in answered for each in say(group, one))
            every = zip(*(said[name] for name in names), strict=True)
            for i, values in zip(places, every, strict=True):
                answers[i] = dict(zip(names, values, strict=True))
        return answers

    def check(self, texts: Texts, tasks: Sequence[str] | None = None) -> None:
        """Check that `answer` takes some texts; arguments and errors are its."""
        by_form, rows = self._sorted(texts, tasks)
        for form, places in rows.items():
            for task in {self.task(name).kind: self.task(name) for name in by_form[form]}.values():
                for place in places:
                    checked(texts[place], task, place)

    def _sorted(
        self, texts: Texts, tasks: Sequence[str] | None
    ) -> tuple[Mapping[Form, tuple[str, ...]], dict[Form, list[int]]]:
        """Return the names of the tasks asked that take each form of rows, and which texts have
        it."""
        _refuse_string(texts)
        by_form = self._by_form(self._names if tasks is None else tuple(dict.fromkeys(tasks)))
        rows: dict[Form, list[int]] = {}
        for index, text in enumerate(texts):
            rows.setdefault(form_of(text, index, by_form), []).append(index)
        for task in [] if tasks is None or not texts else map(self.task, tasks):
            if not rows.keys() & {*forms(task)}:
                raise UsageError(
                    f"task '{task.name}' takes {' or '.join(forms(task))}, and none is given"
                )
        return by_form, rows

    def predict(self, task: str, texts: Texts | Rows) -> Answers:
        """Predict texts.

        Args:
            task: one of the model's tasks.
            texts: strings; for a pair task tuples of two; where rows have candidates, tuples of the
                text and a list of these. Or rows as `accord.train` takes them, with the columns
                that the task's files had in training.

        Returns:
            Label names or lists of them, or values in the task's own units, in the order given.

        Raises:
            UsageError: if there is no such task, or a text is no string or no pair.
            ModelError where the model's outputs aren't finite.
        """
        return predicted_values(self.logits(task, texts), self.task(task))

    def predict_proba(self, task: str, texts: Texts | Rows) -> list[dict[str, float]]:
        """Return each class's probability for texts; arguments and errors as `predict`.

        Raises:
            UsageError: if the task has no classes with probabilities.
        """
        settled = self.task(task)
        if not labelled_kind(settled).probability_names(settled):
            raise UsageError(f"task '{task}' is of kind '{settled.kind}': it has no probabilities")
        return predicted_probabilities(self.logits(task, texts), settled)

    def logits(self, task: str, texts: Texts | Rows) -> Tensor:
        """Return the head's output for texts, float32 [n, ...]; an ensemble's `mean_logits`.

        Warns of texts that are cut to the length that the model reads.

        Args:
            task: one of the model's tasks.
            texts: as `predict` takes them.
        """
        ((_, answered),) = self._noted((task,), self._texts(task, texts))
        return answered.logits

    def details(self, task: str, texts: Texts | Rows) -> list[Record]:
        """Return what a run's files of predictions have of each text: its prediction, and with it
        probabilities, entities or an order of candidates; arguments as `predict` takes them.

        Example:
            >>> model.details("entities", ["Ada lives in Paris."])  # doctest: +SKIP
            [{'prediction': ['B-who', 'O', 'O', 'B-place', 'O'], 'entities': [...]}]
        """
        ((_, answered),) = self._noted((task,), self._texts(task, texts))
        columns = predicted_columns(answered.logits, self.task(task), {}, texts=answered.texts)
        return records_of(columns)

    def answered(self, tasks: Sequence[str], texts: Texts) -> dict[str, Answered]:
        """Return the logits of some tasks for the same texts, and what was not seen of these.

        Args:
            tasks: of the model's tasks, each of which takes these texts.
            texts: as `predict` takes them.
        """
        _refuse_string(texts)
        return by_task(self._answered(tuple(tasks), texts, range(len(texts))))

    def pass_tokens(self) -> tuple[int, ...]:
        """Return the most tokens of each member's pass, by the memory that is free now."""
        return self._together.pass_tokens()

    def read(self, tasks: Sequence[str], texts: Texts, pass_tokens: tuple[int, ...]) -> ReadTexts:
        """Read texts as some tasks do, and pack them: the host's share of `answered`.

        A thread may read texts while the device answers others.

        Args:
            tasks: as `answered` takes them.
            texts: as `answered` takes them.
            pass_tokens: as it was before anything was computed.
        """
        groups, rows = self._taken(tuple(tasks), texts, range(len(texts)))
        whole = made_ahead(self.device) > 0
        chunks = [*self._together.read(groups, rows, len(texts), pass_tokens, whole)]
        return ReadTexts(groups, rows, chunks)

    def answered_as_read(self, read: ReadTexts) -> dict[str, Answered]:
        """Return what `answered` does of texts that this model has read; only once."""
        return by_task(self._together.said(*read))

    def _noted(
        self, tasks: tuple[str, ...], texts: Texts, index: Sequence[int] | None = None,
        above: int = 3,
    ) -> list[tuple[TaskGroup, Answered]]:  # fmt: skip
        """Return `_answered`; warns whoever called so many functions above of what is cut."""
        _refuse_string(texts)
        made = self._answered(tasks, texts, range(len(texts)) if index is None else index)
        notes = dict.fromkeys(
            note
            for group, one in made
            if one.cut or one.unseen
            for task in group.tasks
            for note in self.cut_notes(task, one.cut, one.unseen, len(texts))
        )
        for note in notes:  # each once, whatever the number of tasks that say the same
            warnings.warn(note, stacklevel=above)
        return made

    def cut_notes(self, task: Task, cut: int, unseen: int, rows: int) -> Iterator[str]:
        """Say how many of some rows are cut, and how many words the model doesn't see."""
        if cut:
            yield f"{cut} of {rows} rows are cut to {self.assembler.max_length} tokens"
        if unseen:
            yield unseen_note(task, unseen)

    def _answered(
        self, tasks: tuple[str, ...], texts: Texts, index: Sequence[int]
    ) -> list[tuple[TaskGroup, Answered]]:
        """Return the groups that some tasks make, each with what is said of all texts.

        Args:
            tasks: the names of those asked, each of which takes these texts.
            texts: as `predict` takes them.
            index: the number of each in messages.
        """
        groups, rows = self._taken(tasks, texts, index)
        most = made_ahead(self.device) if len(texts) > CHUNK_ROWS else 0
        chunks = self._together.read(groups, rows, len(texts), self.pass_tokens(), most > 0)
        with Ahead(chunks, most) as ahead:
            return self._together.said(groups, rows, ahead)

    def _taken(
        self, tasks: tuple[str, ...], texts: Texts, index: Sequence[int]
    ) -> tuple[Sequence[TaskGroup], Mapping[str, Sequence[Given]]]:
        """Return the groups that some tasks make, and the texts as each kind of them takes them."""
        groups = self._groups(tasks)
        first: dict[str, Task] = {}
        for group in groups:
            first.setdefault(group.kind, group.tasks[0])
        rows = {
            kind: [checked(text, task, i) for i, text in zip(index, texts, strict=True)]
            for kind, task in first.items()
        }
        return groups, rows

    def _names_by_form(self, tasks: tuple[str, ...]) -> dict[Form, tuple[str, ...]]:
        """Return the names of the tasks asked that take each form of rows."""
        names: dict[Form, list[str]] = {}
        for name in tasks:
            for form in forms(self.task(name)):
                names.setdefault(form, []).append(name)
        return {form: tuple(of_form) for form, of_form in names.items()}

    def _groups_of(self, tasks: tuple[str, ...]) -> list[TaskGroup]:
        """Return the tasks asked in groups that all members of an ensemble answer together."""
        return self._together.grouped([self.task(name) for name in dict.fromkeys(tasks)])

    def evaluate_file(
        self, task: str, source: str | Path | Rows, skip_bad_rows: bool = False
    ) -> Evaluation:
        """Evaluate the model on a labelled file, or on labelled rows in memory.

        Args:
            task: one of the model's tasks.
            source: a file with the task's text and label columns, or rows as `accord.train` takes
                them.
            skip_bad_rows: leave out rows that can't be used, rather than stop.

        Raises:
            UsageError: if there is no such task, or a row can't be read.
        """
        settled = self.task(task)
        with passing_rows() as files:
            path = (
                Path(source) if isinstance(source, str | Path) else files.path_of(source, "source")
            )
            examples = read_labelled(settled, self.inputs[task], path, skip_bad_rows, files.named)
        logits = self.logits(task, [example.as_given for example in examples])
        kind = labelled_kind(settled)
        labels = kind.target_form(settled).array([example.label for example in examples])
        return kind.evaluate(settled, labels, logits)


def _refuse_string(texts: object) -> None:
    if isinstance(texts, str):
        raise UsageError(f"a model takes a list of texts, got one string: {texts!r:.60}")
