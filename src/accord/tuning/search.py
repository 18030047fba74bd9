"""The trials of a study, drawn, run and told, until there are enough; one or several at once."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.config.file import as_table
from accord.config.sections import Config
from accord.errors import BusyError, ConfigError, Pruned, Stopped, TrainingError
from accord.grids.cell_run import CellResult
from accord.grids.cells import identity_of
from accord.grids.changed import Sameness
from accord.grids.progress import Progress
from accord.grids.workers import Job, run_cells
from accord.plan.recorded import recorded_config
from accord.runs.folder import STATUS, RunFolder
from accord.runs.results import read_results
from accord.tuning.records import TrialRecord, ranking, records, shown, write_outcome
from accord.tuning.selection import HALF_SCORES, RUNS, Selection, estimate_selection, half_scores
from accord.tuning.space import Space
from accord.tuning.study import next_trial

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

FOLDER = "trials"
MOST_FAILURES = 10
"""In a row, after which a search gives up."""

_IDENTITY, _REFUSED = "identity", "refused"  # attributes of a trial


@dataclass
class _Begun:
    """A trial that was begun here.

    Attributes:
        trial: of the study.
        identity: what trials that run the same have in common.
        cells: its runs, one per seed.
        ended: how many of them are done.
    """

    trial: optuna.Trial
    identity: str
    cells: list[dict[str, Any]]
    ended: int = 0


class Search:
    """Continues a study. Only this process draws, prunes and writes; others run cells.

    Args:
        study: that is told how trials end.
        space: that they are points of.
        out: the study's folder.
        seeds: runs of each.
        quiet: whether the runs say nothing.
        progress: knows how many trials there are to be.
        sameness: keeps watch that all runs are of the same files.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        out: Path,
        seeds: int,
        quiet: bool,
        progress: Progress,
        sameness: Sameness,
    ) -> None:
        self.study, self.space, self.out, self.seeds, self.quiet = study, space, out, seeds, quiet
        self.progress, self.sameness = progress, sameness
        self.trials, self.selection, self.failures = records(study), Selection(0), 0
        self.ready: list[_Begun] = []
        self.running: dict[str, _Begun] = {}  # by the folder of the run
        self.waiting: list[_Begun] = []  # for one that runs the same to end
        self.stopped: list[_Begun] = []

    def go(self, workers: int, threads: int | None) -> None:
        """Run trials until the number wanted is done or pruned.

        Raises:
            Stopped: a signal came; what was running has saved.
            TrainingError: too many in a row failed.
            BusyError: if another process is using a trial's run.
            RunFolderError: if a file was changed since an earlier run.
        """
        if self.progress.counted < self.progress.total:
            folders = self._run_folders()
            self.sameness.check(folders, (recorded_config(RunFolder(folder)) for folder in folders))
        with closing(run_cells(self._draw, workers, threads)) as ended:
            for job, result in ended:
                self._take(self.running.pop(job.cell["folder"]), result)
        self._write_outcome()  # a process that died may have told the study of its last trial alone
        if self.progress.counted < self.progress.total:
            raise self._interrupted()

    @property
    def _under_way(self) -> list[_Begun]:
        return [*self.ready, *self.running.values(), *self.waiting]

    def _run_folders(self) -> list[Path]:
        folders = sorted((self.out / FOLDER).glob("*"))
        return [folder for folder in folders if (folder / STATUS).exists()]

    def _draw(self) -> Job | None:
        """Return the next run of a trial under way, or of a new one as long as any are wanted."""
        if self.stopped:
            return None
        while not self.ready and (
            self.progress.counted + len(self._under_way) < self.progress.total
        ):
            self._begin()
        if not self.ready:
            return None
        begun = self.ready.pop(0)
        cell = begun.cells[begun.ended]
        self.running[cell["folder"]] = begun
        # Later seeds have no earlier trial's first epochs to be compared with.
        return Job(cell, None if begun.ended else partial(_watch, begun.trial))

    def _begin(self) -> None:
        trial = next_trial(self.study, self.space)
        settings = {one.key: one.draw(trial) for one in self.space.dimensions}
        self.progress.begin(f"trial {trial.number}: {shown(settings)}", len(self._under_way))
        try:
            config = self.space.config(settings, f"trial {trial.number}")
        except ConfigError as error:
            return self._fail(trial, str(error), refused=True)
        identity = identity_of(config)
        trial.set_user_attr(_IDENTITY, identity)
        return self._admit(_Begun(trial, identity, self._cells(trial, config)))

    def _cells(self, trial: optuna.Trial, config: Config) -> list[dict[str, Any]]:
        """Return a trial's runs, one per seed."""
        first, cells = config.training.seed, []
        for seed in range(first, first + self.seeds):
            name = str(trial.number) if self.seeds == 1 else f"{trial.number}-seed={seed}"
            table = as_table(config)
            table.setdefault("training", {})["seed"] = seed
            cells.append({"folder": str(self.out / FOLDER / name), "config": table,
                          "quiet": self.quiet, "force": self.sameness.force})  # fmt: skip
        return cells

    def _admit(self, begun: _Begun) -> None:
        """Let a trial run, unless an earlier one's runs were or are the same to the bit.

        Other settings may make the same run: the options of a method that neither chooses.
        """
        trials = self.study.get_trials(deepcopy=False)
        twin = next((trial for trial in trials if _is_known(begun.identity, trial)), None)
        if twin is not None and not self.sameness.agreed:  # else the files are others now
            self._repeat(begun.trial, twin)
        elif any(begun.identity == one.identity for one in (*self.ready, *self.running.values())):
            self.waiting.append(begun)
        else:
            self.ready.append(begun)

    def _take(self, begun: _Begun, result: CellResult) -> None:
        """Take a trial one of whose runs ended to its next one, or to its end."""
        trial = begun.trial
        trial.set_user_attr("seconds", trial.user_attrs.get("seconds", 0.0) + result.seconds)
        self.sameness.check(self._run_folders())
        match result.state:
            case "stopped":
                self.stopped.append(begun)
            case "busy":
                raise BusyError(str(result.error))
            case "pruned":
                self._end(trial, "PRUNED")
            case "failed":
                self._fail(trial, str(result.error), result.refused)
            case _:
                if begun.ended == 0:
                    _report(trial, read_results(Path(begun.cells[0]["folder"]))["epochs"])
                begun.ended += 1
                if begun.ended < len(begun.cells):
                    self.ready.insert(0, begun)
                else:
                    self._score(begun)

    def _score(self, begun: _Begun) -> None:
        folders = [Path(cell["folder"]) for cell in begun.cells]
        by_half = [half_scores(folder) for folder in folders]
        begun.trial.set_user_attr(RUNS, [folder.name for folder in folders])
        begun.trial.set_user_attr(
            HALF_SCORES, [statistics.fmean(scores) for scores in zip(*by_half, strict=True)]
        )
        score = statistics.fmean(read_results(folder)["score"] for folder in folders)
        self._end(begun.trial, "COMPLETE", score)

    def _repeat(self, trial: optuna.Trial, twin: FrozenTrial) -> None:
        """Let a trial end as an earlier one of the same runs did."""
        trial.set_user_attr("repeats", twin.number)
        if twin.state.name == "FAIL":
            return self._fail(trial, f"as trial {twin.number}: {twin.user_attrs['error']}", True)
        for epoch, score in twin.intermediate_values.items():
            trial.report(score, epoch)
        return self._end(trial, twin.state.name, twin.value)

    def _fail(self, trial: optuna.Trial, error: str, refused: bool) -> None:
        trial.set_user_attr("error", " ".join(error.split()))
        trial.set_user_attr(_REFUSED, refused)
        self._end(trial, "FAIL")

    def _end(self, trial: optuna.Trial, state: str, score: float | None = None) -> None:
        """Tell the study and the user how a trial ended."""
        from optuna.trial import TrialState

        complete = state == "COMPLETE"
        self.study.tell(trial, score if complete else None, state=TrialState[state])
        self._write_outcome()
        self._say(next(one for one in self.trials if one.number == trial.number))
        identity = trial.user_attrs.get(_IDENTITY)
        for other in [begun for begun in self.waiting if begun.identity == identity][:1]:
            self.waiting.remove(other)
            self._admit(other)

    def _say(self, last: TrialRecord) -> None:
        """Say how the last trial ended.

        Raises:
            TrainingError: if too many in a row failed.
        """
        failed = last.state == "failed"
        text = last.line(ranking(self.trials))
        self.progress.end(text, counts=not failed, ran=not failed)
        self.failures = self.failures + 1 if failed else 0
        if self.failures == MOST_FAILURES:
            raise TrainingError(
                f"{MOST_FAILURES} trials in a row failed, the last so: {last.error}"
            )

    def _write_outcome(self) -> None:
        self.trials = records(self.study)
        best = ranking(self.trials)[:1]
        if best:
            trials = self.study.get_trials(deepcopy=False)
            self.selection = estimate_selection(trials, best[0].number, self.out / FOLDER)
        write_outcome(self.out, self.space, self.trials, self.selection)

    def _interrupted(self) -> Stopped:
        total = self.progress.total
        numbers = sorted(begun.trial.number for begun in (*self.stopped, *self._under_way))
        where = f" in trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
        return Stopped(
            f"stopped{where if numbers else ''}, with {total - self.progress.counted} of {total}"
            " to go; the same command goes on",
            128 + signal.SIGINT,
        )


