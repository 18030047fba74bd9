"""The Python face of training, and of models made from trained ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from accord.comparison.cost import with_answer_seconds
from accord.comparison.family import Comparison, compare_groups
from accord.comparison.group import margin_of
from accord.comparison.reporting import write_comparison
from accord.config.file import as_table, dump_config, load_config, parse_config, resolve_paths
from accord.config.overrides import set_keys
from accord.config.sections import Config
from accord.data.checking import CheckReport, named_report
from accord.data.in_memory import Rows
from accord.data.row_files import RowFiles, kept_rows, passing_rows
from accord.derived.adding import Added, add_tasks
from accord.derived.joint import add_jointly
from accord.derived.removing import remove_tasks
from accord.errors import TrainingError, UsageError
from accord.evaluation.evaluate import Evaluations, evaluate_input, evaluate_run, run_of
from accord.grids.comparison import QUICK, comparison_cells, without_tests
from accord.grids.equal_exposure import Equal
from accord.grids.running import INDEX, grid_groups, notes, run_grid
from accord.plan.making import plan_run
from accord.runs.folder import STATUS
from accord.runs.progress import Console
from accord.training.run import Run
from accord.training.stages.preflight import reported
from accord.training.stages.run import resume as resume_run
from accord.training.stages.run import start as start_run


def train(
    config: Config | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    strict: bool = False,
    quiet: bool = False,
) -> Run:
    """Train one encoder for all tasks of a config, as `accord train` does.

    In a mapping, the `train`, `dev` and `test` of a task may be rows in place of files' names: a
    list of mappings, a frame of pandas (without its index) or polars, a pyarrow Table, a `Dataset`
    of `datasets`, or what else has Arrow's C stream. Of a `Dataset` these are the rows that
    `filter` and `shuffle` left, and the classes of a `ClassLabel` have their names, not their
    numbers. They are written to the folder `rows` beside `out`, where they stay: the run is resumed
    and evaluated by them.

    Args:
        config: a TOML file's path, or what stands in one as a nested mapping.
        out: the run's folder; default `runs/` and the time.
        strict: treat warnings as errors.
        quiet: no progress on stderr.

    Returns:
        The run's folder and its results.

    Raises:
        UsageError: something is wrong with config, data, encoder or `out`; nothing was written.
            Of rows the line names the key, and the row from 0: `row 3 of tasks.sst.train: ...`.
        TrainingError: a loss or gradient was not finite.
        Stopped: a signal came; `resume` goes on.

    Example:
        >>> import accord
        >>> run = accord.train("accord.toml", out="runs/first")  # doctest: +SKIP
        >>> accord.load(run.folder).predict("sst", ["A lovely film."])  # doctest: +SKIP
        ['4']
    """
    folder = Path(out) if out is not None else Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    if isinstance(config, str | Path):
        path = Path(config)
        plan, source = plan_run(load_config(path), str(path)), path.read_text(encoding="utf-8")
        return start_run(plan, folder, source=source, quiet=quiet, strict=strict)
    with kept_rows(folder, STATUS) as rows:
        given, _ = _loaded(config, rows)
        source = dump_config(given)
        return start_run(plan_run(given), folder, source=source, quiet=quiet, strict=strict)


def check(
    config: Config | Mapping[str, Any] | str | Path, overrides: Sequence[str] | str = ()
) -> CheckReport:
    """Check a config, its data and its encoder before training, as `accord check` does.

    Args:
        config: as `train` takes it.
        overrides: `key=value`, as `--set`.

    Returns:
        Rows, labels, lengths, duplicates, and texts that stand in both train and dev; with what a
        run would warn of.

    Raises:
        UsageError: whatever `train` refuses, in the same words.

    Example:
        >>> accord.check("accord.toml").warnings  # doctest: +SKIP
        []
    """
    with passing_rows() as rows:
        report = reported(plan_run(*_loaded(config, rows, overrides)))
        return named_report(report, rows)


def evaluate(
    model: str | Path,
    task: str | None = None,
    source: str | Path | Rows | None = None,
    *,
    skip_bad_rows: bool = False,
) -> Evaluations:
    """Evaluate a model on its run's dev files, or one task of it on a labelled file.

    Args:
        model: a run folder or model folder.
        task: a name, to evaluate no other.
        source: a labelled file of that task, or rows as `train` takes them.
        skip_bad_rows: of `source`: leave out rows that can't be used, rather than stop.

    Returns:
        For each task its figures, by name.

    Raises:
        UsageError: if `source` is given without a task, or something can't be used.
        RunFolderError: if without `source` the model lies in no run, or its dev files changed.

    Example:
        >>> accord.evaluate("runs/first")["sst"].figures  # doctest: +SKIP
        {'accuracy': 0.4614}
    """
    if source is None:
        return Evaluations(evaluate_run(Path(model), run_of(Path(model)), task).tasks)
    if task is None:
        raise UsageError("a source needs a task: which one's file is it?")
    return Evaluations({task: evaluate_input(Path(model), task, source, skip_bad_rows)})


def compare(
    config: Config | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    seeds: int = 5,
    equal: Equal = "examples",
    margin: float | None = None,
    workers: int = 1,
    quick: bool = False,
    quiet: bool = False,
) -> Comparison:
    """Train one model for all tasks and one for each, and compare them, as `accord compare` does.

    Args:
        config: as `train` takes it; rows are written to the folder `rows` beside `out`.
        out: the folder of the runs; what is done there already is not done again, if it was made of
            the same rows.
        seeds: of each model; a verdict takes two at least.
        equal: what a task alone has as much of as in the shared run.
        margin: points within which a verdict is "as good"; default: the config's.
        workers: runs at a time.
        quick: for a first look, runs of one epoch and 20 steps at most, without test files; wants
            few seeds.
        quiet: no progress on stderr.

    Returns:
        The verdicts, with estimates and intervals; `out` has the report on them.

    Raises:
        UsageError: something is wrong with config, data, encoder or a number; nothing was written.
        TrainingError: if runs failed.
    """
    for name, number in (("seeds", seeds), ("workers", workers)):
        if number < 1:
            raise UsageError(f"{name}: should be at least 1, got {number}")
    if margin is not None and not margin > 0:
        raise UsageError(f"margin: should be above 0 points, got {margin}")
    say = Console(quiet).say
    with kept_rows(Path(out), INDEX) as rows:
        loaded, where = _loaded(config, rows, QUICK if quick else ())
        loaded = without_tests(loaded) if quick else loaded
        cells = comparison_cells(loaded, seeds, where, equal, say)
        results = run_grid(cells, Path(out), workers=workers, console=Console(quiet))
        failed = [f"{result.name}: {result.error}" for result in results if result.error]
        if failed:
            raise TrainingError("; ".join(failed))
    groups = grid_groups(Path(out))
    compared = compare_groups(groups, margin_of(groups, margin or loaded.comparison.margin))
    comparison = with_answer_seconds(compared, say)
    write_comparison(Path(out), comparison, known=notes(Path(out)))
    return comparison


def _loaded(
    config: object, rows: RowFiles, overrides: Sequence[str] | str = ()
) -> tuple[Config, str]:
    """Return a config whose rows in memory are files, and where it stands."""
    overrides = [overrides] if isinstance(overrides, str) else overrides
    if isinstance(config, str | Path):
        return load_config(Path(config), overrides), str(config)
    if not isinstance(config, Config | Mapping):
        kind = type(config).__name__
        raise UsageError(f"config: takes a TOML file's path, or a mapping, got {kind}")
    if isinstance(config, Config) and not overrides:
        return resolve_paths(config, Path.cwd()), "config"
    table = as_table(config) if isinstance(config, Config) else rows.placed(config)
    table = _plain(table)
    set_keys(table, overrides)
    return resolve_paths(parse_config(table), Path.cwd()), "config"


def _plain(value: Any) -> Any:
    """Return a copy of a config's table as a file gives it: paths as texts, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, PathLike) else value


