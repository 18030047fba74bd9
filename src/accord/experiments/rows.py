"""The finished runs of experiments, by the rows of their tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.experiments.spec import Experiment
from accord.grids.cells import Cell, model_of
from accord.grids.running import CELLS, forced
from accord.report.record import RunRecord, read_run
from accord.runs.folder import STATUS, RunFolder


@dataclass(frozen=True)
class Row:
    """What stands in a row: for each of its tasks the runs that are done.

    Attributes:
        label: of its cells.
        groups: by task.
    """

    label: str
    groups: dict[str, Group]

    @property
    def group(self) -> Group | None:
        """The runs of a row that is one model; None of several, or where none is done."""
        names = {group.name for group in self.groups.values()}
        return next(iter(self.groups.values())) if len(names) == 1 else None

    @property
    def runs(self) -> list[RunRecord]:
        """All of them, each once."""
        groups = {group.name: group for group in self.groups.values()}
        return [run for group in groups.values() for run in group.runs]


@dataclass(frozen=True)
class Results:
    """What is done of some experiments.

    Attributes:
        groups: of runs that differ in their seed alone, by their cells' `model`.
        unfinished: of each cell that is not done: its name without the seed, state and seed.
        forced: changes of files between runs that it was forced to go on with.
    """

    groups: dict[str, Group]
    unfinished: list[tuple[str, str, int]]
    forced: Sequence[str] = ()

    def rows(self, experiment: Experiment) -> dict[str, Row]:
        """Return the rows of an experiment's table, by label."""
        return {
            label: Row(
                label,
                {task: self.groups[own] for task, own in models.items() if own in self.groups},
            )
            for label, models in experiment.rows.items()
        }


def load_results(out: Path, cells: Sequence[Cell]) -> Results:
    """Read what is done of some cells, and of others that differ from them in their seed alone.

    Args:
        out: the grid's folder.
        cells: of one or several experiments.

    Raises:
        RunFolderError: if a run can't be read, or a file was changed between runs and nobody
            forced it to go on.
    """
    names: dict[str, str] = {}
    runs: dict[str, dict[Path, RunRecord]] = {}
    for cell in cells:
        names.setdefault(cell.model, cell.group)
        done = runs.setdefault(cell.model, {})
        for folder in _seeds_of(cell, out / CELLS):
            if folder not in done and _state(folder) == "done":
                run = read_run(folder, folder.name)
                if model_of(run.config) == cell.model:
                    done[folder] = run
    agreed = forced(out)
    check_unchanged((material_of(run) for own in runs.values() for run in own.values()), agreed)
    groups = {
        model: Group(names[model], sorted(own.values(), key=lambda run: run.seed))
        for model, own in runs.items() if own
    }  # fmt: skip
    left = {
        cell.name: (cell.group, state, cell.config.training.seed)
        for cell in cells if (state := _state(out / CELLS / cell.name)) != "done"
    }  # fmt: skip
    return Results(groups, list(left.values()), agreed)


def _seeds_of(cell: Cell, root: Path) -> list[Path]:
    """Return the folders of a cell's own run and of those whose names differ in the seed."""
    return sorted(root.glob(re.sub(r"seed=\d+$", "seed=*", cell.name)))


def _state(folder: Path) -> str:
    return RunFolder(folder).state() if (folder / STATUS).exists() else "not begun"
