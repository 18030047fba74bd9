"""The runs that a comparison of sharing takes: each task alone, all together."""

from __future__ import annotations

from pathlib import Path

from accord.config.sections import Config
from accord.errors import UsageError
from accord.grids.cells import Cell, make_cells


def comparison_cells(config: Config, seeds: int, where: str) -> list[Cell]:
    """Return the runs that say whether sharing is worth it: each task alone, all together.

    Tasks without labels are trained in the shared runs.

    Args:
        config: of all tasks; its own seed is the first.
        seeds: runs of each.
        where: named in messages.

    Raises:
        UsageError: if there is only one task, or none has labels.
    """
    if len(config.tasks) < 2:
        raise UsageError(f"{where}: has one task; a comparison takes two or more")
    if not config.labelled:
        raise UsageError(f"{where}: has no task with labels to compare models by")
    first = config.training.seed
    settings = [
        {"tasks": names, "seed": first + i}
        for i in range(seeds)
        for names in (*([name] for name in config.labelled), list(config.tasks))
    ]
    table = config.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    return make_cells(table, settings, {}, Path.cwd(), where)
