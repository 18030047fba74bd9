"""The finished runs of a reproduction, found by what they varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.experiments.paper import TASKS, Subset
from accord.experiments.plan import EXACT_STEPS
from accord.experiments.reproduce import remembered
from accord.grids.cells import Settings
from accord.grids.changed import forced
from accord.grids.running import CELLS
from accord.report.record import RunRecord, read_run
from accord.runs.folder import STATUS, RunFolder


@dataclass(frozen=True)
class Results:
    """Runs by the settings that they share but for the seed.

    Attributes:
        groups: settings and runs of each group that has a finished run.
        planned: settings of every cell, finished or not.
        unfinished: names of cells without one, with their state.
        forced: changes of files between runs that it was forced to go on with.
    """

    groups: list[tuple[Settings, Group]]
    planned: list[Settings]
    unfinished: dict[str, str]
    forced: Sequence[str] = ()

    def pick(
        self, tasks: Sequence[str], mode: str = "finetune", **settings: object
    ) -> Group | None:
        """Return the group of exactly these settings, those that make no difference left out."""
        wanted = {"tasks": list(tasks), "mode": mode, **settings}
        return next((group for own, group in self.groups if _bare(own) == wanted), None)

    def alone(self, task: str, mode: str = "finetune") -> Group | None:
        """One task alone, on all its data."""
        return self.pick([task], mode)

    def alone_capped(self, task: str) -> Group | None:
        """One task alone, on as many steps as the shared models of experiment 3 have."""
        return self._capped([task])

    def alone_as_shown(self, task: str, batching: str) -> Group | None:
        """One task alone, on as many examples as a shared model of all three was shown of it.

        None with an equal budget: that gives every cell as much, by other epochs.
        """
        if any("epochs" in own for own in self.planned):
            return None
        if batching == "finish-smallest":
            return self.alone_capped(task)
        counts = [
            own["examples"] for own in self.planned if own["tasks"] == [task] and "examples" in own
        ]
        return self.pick([task], examples=counts[-1]) if counts else self.alone(task)

    def together(
        self, tasks: Subset = TASKS, batching: str = "finish-smallest", gradients: str = "sum"
    ) -> Group | None:
        """Some tasks together."""
        return self._capped(tasks, batching=batching, gradients=gradients)

    def _capped(self, tasks: Sequence[str], **settings: object) -> Group | None:
        """Return the capped group, or the whole one where no cell had to be capped."""
        wanted = {"tasks": list(tasks), "mode": "finetune", **settings}
        for own in self.planned:
            bare = _bare(own)
            if "steps" in bare and {**wanted, "steps": bare["steps"]} == bare:
                wanted = bare
        return next((group for own, group in self.groups if _bare(own) == wanted), None)


def _bare(settings: Settings) -> Settings:
    return {
        key: value for key, value in settings.items() if key not in ("seed", "epochs", EXACT_STEPS)
    }


def load_results(
    out: Path, names: Sequence[str], seeds: Sequence[int], equal_budget: bool
) -> Results:
    """Read what is done of some experiments.

    Args:
        out: the reproduction's folder.
        names: of the experiments.
        seeds: whose cells count as unfinished where they are; finished ones of others count too.
        equal_budget: the cells that were planned with one, or those without.

    Raises:
        RunFolderError: if a run can't be read, or a file was changed between runs and nobody
            forced it to go on.
    """
    index = remembered(out)
    entries = {
        entry["name"]: entry for name in names for entry in index.get(name, [])
        if ("epochs" in entry["settings"]) == equal_budget
    }  # fmt: skip
    runs: dict[str, list[RunRecord]] = {}
    settings: dict[str, Settings] = {}
    unfinished = {}
    for name, entry in entries.items():
        folder = out / CELLS / name
        state = RunFolder(folder).state() if (folder / STATUS).exists() else "not begun"
        if state == "done":
            runs.setdefault(entry["group"], []).append(read_run(folder, name))
            settings[entry["group"]] = entry["settings"]
        elif entry["settings"]["seed"] in seeds:
            unfinished[name] = state
    agreed = forced(out)
    check_unchanged((material_of(run) for own in runs.values() for run in own), agreed)
    groups = [
        (settings[name], Group(name, sorted(own, key=lambda run: run.seed)))
        for name, own in runs.items()
    ]
    return Results(groups, [entry["settings"] for entry in entries.values()], unfinished, agreed)
