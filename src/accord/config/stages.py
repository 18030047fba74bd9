"""A run's stages: the config of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from accord.config.sections import Config, StageConfig

SECTIONS = ("training", "encoder", "sharing", "averaging", "methods")
"""Sections of the config that a stage may change."""

OF_THE_RUN = {
    "training": ("seed", "dev_share", "threads", "device"),  # alike before and after a stage
    "encoder": ("path", "revision", "heads"),
}
"""Keys of theirs that it may not."""

Table = dict[str, Any]


def stage_name(stages: Sequence[StageConfig], index: int) -> str:
    """Return a stage's name: its own, or its number, from 1."""
    return stages[index].name or str(index + 1)


def stage_label(stages: Sequence[StageConfig], index: int) -> str:
    """Return how messages name a stage."""
    name = stages[index].name
    return f"stage {index + 1}" + (f" '{name}'" if name else "")


def finished_before(config: Config, index: int) -> list[str]:
    """Return the tasks that a stage remembers: earlier stages', except those it trains itself."""
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
        drop: takes out of a table what has no effect for the tasks left in it (`drop_combining`).
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
    # Finished tasks come after the others: these draw what they would draw without them.
    table["tasks"] = {name: before[name] for name in (*trained, *finished)}
    texts = table.pop("texts", {})
    texts = {name: text for name, text in texts.items() if name not in table["tasks"]}
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
    kept = [
        {**stage, "tasks": [name for name in stage["tasks"] if name in tasks]} for stage in before
    ]
    kept = [stage for stage in kept if stage["tasks"]]
    if before:
        table["stages"] = kept
    memory = table.get("memory")
    if memory is None:
        return
    if "finished" in memory:
        memory["finished"] = [name for name in memory["finished"] if name in tasks]
    if len(kept) < 2 and not memory.get("finished"):
        del table["memory"]
