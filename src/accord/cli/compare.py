"""`accord compare`: whether sharing was worth it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import (
    COUNT,
    PATH,
    against_option,
    as_json_option,
    cells_options,
    formats_option,
    margin_option,
    overrides_option,
)
from accord.terminal import echo, tell

if TYPE_CHECKING:
    from accord.comparison.family import Comparison
    from accord.grids.equal_exposure import Equal


_FOR_CONFIGS = (
    "out", "overrides", "dry_run", "seeds", "quick", "equal", "workers", "threads", "force",
    "quiet",
)  # fmt: skip


@click.command()
@click.argument("sources", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, help="Folder of the runs of a CONFIG, and the report.")
@click.option(
    "--seeds",
    default=5,
    type=COUNT,
    help="Runs of each model of a CONFIG; a verdict takes 2 or more.",
)
@click.option(
    "--quick", is_flag=True,
    help="A first look: one run of each model, of one epoch and 20 steps at most, and no test"
    " files predicted. What --seeds and --set say holds.",
)  # fmt: skip
@click.option(
    "--equal",
    default="examples",
    type=click.Choice(["examples", "steps", "tokens", "nothing"]),
    help="What is made equal between a task's run alone and the shared run: examples or tokens of"
    " the task, or steps of the optimizer; with 'nothing' it follows its config, one pass per"
    " epoch.",
)
@margin_option
@against_option
@click.option("--report", type=PATH, help="Folder of a report on finished run folders.")
@formats_option
@cells_options
@overrides_option
@as_json_option
def compare(
    sources: tuple[Path, ...],
    out: Path | None,
    seeds: int,
    quick: bool,
    equal: Equal,
    margin: float | None,
    against: str | None,
    report: Path | None,
    formats: tuple[str, ...],
    workers: int,
    threads: int | None,
    force: bool,
    dry_run: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Say whether one shared model is as good as one model per task.

    SOURCES is a config, whose missing runs are trained in --out (all tasks together, and each task
    alone on as many examples as the shared run draws of it), or finished run folders. Runs that
    differ only in their seed share a line. All figures are of rows that no choice has seen, all
    verdicts are corrected together, and --out holds a report.
    """
    from accord.errors import UsageError

    config = next((source for source in sources if source.is_file()), None)
    if config is None:
        _compare_runs(sources, against, report, formats, margin, as_json)
        return
    if against is not None:
        raise UsageError("--against is for run folders; a config's tasks are compared with alone")
    if report is not None:
        raise UsageError("--report is for run folders; of a config it is left in --out")
    if len(sources) > 1:
        raise UsageError(f"takes one config or several run folders, got {config} and others")
    if out is None:
        raise UsageError(f"--out is missing: the folder where the runs of {config} go")

    from accord.config.file import load_config
    from accord.grids.comparison import QUICK, comparison_cells, without_tests

    loaded = load_config(config, [*QUICK, *overrides] if quick else overrides)
    if quick:
        loaded, seeds = without_tests(loaded), seeds if _is_given("seeds") else 1
    say: Callable[[str], object] = (lambda line: None) if quiet else tell
    cells = comparison_cells(loaded, seeds, str(config), equal, say)
    if dry_run:
        from accord.cli.plans import show_plan

        show_plan(cells, out, workers, as_json)
        return

    from accord.cli.comparisons import compared
    from accord.cli.grid import end_with
    from accord.grids.running import grid_groups, notes, run_grid
    from accord.runs.progress import Console

    results = run_grid(
        cells, out, workers=workers, threads=threads, console=Console(quiet), force=force
    )
    # The config's margin now, not the one that finished runs were begun with.
    comparison = compared(grid_groups(out), margin or loaded.comparison.margin)
    _show(comparison, out, formats, notes(out), as_json, say)
    end_with(results)


def _show(
    comparison: Comparison,
    out: Path | None,
    formats: tuple[str, ...],
    known: Sequence[str],
    as_json: bool,
    say: Callable[[str], object] = tell,
) -> None:
    """Measure how long answers take, print a comparison and the notes on it, and leave its report
    where there is a folder for one."""
    from accord.cli.comparisons import comparison_json, leave_report, print_comparison
    from accord.comparison.cost import with_answer_seconds

    comparison = with_answer_seconds(comparison, say)
    if as_json:
        echo(json.dumps(comparison_json(comparison, known)))
    else:
        print_comparison(comparison, known)
    if out is not None and comparison.groups:
        leave_report(out, comparison, formats, known, quiet=as_json)


def _compare_runs(
    sources: Sequence[Path],
    against: str | None,
    report: Path | None,
    formats: tuple[str, ...],
    margin: float | None,
    as_json: bool,
) -> None:
    from accord.cli.comparisons import compared
    from accord.comparison.group import group_runs
    from accord.errors import UsageError
    from accord.report.record import read_run

    _check_runs(sources)
    if formats and report is None:
        raise UsageError("--formats is for a report: name its folder by --report")
    names = _names(sources)
    if against is not None:
        against = names.get(Path(against), against)
    groups = group_runs([read_run(path, name) for path, name in names.items()])
    _show(compared(groups, margin, against), report, formats, [], as_json)


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """Return what run folders are called: their paths from the folder that holds all of them."""
    paths = [folder.resolve() for folder in folders]
    common = os.path.commonpath([path.parent for path in paths])
    return {
        folder: path.relative_to(common).as_posix()
        for folder, path in zip(folders, paths, strict=True)
    }


def _is_given(parameter: str) -> bool:
    """Whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def _check_runs(sources: Sequence[Path]) -> None:
    """Refuse options that are for a config, and a run that is given twice."""
    from accord.errors import UsageError

    for parameter in _FOR_CONFIGS:
        if _is_given(parameter):
            shown = "--set" if parameter == "overrides" else f"--{parameter.replace('_', '-')}"
            raise UsageError(f"{shown} is for a config, not for run folders")
    folders = [source.resolve() for source in sources]
    for i, folder in enumerate(folders):
        if folder in folders[:i]:
            raise UsageError(f"{sources[i]}: is given twice; a run counts once")
