"""A run as it was planned: plain values, nothing left open but what files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from accord.config import sections
from accord.config.file import toml
from accord.data.plan import DataPlan
from accord.metrics import Score

Table = Mapping[str, Any]
Precision = sections.Precision


@dataclass(frozen=True)
class EncoderPlan:
    """The encoder that a run begins with.

    Attributes:
        path: a folder, or a hub id.
        revision: of the hub's.
        frozen: whether heads alone are trained.
        dropout: None leaves the checkpoint's own.
        keeps_heads: whether its tasks' heads and parts are taken over.
        reinit_layers: so many of the last layers are drawn anew, and the pooler.
        gradient_checkpointing: whether layers are recomputed in the backward pass.
    """

    path: str
    revision: str | None
    frozen: bool
    dropout: float | None
    keeps_heads: bool
    reinit_layers: int
    gradient_checkpointing: bool

    @property
    def mode(self) -> str:
        """As the config spells it."""
        return "frozen" if self.frozen else "finetune"


@dataclass(frozen=True)
class TrainingPlan:
    """How long, in which batches, by which methods and optimizer.

    `lr`, `head_lr` and `part_lr` are peak rates of the encoder, the heads and the tasks' own parts
    but for copies of layers; keys of the same name in `[training]` say what the others are.
    """

    epochs: int
    batch_size: int
    steps_per_epoch: int | None
    examples: int | None
    one_task: bool
    batching: str
    balancing: str
    gradients: str
    by_layer: bool
    gramian: bool
    regularisers: tuple[str, ...]
    lr: float
    head_lr: float
    part_lr: float
    layer_decay: float
    unfreeze_over: float
    weight_decay: float
    schedule: Literal["constant", "linear", "cosine"]
    warmup: float
    clip: float
    seed: int
    precision: Precision
    micro_batch_tokens: int | None
    max_skipped_steps: int
    halves_every: int | None
    threads: int | None
    device: str


@dataclass(frozen=True)
class SharingPlan:
    """What each task has of its own beside its head; `soft` pulls copies of layers together."""

    schemes: tuple[str, ...]
    train_shared: bool
    soft: Literal["l2", "trace-norm"] | None
    soft_weight: float


@dataclass(frozen=True)
class AveragingPlan:
    """Averages of the weights over steps, as `[averaging]` has them."""

    method: Literal["none", "ema", "swa", "soup"]
    decay: float
    start: float
    every_steps: int | None


@dataclass(frozen=True)
class CheckpointPlan:
    """How often a run can be picked up again; None: not by steps, or not by minutes."""

    every_steps: int | None
    every_minutes: float | None
    keep: int


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
        options: of the methods that it uses, by name.
        score: how the metrics become one.
        settings: of its config what makes a difference, as JSON: runs of equal ones are alike.
        given: its whole config, as JSON.
        label: as messages name the stage; empty without stages.
        name: as the config does.
        place: which one of how many, as progress says it.
        folder: the name of its run's.
        trained: names of the tasks that it trains.
    """

    encoder: EncoderPlan
    data: DataPlan
    training: TrainingPlan
    sharing: SharingPlan
    averaging: AveragingPlan
    checkpoint: CheckpointPlan
    options: Mapping[str, Mapping[str, Any]]
    score: Score
    settings: Table
    given: Table
    label: str = ""
    name: str = ""
    place: str = ""
    folder: str = ""
    trained: tuple[str, ...] = ()

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
            encoder=replace(self.encoder, path=path, revision=None),
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
        notes: what of the config makes no difference, and what is lost on the way, a line each.
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
