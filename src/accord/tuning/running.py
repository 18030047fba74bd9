"""A study from its first trial to its last, in as many goes as it takes."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.config import Config
from accord.config_file import load_config, resolve_paths
from accord.errors import Stopped, TrainingError
from accord.estimate import duration
from accord.progress import Console
from accord.tuning.records import BEST, TrialRecord, ranking, records, write_outcome
from accord.tuning.space import Settings, Space
from accord.tuning.study import need_optuna, next_trial, open_study
from accord.tuning.trials import Trials

MOST_FAILURES = 10
"""In a row, after which a search gives up."""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        out: the study's folder.
        trials: that ended, in their order.
    """

    out: Path
    trials: list[TrialRecord]

    @property
    def best(self) -> TrialRecord:
        """The best trial; of equal ones the earliest."""
        return ranking(self.trials)[0]

    @property
    def config(self) -> Path:
        """The config with the best trial's settings."""
        return self.out / BEST


def tune(
    config: Config | str | Path,
    search: Sequence[str] = (),
    trials: int = 20,
    *,
    out: str | Path,
    seeds: int = 1,
    prune: bool = True,
    quiet: bool = False,
) -> Tuned:
    """Search a config's settings for the best dev score, as `accord tune` does.

    Args:
        config: a config, or a TOML file's path.
        search: texts such as `lr=1e-5:1e-4:log`; none searches one loss weight a task.
        trials: how many are to be done or pruned in all; those in `out` count.
        out: the study's folder; where it holds this study, the search goes on.
        seeds: runs of each trial, whose scores' mean is its score.
        prune: give up trials that fall behind the median of the earlier ones.
        quiet: no progress on stderr.

    Raises:
        UsageError: optuna is missing, something is wrong with config or search, or `out` holds
            another study; nothing was written.
        BusyError: another process is at this study.
        TrainingError: too many trials failed.
        Stopped: a signal came; the same call goes on.

    Example:
        >>> from accord.tuning import tune
        >>> tuned = tune("accord.toml", trials=40, out="runs/tuned")  # doctest: +SKIP
        >>> accord.train(tuned.config, out="runs/best")  # doctest: +SKIP
    """
    need_optuna()
    space = search_space(config, search)
    return run_study(space, trials, Path(out), seeds=seeds, prune=prune, console=Console(quiet))


def search_space(config: Config | str | Path, search: Sequence[str]) -> Space:
    """Return the space that `tune` searches.

    Raises:
        UsageError: if something is wrong with the config or the texts.
    """
    if isinstance(config, Config):
        return Space.of(resolve_paths(config, Path.cwd()), search, Path.cwd())
    path = Path(config)
    return Space.of(load_config(path), search, path.parent.resolve())


def run_study(
    space: Space, trials: int, out: Path, *, seeds: int, prune: bool, console: Console
) -> Tuned:
    """Run trials until so many are done or pruned; arguments and errors are those of `tune`."""
    with open_study(out, space, seeds, prune) as study:
        own = Trials(study, space, out, seeds, console.quiet)
        progress = _Progress(trials, records(study), console)
        if space.note and not study.trials:
            console.say(space.note)
        while progress.counted < trials:
            trial = next_trial(study, space)
            settings = {one.key: one.draw(trial) for one in space.dimensions}
            progress.begin(trial.number, settings)
            try:
                own.run(trial, settings)
            except Stopped as error:
                raise Stopped(
                    f"stopped in trial {trial.number}, with {trials - progress.counted} of"
                    f" {trials} to go; the same command goes on",
                    128 + signal.SIGINT,
                ) from error
            ended = records(study)
            write_outcome(out, space, ended)
            progress.end(ended)
    return Tuned(out, progress.trials)


class _Progress:
    """Says how each trial ended, and how long the rest may take.

    Args:
        total: trials that are to be done or pruned.
        trials: that ended before.
        console: where it is said.
    """

    def __init__(self, total: int, trials: list[TrialRecord], console: Console) -> None:
        self.total, self.trials, self.console = total, trials, console
        self.before, self.started, self.failures = self.counted, time.monotonic(), 0

    @property
    def counted(self) -> int:
        """Trials that are done or pruned."""
        return sum(own.state != "failed" for own in self.trials)

    def begin(self, number: int, settings: Settings) -> None:
        self.console.say(f"== {self.counted + 1}/{self.total} trial {number}: {shown(settings)}")

    def end(self, trials: list[TrialRecord]) -> None:
        """Say how the last trial ended.

        Raises:
            TrainingError: if too many in a row failed.
        """
        self.trials, last = trials, trials[-1]
        self.console.say(f"[{self.counted}/{self.total}] {self._ending(last)}{self._left()}")
        self.failures = self.failures + 1 if last.state == "failed" else 0
        if self.failures == MOST_FAILURES:
            raise TrainingError(
                f"{MOST_FAILURES} trials in a row failed, the last so: {last.error}"
            )

    def _ending(self, last: TrialRecord) -> str:
        if last.state == "failed":
            return f"trial {last.number} failed: {last.error}"
        how = "pruned at" if last.state == "pruned" else "score"
        again = "" if last.repeats is None else f" as trial {last.repeats}"
        best = ranking(self.trials)[0]
        return (
            f"{how} {last.score:.4f}{again} (best {best.score:.4f}, trial {best.number}):"
            f" {shown(last.settings)}"
        )

    def _left(self) -> str:
        ran = self.counted - self.before
        if ran == 0 or self.counted == self.total:
            return ""
        seconds = (time.monotonic() - self.started) / ran * (self.total - self.counted)
        return f"; about {duration(seconds)} left"


def shown(settings: Settings) -> str:
    """Return settings in one line.

    Example:
        >>> shown({"training.lr": 0.000123456, "training.gradients": "sum"})
        'training.lr=0.0001235 training.gradients=sum'
    """
    return " ".join(f"{key}={short(value)}" for key, value in settings.items())


def short(value: object) -> str:
    """Return a value with four digits if it has more."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
