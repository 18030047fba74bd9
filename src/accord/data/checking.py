"""What a configuration's data is like, found before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accord.config.sections import Config, EncoderConfig
from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.examples import BadRow
from accord.data.halves import content_halves, few_rows_note, row_contents
from accord.data.heldout_test import HeldOutTest, heldout_test
from accord.data.overlap import Counts, Overlap, Rowset, count_duplicates, find_overlap
from accord.data.resolving import resolve_any, resolve_task
from accord.data.splits import dev_split, first_rows
from accord.data.store import TokenStore, open_store
from accord.data.test_labels import read_test_labels
from accord.data.texts import TextSource, TextStore
from accord.data.tokenizing import load_tokenizer
from accord.errors import ConfigError
from accord.tasks import AuxiliaryTask, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Quantiles:
    """Sequence lengths in tokens, special tokens included, before truncation."""

    min: int
    median: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True)
class TargetSummary:
    """The targets of a regression, in the task's units."""

    min: float
    mean: float
    max: float


@dataclass(frozen=True)
class SplitReport:
    """One split of one task; the path of texts of other tasks names these.

    `labels` is None but for labelled classification, `targets` but for labelled regression;
    `share` is set where dev is a share of the training file. Of a test file they are of the rows
    that are judged by; `notes` say what a run would say of the split.
    """

    split: str
    path: str
    share: float | None
    rows: int
    skipped: list[BadRow]
    labels: dict[str, int] | None
    targets: TargetSummary | None
    tokens: Quantiles
    truncated: int
    duplicates: Counts
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TaskReport:
    """One task as it was resolved, and its splits.

    `taken_from_data` names what the config left open and the training file settled.
    """

    task: Task
    taken_from_data: list[str]
    splits: list[SplitReport]


@dataclass(frozen=True)
class CheckReport:
    """What `accord check` found."""

    encoder: str
    max_length: int
    tasks: list[TaskReport] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        # By way of a text, so that paths and tuples come out as JSON's own types.
        report: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return report


@dataclass(frozen=True)
class _Part:
    split: str
    path: Path
    share: float | None
    rowset: Rowset
    heldout: HeldOutTest | None = None


def check_config(
    config: Config, *, cache: Path | None = None, reading: Callable[[str], None] | None = None
) -> CheckReport:
    """Read every file that a configuration names, and report on it.

    Args:
        config: the configuration, its paths absolute.
        cache: the token stores' folder, as `open_store`.
        reading: called with the name of each task before its files are read.

    Raises:
        ConfigError: labels, range, loss or lengths don't go together.
        DataError: a file, a column, or under `on_bad_row = "stop"` a row can't be used.
        EncoderError: the encoder's folder is none.
    """
    folder, max_length = _encoder(config.encoder)
    tokenizer = load_tokenizer(folder)
    report = CheckReport(encoder=str(folder), max_length=max_length)
    parts: dict[str, list[_Part]] = {}
    for name, own in (*config.labelled.items(), *config.texts.items()):
        if reading is not None:
            reading(name)
        parts[name] = list(_parts(resolve_task(name, own), own, tokenizer, config, cache))
    report.overlaps.extend(_overlaps({name: parts[name] for name in config.labelled}))
    for name, section in config.tasks.items():
        task = resolve_any(name, section)
        if isinstance(task, AuxiliaryTask):
            parts[name] = list(_text_parts(task, config, tokenizer, cache, parts))
        splits = [_split_report(part, task, max_length) for part in parts[name]]
        report.tasks.append(TaskReport(task, _taken_from_data(section, task), splits))
    return report


def _text_parts(
    task: AuxiliaryTask,
    config: Config,
    tokenizer: Tokenizer,
    cache: Path | None,
    parts: dict[str, list[_Part]],
) -> Iterator[_Part]:
    """Yield the splits of a task without labels: its own file's texts, or those of other tasks."""
    sources = {name: parts[name] for name in config.sources(task.name)}
    if not sources:
        section = config.tasks[task.name]
        sources = {"": list(_parts(task, section, tokenizer, config, cache))}
    for split in ("train", "dev"):
        own = {name: part for name, some in sources.items() for part in some if part.split == split}
        if not own:
            continue
        first = next(iter(own.values()))
        path = first.path if "" in own else Path(f"texts of {', '.join(own)}")
        stores = [
            TextSource(name, part.rowset.store, part.rowset.rows)
            for name, part in own.items() if isinstance(part.rowset.store, TokenStore)
        ]  # fmt: skip
        store = TextStore(stores, task.name)
        rows = np.arange(len(store))
        yield _Part(split, path, first.share if "" in own else None, Rowset(store, rows))


def _encoder(section: EncoderConfig) -> tuple[Path, int]:
    from accord.bert.pretrained import read_config, resolve_encoder_folder

    folder = resolve_encoder_folder(section.path, section.revision)
    positions = read_config(folder).max_position_embeddings
    max_length = section.max_length or positions
    if max_length > positions:
        raise ConfigError(f"encoder.max_length: {max_length}, but the encoder holds {positions}")
    return folder, max_length


