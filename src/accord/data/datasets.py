"""Every split of every task: tokenised once, found again by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from accord.bert.pretrained import read_config
from accord.config.sections import Config, TrainingConfig
from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.halves import content_halves, few_rows_note, row_contents
from accord.data.heldout_test import HeldOutTest, heldout_test
from accord.data.loader import Assembler, TaskData
from accord.data.overlap import Rowset
from accord.data.rehearsal import memory_rows
from accord.data.resolving import resolve_any, resolve_task
from accord.data.splits import dev_split, first_rows
from accord.data.store import TokenStore, open_store
from accord.data.test_labels import read_test_labels
from accord.data.texts import TextSource, TextStore
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.errors import ConfigError, EncoderError
from accord.tasks import AuxiliaryTask, Task

Say = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """The splits of every task, in the config's order.

    Attributes:
        tasks: with and without labels.
        train: a finished task's rows are those that its memory keeps.
        dev: of each.
        test: of those that have one.
        assembler: makes sequences of their tokens.
        whole: each finished task's whole training split, by name.
        heldout_test: the labelled test rows of those tasks whose test files have any.
    """

    tasks: tuple[Task, ...]
    train: list[TaskData]
    dev: list[TaskData]
    test: list[TaskData]
    assembler: Assembler
    whole: Mapping[str, TaskData] = field(default_factory=dict)
    heldout_test: Mapping[str, HeldOutTest] = field(default_factory=dict)

    def labelled(self, split: list[TaskData]) -> list[TaskData]:
        """Return the parts of a split whose tasks have labels."""
        return [own for own in split if not isinstance(own.task, AuxiliaryTask)]

    def contents(self) -> dict[str, str]:
        """Return what tells each split from others: a hash of its content and its rows."""
        splits = {"train": self.train, "dev": self.dev, "test": self.test}
        rows = {
            f"{own.task.name}.{split}": f"{own.store.fingerprint}:{len(own)}"
            for split, parts in splits.items()
            for own in parts
        }
        labels = {
            f"{name}.test labels": hashlib.sha256(
                own.rows.astype("<i8").tobytes() + own.labels.astype("<f8").tobytes()
            ).hexdigest()
            for name, own in self.heldout_test.items()
        }
        return rows | labels


def read_data(config: Config, encoder_folder: Path, say: Say) -> Data:
    """Read every file of every task.

    Args:
        config: names the files.
        encoder_folder: whose tokenizer is used.
        say: told what was skipped or decided.

    Raises:
        DataError: naming the file, line and reason.
    """
    tokenizer = load_tokenizer(encoder_folder)
    assembler = build_assembler(tokenizer, encoder_folder, config.encoder.max_length)
    tasks = tuple(resolve_any(name, own) for name, own in config.tasks.items())
    _check_encoder(encoder_folder, tokenizer, tasks)
    read: dict[str, tuple[TaskData, TaskData]] = {}
    texts: dict[str, tuple[TaskData, TaskData]] = {}
    test, heldout = [], {}
    for name, own in (*config.labelled.items(), *config.texts.items()):
        task = next((task for task in tasks if task.name == name), None)
        files = TaskFiles(task or resolve_task(name, own), own, tokenizer, say)
        texts[name] = files.train(config.training), files.dev(config.training)
        read[name] = _remembered(texts[name][0], config), texts[name][1]
        if own.test is not None and task is not None:
            test.append(files.whole(own.test, labelled=False))
            rows = files.heldout_test(test[-1], dev=texts[name][1], train=texts[name][0])
            if len(rows.rows):
                heldout[name] = rows
    for task in tasks:
        if isinstance(task, AuxiliaryTask):
            read[task.name] = _texts(task, config, tokenizer, say, texts)
    train, dev = ([read[task.name][split] for task in tasks] for split in (0, 1))
    for own_train, own_dev, section in zip(train, dev, config.tasks.values(), strict=True):
        held_out = section.dev is None and section.train is not None
        if held_out and own_dev.task.name not in config.finished:
            say(
                f"{own_dev.task.name}: no dev file; {len(own_dev)} of"
                f" {len(own_dev) + len(own_train)} rows of {section.train}"
                " serve as one and are not trained on"
            )
        if not isinstance(own_dev.task, AuxiliaryTask) and (note := _few_rows(own_dev)):
            say(f"{own_dev.task.name}: {note}")
    whole = {name: texts[name][0] for name in config.finished}
    return Data(tasks, train, dev, test, assembler, whole, heldout)


def _few_rows(dev: TaskData) -> str:
    contents = row_contents(dev.store, dev.rows, dev.task.texts)
    return few_rows_note(content_halves(contents, dev.labels))


def _remembered(own: TaskData, config: Config) -> TaskData:
    """Return a finished task's training rows that its memory keeps; of any other task all."""
    memory = config.memory
    if memory is None or own.task.name not in memory.finished:
        return own
    if memory.method == "none":
        return replace(own, rows=own.rows[:0])
    kept = memory_rows(
        own.labels, memory.size, memory.choice, classes=own.task.is_classification,
        key=(config.training.seed, own.task.name),
    )  # fmt: skip
    return replace(own, rows=own.rows[kept])