def resume(run: str | Path, *, force: bool = False, quiet: bool = False) -> Run:
    """Resume a run that was stopped, as `accord resume` does.

    Args:
        run: its folder.
        force: go on though data, config or versions changed since; it is recorded.
        quiet: no progress on stderr.

    Raises:
        RunFolderError: if there is no run, or it is no longer what it was.
        BusyError: if a process is still using it.
    """
    return resume_run(Path(run), force=force, quiet=quiet)


def add(
    model: str | Path,
    config: str | Path,
    out: str | Path,
    *,
    replace: Sequence[str] = (),
    joint: bool = False,
    quiet: bool = False,
) -> Added:
    """Train new tasks on a trained model and write a model folder with all tasks, as `accord add`.

    The encoder and the other tasks stay as they are, and answer to the byte as they did, which is
    checked before anything is written; unless all are trained on together.

    Args:
        model: a run folder or model folder; a run folder if `joint`.
        config: the path of a TOML file with the new tasks and `[training]`.
        out: the folder to write; must not exist yet.
        replace: tasks of the model that the config's tasks of the same names take the place of.
        joint: train all tasks on together, the others from the files of the model's run.
        quiet: no progress on stderr.

    Raises:
        UsageError: model, config or data can't be used, or `out` is there; nothing was written.
        TrainingError: training failed, or an answer of another task would change.
    """
    run = add_jointly if joint else add_tasks
    return run(Path(model), Path(config), Path(out), replace, quiet=quiet)


def remove(
    model: str | Path, tasks: Sequence[str], out: str | Path, *, quiet: bool = False
) -> tuple[str, ...]:
    """Write a model folder without some tasks, as `accord remove` does.

    Args:
        model: a run folder or model folder.
        tasks: names of those that go.
        out: the folder to write; must not exist yet.
        quiet: no progress on stderr.

    Returns:
        One line for each task that stays: on which texts its answers are equal to the byte.

    Raises:
        UsageError: if `out` is there, the model can't be used, or no task would stay.
        TrainingError: if an answer of another task would change; nothing was written.
    """
    return remove_tasks(Path(model), tasks, Path(out), Console(quiet).say)