def _parts(
    task: Task, section: AnyTaskConfig, tokenizer: Tokenizer, config: Config, cache: Path | None
) -> Iterator[_Part]:
    """Yield a task's splits; without a dev file, a share of the training file is one."""
    if section.train is None and isinstance(section, TaskConfig):
        raise ConfigError(f"'tasks.{task.name}.train' is missing")
    before: dict[str, Rowset] = {}
    for split in ("train", "dev", "test"):
        name = getattr(section, split, None)
        if name is None:
            continue
        path, labelled = Path(name), split != "test" and isinstance(section, TaskConfig)
        store = open_store(
            path, task.name, section, task, tokenizer, labelled=labelled, cache=cache
        )
        rows = first_rows(len(store), section.limit)
        if split == "train" and section.dev is None:
            share = config.training.dev_share
            rows, dev_rows = dev_split(len(rows), share)
            before = {"train": Rowset(store, rows), "dev": Rowset(store, dev_rows)}
            yield _Part("train", path, None, before["train"])
            yield _Part("dev", path, share, before["dev"])
        elif split == "test" and isinstance(section, TaskConfig):
            test = Rowset(store, rows)
            labels = read_test_labels(path, section, task, store.lines[rows])
            found = heldout_test(labels, test, before["dev"], before["train"])
            yield _Part(split, path, None, test, found)
        else:
            before[split] = Rowset(store, rows)
            yield _Part(split, path, None, before[split])


def _split_report(part: _Part, task: Task, max_length: int) -> SplitReport:
    store, rows = part.rowset.store, part.rowset.rows
    lengths = sequence_lengths(store.lengths[rows], task)
    labels = store.labels[rows] if part.split != "test" else None
    if part.heldout is not None and len(part.heldout.rows):
        labels = part.heldout.labels
    return SplitReport(
        split=part.split,
        path=str(part.path),
        share=part.share,
        rows=len(rows),
        skipped=[] if part.share is not None else store.skipped,
        labels=_label_counts(labels, task) if labels is not None else None,
        targets=_target_summary(labels, task) if labels is not None else None,
        tokens=_quantiles(lengths),
        truncated=int((lengths > max_length).any(axis=1).sum()),
        duplicates=count_duplicates(part.rowset),
        notes=_notes(part, task),
    )


def _notes(part: _Part, task: Task) -> list[str]:
    if part.heldout is not None:
        return part.heldout.notes(str(part.path))
    if part.split != "dev" or isinstance(task, AuxiliaryTask):
        return []
    store, rows = part.rowset.store, part.rowset.rows
    halves = content_halves(row_contents(store, rows, task.texts), store.labels[rows])
    return list(filter(None, [few_rows_note(halves)]))


def sequence_lengths(lengths: npt.NDArray[np.int64], task: Task) -> npt.NDArray[np.int64]:
    """Return the lengths of the sequences that the encoder reads, before truncation.

    Args:
        lengths: tokens of each text, `[rows, texts]`, without special tokens.
        task: its encoding decides whether a pair is one sequence or two.

    Returns:
        Lengths with special tokens, `[rows, sequences]`.
    """
    if task.is_pair and task.sequences == 1:
        return np.asarray(lengths.sum(axis=1, keepdims=True) + 3)
    return np.asarray(lengths + 2)


def _quantiles(lengths: npt.NDArray[np.int64]) -> Quantiles:
    values = np.quantile(lengths, [0, 0.5, 0.9, 0.99, 1], method="inverted_cdf")
    return Quantiles(*(int(value) for value in values))


def _label_counts(labels: npt.NDArray[np.float64], task: Task) -> dict[str, int] | None:
    if not task.is_classification:
        return None
    counts = np.bincount(labels.astype(np.int64), minlength=len(task.labels))
    return {label: int(count) for label, count in zip(task.labels, counts, strict=True)}


def _target_summary(labels: npt.NDArray[np.float64], task: Task) -> TargetSummary | None:
    if not task.is_regression:
        return None
    return TargetSummary(float(labels.min()), float(labels.mean()), float(labels.max()))


def _taken_from_data(section: AnyTaskConfig, task: Task) -> list[str]:
    if not isinstance(section, TaskConfig):
        return []
    key = "labels" if task.is_classification else "range"
    return [key] if getattr(section, key) is None else []


def _overlaps(parts: dict[str, list[_Part]]) -> Iterator[Overlap]:
    def rowsets(split: str) -> Iterator[tuple[str, Rowset]]:
        for name, some in parts.items():
            yield from ((name, part.rowset) for part in some if part.split == split)

    for dev_name, dev in rowsets("dev"):
        for train_name, train in rowsets("train"):
            yield find_overlap(train_name, train, dev_name, dev)
