"""A run as it was planned: plain values, nothing left open but what files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.config import sections, training
from accord.config.file import toml
from accord.data.plan import DataPlan
from accord.metrics import Score

Table = Mapping[str, Any]
Precision = training.Precision


# A part of a plan is its section of the config with nothing left open. A key whose value is taken
# as it stands is a field of the section alone; one that is settled may have a narrower type here.


class EncoderPlan(sections.EncoderConfig):
    """The encoder that a run begins with; `dropout` None leaves the checkpoint's own."""

    @property
    def frozen(self) -> bool:
        """Whether heads alone are trained."""
        return self.mode == "frozen"

    @property
    def keeps_heads(self) -> bool:
        """Whether its tasks' heads and parts are taken over."""
        return self.heads == "keep"


class TrainingPlan(training.TrainingConfig):
    """How long, in which batches, by which methods and optimizer.

    `lr` and `head_lr` are peak rates of the encoder and the heads.
    """

    balancing: str
    lr: float
    head_lr: float

    @property
    def one_task(self) -> bool:
        """Whether a step is of one task."""
        return self.tasks_per_step == "one"

    @property
    def watched_task(self) -> str | None:
        """The task that early stopping looks at; None is all that are trained."""
        return None if self.stop_on == training.SCORE else self.stop_on

    @property
    def by_layer(self) -> bool:
        """Whether each layer's gradients are weighed apart."""
        return self.granularity == "layer"


class SharingPlan(sections.SharingConfig):
    """What each task has of its own beside its head; `lr` is of all but copies of layers."""

    lr: float


class AveragingPlan(sections.AveragingConfig):
    """Averages of the weights over steps."""


class CheckpointPlan(sections.CheckpointConfig):
    """How often a run can be picked up again; None: not by steps, or not by minutes."""


class TrackPlan(sections.TrackConfig):
    """Where a run's figures are shown."""


@dataclass(frozen=True)
class StagePlan:
    """One run without stages, or a stage of one.

    Attributes:
        encoder: of the whole run: what stages before leave takes its place (`from_model`).
        data: its tasks' files.
        training: how it is trained.
        sharing: what tasks have of their own.
        averaging: of its weights.
        checkpoint: how often.
        track: where its figures are shown.
        options: of the methods that it uses, by name.
        score: how the metrics become one.
        settings: of its config what makes a difference, as JSON: runs of equal ones are alike.
        given: its whole config, as JSON.
        label: as messages name the stage; empty without stages.
        name: as the config does.
        place: which one of how many, as progress says it.
        folder: the name of its run's.
        trained: names of the tasks that it trains.
        note: which tasks are packed apart though they read the same rows, and why; mostly empty.
    """

    encoder: EncoderPlan
    data: DataPlan
    training: TrainingPlan
    sharing: SharingPlan
    averaging: AveragingPlan
    checkpoint: CheckpointPlan
    track: TrackPlan
    options: Mapping[str, Mapping[str, Any]]
    score: Score
    settings: Table
    given: Table
    label: str = ""
    name: str = ""
    place: str = ""
    folder: str = ""
    trained: tuple[str, ...] = ()
    note: str = ""

    @property
    def finished(self) -> tuple[str, ...]:
        """The tasks that are remembered and not trained."""
        return self.data.finished

    @property
    def trains_shared(self) -> bool:
        """Whether what all tasks share is trained."""
        return not self.encoder.frozen and self.sharing.train_shared

    @property
    def toml(self) -> str:
        """Its config as a TOML file, every key set."""
        return toml(self.given)

    def from_model(self, folder: Path) -> StagePlan:
        """Return the plan with a model folder in the encoder's place."""
        path = str(folder.absolute())

        def moved(table: Table) -> Table:
            return {**table, "encoder": {**table["encoder"], "path": path, "revision": None}}

        return replace(
            self,
            encoder=self.encoder.model_copy(update={"path": path, "revision": None}),
            settings=moved(self.settings),
            given=moved(self.given),
        )


@dataclass(frozen=True)
class RunPlan:
    """A whole run.

    Attributes:
        stages: in their order; one where the config has none.
        data: the files of all their tasks.
        staged: whether it has.
        notes: what of the config makes no difference, and what is lost on the way, one line each.
        given: the config as JSON.
    """

    stages: tuple[StagePlan, ...]
    data: DataPlan
    staged: bool
    notes: tuple[str, ...]
    given: Table

    @property
    def only(self) -> StagePlan:
        """The plan of a run without stages."""
        assert not self.staged
        return self.stages[0]
