"""A study from its first trial to its last, in as many goes as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.config.file import load_config, resolve_paths
from accord.config.sections import Config
from accord.grids.changed import Sameness
from accord.grids.progress import Progress
from accord.plan.making import plan_run
from accord.runs.progress import Console
from accord.tuning.records import BEST, TrialRecord, counted, ranking, records
from accord.tuning.search import Search
from accord.tuning.selection import Selection
from accord.tuning.space import Space
from accord.tuning.study import need_optuna, open_study


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        out: the study's folder.
        trials: that ended, in their order.
        selection: what choosing the best of them on dev is worth on rows that did not choose.
        forced: changes of files between their runs that it was forced to go on with.
    """

    out: Path
    trials: list[TrialRecord]
    selection: Selection
    forced: tuple[str, ...] = ()

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
    workers: int = 1,
    quiet: bool = False,
) -> Tuned:
    """Search a config's settings for the best dev score, as `accord tune` does.

    Args:
        config: a config, or a TOML file's path.
        search: texts such as `lr=1e-5:1e-4:log`; none searches one loss weight per task.
        trials: how many are to be done or pruned in all; those in `out` count.
        out: the study's folder; where it holds this study, the search goes on.
        seeds: runs of each trial, whose scores' mean is its score.
        prune: give up trials that fall behind the median of the earlier ones.
        workers: trials that run at once, each in a process with its share of the processors; with
            1 they run in this process.
        quiet: no progress on stderr.

    Raises:
        UsageError: optuna is missing, something is wrong with config or search, `out` holds
            another study, or data or encoder were changed since its first trial, which
            `accord tune --force` goes on with; nothing was written.
        BusyError: another process is using this study.
        TrainingError: too many trials failed.
        Stopped: a signal came; the same call goes on.

    Example:
        >>> from accord.tuning import tune
        >>> tuned = tune("accord.toml", trials=40, out="runs/tuned")  # doctest: +SKIP
        >>> accord.train(tuned.config, out="runs/best")  # doctest: +SKIP
    """
    need_optuna()
    space = search_space(config, search)
    return run_study(
        space, trials, Path(out), seeds=seeds, prune=prune, workers=(workers, None),
        console=Console(quiet),
    )  # fmt: skip


def search_space(
    config: Config | str | Path, search: Sequence[str], overrides: Sequence[str] = ()
) -> Space:
    """Return the space that `tune` searches; `overrides` as of `load_config`.

    Raises:
        UsageError: if something is wrong with the config or the texts.
    """
    if isinstance(config, Config):
        given, folder, where = resolve_paths(config, Path.cwd()), Path.cwd(), "config"
    else:
        path = Path(config)
        given, folder, where = load_config(path, overrides), path.parent.resolve(), str(path)
    plan_run(given, where)
    return Space.of(given, search, folder)


def run_study(
    space: Space,
    trials: int,
    out: Path,
    *,
    seeds: int,
    prune: bool,
    workers: tuple[int, int | None],
    console: Console,
    force: bool = False,
) -> Tuned:
    """Run trials until `trials` are done or pruned; other arguments and errors are `tune`'s.

    Args:
        workers: how many trials run at once, and threads of each.
        force: go on though data or an encoder was changed between runs; `forced.json` records it.
    """
    with open_study(out, space, seeds, prune) as study:
        sameness = Sameness(out, force, console.say)
        if space.note and not study.trials:
            console.say(space.note)
        quiet = console.quiet or workers[0] > 1
        progress = Progress(trials, console, counted(records(study)))
        search = Search(study, space, out, seeds, quiet, progress, sameness)
        search.go(*workers)
    return Tuned(out, search.trials, search.selection, tuple(sameness.agreed))
