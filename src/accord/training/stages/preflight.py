"""What is known of a run before it begins: its data are read, its stages' estimates made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.data.checking import CheckReport, check_data
from accord.data.warnings import data_warnings
from accord.encoders.pretrained import resolve_encoder_folder
from accord.plan.run import RunPlan
from accord.plan.sources import same_rows
from accord.runs.estimate import Estimate
from accord.training.resuming import encoder_contents
from accord.training.setup import Setup, prepare
from accord.training.stages.stage import Stage, naming, stages_of

Table = dict[str, Any]


@dataclass(frozen=True)
class Preflight:
    """What is known of a stage before it begins.

    Attributes:
        estimate: of its time and memory.
        contents: what identifies its `data`, and the `encoder` that the whole
            run begins with.
        shown: what `resolved.json` holds of the last stage: its `tasks` with labels, resolved, as
            JSON, and `max_length`, the tokens that a sequence may have.
        warnings: one line each.
    """

    estimate: Estimate
    contents: dict[str, dict[str, str]]
    shown: Table
    warnings: list[str]


def check_run(plan: RunPlan) -> list[str]:
    """Check everything that a run refuses before it writes anything, except for its folder.

    Args:
        plan: of the run.

    Returns:
        One line for each setting without effect, as the run would warn of it.

    Raises:
        UsageError: as the run would, in the same words.
    """
    if not plan.staged:
        return list(prepare(plan.only).unused)
    return [
        f"{stage.plan.label}: {line}"
        for stage in stages_of(plan, Path()) for line in _prepared(stage).unused
    ]  # fmt: skip


def reported(plan: RunPlan) -> CheckReport:
    """Check a run, and return what `accord check` says of it, with all that it would warn of.

    Raises:
        UsageError: as `check_run`.
    """
    unused = check_run(plan)
    encoder = plan.stages[0].encoder
    folder = resolve_encoder_folder(encoder.path, encoder.revision)
    data = plan.data if plan.staged else plan.only.data
    packed = {stage.label: stage.data for stage in plan.stages}  # each may pack apart
    report = check_data(data, folder, same_rows(data), packed)
    return replace(report, warnings=[*plan.notes, *unused, *report.warnings])


def _prepared(stage: Stage) -> Setup:
    with naming(stage):
        return prepare(stage.planned, planned=stage.before is not None)


def preflight(stage: Stage) -> Preflight:
    """Read a stage's data, and check all that can be checked before its encoder is trained."""
    setup = _prepared(stage)
    encoder = encoder_contents(setup)
    if stage.before is not None:
        encoder.pop("heads", None)
    return Preflight(
        estimate=setup.estimate(),
        contents={"data": setup.data.contents(), "encoder": encoder},
        shown={
            "tasks": [task.to_json() for task in setup.learner.model.labelled],
            "max_length": setup.data.assembler.max_length,
        },
        warnings=[
            *(f"{stage.plan.label}: {line}" for line in setup.unused),
            *map(str, data_warnings(setup.data.facts)),
        ],
    )


def total(plans: Sequence[Preflight]) -> Estimate:
    """Return the estimate of all stages, one after the other."""
    return Estimate(
        seconds=sum(plan.estimate.seconds for plan in plans),
        memory_bytes=max(plan.estimate.memory_bytes for plan in plans),
    )
