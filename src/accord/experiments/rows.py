"""The finished runs of experiments, by the rows of their tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.experiments.spec import Experiment
from accord.grids.cells import Cell, model_of
from accord.grids.changed import forced
from accord.grids.running import CELLS
from accord.report.record import RunRecord, read_run
from accord.runs.folder import STATUS, RunFolder


@dataclass(frozen=True)
class Row:
    """What stands in a row: for each of its tasks the runs that are done.

    Attributes:
        label: of its cells.
        groups: by task.
        group: the runs of a row that is one model; None of several, or where none is done.
    """

    label: str
    groups: dict[str, Group]
    group: Group | None

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
        return {label: self._row(label, models) for label, models in experiment.rows.items()}

    def _row(self, label: str, models: Mapping[str, str]) -> Row:
        groups = {
            task: self.groups[model] for task, model in models.items() if model in self.groups
        }
        single = len(set(models.values())) == 1
        return Row(label, groups, next(iter(groups.values()), None) if single else None)


def load_results(out: Path, cells: Sequence[Cell], *, other_seeds: bool = False) -> Results:
    """Read what is done of some cells.

    Args:
        out: the grid's folder.
        cells: of one or several experiments.
        other_seeds: whether finished runs count that differ from them in their seed alone.

    Raises:
        RunFolderError: if a run can't be read, or a file was changed between runs and nobody
            forced it to go on.
    """
    names: dict[str, str] = {}
    runs: dict[str, dict[Path, RunRecord]] = {}
    for cell in cells:
        names.setdefault(cell.model, cell.group)
        done = runs.setdefault(cell.model, {})
        pattern = re.sub(r"seed=\d+$", "seed=*", cell.name) if other_seeds else cell.name
        for folder in (out / CELLS).glob(pattern):
            if folder not in done and _state(folder) == "done":
                run = read_run(folder, folder.name)
                if model_of(run.config) == cell.model:
                    done[folder] = run
    agreed = forced(out)
    check_unchanged(
        (material_of(run) for records in runs.values() for run in records.values()), agreed
    )
    groups = {
        model: Group(names[model], sorted(record.values(), key=lambda run: run.seed))
        for model, record in runs.items() if record
    }  # fmt: skip
    left = {
        cell.name: (cell.group, state, cell.config.training.seed)
        for cell in cells if (state := _state(out / CELLS / cell.name)) != "done"
    }  # fmt: skip
    return Results(groups, list(left.values()), agreed)


def _state(folder: Path) -> str:
    return RunFolder(folder).state() if (folder / STATUS).exists() else "not begun"
