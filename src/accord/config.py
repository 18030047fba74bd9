"""The run's configuration: one TOML file, checked key by key before anything is touched."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from accord.balancing import rule_names as balancing_names
from accord.config_faults import fault_lines
from accord.errors import ConfigError, nearest
from accord.gradients import method_names
from accord.sampling import rule_names as sampling_names
from accord.sharing import scheme_names
from accord.tasks import Encoding, HeadKind, Kind, Loss, Metric, Pooling, Targets, canonical_label

Precision = Literal["float32", "bfloat16"]
COMBINING = ("balancing", "gradients", "granularity", "tasks_per_step")
"""Keys of `[training]` that have nothing to do with one task."""

Fraction = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EncoderConfig(Section):
    """`[encoder]`: which pretrained BERT, and whether it is trained."""

    path: str = Field(description="A folder in Hugging Face format, or a hub id.")
    revision: str | None = Field(None, description="A hub revision: branch, tag or commit.")
    mode: Literal["finetune", "frozen"] = Field(
        "finetune", description="'frozen' trains the heads alone; the encoder reads the data once."
    )
    max_length: Annotated[int, Field(ge=4)] | None = Field(
        None, description="Tokens a sequence may have; default: all that the encoder can hold."
    )
    dropout: Fraction | None = Field(
        None, description="Dropout inside the encoder; default: the checkpoint's own."
    )
    reinit_layers: Annotated[int, Field(ge=0)] = Field(
        0, description="Draw so many of the last layers anew, and the pooler (Zhang et al. 2021)."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute each layer in the backward pass: less memory, more time."
    )


class TaskConfig(Section):
    """`[tasks.NAME]`: the task's files, columns, labels, loss and head."""

    kind: Kind
    train: str | None = Field(None, description="Labelled training file.")
    dev: str | None = Field(
        None, description="Labelled dev file; default: a seeded share of `train`."
    )
    test: str | None = Field(None, description="Unlabelled file to predict after training.")
    text: str | list[str] = Field(
        description="Column of the text; for a pair a list of two columns."
    )
    label: str = Field("label", description="Column of the label.")
    id: str | None = Field(None, description="Column of the row's id; default: the row's number.")
    labels: list[str | int] | None = Field(
        None, description="Class names in order; default: those of the training file, sorted."
    )
    range: list[float | int] | None = Field(
        None,
        description="[lowest, highest] of a regression's targets; default: the training file's.",
    )
    delimiter: Literal["tab", "comma"] | None = Field(
        None, description="Default: what the header line uses."
    )
    quoting: Literal["csv", "none"] = Field(
        "csv",
        description="'csv': doubled quotes as csv writers make them; 'none': quotes are text.",
    )
    limit: PositiveInt | None = Field(
        None, description="Use at most so many rows of each file, the first ones: for a quick try."
    )
    on_bad_row: Literal["stop", "skip"] = Field(
        "stop", description="What a row that can't be used does; skipped rows are counted."
    )
    loss: Loss | None = Field(
        None, description="Default: cross_entropy for classification, mse for regression."
    )
    metric: Metric | None = Field(
        None, description="Default: accuracy for classification, pearson for regression."
    )
    encoding: Encoding = Field(
        "joint", description="A pair as one sequence ('joint') or each text alone ('separate')."
    )
    head: HeadKind = Field("linear", description="'cosine' compares separately encoded texts.")
    pooling: Pooling = Field("cls", description="What of the encoder's output the head sees.")
    dropout: Fraction = Field(0.1, description="Dropout before the head's linear layer.")
    targets: Targets = Field(
        "range",
        description="What a regression's head learns: values scaled to [0, 1] by their range, or"
        " 'popart', in units of the targets' own moving spread.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault in (*_shape_faults(self), *_popart_faults(self), *_target_faults(self)):
            raise ValueError(fault)
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns, one or two."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)


def _shape_faults(task: TaskConfig) -> Iterator[str]:
    """Yield what is wrong with the texts, their encoding and the head."""
    pair = task.kind.startswith("pair-")
    columns = task.text_columns
    if len(columns) != (2 if pair else 1):
        wanted = "two columns" if pair else "one column"
        yield f"text: kind '{task.kind}' takes {wanted}, got {len(columns)}"
    if not pair and task.encoding == "separate":
        yield f"encoding: 'separate' is for pairs, but kind is '{task.kind}'"
    if task.head == "cosine" and task.encoding != "separate":
        yield "head: 'cosine' needs encoding = 'separate'"
    if task.head == "cosine" and task.loss not in (None, "mse"):
        yield f"loss: head 'cosine' takes 'mse' alone, got '{task.loss}'"


def _popart_faults(task: TaskConfig) -> Iterator[str]:
    """Yield why a task's head can't learn in units of its targets' spread."""
    if task.targets == "range":
        return
    if task.kind.endswith("classification"):
        yield f"targets: 'popart' is for regression, but kind is '{task.kind}'"
    elif task.loss not in (None, "mse") or task.head != "linear":
        yield "targets: 'popart' takes loss = 'mse' and head = 'linear'"


def _target_faults(task: TaskConfig) -> Iterator[str]:
    """Yield what is wrong with the labels or range, the loss and the metric."""
    classification = task.kind.endswith("classification")
    if not classification and task.loss == "cross_entropy":
        yield f"loss: 'cross_entropy' is for classification, but kind is '{task.kind}'"
    if task.metric and (task.metric in ("accuracy", "f1")) != classification:
        allowed = "accuracy, f1" if classification else "pearson, spearman"
        yield f"metric: kind '{task.kind}' is judged by {allowed}, got '{task.metric}'"
    if task.range is not None:
        if classification:
            yield f"range: is for regression, but kind is '{task.kind}'"
        # NaN is not below anything, so it fails here too.
        if len(task.range) != 2 or not -inf < task.range[0] < task.range[1] < inf:
            yield f"range: takes [lowest, highest], got {task.range}"
    if task.labels is not None:
        if not classification:
            yield f"labels: is for classification, but kind is '{task.kind}'"
        names = [canonical_label(str(label)) for label in task.labels]
        if len(names) < 2 or len(set(names)) < len(names) or "" in names:
            yield f"labels: takes two or more different names, got {task.labels}"


class TrainingConfig(Section):
    """`[training]`: how long, in which batches, by which optimizer and gradient method."""

    epochs: PositiveInt = 3
    batch_size: PositiveInt = Field(
        32,
        description="Examples of each task in a step; where a sampling rule mixes tasks, a step has"
        " this times the number of tasks in all, and a step of one task has this many.",
    )
    batching: str = Field(
        "finish-largest",
        description="How an epoch draws from unequal data: a rule of `accord.sampling`.",
    )
    tasks_per_step: Literal["all", "one"] = Field(
        "all", description="Whether a step draws from all tasks, or from one, drawn as often as"
        " its share says."
    )  # fmt: skip
    steps_per_epoch: PositiveInt | None = Field(
        None,
        description="Steps of an epoch; at most so many with the paper's three batching methods,"
        " whose epochs have an end of their own.",
    )
    balancing: str | None = Field(
        None,
        description="How much each task's loss counts: a rule of `accord.balancing`; default:"
        " 'inverse-share' with batching 'proportional', else 'equal'.",
    )
    gradients: str = Field(
        "sum", description="How the tasks' gradients become one: a method of `accord.gradients`."
    )
    granularity: Literal["all", "layer"] = Field(
        "all",
        description="Whether a gradient method weighs all shared parameters at once, or each layer"
        " apart.",
    )
    lr: PositiveFloat | None = Field(
        None, description="Peak learning rate; default 5e-5 fine-tuned, 1e-3 frozen."
    )
    head_lr: PositiveFloat | None = Field(
        None,
        description="The heads' own; default 1e-3, with a frozen encoder `lr`.",
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Each layer below the last learns at this times the rate of the one above"
        " it, the embeddings at the lowest (Howard & Ruder 2018)."
    )  # fmt: skip
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: Fraction = Field(0.1, description="Share of the steps in which the rate rises.")
    clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="Largest gradient norm; 0 switches clipping off."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Precision = Field(
        "float32",
        description="'bfloat16': linear layers and attention in bfloat16, weights in float32.",
    )
    micro_batch_tokens: PositiveInt | None = Field(
        None, description="Split a step into passes of at most so many tokens; default: one pass."
    )
    dev_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of a training file that serves as dev where no dev file is named."
    )
    max_skipped_steps: Annotated[int, Field(ge=0)] = Field(
        0,
        description="How many steps with a loss or gradient that is not finite are left out and"
        " counted before one stops the run.",
    )
    halves_every: PositiveInt | None = Field(
        None,
        description="After so many steps measure how much the gradients of two halves of each"
        " task's batch agree; each time costs about a step.",
    )
    threads: PositiveInt | None = Field(None, description="CPU threads; default: torch's choice.")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda' or 'cuda:N'.")

    @model_validator(mode="after")
    def _knows_methods(self) -> Self:
        names = {
            "batching": sampling_names(),
            "balancing": balancing_names(),
            "gradients": method_names(),
        }
        for key, known in names.items():
            value = getattr(self, key)
            if value is not None and value not in known:
                raise ValueError(f"{key}: unknown value '{value}'{nearest(value, known)}")
        return self

    @property
    def balancing_rule(self) -> str:
        """The name of the balancing rule, the default where none is set."""
        default = "inverse-share" if self.batching == "proportional" else "equal"
        return self.balancing or default


