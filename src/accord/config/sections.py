"""The run's configuration: every key of the TOML file, its type, default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from accord.config.base import Fraction, Name, PositiveFloat, PositiveInt, Section
from accord.config.names import NameOf
from accord.config.tasks import AuxiliaryConfig, TaskConfig
from accord.config.training import TrainingConfig
from accord.data.datafiles import of_the_same_files
from accord.kinds._sections import AnyTask, LabelledTask
from accord.metrics import Score


class EncoderConfig(Section):
    """`[encoder]`: which pretrained BERT, and whether it is trained."""

    path: str = Field(description="A folder in Hugging Face format, or a hub id.")
    revision: str | None = Field(None, description="A hub revision: branch, tag or commit.")
    mode: Literal["finetune", "frozen"] = Field(
        "finetune", description="'frozen' trains the heads alone; the encoder reads the data once."
    )
    max_length: Annotated[int, Field(ge=4)] | None = Field(
        None, description="Most tokens of a sequence; default: as many as the encoder can hold."
    )
    dropout: Fraction | None = Field(
        None, description="Dropout inside the encoder; default: the checkpoint's own."
    )
    heads: Literal["new", "keep"] = Field(
        "new", description="'keep': where `path` is a model folder of Accord's, take over the heads"
        " and parts of its tasks of the same name; 'new': initialise all of them."
    )  # fmt: skip
    reinit_layers: Annotated[int, Field(ge=0)] = Field(
        0,
        description="How many of the last layers, besides the pooler, are reinitialised (Zhang et"
        " al. 2021).",
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute each layer in the backward pass: less memory, more time."
    )


class SharingConfig(Section):
    """`[sharing]`: what each task has of its own beside its head."""

    schemes: Annotated[list[str], NameOf("sharing")] = Field(
        [], description="Parts that each task has of its own inside the encoder: schemes of"
        " `accord.sharing`, several at once where they make sense; an empty list shares the whole"
        " encoder."
    )  # fmt: skip
    train_shared: bool = Field(
        True, description="false: the shared weights stay as they are; only parts and heads are"
        " trained."
    )  # fmt: skip
    soft: Literal["l2", "trace-norm"] | None = Field(
        None, description="A penalty on the distance between the tasks' copies of layers: soft"
        " sharing, with schemes = ['own-encoder'] or ['own-layers']. Its gradient is added to the"
        " copies of a step's tasks after clipping; logged losses and norms don't include it."
    )  # fmt: skip
    soft_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1e-4, description="Weight of that penalty."
    )
    lr: PositiveFloat | None = Field(
        None, description="Peak learning rate of new parts; default: `training.head_lr`. Copies"
        " of layers have the encoder's."
    )  # fmt: skip


class AveragingConfig(Section):
    """`[averaging]`: averages of the weights over steps, saved in the weights' place."""

    method: Literal["none", "ema", "swa", "soup"] = Field(
        "none", description="'ema': an exponential moving average; 'swa': the plain mean over the"
        " end of the run; 'soup': at the end, the mean of those epochs' weights that together"
        " score best (each epoch's weights lie in the run folder until then). Training goes on"
        " with the weights themselves."
    )  # fmt: skip
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(0.999, description="Decay of 'ema'.")
    start: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="Share of the run after which 'swa' begins; before it the weights are"
        " evaluated as they are."
    )  # fmt: skip
    every_steps: PositiveInt | None = Field(
        None, description="Steps between the weights that 'swa' averages; default a quarter of an"
        " epoch."
    )  # fmt: skip


class CheckpointConfig(Section):
    """`[checkpoint]`: how often a run can be picked up again."""

    every_steps: PositiveInt | None = Field(
        None,
        description="Save every so many steps as well as after each epoch; default: 500, or none"
        " where `every_minutes` is set.",
    )
    every_minutes: PositiveFloat | None = Field(
        None, description="Save every so many minutes as well as after each epoch."
    )
    keep: PositiveInt = Field(2, description="How many of the newest checkpoints are kept.")


class StageConfig(Section):
    """`[[stages]]`: one stage of several, each from the model that the one before left."""

    name: Name | None = Field(None, description="Name of the stage; default: its number, from 1.")
    tasks: list[str] = Field(
        description="The tasks that it trains, by their names in `[tasks.NAME]`.", min_length=1
    )
    training: dict[str, Any] = Field(
        {}, description="Keys of `[training]` that differ in this stage: any but `seed`,"
        " `dev_share`, `threads` and `device`."
    )  # fmt: skip
    encoder: dict[str, Any] = Field(
        {}, description="Likewise of `[encoder]`: any but `path`, `revision` and `heads`."
    )
    sharing: dict[str, Any] = Field({}, description="Likewise of `[sharing]`.")
    averaging: dict[str, Any] = Field({}, description="Likewise of `[averaging]`.")
    methods: dict[str, dict[str, Any]] = Field(
        {}, description="Likewise of `[methods]`, method by method."
    )


