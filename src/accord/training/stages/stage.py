"""A run's stages: their plans, their folders, and how errors name them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from accord.errors import AccordError
from accord.plan.run import RunPlan, StagePlan
from accord.runs.folder import RunFolder

FOLDER = "stages"


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        planned: its plan, with the encoder that the whole run begins with.
        folder: of its run.
        before: the model folder that the stage before leaves; None for the first.
    """

    planned: StagePlan
    folder: Path
    before: Path | None

    @property
    def plan(self) -> StagePlan:
        """The plan of its run."""
        return self.planned if self.before is None else self.planned.from_model(self.before)


def stages_of(plan: RunPlan, out: Path) -> list[Stage]:
    """Return a run's stages; each but the first has the model of the one before as its encoder."""
    stages: list[Stage] = []
    for stage in plan.stages:
        before = stages[-1].folder / "model" if stages else None
        stages.append(Stage(stage, out / FOLDER / stage.folder, before))
    return stages


@contextlib.contextmanager
def naming(stage: Stage, run: RunFolder | None = None) -> Iterator[None]:
    """Let errors name the stage, and the whole run as what can be resumed."""
    try:
        yield
    except AccordError as error:
        error.args = tuple(
            f"{stage.plan.label}: {_of_run(line, stage, run)}" for line in error.args
        )
        raise


def _of_run(line: str, stage: Stage, run: RunFolder | None) -> str:
    if run is None:
        return line
    line = line.replace(f"resume {stage.folder}", f"resume {run.path}")
    return line.replace(str(stage.folder / "config.toml"), str(run.path / "config.toml"))
