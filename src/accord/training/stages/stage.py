"""A run's stages: their configs, their folders, and how errors name them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from accord.config.file import stage_configs
from accord.config.sections import Config
from accord.config.stages import stage_label, stage_name
from accord.errors import AccordError
from accord.runs.folder import RunFolder

FOLDER = "stages"


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        label: as messages name it.
        name: as the config does.
        place: which one of how many, as progress says it.
        folder: of its run.
        given: its config, with the encoder that the whole run begins with.
        trained: names of the tasks that it trains.
        before: the model folder that the stage before leaves; None for the first.
    """

    label: str
    name: str
    place: str
    folder: Path
    given: Config
    trained: tuple[str, ...]
    before: Path | None

    @property
    def config(self) -> Config:
        """The config of its run."""
        if self.before is None:
            return self.given
        update = {"path": str(self.before.absolute()), "revision": None}
        encoder = self.given.encoder.model_copy(update=update)
        return self.given.model_copy(update={"encoder": encoder})


def stages_of(config: Config, out: Path) -> list[Stage]:
    """Return a run's stages; each but the first has the model of the one before as its encoder."""
    stages: list[Stage] = []
    for index, own in enumerate(stage_configs(config)):
        given, name = config.stages[index], stage_name(config.stages, index)
        stages.append(Stage(
            label=stage_label(config.stages, index),
            name=name,
            place=f"stage {index + 1}/{len(config.stages)}" + (f" {name}" if given.name else ""),
            folder=out / FOLDER / (f"{index + 1}-{name}" if given.name else name),
            given=own,
            trained=tuple(given.tasks),
            before=stages[-1].folder / "model" if stages else None,
        ))  # fmt: skip
    return stages


@contextlib.contextmanager
def naming(stage: Stage, run: RunFolder | None = None) -> Iterator[None]:
    """Let errors name the stage, and the whole run as what can be resumed."""
    try:
        yield
    except AccordError as error:
        error.args = tuple(f"{stage.label}: {_of_run(line, stage, run)}" for line in error.args)
        raise


def _of_run(line: str, stage: Stage, run: RunFolder | None) -> str:
    return line if run is None else line.replace(f"resume {stage.folder}", f"resume {run.path}")
