"""A run's stages: the config of each, and what is wrong with their list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from accord.config.sections import Config, StageConfig
from accord.errors import nearest
from accord.kinds import get_kind

SECTIONS = ("training", "encoder", "sharing", "averaging", "methods")
"""Sections of the config that a stage may change."""

_OF_THE_RUN = {
    "training": ("seed", "dev_share", "threads", "device"),  # alike before and after a stage
    "encoder": ("path", "revision", "heads"),
}

Table = dict[str, Any]


def stage_name(stages: Sequence[StageConfig], index: int) -> str:
    """Return a stage's name: its own, or its number, from 1."""
    return stages[index].name or str(index + 1)


def stage_label(stages: Sequence[StageConfig], index: int) -> str:
    """Return how messages name a stage."""
    name = stages[index].name
    return f"stage {index + 1}" + (f" '{name}'" if name else "")


def finished_before(config: Config, index: int) -> list[str]:
    """Return the tasks that a stage remembers: earlier stages', but for those it trains itself."""
    if config.memory is None:
        return []
    seen = {name for stage in config.stages[:index] for name in stage.tasks}
    finished = {*config.memory.finished, *seen} - set(config.stages[index].tasks)
    return [name for name in config.labelled if name in finished]  # others have no head to keep


def stage_table(config: Config, index: int, drop: Callable[[Table, Table], None]) -> Table:
    """Return a stage's config as a nested mapping: the whole one's, with what the stage changes.

    Every stage but the first begins from what the one before left: it keeps its heads, and draws no
    layers anew that it doesn't name itself. Its `encoder.path` is still that of the whole run.

    Args:
        config: of the whole run.
        index: of the stage, from 0.
        drop: takes out of a table what is of no use for the tasks left in it (`drop_combining`).
    """
    stage, finished = config.stages[index], finished_before(config, index)
    table = config.model_dump(exclude_unset=True, exclude={"stages", "memory"})
    before = table["tasks"]
    trained = [name for name in config.tasks if name in stage.tasks]
    idle = config.memory is None or config.memory.method == "none"
    drawn = trained if idle else [*trained, *finished]
    table["tasks"] = {name: before[name] for name in drawn}
    drop(table, before)
    if not idle and config.memory is not None and config.memory.method != "replay":
        _drop_balancing(table, trained)
    # Finished tasks stand behind the others: these draw what they would draw without them.
    table["tasks"] = {name: before[name] for name in (*trained, *finished)}
    texts = table.pop("texts", {})
    texts = {name: own for name, own in texts.items() if name not in table["tasks"]}
    table |= {"texts": texts} if texts else {}
    if finished and config.memory is not None:
        memory = config.memory.model_dump(exclude_unset=True)
        table["memory"] = {**memory, "finished": finished}
    if index:
        heads = "keep" if _leaves_heads(config, index - 1) else "new"
        table["encoder"] |= {"heads": heads, "reinit_layers": 0}
    for section in SECTIONS:
        if changes := getattr(stage, section):
            _merge(table.setdefault(section, {}), changes)
    return table


def _drop_balancing(table: Table, trained: Sequence[str]) -> None:
    """Take out a balancing rule that memories which only constrain leave with a single task."""
    if len(trained) == 1 and (rule := table.get("training", {}).pop("balancing", None)):
        table.get("methods", {}).pop(rule, None)


def _leaves_heads(config: Config, index: int) -> bool:
    """Whether a stage's model holds heads: tasks without labels leave none."""
    names = [*config.stages[index].tasks, *finished_before(config, index)]
    return any(name in config.labelled for name in names)


