"""`[training]`: its keys, their types, defaults and meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from accord.config.base import Fraction, PositiveFloat, PositiveInt, Section
from accord.config.names import NameOf

Precision = Literal["float32", "bfloat16", "tf32"]
SCORE = "score"
"""Where `stop_on` may name a task: all of them."""
COMBINING = ("balancing", "gradients", "granularity", "tasks_per_step")
"""Keys of `[training]` that have nothing to do with one task."""


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
    batching: Annotated[str, NameOf("sampling")] = Field(
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
    balancing: Annotated[str | None, NameOf("balancing")] = Field(
        None,
        description="How much each task's loss counts: a rule of `accord.balancing`; default: the"
        " one that goes with the batching rule, 'inverse-share' with 'proportional', else 'equal'.",
    )
    gradients: Annotated[str, NameOf("gradients")] = Field(
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
    regularisers: Annotated[list[str], NameOf("regularisers")] = Field(
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