class SharingConfig(Section):
    """`[sharing]`: what each task has of its own beside its head."""

    schemes: list[str] = Field(
        [], description="Parts that each task has of its own inside the encoder: schemes of"
        " `accord.sharing`, several at once where they make sense; none shares all of it."
    )  # fmt: skip
    train_shared: bool = Field(
        True, description="false: the shared weights stay as they are, and only parts and heads"
        " are trained."
    )  # fmt: skip
    soft: Literal["l2", "trace-norm"] | None = Field(
        None, description="A penalty on how far the tasks' own copies of layers are apart: soft"
        " sharing, with schemes = ['own-encoder'] or ['own-layers']."
    )  # fmt: skip
    soft_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1e-4, description="Weight of that penalty, added to the loss."
    )
    lr: PositiveFloat | None = Field(
        None, description="Peak rate of new parts; default `training.head_lr`'s. Copies of layers"
        " have the encoder's."
    )  # fmt: skip

    @model_validator(mode="after")
    def _knows_schemes(self) -> Self:
        known = scheme_names()
        for name in self.schemes:
            if name not in known:
                raise ValueError(f"schemes: unknown value '{name}'{nearest(name, known)}")
        if len(set(self.schemes)) < len(self.schemes):
            raise ValueError(f"schemes: names one twice: {', '.join(self.schemes)}")
        return self


