"""What is known of a stage before it begins: its data are read, its estimate made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accord.data.warnings import data_warnings
from accord.runs.estimate import Estimate
from accord.training.resuming import encoder_contents
from accord.training.setup import prepare
from accord.training.stages.stage import Stage, naming

Table = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is known of a stage before it begins.

    Attributes:
        estimate: of its time and memory.
        tasks: those with labels, resolved, as JSON.
        data: what tells its data from other data.
        encoder: likewise the encoder that the whole run begins with.
        max_length: tokens a sequence may have.
        warnings: what a person should know of it, a line each.
    """

    estimate: Estimate
    tasks: list[Table]
    data: dict[str, str]
    encoder: dict[str, str]
    max_length: int
    warnings: list[str]

    @property
    def contents(self) -> Table:
        """What tells its data and encoder from others."""
        return {"data": self.data, "encoder": self.encoder}

    @property
    def shown(self) -> Table:
        """What `resolved.json` holds of the last stage."""
        return {"tasks": self.tasks, "max_length": self.max_length}


def plan_stage(stage: Stage) -> Plan:
    """Read a stage's data, and check all that can be checked before its encoder is trained."""
    with naming(stage):
        setup = prepare(stage.given, planned=stage.before is not None)
    encoder = encoder_contents(setup)
    if stage.before is not None:
        encoder.pop("heads", None)
    return Plan(
        estimate=setup.estimate(),
        tasks=[task.to_json() for task in setup.learner.model.labelled],
        data=setup.data.contents(),
        encoder=encoder,
        max_length=setup.data.assembler.max_length,
        warnings=[
            *(f"{stage.label}: {line}" for line in setup.in_vain),
            *map(str, data_warnings(setup.data.facts)),
        ],
    )


def total(plans: Sequence[Plan]) -> Estimate:
    """Return the estimate of all stages, one after the other."""
    return Estimate(
        seconds=sum(plan.estimate.seconds for plan in plans),
        memory_bytes=max(plan.estimate.memory_bytes for plan in plans),
    )
