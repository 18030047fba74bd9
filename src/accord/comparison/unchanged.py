"""Whether the files that several runs name were the same for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from accord.comparison.contents import READ_BY, SPLITS
from accord.config.sections import Config
from accord.errors import RunFolderError
from accord.report.record import RunRecord

_MEANT_BY = ("kind", "labels", "range")


@dataclass(frozen=True)
class Material:
    """What a run is made from.

    Attributes:
        name: of the run, in messages.
        config: of the run.
        data: what tells each split from others: "TASK.train", "TASK.dev"; none where unknown.
        encoder: what tells the encoder from others; empty where unknown.
    """

    name: str
    config: Config
    data: Mapping[str, str]
    encoder: str = ""


def material_of(run: RunRecord) -> Material:
    """Return what a finished run was made from."""
    contents = {
        f"{task}.{split}": run.content(task, split) for task in run.config.tasks for split in SPLITS
    }
    return Material(str(run.path), run.config, contents, run.encoder_content)


def check_unchanged(runs: Iterable[Material]) -> None:
    """Check that every file, and every encoder, that several runs name is the same for all.

    Raises:
        RunFolderError: naming the file, and two runs that know it by another content.
    """
    known: dict[str, tuple[str, str]] = {}
    for run in runs:
        for file, key, content in _named(run):
            before, first = known.setdefault(key, (content, run.name))
            if before != content:
                raise RunFolderError(
                    f"{file}: was changed between the runs {first} and {run.name}, so they are not"
                    " compared: delete the folders of those that are to be trained anew, or compare"
                    " folders as they are with 'accord compare'"
                )


def _named(run: Material) -> Iterator[tuple[str, str, str]]:
    """Yield each file that a run's config names, all that its content may go by, and the content.

    Runs that agree in the second have the same content, if nothing was changed.
    """
    table = run.config.model_dump(mode="json")
    encoder = [table["encoder"][key] for key in ("path", "revision")]
    if run.encoder:
        layers, keeps = table["encoder"]["reinit_layers"], table["encoder"]["heads"]
        key = json.dumps([encoder, keeps, layers, layers and run.config.training.seed,
                          table["stages"]])  # fmt: skip
        yield encoder[0], key, run.encoder
    common = [encoder, table["memory"], table["training"]["dev_share"]]
    for name, own in table["tasks"].items():
        sources = [] if own.get("train") else [_files(table["tasks"]), _files(table["texts"])]
        for split in SPLITS:
            file = own.get(split) or own.get("train") or f"the texts of '{name}'"
            key = json.dumps([name, split, _files({name: own}), sources, common])
            if content := run.data.get(f"{name}.{split}"):
                yield file, key, content


def _files(tasks: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return which files tasks have, and how each is read."""
    return {
        name: [own.get(key) for key in (*SPLITS, *READ_BY, *_MEANT_BY, "texts_of")]
        for name, own in tasks.items()
    }