class AveragingConfig(Section):
    """`[averaging]`: averages of the weights over steps, judged and saved in the weights' place."""

    method: Literal["none", "ema", "swa", "soup"] = Field(
        "none", description="'ema': an exponential moving average; 'swa': the plain mean over the"
        " end of the run; 'soup': at the end, the mean of those epochs' weights that together are"
        " judged best (each epoch's weights lie in the run folder until then). Training goes on"
        " with the weights themselves."
    )  # fmt: skip
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(0.999, description="Of 'ema'.")
    start: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="Share of the run after which 'swa' begins; before it the weights are"
        " judged as they are."
    )  # fmt: skip
    every_steps: PositiveInt | None = Field(
        None, description="Steps between the weights that 'swa' averages; default a quarter of an"
        " epoch."
    )  # fmt: skip


class CheckpointConfig(Section):
    """`[checkpoint]`: how often a run can be picked up again."""

    every_steps: PositiveInt | None = Field(
        None,
        description="Save after so many steps, beside each epoch's end; default: 500, or none"
        " where `every_minutes` is set.",
    )
    every_minutes: PositiveFloat | None = Field(
        None, description="Save after so many minutes, beside each epoch's end."
    )
    keep: PositiveInt = Field(2, description="How many of the newest checkpoints stay.")


class Config(Section):
    """A whole configuration file."""

    encoder: EncoderConfig
    tasks: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], TaskConfig] = Field(
        min_length=1
    )
    training: TrainingConfig = TrainingConfig()
    sharing: SharingConfig = SharingConfig()
    averaging: AveragingConfig = AveragingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    methods: dict[str, dict[str, Any]] = Field(
        {},
        description="`[methods.NAME]`: options of any method or rule, used where it is chosen;"
        " `accord methods` lists them.",
    )
    score: Literal["mean", "cs224n"] = Field(
        "mean", description="The overall score: the metrics' mean, or the course's formula."
    )


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    *,
    files: bool = True,
) -> Config:
    """Read a TOML file, apply `--set` overrides, make paths absolute, and check every key and file.

    Relative paths are relative to the file's own folder.

    Args:
        path: the TOML file.
        overrides: texts of the form `training.epochs=2`; values are TOML, or plain text.
        only: names of tasks, to leave out all others; none leaves out none.
        files: whether to check that every data file is there.

    Raises:
        ConfigError: one line a fault: where, what was given, what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such config file; 'accord init FILE...' writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _apply(table, override)
    config = resolve_paths(parse_config(table, where=str(path)), path.parent.resolve())
    config = _only(config, only, str(path))
    check_methods(config, where=str(path))
    if files:
        check_files(config, where=str(path))
    return config


def _only(config: Config, names: Sequence[str], where: str) -> Config:
    for name in names:
        if name not in config.tasks:
            raise ConfigError(f"{where}: no task '{name}'{nearest(name, config.tasks)}")
    tasks = {name: task for name, task in config.tasks.items() if name in names or not names}
    return reduced(config, tasks)


def reduced(config: Config, tasks: Mapping[str, TaskConfig]) -> Config:
    """Return a config of some of the tasks; with one, nothing that combines several is left in."""
    table = config.model_dump(exclude_unset=True)
    table["tasks"] = {name: table["tasks"][name] for name in tasks}
    drop_combining(table, len(config.tasks))
    return Config.model_validate(table)


def drop_combining(table: dict[str, Any], before: int) -> None:
    """Take out of a config's table what is of no use for the tasks that are left in it.

    Args:
        table: as the file's.
        before: how many tasks it had.
    """
    tasks = table["tasks"]
    if len(tasks) == before:
        return
    fixed = table.get("methods", {}).get("fixed", {})
    if isinstance(fixed.get("weights"), dict):
        fixed["weights"] = {name: own for name, own in fixed["weights"].items() if name in tasks}
    if len(tasks) > 1:
        return
    for key in COMBINING:
        table.get("training", {}).pop(key, None)
    table.get("sharing", {}).pop("soft", None)


def parse_config(table: Mapping[str, Any], where: str = "config") -> Config:
    """Check a configuration given as a nested mapping.

    Raises:
        ConfigError: as `load_config`.
    """
    try:
        return Config.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError("\n".join(fault_lines(error, Config, where))) from None


def dump_config(config: Config) -> str:
    """Return a config as TOML text that `load_config` reads as an equal one."""
    table = config.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    last = {name: table.pop(name) for name in ("tasks",)}  # the longest
    return "\n".join(_toml({**table, **last})).lstrip() + "\n"


def _toml(table: Mapping[str, Any], title: str = "") -> Iterator[str]:
    """Yield a table's lines: its values, then the tables in it."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    values = {key: value for key, value in table.items() if key not in inner}
    if title and (values or not inner):
        yield from ("", f"[{title}]")
    # JSON spells texts, numbers, truth values and lists of them as TOML does.
    yield from (f"{_toml_key(key)} = {json.dumps(value)}" for key, value in values.items())
    for key, value in inner.items():
        yield from _toml(value, f"{title}.{_toml_key(key)}" if title else _toml_key(key))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def effective(config: Config) -> dict[str, Any]:
    """Return a config as JSON without the options of methods that it doesn't choose.

    Configs of which these are equal make the same run.
    """
    table = config.model_dump(mode="json")
    training = config.training
    chosen = {training.batching, training.balancing_rule, training.gradients}
    chosen |= set(config.sharing.schemes)
    table["methods"] = {name: own for name, own in table["methods"].items() if name in chosen}
    return table


