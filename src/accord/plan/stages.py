"""What is wrong with a list of stages, and what is lost on the way through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from accord.config.sections import Config, StageConfig
from accord.config.stages import OF_THE_RUN, finished_before, stage_label, stage_name
from accord.errors import nearest
from accord.kinds import get_kind
from accord.plan.faults import nothing_shared
from accord.plan.run import StagePlan


def list_faults(config: Config) -> Iterator[str]:
    """Yield one line for each fault of the list of stages, before any of them is looked at."""
    stages = config.stages
    names = [stage_name(stages, index) for index in range(len(stages))]
    for index, stage in enumerate(stages):
        label = stage_label(stages, index)
        if names[index] in names[:index]:
            yield f"{label}: name: '{names[index]}' is an earlier stage's"
        yield from (f"{label}: {fault}" for fault in _task_faults(stage, config))
        yield from (f"{label}: {fault}" for fault in _key_faults(stage))
        if index and "dropout" in stages[index - 1].encoder and "dropout" not in stage.encoder:
            yield (
                f"{label}: encoder.dropout: the stage before sets it, and the model that it leaves"
                " has it; set it here too"
            )
    named = {name for stage in stages for name in stage.tasks} | set(config.finished)
    for name in config.tasks if named <= set(config.tasks) else ():  # else it may be misspelt
        if name not in named:
            yield f"tasks.{name}: no stage trains it"
    if stages and config.training.examples is not None:
        yield (
            "training.examples: is a stage's where there are stages; set it in the training of each"
        )
    for name in config.finished:
        if stages and name in stages[0].tasks:
            yield f"memory.finished: names '{name}', which {stage_label(stages, 0)} itself trains"
    if config.memory is not None and len(stages) == 1 and not config.finished:
        yield "memory: there is one stage, so no task is finished before another begins"


def _task_faults(stage: StageConfig, config: Config) -> Iterator[str]:
    for place, name in enumerate(stage.tasks):
        if name not in config.tasks:
            yield f"tasks: no task '{name}'{nearest(name, config.tasks)}"
        if name in stage.tasks[:place]:
            yield f"tasks: names '{name}' twice"


def _key_faults(stage: StageConfig) -> Iterator[str]:
    for section, keys in OF_THE_RUN.items():
        for key in keys:
            if key in getattr(stage, section):
                yield f"{section}.{key}: is the whole run's, not a stage's"


def chain_faults(stages: Sequence[StagePlan]) -> Iterator[str]:
    """Yield why a stage can't go on from the one before it."""
    for before, stage in pairwise(stages):
        again = [name for name in stage.data.labelled if name in before.data.tasks]
        if again:
            yield from (
                f"{stage.label}: {fault}" for fault in _part_faults(before, stage, again[0])
            )
        if not again and nothing_shared(before):
            yield (
                f"{before.label}: trains nothing that the stages after it use:"
                " what tasks share stays as it is, and none of its tasks goes on"
            )


def _part_faults(before: StagePlan, after: StagePlan, task: str) -> Iterator[str]:
    """Yield why a stage has no place for parts that the one before trains for one of its tasks."""
    for name in before.sharing.schemes:
        if name not in after.sharing.schemes:
            yield (
                f"sharing.schemes: lacks '{name}', parts of which the stage before trains for"
                f" '{task}'"
            )
            continue
        was, now = before.options[name], after.options[name]
        for key in was:
            if was[key] != now[key]:
                yield (
                    f"methods.{name}.{key}: is {now[key]}, but '{task}' has parts of the stage"
                    f" before with {was[key]}"
                )


def dropped_note(config: Config) -> str:
    """Say which heads a run in stages loses on its way, in one line; empty if it loses none."""
    return "; ".join(filter(None, (_late_note(config), _lost_note(config), _again_note(config))))


def _late_note(config: Config) -> str:
    """Say whose heads of `encoder.path` are lost before the stage that would go on with them."""
    if config.encoder.heads != "keep" or not config.stages:
        return ""
    in_model = {*config.stages[0].tasks, *finished_before(config, 0)}
    late = [name for name in config.labelled if name not in in_model]
    if not late:
        return ""
    names = ", ".join(repr(name) for name in late)
    return (
        f"encoder.heads = 'keep' is for the first stage's tasks; {', '.join(late)} will have"
        f" new heads ([memory] method = 'none', finished = [{names}] keeps them until then)"
    )


def _again_note(config: Config) -> str:
    """Say whose heads are new again in later stages: a model folder holds labelled tasks' heads."""
    later = {name for stage in config.stages[1:] for name in stage.tasks}
    again: dict[str, list[str]] = {}
    for name, task in config.auxiliary.items():
        if name in later and (what := get_kind(task.kind).head_for):
            again.setdefault(what, []).append(name)
    parts = [f"{what} {', '.join(names)}" for what, names in again.items()]
    return f"each stage begins with a new head for {' and '.join(parts)}" if parts else ""


def _lost_note(config: Config) -> str:
    """Say whose heads are trained and then lost."""
    parts = [] if config.memory is not None else list(_dropped(config))
    if not parts:
        return ""
    in_model = [name for name in config.labelled if name in config.stages[-1].tasks]
    return (
        f"the model will hold {', '.join(in_model) or 'no head'}; {', '.join(parts)}"
        f" ([memory] method = 'none' keeps {'it' if len(parts) == 1 else 'them'})"
    )


def _dropped(config: Config) -> Iterator[str]:
    stages = config.stages
    for name in config.labelled:  # others have no head to keep
        for index in range(len(stages) - 1):
            if name not in stages[index].tasks or name in stages[index + 1].tasks:
                continue
            again = [
                later for later in range(index + 2, len(stages)) if name in stages[later].tasks
            ]
            anew = f" and new in {stage_label(stages, again[0])}" if again else ""
            yield f"{name}'s head is dropped after {stage_label(stages, index)}{anew}"
