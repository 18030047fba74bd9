"""The runs that a comparison of sharing takes: each task alone, all together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accord.config.file import as_table, parse_config
from accord.config.sections import Config
from accord.errors import UsageError
from accord.grids.cells import Cell, CellMaker, Draft, Settings
from accord.grids.equal_exposure import Equal, equal_settings
from accord.plan.making import plan_run

QUICK = ("training.epochs=1", "training.steps_per_epoch=20")
"""What `accord compare --quick` sets, unless it is set otherwise: some seconds a run."""


def without_tests(config: Config) -> Config:
    """Return a config whose runs predict no test files."""
    table = as_table(config)
    for task in table["tasks"].values():
        task.pop("test", None)
    return parse_config(table, strict=False)


def comparison_cells(
    config: Config,
    seeds: int,
    where: str,
    equal: Equal = "examples",
    say: Callable[[str], object] = lambda text: None,
) -> list[Cell]:
    """Return the runs that say whether sharing is worth it: each task alone, all together.

    Tasks without labels are trained in the shared runs. Tasks that read the same rows are packed
    apart there, as each is alone: what is compared is sharing the encoder, not the pass.

    Args:
        config: of all tasks; its own seed is the first.
        seeds: runs of each.
        where: named in messages.
        equal: what a task alone has as much of as in the shared run.
        say: told what was decided.

    Raises:
        UsageError: if there is only one task, or none has labels; or whatever is wrong with the
            data, which are read to count what the shared run draws.
    """
    plan, table = plan_run(config, where), as_table(config)
    apart = dict.fromkeys(
        name
        for stage in plan.stages
        for names in stage.data.shared
        for name in names
        if config.labelled[name].apart is None
    )
    for name in apart:
        table["tasks"][name]["apart"] = True
    if apart:
        say(f"{', '.join(apart)}: packed apart, though they read the same rows, as each is alone")
        plan = plan_run(parse_config(table, where, strict=False), where)
    if len(config.tasks) < 2:
        raise UsageError(f"{where}: has one task; a comparison takes two or more")
    if not config.labelled:
        raise UsageError(f"{where}: has no task with labels to compare models by")
    alone = [
        {"tasks": [name], **setting} for name, setting in equal_settings(plan, equal, where).items()
    ]  # fmt: skip
    first = config.training.seed
    drafts = [
        Draft({**single, "seed": first + i})
        for i in range(seeds)
        for single in (*alone, {"tasks": list(config.tasks)})
    ]
    return CellMaker(table, {}, Path.cwd(), where, _without_steps).cells(drafts)


def _without_steps(settings: Settings) -> Settings:
    """Take out a fixed length of epochs, in all stages, where examples are counted instead."""
    counted = any(key.rpartition(".")[2] == "examples" for key in settings)
    return {"training.steps_per_epoch": None} if counted else {}