def check_methods(config: Config, where: str = "config") -> None:
    """Check that the chosen methods can work with what they are given, and their options.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    from accord.method_faults import Choice, method_faults

    training = config.training
    choice = Choice(
        batching=training.batching,
        balancing=training.balancing_rule,
        gradients=training.gradients,
        per_layer=training.granularity == "layer",
        one_task_a_step=training.tasks_per_step == "one",
        tasks=tuple(config.tasks),
        frozen=config.encoder.mode == "frozen",
        schemes=tuple(config.sharing.schemes),
        train_shared=config.sharing.train_shared,
        soft=config.sharing.soft is not None,
        new_layers=config.encoder.reinit_layers > 0,
    )
    lines = [f"{where}: {fault}" for fault in method_faults(choice, config.methods)]
    scaled = [name for name, task in config.tasks.items() if task.targets == "popart"]
    if scaled and config.averaging.method != "none":
        lines.append(
            f"{where}: averaging.method: averages of weights whose scale moves mean nothing;"
            f" tasks.{scaled[0]}.targets is 'popart'"
        )
    if lines:
        raise ConfigError("\n".join(lines))


def check_files(config: Config, where: str = "config") -> None:
    """Check that every data file is there.

    Raises:
        ConfigError: one line for each that isn't: the task, the key, the path, the nearest name.
    """
    lines = []
    for name, task in config.tasks.items():
        for split in ("train", "dev", "test"):
            path = getattr(task, split)
            if path is not None and not Path(path).is_file():
                lines.append(f"{where}: tasks.{name}.{split}: {_missing_file(Path(path))}")
    if lines:
        raise ConfigError("\n".join(lines))


def _missing_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder, not a file"
    if not path.parent.is_dir():
        return f"{path}: no such file, nor is there a folder {path.parent}"
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"{path}: no such file" + (f"; did you mean '{close[0]}'?" if close else "")


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: takes KEY=VALUE, as in training.epochs=2")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: '{part}' is a value, not a section")
    table[parts[-1]] = value


def resolve_paths(config: Config, folder: Path) -> Config:
    """Return a config whose paths are absolute; relative ones are relative to `folder`."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str((folder / Path(path).expanduser()).absolute())

    encoder = config.encoder
    as_folder = Path(absolute(encoder.path) or "")
    # `org/name` may be a hub id; a path that exists, or is spelt as one, is a path.
    if as_folder.exists() or encoder.path.startswith((".", "/", "~")):
        encoder = encoder.model_copy(update={"path": str(as_folder)})
    tasks = {
        name: task.model_copy(
            update={split: absolute(getattr(task, split)) for split in ("train", "dev", "test")}
        )
        for name, task in config.tasks.items()
    }
    return config.model_copy(update={"encoder": encoder, "tasks": tasks})