class MemoryConfig(Section):
    """`[memory]`: rows of finished tasks, so that learning others makes them no worse."""

    method: str = Field(
        "none", description="What a step does with the memory's rows: 'replay' adds their loss; a"
        " method of `accord.gradients` that uses memories, such as 'gem', keeps the step from"
        " raising it; 'none' keeps no rows: finished tasks are only evaluated."
    )  # fmt: skip
    size: PositiveInt = Field(256, description="Rows kept of each finished task.")
    choice: Literal["random", "balanced"] = Field(
        "random", description="Which rows are kept: random ones, or equally many of each class,"
        " or of each quantile of a regression's values. Both depend on `training.seed`."
    )  # fmt: skip
    finished: list[str] = Field(
        [], description="Tasks that are remembered but not trained: their heads, taken from"
        " encoder.path with encoder.heads = 'keep', stay as they are. Stages add the tasks of"
        " earlier stages."
    )  # fmt: skip


class SelectionConfig(Section):
    """`[selection]`: that this config was chosen among others; it changes nothing in a run."""

    by: str = Field(description="What chose it, such as 'accord tune'.")
    candidates: PositiveInt = Field(description="How many candidates it was chosen among.")
    on: Literal["dev"] = Field(
        "dev", description="The rows that chose it: figures on these rows are too good, and"
        " comparisons on them say so."
    )  # fmt: skip


class ComparisonConfig(Section):
    """`[comparison]`: how `accord compare` compares runs of this config; no run depends on it."""

    margin: PositiveFloat | None = Field(
        None, description="Points (hundredths of a metric): where the interval of the difference"
        " lies within this distance of 0, the two models count as equally good."
    )  # fmt: skip


class TrackConfig(Section):
    """`[track]`: where a run's figures are shown while it runs; no run depends on it."""

    to: Annotated[list[str], NameOf("tracking")] = Field(
        [], description="Any of 'mlflow', 'tensorboard', 'trackio' and 'wandb', each by its own"
        " package and login; one that fails is told of and left out, and the run goes on."
    )  # fmt: skip
    project: str = Field("accord", description="Project or experiment that the run belongs to.")
    name: str | None = Field(
        None, description="Name of the run there; default: that of its folder."
    )
    every_steps: PositiveInt = Field(
        10, description="Steps of which one is shown; evaluations always are."
    )


class Config(Section):
    """A whole configuration file."""

    encoder: EncoderConfig
    tasks: dict[Name, AnyTask] = Field(min_length=1)
    texts: dict[Name, LabelledTask] = Field(
        {},
        description="`[texts.NAME]`: a labelled task, with the keys of `[tasks.NAME]`, that is not"
        " trained: only its texts are read, for tasks without labels.",
    )
    stages: list[StageConfig] = Field([])
    memory: MemoryConfig | None = None
    selection: SelectionConfig | None = None
    training: TrainingConfig = TrainingConfig()
    sharing: SharingConfig = SharingConfig()
    averaging: AveragingConfig = AveragingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    comparison: ComparisonConfig = ComparisonConfig()
    track: TrackConfig = TrackConfig()
    methods: dict[str, dict[str, Any]] = Field(
        {},
        description="`[methods.NAME]`: options of any method or rule, used where it is chosen;"
        " `accord methods` lists them.",
    )
    score: Score = Field(
        "mean", description="The overall score: the metrics' mean, or the course's formula."
    )

    @model_validator(mode="after")
    def _settles_rows_without_labels(self) -> Self:
        return self.leaves_out_what_others_label()

    def leaves_out_what_others_label(self) -> Self:
        """Settle what a row without a label does, by all tasks: a stage, or a run that compares,
        may have one of them alone."""
        for name in of_the_same_files({name: t.train for name, t in self.labelled.items()}):
            task = self.labelled[name]
            if task.unlabelled is None:
                self.tasks[name] = task.model_copy(update={"unlabelled": "skip"})
        return self

    @property
    def finished(self) -> tuple[str, ...]:
        """The tasks that are remembered and not trained."""
        return () if self.memory is None else tuple(self.memory.finished)

    @property
    def remembers(self) -> bool:
        """Whether there is a memory and a task may be finished before another begins."""
        return self.memory is not None and bool(self.stages or self.memory.finished)

    @property
    def labelled(self) -> dict[str, TaskConfig]:
        """The tasks that have labels."""
        return {name: task for name, task in self.tasks.items() if isinstance(task, TaskConfig)}

    @property
    def auxiliary(self) -> dict[str, AuxiliaryConfig]:
        """The tasks that have none."""
        return {
            name: task for name, task in self.tasks.items() if isinstance(task, AuxiliaryConfig)
        }

    def sources(self, name: str) -> dict[str, TaskConfig]:
        """Return the labelled tasks whose texts an auxiliary task learns from, by name."""
        section, known = self.auxiliary[name], {**self.labelled, **self.texts}
        if section.train is not None:
            return {}
        return {source: known[source] for source in section.texts_of or known if source in known}
