"""The run's configuration: every key of the TOML file, its type, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from accord.config.base import Fraction, Name, PositiveFloat, PositiveInt, Section
from accord.config.tasks import AuxiliaryConfig, TaskConfig
from accord.data.datafiles import of_the_same_files
from accord.errors import nearest
from accord.kinds._sections import AnyTask, LabelledTask
from accord.metrics import Score
from accord.registered import registered

Precision = Literal["float32", "bfloat16", "tf32"]
SCORE = "score"
"""Where `stop_on` may name a task: all of them."""
COMBINING = ("balancing", "gradients", "granularity", "tasks_per_step")
"""Keys of `[training]` that have nothing to do with one task."""


@dataclass(frozen=True)
class _Of:
    """Refuses a name, or one of a list, that no method of a family has."""

    family: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        written = handler(schema)
        for part in (written, written.get("items", {}), *written.get("anyOf", ())):
            if part.get("type") == "string":
                part["enum"] = [*registered(self.family)]
        return written

    def checked(self, value: Any) -> Any:
        """Return a value whose names are all known, each named once."""
        names, known = [value] if isinstance(value, str) else value or [], registered(self.family)
        for name in names:
            if name not in known:
                raise ValueError(f"unknown value '{name}'{nearest(name, known)}")
        if len(set(names)) < len(names):
            raise ValueError(f"names one twice: {', '.join(names)}")
        return value


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


class TrainingConfig(Section):
    """`[training]`: how long, in which batches, by which optimizer and gradient method."""

    epochs: PositiveInt = Field(
        3, description="How many epochs; how long one is, the batching rule says."
    )
    patience: PositiveInt | None = Field(
        None,
        description="Early stopping: end the run after this many epochs in a row without a gain"
        " on dev; default: run all epochs. The learning rate follows the schedule of all epochs.",
    )
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0,
        description="How far an epoch has to exceed the last epoch that brought a gain to count"
        " as one, in the metric's units.",
    )
    stop_on: str = Field(
        SCORE,
        description="What has to gain: 'score', the mean of the trained tasks' metrics, by which"
        " the best epoch is chosen; or a task, by its name, for that task's metric ('score' in a"
        " stage or a run without it).",
    )
    batch_size: PositiveInt = Field(
        32,
        description="Examples of each task in a step; where a sampling rule mixes tasks, a step has"
        " this times the number of tasks in all, and a step of one task has this many.",
    )
    batching: Annotated[str, _Of("sampling")] = Field(
        "finish-largest",
        description="How an epoch draws from unequal data: a rule of `accord.sampling`.",
    )
    tasks_per_step: Literal["all", "one"] = Field(
        "all", description="Whether a step draws from all tasks, or from one, drawn in proportion"
        " to its share."
    )  # fmt: skip
    steps_per_epoch: PositiveInt | None = Field(
        None,
        description="Steps per epoch; an upper limit with the paper's three batching methods,"
        " whose epochs end by themselves.",
    )
    examples: PositiveInt | None = Field(
        None,
        description="Exact number of examples that a run of one task draws, as one shuffled"
        " stream of passes over its rows, in nearly equal batches; default: what the batching"
        " rule draws. With `[[stages]]` each sets its own.",
    )
    balancing: Annotated[str | None, _Of("balancing")] = Field(
        None,
        description="How much each task's loss counts: a rule of `accord.balancing`; default: the"
        " one that goes with the batching rule, 'inverse-share' with 'proportional', else 'equal'.",
    )
    gradients: Annotated[str, _Of("gradients")] = Field(
        "sum", description="How the tasks' gradients become one: a method of `accord.gradients`."
    )
    granularity: Literal["all", "layer"] = Field(
        "all",
        description="Whether a gradient method finds one set of weights for all shared"
        " parameters, or one for each layer.",
    )
    gramian: bool = Field(
        True, description="Keep the tasks' gradients apart and record their Gram matrix at every"
        " step; false, with gradients = 'sum', saves their memory, and a few per cent of the time."
    )  # fmt: skip
    regularisers: Annotated[list[str], _Of("regularisers")] = Field(
        [],
        description="What is added to each example's loss: regularisers of `accord.regularisers`,"
        " several at once if wanted.",
    )
    lr: PositiveFloat | None = Field(
        None, description="Peak learning rate; default 5e-5 fine-tuned, 1e-3 frozen."
    )
    head_lr: PositiveFloat | None = Field(
        None,
        description="Peak learning rate of the heads; default 1e-3, or `lr` with a frozen encoder.",
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="What a layer's learning rate is multiplied by to give that of the layer"
        " below it, down to the embeddings (Howard & Ruder 2018)."
    )  # fmt: skip
    unfreeze_over: Fraction = Field(
        0.0, description="Share of the run over which layers are unfrozen one by one from the"
        " last down, the embeddings last (Howard & Ruder 2018); 0 trains all from the first step."
    )  # fmt: skip
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.01, description="AdamW's decoupled weight decay; biases and norms have none."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="How the learning rate falls from its peak to the last step."
    )
    warmup: Fraction = Field(
        0.1, description="Share of the steps over which the learning rate rises."
    )
    clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="Largest gradient norm; 0 switches clipping off."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="Of new weights, of what is drawn and in which order, and of dropout."
    )
    precision: Precision = Field(
        "float32",
        description="'bfloat16': linear layers and attention in bfloat16, weights in float32."
        " 'tf32': float32, whose products on a GPU may round their operands to TF32; refused where"
        " there is none. 'float32' never uses it.",
    )
    micro_batch_tokens: PositiveInt | Literal["auto"] | None = Field(
        None,
        description="Split a step into passes of at most this many tokens; default: one pass."
        " 'auto' finds out before the first step how many fit in memory, and the run keeps to"
        " that; one pass where a task's kind compares a step's texts with each other.",
    )
    dev_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1,
        description="Share of each class of a training file that serves as dev where no dev file is"
        " named; at least 3 rows, or a quarter of fewer than 12.",
    )
    max_skipped_steps: Annotated[int, Field(ge=0)] = Field(
        0,
        description="How many steps with a loss or gradient that is not finite are skipped and"
        " counted before one stops the run.",
    )
    halves_every: PositiveInt | None = Field(
        None,
        description="Steps between measurements of how much the gradients of two halves of each"
        " task's batch agree; each costs about a step.",
    )
    threads: PositiveInt | None = Field(
        None,
        description="CPU threads; default: torch's choice, or fewer where a"
        " container's quota allows less.",
    )
    device: str = Field("auto", description="'auto', 'cpu', 'cuda' or 'cuda:N'.")
    deterministic: bool = Field(
        True,
        description="Whether a run on a GPU adds up in one order, so that the same run there gives"
        " the same bits; false is left to torch. On a CPU runs are repeatable anyway.",
    )


class SharingConfig(Section):
    """`[sharing]`: what each task has of its own beside its head."""

    schemes: Annotated[list[str], _Of("sharing")] = Field(
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

    to: Annotated[list[str], _Of("tracking")] = Field(
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
