"""Whether the files that several runs name were the same for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from accord.comparison.contents import READ_BY, SPLITS
from accord.errors import RunFolderError
from accord.report.record import RunRecord

_MEANT_BY = ("kind", "labels", "range")


def check_unchanged(runs: Sequence[RunRecord]) -> None:
    """Check that every file, and every encoder, that several runs name was the same for all.

    Raises:
        RunFolderError: naming the file, and two runs that knew it by another content.
    """
    known: dict[str, tuple[str, RunRecord]] = {}
    for run in runs:
        for file, key, content in _named(run):
            before, first = known.setdefault(key, (content, run))
            if before != content:
                raise RunFolderError(
                    f"{file}: was changed between the runs {first.path} and {run.path}, so they"
                    " are not compared: delete the folders of those that are to be trained anew, or"
                    " compare folders as they are with 'accord compare'"
                )


def _named(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Yield each file that a run's config names, all that its content may go by, and the content.

    Runs that agree in the second have the same content, if nothing was changed.
    """
    table = run.config.model_dump(mode="json")
    encoder = [table["encoder"][key] for key in ("path", "revision", "heads")]
    common = [encoder, table["memory"], table["training"]["dev_share"]]
    if run.encoder_content:
        drawn = table["encoder"]["reinit_layers"] and run.seed
        yield encoder[0], json.dumps([encoder, table["encoder"]["reinit_layers"], drawn,
                                      table["stages"]]), run.encoder_content  # fmt: skip
    for name, own in table["tasks"].items():
        sources = [] if own.get("train") else [_files(table["tasks"]), _files(table["texts"])]
        for split in SPLITS:
            file = own.get(split) or own.get("train") or f"the texts of '{name}'"
            key = json.dumps([name, split, _files({name: own}), sources, common])
            if content := run.content(name, split):
                yield file, key, content


def _files(tasks: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return which files tasks have, and how each is read."""
    return {
        name: [own.get(key) for key in (*SPLITS, *READ_BY, *_MEANT_BY, "texts_of")]
        for name, own in tasks.items()
    }
