"""Whether the files that several runs name were the same for all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from accord.comparison.contents import READ_BY, SPLITS
from accord.config.sections import Config
from accord.data.datafiles import shown
from accord.errors import RunFolderError
from accord.report.record import RunRecord
from accord.runs.contents import Contents

_MEANT_BY = ("kind", "labels", "range")
_EVALUATED_ON = ("test", "test labels")


@dataclass(frozen=True)
class Material:
    """What a run is made from.

    Attributes:
        name: of the run, in messages; empty of what lies there now.
        config: of the run.
        contents: of its data and its encoder.
    """

    name: str
    config: Config
    contents: Contents


@dataclass(frozen=True)
class Change:
    """A file, or an encoder, that two runs name and know by other contents.

    Attributes:
        file: as their configs name it.
        part: what of them it is, as in "mood.dev".
        contents: of the one and the other.
        runs: their names; the second is empty if that is what lies there now.
    """

    file: str
    part: str
    contents: tuple[str, str]
    runs: tuple[str, str]

    @property
    def identity(self) -> str:
        """What changed, whichever runs it was seen by."""
        return f"{self.file} ({self._difference})"

    def __str__(self) -> str:
        one, other = self.runs
        when = f"between the runs {one} and {other}" if other else f"since the run {one}"
        return f"{self.file}: was changed {when} ({self._difference})"

    @property
    def _difference(self) -> str:
        return f"{self.part}: content {' -> '.join(map(_short, self.contents))}"


def material_of(run: RunRecord) -> Material:
    """Return what a finished run was made from."""
    return Material(str(run.path), run.config, run.contents)


def changes_between(runs: Iterable[Material]) -> list[Change]:
    """Return what is not the same for all of some runs that name it, each change once."""
    known: dict[str, tuple[str, str]] = {}
    changes: dict[str, Change] = {}
    for run in runs:
        for file, part, key, content in _named(run):
            before, first = known.setdefault(key, (content, run.name))
            if before != content:
                change = Change(file, part, (before, content), (first, run.name))
                changes.setdefault(change.identity, change)
    return list(changes.values())


def check_unchanged(runs: Iterable[Material], agreed: Collection[str] = ()) -> None:
    """Check that every file, and every encoder, that several runs name is the same for all.

    Args:
        runs: that are to be compared.
        agreed: identities of changes that they may be compared across.

    Raises:
        RunFolderError: naming the file, and two runs that know it by another content.
    """
    changes = [change for change in changes_between(runs) if change.identity not in agreed]
    if changes:
        raise change_error(changes)


def change_error(changes: Sequence[Change]) -> RunFolderError:
    """Return the error that says why runs are not compared."""
    return RunFolderError(
        f"{'; '.join(map(str, changes))}; such runs are not compared: delete the folders of those"
        " that are to be trained anew, or --force goes on anyway, and records it"
    )


def _named(run: Material) -> Iterator[tuple[str, str, str, str]]:
    """Yield each file that a run's config names, what of the run it is, all that its content may
    go by, and the content.

    Runs that agree in the third have the same content, if nothing was changed.
    """
    table = run.config.model_dump(mode="json")
    encoder = [table["encoder"][key] for key in ("path", "revision")]
    if content := run.contents.encoder:
        layers, keeps = table["encoder"]["reinit_layers"], table["encoder"]["heads"]
        key = json.dumps([encoder, keeps, layers, layers and run.config.training.seed,
                          table["stages"]])  # fmt: skip
        yield encoder[0], "encoder's weights", key, content
    if content := run.contents.encoder_settings:
        key = json.dumps(["settings", table["encoder"], table["stages"]])
        yield f"{encoder[0]}/config.json", "encoder's settings", key, content
    common = [encoder, table["memory"], table["training"]["dev_share"]]
    for name, task in table["tasks"].items():
        sources = [] if task.get("train") else [_files(table["tasks"]), _files(table["texts"])]
        for split in (*SPLITS, *_EVALUATED_ON):
            place = task.get("test" if split in _EVALUATED_ON else split) or task.get("train")
            tested = task.get("test") if split in _EVALUATED_ON else None
            key = json.dumps([name, split, _files({name: task}), tested, sources, common])
            if content := run.contents.data(name, split):
                file = shown(place or f"the texts of '{name}'")
                yield file, f"{name}.{split}", key, content


def _short(content: str) -> str:
    """Return enough of a content to tell it from others: the start of each hash, and counts.

    Example:
        >>> _short("0123456789abcdef:20")
        '01234567:20'
    """
    return ":".join(part[:8] for part in content.split(":"))


def _files(tasks: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return which files tasks have, and how each is read."""
    return {
        name: [task.get(key) for key in (*SPLITS, *READ_BY, *_MEANT_BY, "texts_of")]
        for name, task in tasks.items()
    }
