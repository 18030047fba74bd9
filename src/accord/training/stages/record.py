"""What `resolved.json` holds of a run in stages, and what has changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accord.errors import RunFolderError
from accord.plan.run import RunPlan
from accord.runs.folder import STATUS, RunFolder
from accord.training.edits import other_settings, source_table
from accord.training.resuming import changes, versions
from accord.training.stages.preflight import Preflight
from accord.training.stages.stage import Stage

Table = dict[str, Any]


def resolved(
    run: RunFolder, plan: RunPlan, stages: Sequence[Table], last: Mapping[str, Any]
) -> Table:
    """Return what `resolved.json` holds: what it holds of any run, and of each stage.

    Args:
        run: its folder.
        plan: of the whole run.
        stages: `Preflight.contents` of each.
        last: `Preflight.shown` of the last one.
    """
    made_of = {key: value for key, value in plan.given.items() if key != "selection"}
    content = json.dumps([made_of, stages], sort_keys=True)
    return {
        "config": plan.given,
        **last,
        "data": merged_data(stages),
        "encoder": stages[0]["encoder"],
        "stages": stages,
        "fingerprint": hashlib.sha256(content.encode()).hexdigest(),
        "config_toml": source_table(run),
        "versions": versions(),
    }


def merged_data(stages: Sequence[Table]) -> dict[str, str]:
    """Return what identifies a whole run's data, from `Preflight.contents` of each stage."""
    data: dict[str, str] = {}
    for stage in reversed(stages):  # a task counts as it is when it is trained first
        data |= stage["data"]
    return data


def resolved_again(
    run: RunFolder, plan: RunPlan, begun: Table, ahead: Sequence[Preflight | None]
) -> Table:
    """Return what `resolved.json` holds of a run that goes on though something changed.

    Args:
        run: its folder.
        plan: as it is now.
        begun: what `resolved.json` held.
        ahead: what is known of the stages to come; None of those that are done, which stay as
            they were.
    """
    stages = [
        _begun_stage(run, begun, index) if stage is None else stage.contents
        for index, stage in enumerate(ahead)
    ]
    last = ahead[-1]
    before = {key: begun.get(key) for key in ("tasks", "max_length")}
    return resolved(run, plan, stages, before if last is None else last.shown)


def is_ahead(stage: Stage, *, begun: bool) -> bool:
    """Whether a stage is yet to be run; with `begun` also one that is only begun."""
    if not (stage.folder / STATUS).exists():
        return True
    return begun and RunFolder.open(stage.folder).state() != "done"


def check_edits(before: Sequence[Stage], after: Sequence[Stage]) -> list[str]:
    """Check that every edit of a run's config makes a difference to a stage that isn't done.

    Args:
        before: the stages as the run knew them.
        after: as they are now.

    Returns:
        Labels of the stages that are done and stay as they were, though they are edited too.

    Raises:
        RunFolderError: naming the keys of finished stages alone: nothing would come of them.
    """
    done: dict[str, list[str]] = {}
    ahead: set[str] = set()
    for old, new in zip(before, after, strict=False):
        settings = other_settings(old.plan, new.plan)
        if is_ahead(new, begun=True):
            ahead.update(settings)
        elif settings:
            done[new.plan.label] = settings
    for label, settings in done.items():
        if lost := [edit for edit in settings if edit not in ahead]:
            raise RunFolderError(
                f"{label}: is done, and was trained by other settings: {'; '.join(lost)}; --force"
                " changes no finished stage either: put them back as they were, or train into"
                " another folder"
            )
    return [*done]


def changes_ahead(run: RunFolder, begun: Table, ahead: Sequence[Preflight | None]) -> Iterator[str]:
    """Yield what changed since of what stages need, those that are ahead."""
    for index, now in enumerate(ahead):
        if now is not None:
            before = {"versions": begun.get("versions", {}), **_begun_stage(run, begun, index)}
            yield from changes(before, **now.contents)


def _begun_stage(run: RunFolder, begun: Table, index: int) -> Table:
    """Return what `resolved.json` holds of a stage."""
    try:
        entry = begun["stages"][index]
        return {"data": dict(entry["data"]), "encoder": dict(entry["encoder"])}
    except (KeyError, IndexError, TypeError, ValueError):
        file = run.path / "resolved.json"
        raise RunFolderError(f"{file}: what it holds of stages can't be read") from None