def _texts(
    task: AuxiliaryTask,
    config: Config,
    tokenizer: Tokenizer,
    say: Say,
    read: Mapping[str, tuple[TaskData, TaskData]],
) -> tuple[TaskData, TaskData]:
    """Return the training and dev texts of a task without labels."""
    names = list(config.sources(task.name))
    if names:
        splits = [{name: read[name][split] for name in names} for split in (0, 1)]
    else:
        files = TaskFiles(task, config.tasks[task.name], tokenizer, say, labelled=False)
        splits = [{"": files.train(config.training)}, {"": files.dev(config.training)}]
    train, dev = (text_data(task, parts) for parts in splits)
    return train, dev


def text_data(task: Task, parts: Mapping[str, TaskData]) -> TaskData:
    """Return all texts of some splits as the rows of a task without labels.

    Args:
        task: without labels.
        parts: splits by the names of the tasks that they are of; "" is a file of the task's own.

    Raises:
        DataError: if there is no text.
    """
    sources = []
    for name, own in parts.items():
        assert isinstance(own.store, TokenStore)  # what a file is read into
        sources.append(TextSource(name, own.store, own.rows))
    store = TextStore(sources, task.name)
    return TaskData(task, store, np.arange(len(store)))


def _check_encoder(folder: Path, tokenizer: Tokenizer, tasks: Sequence[Task]) -> None:
    """Check that the encoder has a row for every id that the data can hold."""
    config, words = read_config(folder), tokenizer.get_vocab_size()
    if words > config.vocab_size:
        raise EncoderError(
            f"{folder}: the tokenizer has {words} entries, the encoder {config.vocab_size}"
        )
    joint = [task.name for task in tasks if task.is_pair and task.encoding == "joint"]
    if joint and config.type_vocab_size < 2:
        raise EncoderError(
            f"{folder}: has one token type, but task '{joint[0]}' joins pairs, which takes two;"
            ' encoding = "separate" takes one'
        )
    masked = [task.name for task in tasks if task.kind == "masked-lm"]
    if masked and special_ids(tokenizer).mask is None:
        raise EncoderError(
            f"{folder}: the tokenizer's vocabulary has no [MASK], which task '{masked[0]}' needs"
        )


def build_assembler(tokenizer: Tokenizer, encoder_folder: Path, length: int | None) -> Assembler:
    """Return what makes sequences, of at most `length` tokens or all that the encoder holds.

    Raises:
        ConfigError: if the encoder can't hold so many.
    """
    limit = read_config(encoder_folder).max_position_embeddings
    if length is not None and length > limit:
        raise ConfigError(f"encoder.max_length: {length} is more than the encoder's {limit}")
    return Assembler(special_ids(tokenizer), length or limit, tokenizer.get_vocab_size())


@dataclass
class TaskFiles:
    """One task's files.

    Attributes:
        task: resolved.
        config: names the files and columns.
        tokenizer: of the encoder.
        say: told what was skipped.
        labelled: whether the training and dev files are.
    """

    task: Task
    config: AnyTaskConfig
    tokenizer: Tokenizer
    say: Say
    labelled: bool = True

    def train(self, settings: TrainingConfig) -> TaskData:
        """The training rows: the whole file, or what a held-out share leaves of it."""
        store = self._open(self._training_file(), labelled=self.labelled)
        if self.config.dev is not None:
            return TaskData(self.task, store, self._rows(store))
        rows, _ = dev_split(len(self._rows(store)), settings.dev_share)
        return TaskData(self.task, store, rows)

    def dev(self, settings: TrainingConfig) -> TaskData:
        """The dev rows: a file of their own, or a share of the training file."""
        if self.config.dev is not None:
            return self.whole(self.config.dev, labelled=self.labelled)
        store = self._open(self._training_file(), labelled=self.labelled, silent=True)
        _, rows = dev_split(len(self._rows(store)), settings.dev_share)
        return TaskData(self.task, store, rows)

    def whole(self, path: str, *, labelled: bool = True) -> TaskData:
        """All rows of a file, or as many as the config allows."""
        store = self._open(path, labelled=labelled)
        return TaskData(self.task, store, self._rows(store))

    def heldout_test(self, test: TaskData, dev: TaskData, train: TaskData) -> HeldOutTest:
        """The labelled rows of the test file that a model may be judged by."""
        assert isinstance(self.config, TaskConfig)  # others have no test file
        assert self.config.test is not None
        assert isinstance(test.store, TokenStore)
        lines = test.store.lines[test.rows]
        labels = read_test_labels(Path(self.config.test), self.config, self.task, lines)
        found = heldout_test(labels, *(Rowset(own.store, own.rows) for own in (test, dev, train)))
        for line in found.notes(self.config.test):
            self.say(f"{self.task.name}: {line}")
        return found

    def _rows(self, store: TokenStore) -> np.ndarray:
        return first_rows(len(store), self.config.limit)

    def _training_file(self) -> str:
        if self.config.train is None:
            raise ConfigError(f"'tasks.{self.task.name}.train' is missing")
        return self.config.train

    def _open(self, path: str, *, labelled: bool, silent: bool = False) -> TokenStore:
        name = self.task.name
        store = open_store(
            Path(path), name, self.config, self.task, self.tokenizer, labelled=labelled
        )
        if store.skipped and not silent:
            first = store.skipped[0]
            self.say(f"{name}: {len(store.skipped)} rows of {path} skipped; the first: {first}")
        return store