def _is_known(identity: str, trial: FrozenTrial) -> bool:
    """Whether a trial of this identity ended so that another one would end as it did."""
    ended = trial.state.name in ("COMPLETE", "PRUNED") or trial.user_attrs.get(_REFUSED, False)
    return bool(ended) and trial.user_attrs.get(_IDENTITY) == identity


def _watch(trial: optuna.Trial, evaluations: Sequence[dict[str, Any]]) -> None:
    """Look at a run's epochs so far, before another one begins.

    Raises:
        Pruned: if the best of them is below the median of what the trials that are done had
            reached by then.
    """
    _report(trial, evaluations)
    if trial.should_prune():
        best = best_score(evaluations)
        raise Pruned(f"pruned after epoch {len(evaluations)}, at {best:z.4f}")


def _report(trial: optuna.Trial, evaluations: Sequence[dict[str, Any]]) -> None:
    """Report the score that the run would have, had it ended after each of the epochs."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for epoch in range(1, len(evaluations) + 1):
        if epoch not in known:
            trial.report(best_score(evaluations[:epoch]), epoch)


def best_score(evaluations: Sequence[dict[str, Any]]) -> float:
    """Return the score of the epoch whose model is kept: the first with the largest sum.

    Example:
        >>> best_score([{"sum": 1.0, "score": 0.5}, {"sum": 0.8, "score": 0.6}])
        0.5
    """
    return float(max(evaluations, key=lambda epoch: epoch["sum"])["score"])
