"""The trials of a study, drawn and run until there are enough, one or several at once."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accord.errors import Stopped
from accord.grids.cell_run import CellResult
from accord.grids.workers import Pool, ThisProcess
from accord.tuning.progress import Progress
from accord.tuning.records import TrialRecord, ranking, records, write_outcome
from accord.tuning.selection import Selection, estimate_selection
from accord.tuning.study import next_trial
from accord.tuning.trials import FOLDER, Course, Trials

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class _UnderWay:
    """A trial that was begun here."""

    trial: optuna.Trial
    identity: str
    course: Course


class Search:
    """Goes on with a study. This process alone draws, prunes and writes; the pool only runs cells.

    Args:
        trials: what they have in common.
        pool: runs their cells.
        progress: knows how many there are to be.
    """

    def __init__(self, trials: Trials, pool: Pool | ThisProcess, progress: Progress) -> None:
        self.trials, self.pool, self.progress = trials, pool, progress
        self.running: dict[str, _UnderWay] = {}  # by the name of the run's folder
        self.waiting: list[_UnderWay] = []  # for one that runs the same to end
        self.stopped: list[int] = []
        self.selection: Selection | None = None

    def go(self) -> None:
        """Run trials until so many are done or pruned.

        Raises:
            Stopped: a signal came.
            TrainingError: too many in a row failed.
            BusyError: another process is at a trial's run.
        """
        while self.running or self._wants_another():
            while self.pool.has_room and self._wants_another():
                self._begin()
            for raw in self.pool.results():
                result = CellResult(**raw)
                self._advance(self.running.pop(result.name), result)
        self._write_outcome()  # a process that died may have told the study of its last trial alone
        if self.progress.counted < self.progress.total:
            raise self._interrupted()

    @property
    def _under_way(self) -> list[_UnderWay]:
        return [*self.running.values(), *self.waiting]

    def _wants_another(self) -> bool:
        if self.pool.stopped or self.stopped:
            return False
        return self.progress.counted + len(self._under_way) < self.progress.total

    def _begin(self) -> None:
        study, space = self.trials.study, self.trials.space
        trial = next_trial(study, space, [own.trial.number for own in self._under_way])
        settings = {one.key: one.draw(trial) for one in space.dimensions}
        self.progress.begin(trial.number, settings, len(self._under_way))
        identity = self.trials.identity(settings)
        own = _UnderWay(trial, identity, self.trials.course(trial, settings))
        if identity and any(other.identity == identity for other in self.running.values()):
            self.waiting.append(own)
        else:
            self._advance(own)

    def _advance(self, own: _UnderWay, result: CellResult | None = None) -> None:
        """Take a trial to its next run, or to its end."""
        try:
            run = next(own.course) if result is None else own.course.send(result)
        except StopIteration:
            self._end(own)
        except Stopped:
            self.stopped.append(own.trial.number)
        else:
            if self.pool.stopped:  # between two of its seeds
                self.stopped.append(own.trial.number)
                return
            self.running[Path(run.cell["folder"]).name] = own
            self.pool.give(run.cell, run.watch)

    def _end(self, own: _UnderWay) -> None:
        self.progress.end(self._write_outcome(), own.trial.number)
        for other in [one for one in self.waiting if one.identity == own.identity][:1]:
            self.waiting.remove(other)
            self._advance(other)

    def _write_outcome(self) -> list[TrialRecord]:
        study, out = self.trials.study, self.trials.out
        ended = records(study)
        best = ranking(ended)[:1]
        self.selection = (
            estimate_selection(study.get_trials(deepcopy=False), best[0].number, out / FOLDER)
            if best else None
        )  # fmt: skip
        write_outcome(out, self.trials.space, ended, self.selection)
        return ended

    def _interrupted(self) -> Stopped:
        total = self.progress.total
        numbers = ", ".join(map(str, sorted(self.stopped)))
        where = f" in trial{'s' * (len(self.stopped) > 1)} {numbers}" if numbers else ""
        return Stopped(
            f"stopped{where}, with {total - self.progress.counted} of {total} to go;"
            " the same command goes on",
            128 + signal.SIGINT,
        )
