"""Completes a task's configuration from its training file: labels, range, loss and metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from accord.config.tasks import AnyTaskConfig, MaskedLMConfig, SimCSEConfig, TaskConfig
from accord.data.examples import read_labels
from accord.data.files import DataFiles, files_of
from accord.data.labels import HIDDEN, parse_number, without_label
from accord.data.reading import open_rows
from accord.errors import ConfigError, nearest
from accord.tasks import AuxiliaryTask, Loss, Metric, Task, canonical_label

MOST_LABELS = 1_000


def resolve_task(name: str, config: TaskConfig) -> Task:
    """Return the task with nothing left open.

    Labels that aren't configured are those of the training file, in numerical order if all are
    numbers, else sorted; a range that isn't configured is the training file's lowest and highest.
    Where dev is a share of that file, its rows count as well: which rows can be used, and so which
    are dev, is known only once labels and range are. Two numbers of dev rows may so set the scale;
    a configured range, as a scale's ends mostly are known, has nothing of them.

    Args:
        name: the task's name, as in `[tasks.NAME]`.
        config: its section.

    Raises:
        ConfigError: the labels, range, loss and metric don't go together, or can't be found.
        DataError: the training file can't be read.
    """
    classification = config.kind.endswith("classification")
    labels = _labels(name, config) if classification else ()
    loss = config.loss or _default_loss(config)
    if classification and loss != "cross_entropy" and len(labels) != 2:
        raise ConfigError(
            f"tasks.{name}.loss: '{loss}' takes exactly two labels, but there are {len(labels)}: "
            f"{', '.join(labels)}"
        )
    metric: Metric = config.metric or ("accuracy" if classification else "pearson")
    positive = _positive(name, config, labels) if classification else None
    return Task(
        name=name,
        kind=config.kind,
        loss=loss,
        metric=metric,
        labels=labels,
        range=(0.0, 1.0) if classification else _range(name, config),
        encoding=config.encoding,
        head=config.head,
        pooling=config.pooling,
        dropout=config.dropout,
        targets=config.targets,
        positive=positive,
    )


def resolve_any(name: str, config: AnyTaskConfig) -> Task:
    """Return a task with or without labels with nothing left open, as `resolve_task` does."""
    if isinstance(config, MaskedLMConfig):
        return AuxiliaryTask(
            name, "masked-lm", "masked_lm", "likelihood", pooling="masked", dropout=0.0,
            mask_share=config.mask_share,
        )  # fmt: skip
    if isinstance(config, SimCSEConfig):
        return AuxiliaryTask(
            name, "simcse", "info_nce", "likelihood", pooling=config.pooling, dropout=0.0,
            temperature=config.temperature,
        )  # fmt: skip
    return resolve_task(name, config)


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Return labels in numerical order if all are numbers, else in alphabetical order.

    Example:
        >>> sort_labels(["10", "9"]), sort_labels(["b", "a", "1"])
        (['9', '10'], ['1', 'a', 'b'])
    """
    names = list(labels)
    try:
        return sorted(names, key=lambda name: (parse_number(name), name))
    except ValueError:
        return sorted(names)


def _default_loss(config: TaskConfig) -> Loss:
    if config.head == "cosine" or not config.kind.endswith("classification"):
        return "mse"
    return "cross_entropy"


def _labels(name: str, config: TaskConfig) -> tuple[str, ...]:
    if config.labels is not None:
        return tuple(canonical_label(str(label)) for label in config.labels)
    files = _training_files(name, config, "labels")
    names = [canonical_label(label) for label in open_rows(files).class_names(config.label)]
    if len(names) > 1:
        return tuple(label for label in names if label not in config.missing_labels)
    found: set[str] = set()
    for label in read_labels(files, config):
        found.add(label)
        if len(found) > MOST_LABELS:
            raise ConfigError(
                f"tasks.{name}.label: column '{config.label}' of {files} holds more than "
                f"{MOST_LABELS} different labels; name them in tasks.{name}.labels if they are"
            )
    hidden = without_label(found)
    labels = sort_labels(found - hidden)
    if len(labels) < 2:
        held = f"the one label '{labels[0]}'" if labels else "no label"
        beside = ", ".join(f"'{label}'" for label in sort_labels(hidden))
        raise ConfigError(
            f"tasks.{name}.label: column '{config.label}' of {files} holds {held}"
            + f" beside {beside}, which in many data sets means none" * bool(hidden)
            + f"; a classification needs two or more (tasks.{name}.labels)"
        )
    return tuple(labels)


def _positive(name: str, config: TaskConfig, labels: tuple[str, ...]) -> str | None:
    """Return the class whose F1 is meant: the config's, or of two the one that says yes.

    Where F1 is the task's metric and neither says yes it is the rarer one of the training file, as
    what is looked for mostly is.
    """
    if config.positive is not None:
        given = canonical_label(str(config.positive))
        if given not in labels:
            raise ConfigError(
                f"tasks.{name}.positive: no label is '{given}'{nearest(given, labels)}"
            )
        return given
    yes = [label for label in labels if _NO_OF.get(label.casefold())]
    if len(labels) == 2 and len(yes) == 1:
        other = next(label for label in labels if label != yes[0])
        if other.casefold() in _NO_OF[yes[0].casefold()]:
            return yes[0]
    return _rarer(name, config, labels) if config.metric == "f1" else None


_NO_OF = {
    "1": ("0", "-1"), "yes": ("no",), "y": ("n",), "true": ("false",), "t": ("f",),
    "positive": ("negative",), "pos": ("neg",),
}  # fmt: skip
"""What says yes, and what says no where it does."""


def _rarer(name: str, config: TaskConfig, labels: tuple[str, ...]) -> str:
    counts = Counter[str]()
    if len(labels) == 2 and config.train is not None:
        found = read_labels(files_of(config, config.train), config)
        counts.update(label for label in found if label in labels)
    rarer, other = sorted(labels, key=lambda label: counts[label])[:2]
    if counts[rarer] == counts[other]:
        raise ConfigError(
            f"tasks.{name}.metric: 'f1' is of one class: name it in tasks.{name}.positive, or take"
            f' metric = "macro_f1"; the labels are {", ".join(labels)}'
        )
    return rarer


def _range(name: str, config: TaskConfig) -> tuple[float, float]:
    if config.range is not None:
        return float(config.range[0]), float(config.range[1])
    files = _training_files(name, config, "range")
    lowest, highest, hidden = float("inf"), float("-inf"), set[float]()
    for label, number in _numbers(files, config):
        if label in HIDDEN:
            hidden.add(number)
        else:
            lowest, highest = min(lowest, number), max(highest, number)
    if lowest < 0:  # beside other negative numbers -1 is one of them
        lowest, highest = min(hidden | {lowest}), max(hidden | {highest})
    if not lowest < highest:
        raise ConfigError(
            f"tasks.{name}.label: column '{config.label}' of {files} holds fewer than two "
            f"different numbers; name the lowest and highest in tasks.{name}.range"
        )
    return lowest, highest


def _numbers(files: DataFiles, config: TaskConfig) -> Iterator[tuple[str, float]]:
    for label in read_labels(files, config):
        try:
            yield label, parse_number(label)
        except ValueError:
            continue  # the row is faulted, with its line, when the file is read in full


def _training_files(name: str, config: TaskConfig, key: str) -> DataFiles:
    if config.train is None:
        raise ConfigError(f"tasks.{name}.{key}: missing, and there is no training file to ask")
    return files_of(config, config.train)
