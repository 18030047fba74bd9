"""One stage's config resolved: every key that makes a difference is read here, and nowhere else.

A key that another leaves without effect says so where it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from accord import gradients, sampling, sharing
from accord.config.base import Section
from accord.config.sections import Config
from accord.data.plan import DataPlan, MemoryPlan
from accord.families import BALANCING, BATCHING, GRADIENTS, REGULARISERS, SCHEMES, TARGETS
from accord.kinds import get_kind
from accord.plan.keys import Keys, as_json, cleared
from accord.plan.run import (
    AveragingPlan,
    CheckpointPlan,
    EncoderPlan,
    SharingPlan,
    StagePlan,
    TrackPlan,
    TrainingPlan,
)
from accord.plan.sources import sources_note, why_apart, with_sources
from accord.plan.tasks import task_plan

HEAD_LR = 1e-3
LR = {False: 5e-5, True: 1e-3}  # by whether the encoder is frozen
EVERY_STEPS = 500

Part = TypeVar("Part", bound=Section)


def resolve(config: Config) -> tuple[StagePlan, Keys]:
    """Return the plan of a config without stages, whose methods exist, and what it read of it."""
    keys = Keys(config)
    frozen = keys("encoder.mode") == "frozen"
    lr = keys("training.lr") or LR[frozen]
    head_lr = keys("training.head_lr") or (lr if frozen else HEAD_LR)
    encoder, sharing_plan = _encoder(keys, frozen=frozen), _sharing(keys, head_lr)
    data = data_plan(keys)
    training = _training(
        keys, encoder, sharing_plan, data.memory,
        lr=lr, head_lr=head_lr, dev_share=data.dev_share,
    )  # fmt: skip
    reason = why_apart(data, config, sharing_plan, training)
    data = with_sources(data, config, reason)
    keys.use(
        TARGETS,
        {section.targets for section in config.labelled.values() if section.targets != "range"},
    )
    averaging, checkpoint = _averaging(keys), _checkpoint(keys)
    plan = StagePlan(
        encoder=encoder,
        data=data,
        training=training,
        sharing=sharing_plan,
        averaging=averaging,
        checkpoint=checkpoint,
        track=TrackPlan(**config.track.model_dump()),
        options=keys.options,
        score=config.score,
        settings=as_json(cleared(config, [keys])),
        given=config.model_dump(mode="json"),
        trained=tuple(name for name in config.tasks if name not in data.finished),
        note=sources_note(data, reason, config),
    )
    return plan, keys


def _read(part: type[Part], section: str, keys: Keys, **settled: Any) -> Part:
    """Return a part of the plan: the section's keys as they stand, except those that are settled.

    Args:
        part: of the plan.
        section: of the config.
        keys: to read.
        settled: by name, what is more than a key's value, or is read elsewhere.
    """
    names = [name for name in part.model_fields if name not in settled]
    return part(**settled, **{name: keys(f"{section}.{name}") for name in names})


def _encoder(keys: Keys, *, frozen: bool) -> EncoderPlan:
    unless = "encoder.mode is 'frozen'" if frozen else ""
    is_folder = Path(keys("encoder.path")).is_absolute()  # a hub id isn't
    return _read(
        EncoderPlan,
        "encoder",
        keys,
        revision=keys("encoder.revision", "encoder.path is a folder" if is_folder else ""),
        max_length=keys.config.encoder.max_length,  # which data reads
        dropout=keys("encoder.dropout", unless),
        gradient_checkpointing=keys("encoder.gradient_checkpointing", unless),
    )


def _sharing(keys: Keys, head_lr: float) -> SharingPlan:
    schemes, soft = keys("sharing.schemes"), keys("sharing.soft")
    keys.use(SCHEMES, schemes)
    unless = ""
    if not schemes:
        unless = "sharing.schemes is not set"
    elif all(sharing.get_scheme(name).copies for name in schemes):
        unless = f"copies of layers, as of '{schemes[0]}', have training.lr"
    return _read(
        SharingPlan,
        "sharing",
        keys,
        soft_weight=keys("sharing.soft_weight", "" if soft else "sharing.soft is not set"),
        lr=keys("sharing.lr", unless) or head_lr,
    )


def _training(
    keys: Keys,
    encoder: EncoderPlan,
    sharing_plan: SharingPlan,
    memory: MemoryPlan,
    **settled: float,
) -> TrainingPlan:
    drawn = "" if keys("training.examples") is None else "training.examples is set"
    batching = keys("training.batching", drawn)
    keys.use(BATCHING, () if drawn else (batching,))
    rule = keys("training.balancing") or sampling.get_rule(batching).balancing
    keys.use(BALANCING, (rule,))
    method = keys("training.gradients")
    if gradients.goes_by_memories(memory.method):
        method = memory.method
    keys.use(GRADIENTS, (method,))
    keys.use(REGULARISERS, keys("training.regularisers"))
    patience = keys("training.patience")
    no_patience = "training.patience is not set" if patience is None else ""
    mode = "encoder.mode is 'frozen'" if encoder.frozen else ""
    shared = mode or ("" if sharing_plan.train_shared else "sharing.train_shared is false")
    copies = any(
        sharing.get_scheme(name).copies for name in sharing_plan.schemes
    )  # go by layer_decay
    return _read(
        TrainingPlan,
        "training",
        keys,
        **settled,
        patience=patience,
        min_delta=keys("training.min_delta", no_patience),
        stop_on=keys("training.stop_on", no_patience),
        tasks_per_step=keys("training.tasks_per_step", drawn),
        batching=batching,
        balancing=rule,
        gradients=method,
        gramian=keys("training.gramian", shared),
        layer_decay=keys("training.layer_decay", "" if copies else shared),
        micro_batch_tokens=keys("training.micro_batch_tokens", mode or _one_pass(keys.config)),
        deterministic=keys(
            "training.deterministic",
            "training.device is 'cpu'" if keys("training.device") == "cpu" else "",
        ),
        halves_every=keys("training.halves_every", shared),
    )


def _one_pass(config: Config) -> str:
    """Say why 'auto' has no choice but one pass; empty where it has, or is not asked."""
    if config.training.micro_batch_tokens != "auto":
        return ""
    comparing = [
        f"'{task.kind}' (tasks.{name}) compares all texts of a step with each other, in one pass"
        for name, task in config.tasks.items() if get_kind(task.kind).compares_examples
    ]  # fmt: skip
    return next(iter(comparing), "")


def _averaging(keys: Keys) -> AveragingPlan:
    method = keys("averaging.method")

    def of(key: str, wanted: str) -> Any:
        return keys(key, "" if method == wanted else f"averaging.method is '{method}'")

    return _read(
        AveragingPlan,
        "averaging",
        keys,
        decay=of("averaging.decay", "ema"),
        start=of("averaging.start", "swa"),
        every_steps=of("averaging.every_steps", "swa"),
    )


def _checkpoint(keys: Keys) -> CheckpointPlan:
    default = None if keys("checkpoint.every_minutes") else EVERY_STEPS
    steps = keys("checkpoint.every_steps") or default
    return _read(CheckpointPlan, "checkpoint", keys, every_steps=steps)


def data_plan(keys: Keys) -> DataPlan:
    """Return which files are read, and how."""
    config = keys.config
    sections = (*config.tasks.values(), *config.texts.values())
    drawn = any(section.dev is None and section.train is not None for section in sections)
    plan = DataPlan(
        tasks={name: task_plan(section) for name, section in config.tasks.items()},
        texts={name: task_plan(section) for name, section in config.texts.items()},
        texts_from={name: tuple(config.sources(name)) for name in config.auxiliary},
        dev_share=keys("training.dev_share", "" if drawn else "every task names its dev files"),
        max_length=keys("encoder.max_length"),
        seed=keys("training.seed"),
        memory=_memory(keys),
    )
    return with_sources(plan, config)


def _memory(keys: Keys) -> MemoryPlan:
    """Return what is kept of finished tasks.

    Multitask training beside a sequence is the same config without its stages, and so without them.
    """
    finished = tuple(keys("memory.finished"))
    why = "" if finished else "no stage finishes a task, nor does memory.finished name one"
    method = keys("memory.method", why)
    why = why or ("memory.method is 'none'" if method == "none" else "")
    return MemoryPlan(
        finished,
        method=None if method == "none" else method,
        size=keys("memory.size", why),
        choice=keys("memory.choice", why),
    )