def _merge(table: Table, changes: Mapping[str, Any]) -> None:
    """Set keys in a table, and keys in the tables in it."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = deepcopy(value)


def keep_stages(table: Table) -> None:
    """Take the tasks that a table hasn't got out of its stages, and the stages that are then empty.

    Args:
        table: of a config, as the file's; where one stage is left there is nothing to remember, and
            where one task is, nothing to combine.
    """
    tasks, before = table["tasks"], table.get("stages", [])
    kept = [{**own, "tasks": [name for name in own["tasks"] if name in tasks]} for own in before]
    kept = [own for own in kept if own["tasks"]]
    if before:
        table["stages"] = kept
    memory = table.get("memory")
    if memory is None:
        return
    if "finished" in memory:
        memory["finished"] = [name for name in memory["finished"] if name in tasks]
    if len(kept) < 2 and not memory.get("finished"):
        del table["memory"]


def memory_note(config: Config) -> str:
    """Say that a config's memory is of no use; empty if it is, or if there is none.

    Joint training beside a sequence is the same config without its stages.
    """
    if config.memory is None or config.remembers:
        return ""
    return "[memory] is not used: without [[stages]] or memory.finished no task is finished"


def dropped_note(config: Config) -> str:
    """Say which heads a run in stages loses on its way, in one line; empty if it loses none."""
    return "; ".join(filter(None, (_late_note(config), _lost_note(config), _again_note(config))))


def _late_note(config: Config) -> str:
    """Say whose heads of `encoder.path` are lost before the stage that would go on with them."""
    if config.encoder.heads != "keep" or not config.stages:
        return ""
    held = {*config.stages[0].tasks, *finished_before(config, 0)}
    late = [name for name in config.labelled if name not in held]
    if not late:
        return ""
    names = ", ".join(repr(name) for name in late)
    return (
        f"encoder.heads = 'keep' is for the first stage's tasks; {', '.join(late)} will have"
        f" new heads ([memory] method = 'none', finished = [{names}] keeps them until then)"
    )


def _again_note(config: Config) -> str:
    """Say whose heads are new again in later stages: a model folder holds labelled tasks' heads."""
    later = {name for own in config.stages[1:] for name in own.tasks}
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
    held = [name for name in config.labelled if name in config.stages[-1].tasks]
    return (
        f"the model will hold {', '.join(held) or 'no head'}; {', '.join(parts)}"
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


def list_faults(config: Config) -> Iterator[str]:
    """Yield what is wrong with the list of stages, a line each, before any of them is looked at."""
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
    for section, keys in _OF_THE_RUN.items():
        for key in keys:
            if key in getattr(stage, section):
                yield f"{section}.{key}: is the whole run's, not a stage's"


def chain_faults(stages: Sequence[StageConfig], configs: Sequence[Config]) -> Iterator[str]:
    """Yield why a stage can't go on from the one before it.

    Args:
        stages: of the run.
        configs: of each.
    """
    for index in range(1, len(configs)):
        before, own = configs[index - 1], configs[index]
        again = [name for name in own.labelled if name in before.tasks]
        if again:
            label = stage_label(stages, index)
            yield from (f"{label}: {fault}" for fault in _part_faults(before, own, again[0]))
        if not again and not _trains_shared(before):
            yield (
                f"{stage_label(stages, index - 1)}: trains nothing that the stages after it use:"
                " what tasks share stays as it is, and none of its tasks goes on"
            )


def _part_faults(before: Config, own: Config, task: str) -> Iterator[str]:
    """Yield why a stage has no place for parts that the one before trains for one of its tasks."""
    from accord.sharing import get_scheme

    for name in before.sharing.schemes:
        if name not in own.sharing.schemes:
            yield (
                f"sharing.schemes: lacks '{name}', parts of which the stage before trains for"
                f" '{task}'"
            )
            continue
        was, now = (
            get_scheme(name).check_options(config.methods.get(name, {})) for config in (before, own)
        )
        for key in was:
            if was[key] != now[key]:
                yield (
                    f"methods.{name}.{key}: is {now[key]}, but '{task}' has parts of the stage"
                    f" before with {was[key]}"
                )


def _trains_shared(config: Config) -> bool:
    """Whether a run leaves what tasks share other than it was."""
    whole = "own-encoder" in config.sharing.schemes
    return config.encoder.mode == "finetune" and config.sharing.train_shared and not whole
