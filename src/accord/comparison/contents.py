"""What runs were made from, by content: a file that lies elsewhere is the same, and one that was
edited is another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from accord.config.file import stage_configs
from accord.config.sections import Config
from accord.plan.unused import effective

if TYPE_CHECKING:
    from accord.comparison.group import Group
    from accord.report.record import RunRecord

_CONTENT = " (content)"
SPLITS = ("train", "dev")
"""Whose content a run's folder tells."""

READ_BY = (
    "text", "label", "id", "group", "delimiter", "quoting", "file_encoding", "limit", "on_bad_row",
    "missing",
)  # fmt: skip
"""Keys of a task that say how its files are read."""


def content_table(run: RunRecord, config: Config | None = None) -> dict[str, Any]:
    """Return a run's config as JSON, without what makes no difference, and with contents in place
    of the keys that say where its data and its encoder lie and how files are read.

    Keys whose content the run's folder doesn't record are left as they are.

    Args:
        run: whose files are meant.
        config: of some of its tasks; default: the run's.
    """
    table = effective(config or run.config)
    known = [_set_content(task, run, name) for name, task in table["tasks"].items()]
    if all(known):
        table["training"].pop("dev_share")
        for section in table.get("texts", {}).values():  # the tasks' contents are made of them
            _drop(section, ("test", *SPLITS, *READ_BY))
    # New layers are drawn by the seed, and are among the weights whose content is known.
    first = (stage_configs(run.config) or [run.config])[0]
    if run.contents.encoder and not first.encoder.reinit_layers:
        _drop(table["encoder"], ("path", "revision"))
        table["encoder"][f"path{_CONTENT}"] = run.contents.encoder
    return table


def _set_content(table: dict[str, Any], run: RunRecord, task: str) -> bool:
    """Put a task's contents where its files are named; return whether they are known."""
    contents = {split: run.contents.data(task, split) for split in SPLITS}
    if not all(contents.values()):
        return False
    _drop(table, ("test", *SPLITS, *READ_BY))
    table.update({f"{split}{_CONTENT}": content for split, content in contents.items()})
    return True


def _drop(table: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        table.pop(key, None)


def content_notes(groups: Sequence[Group]) -> list[str]:
    """Return one line for each set of groups that share a config, but not data or encoder."""
    same_config: dict[str, list[Group]] = {}
    for group in groups:
        table = effective(group.runs[0].config)
        table["training"].pop("seed")
        same_config.setdefault(json.dumps(table, sort_keys=True), []).append(group)
    notes = []
    for first, *others in same_config.values():
        for other in others:
            if keys := _differing(first.runs[0], other.runs[0]):
                notes.append(
                    f"OTHER DATA: {first.name} and {other.name} have the same config, but differ"
                    f" in {', '.join(keys)}."
                )
    return notes


def _differing(one: RunRecord, other: RunRecord) -> list[str]:
    contents, others = (dict(_contents(content_table(run))) for run in (one, other))
    return [key for key, content in contents.items() if others.get(key, content) != content]


def _contents(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sections = {"encoder": table["encoder"]}
    sections |= {f"tasks.{name}": task for name, task in table["tasks"].items()}
    for section, keys in sections.items():
        for key, value in keys.items():
            if key.endswith(_CONTENT):
                yield f"{section}.{key}", value
