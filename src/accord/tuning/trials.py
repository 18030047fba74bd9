"""One trial of a study: its runs, whether it is pruned, and what the study is told."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.config.sections import Config
from accord.errors import BusyError, ConfigError, Pruned, Stopped, TrainingError
from accord.grids.cell_run import CellResult
from accord.grids.cells import identity_of
from accord.grids.changed import Sameness
from accord.plan.recorded import recorded_config
from accord.runs.folder import STATUS, RunFolder
from accord.runs.results import read_results
from accord.tuning.selection import HALF_SCORES, RUNS, half_scores
from accord.tuning.space import Settings, Space, plain

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from accord.training.loop import Watch

FOLDER = "trials"
_IDENTITY, _REFUSED = "identity", "refused"


@dataclass(frozen=True)
class TrialRun:
    """A run that a trial needs.

    Attributes:
        cell: for `run_cell`.
        watch: is to be shown its epochs; None wants to see none.
    """

    cell: dict[str, Any]
    watch: Watch | None


Course = Generator[TrialRun, CellResult, None]
"""A trial's way: each run that it yields is to be answered with how that ended."""


@dataclass(frozen=True)
class Trials:
    """What all trials of a study have in common.

    Attributes:
        study: that is told how they end.
        space: that they are points of.
        out: the study's folder.
        seeds: runs of each.
        quiet: whether the runs say nothing.
        sameness: keeps watch that all runs are of the same files.
    """

    study: optuna.Study
    space: Space
    out: Path
    seeds: int
    quiet: bool
    sameness: Sameness

    def check_files(self) -> None:
        """Check that the files of the trials so far are what they were.

        Raises:
            RunFolderError: naming the file, unless it was forced.
        """
        begun = self._begun()
        self.sameness.check(begun, (recorded_config(RunFolder(folder)) for folder in begun))

    def _begun(self) -> list[Path]:
        folders = sorted((self.out / FOLDER).glob("*"))
        return [folder for folder in folders if (folder / STATUS).exists()]

    def course(self, trial: optuna.Trial, settings: Settings) -> Course:
        """Go through a trial, begun or new, run by run, and tell the study how it ended.

        Whoever has the runs made, and where, is not its business.

        Raises:
            Stopped: a signal came; the trial can be gone on with.
            BusyError: if another process is at its run.
            RunFolderError: if a file was changed since an earlier run.
        """
        from optuna.trial import TrialState

        try:
            config = self.space.config(settings, f"trial {trial.number}")
            trial.set_user_attr(_IDENTITY, identity_of(config))
            twin = self._twin(identity_of(config))
            if twin is None:
                score = yield from self._score(trial, config)
            else:
                score = _repeat(trial, twin)
        except Pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except (ConfigError, TrainingError) as error:
            trial.set_user_attr("error", " ".join(str(error).split()))
            trial.set_user_attr(_REFUSED, isinstance(error, ConfigError))
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)

    def identity(self, settings: Settings) -> str:
        """Return what trials that run the same have in common; nothing of one that can't run."""
        try:
            return identity_of(self.space.config(settings, "trial"))
        except ConfigError:
            return ""

    def _twin(self, identity: str) -> FrozenTrial | None:
        """Return an earlier trial whose runs were the same to the bit, or were refused as well.

        Other settings may make the same run: the options of a method that neither chooses.
        """
        if self.sameness.agreed:  # the files are others now
            return None
        for own in self.study.get_trials(deepcopy=False):
            known = own.state.name in ("COMPLETE", "PRUNED") or own.user_attrs.get(_REFUSED)
            if known and own.user_attrs.get(_IDENTITY) == identity:
                return own
        return None

    def _score(self, trial: optuna.Trial, config: Config) -> Generator[TrialRun, CellResult, float]:
        watcher, scores, by_half, runs = Watcher(trial), [], [], []
        for place in range(self.seeds):
            folder, own = self._run_of(trial.number, config, place)
            cell = {"folder": str(folder), "config": plain(own), "quiet": self.quiet,
                    "force": self.sameness.force}  # fmt: skip
            # Later seeds have no earlier trial's first epochs to be held against.
            result = yield TrialRun(cell, watcher if place == 0 else None)
            seconds = trial.user_attrs.get("seconds", 0.0) + result.seconds
            trial.set_user_attr("seconds", seconds)
            self.sameness.check(self._begun())
            _check(result, trial.number)
            results = read_results(folder)
            scores.append(results["score"])
            by_half.append(half_scores(folder))
            runs.append(folder.name)
            if place == 0:
                watcher.report(results["epochs"])
        trial.set_user_attr(RUNS, runs)
        trial.set_user_attr(
            HALF_SCORES, [statistics.fmean(own) for own in zip(*by_half, strict=True)]
        )
        return statistics.fmean(scores)

    def _run_of(self, number: int, config: Config, place: int) -> tuple[Path, Config]:
        """Return the folder and the config of a trial's run with one of its seeds."""
        if self.seeds == 1:
            return self.out / FOLDER / str(number), config
        seed = config.training.seed + place
        training = config.training.model_copy(update={"seed": seed})
        folder = self.out / FOLDER / f"{number}-seed={seed}"
        return folder, config.model_copy(update={"training": training})


class Watcher:
    """Reports a run's epochs to its trial, and prunes it where the study would.

    Args:
        trial: of the run.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def __call__(self, evaluations: Sequence[dict[str, Any]]) -> None:
        """Look at the epochs so far, before another one begins.

        Raises:
            Pruned: if the best of them is below the median of what the trials that are done had
                reached by then.
        """
        self.report(evaluations)
        if self.trial.should_prune():
            best = best_score(evaluations)
            raise Pruned(f"pruned after epoch {len(evaluations)}, at {best:z.4f}")

    def report(self, evaluations: Sequence[dict[str, Any]]) -> None:
        """Report the score that the run would have, had it ended after each of the epochs."""
        own = self.trial.study.get_trials(deepcopy=False)[self.trial.number]
        for epoch in range(1, len(evaluations) + 1):
            if epoch not in own.intermediate_values:
                self.trial.report(best_score(evaluations[:epoch]), epoch)


def best_score(evaluations: Sequence[dict[str, Any]]) -> float:
    """Return the score of the epoch whose model is kept: the first with the largest sum.

    Example:
        >>> best_score([{"sum": 1.0, "score": 0.5}, {"sum": 0.8, "score": 0.6}])
        0.5
    """
    return float(max(evaluations, key=lambda own: own["sum"])["score"])


def _check(result: CellResult, number: int) -> None:
    """Raise what kept a run from being done."""
    match result.state:
        case "stopped":
            raise Stopped(f"trial {number} was stopped", 130)
        case "busy":
            raise BusyError(str(result.error))
        case "pruned":
            raise Pruned(str(result.error))
        case "failed":
            raise (ConfigError if result.refused else TrainingError)(str(result.error))


def _repeat(trial: optuna.Trial, twin: FrozenTrial) -> float:
    """Report what an earlier trial of the same runs did, and return its score.

    Raises:
        Pruned: if it was.
        ConfigError: if its config was refused.
    """
    trial.set_user_attr("repeats", twin.number)
    if twin.state.name == "FAIL":
        raise ConfigError(f"as trial {twin.number}: {twin.user_attrs['error']}")
    for epoch, score in twin.intermediate_values.items():
        trial.report(score, epoch)
    if twin.state.name == "PRUNED":
        raise Pruned(f"as trial {twin.number}")
    assert twin.value is not None  # as it is complete
    return twin.value
