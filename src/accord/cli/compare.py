"""`accord compare`: whether sharing was worth it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import (
    against_option,
    as_json_option,
    cells_options,
    overrides_option,
)

if TYPE_CHECKING:
    from accord.grids.cells import Cell
    from accord.grids.equal_exposure import Equal


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the runs of a CONFIG.")
@click.option(
    "--seeds",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs of each model of a CONFIG; a verdict takes 5.",
)
@click.option(
    "--equal",
    default="examples",
    show_default=True,
    type=click.Choice(["examples", "steps", "tokens", "nothing"]),
    help="What each task alone has as much of as in the shared run: examples or tokens of it, steps"
    " of the optimizer; or nothing: it goes by the config, one pass an epoch.",
)
@against_option
@cells_options
@overrides_option
@as_json_option
def compare(
    sources: tuple[Path, ...],
    out: Path | None,
    seeds: int,
    equal: Equal,
    against: str | None,
    workers: int,
    threads: int | None,
    dry_run: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Say whether one shared model is as good as a model a task.

    SOURCES is a config, whose missing runs are trained in --out (each task alone on as many
    examples as the shared run draws of it, all together), or finished run folders. Runs that differ
    in their seed alone are one line.
    """
    from accord.errors import UsageError

    config = next((source for source in sources if source.is_file()), None)
    if config is None:
        _check_runs(sources)
        from accord.cli.comparisons import comparison_json, print_against, print_comparison
        from accord.compare import find_group, group_runs
        from accord.report.record import read_run

        groups = group_runs([read_run(path) for path in sources])
        if as_json:
            click.echo(json.dumps(comparison_json(groups, against)))
            return
        baseline = None if against is None else find_group(groups, against)
        print_comparison(groups)
        if baseline is not None:
            print_against(groups, baseline)
        return
    if against is not None:
        raise UsageError("--against is for run folders; a config's tasks are held against alone")
    if len(sources) > 1:
        raise UsageError(f"takes one config or several run folders, got {config} and others")
    if out is None:
        raise UsageError(f"--out is missing: the folder where the runs of {config} go")

    from accord.config.file import load_config
    from accord.grids.comparison import comparison_cells

    cells = comparison_cells(load_config(config, overrides), seeds, str(config), equal)
    if dry_run:
        from accord.cli.plans import show_plan

        show_plan(cells, out, workers, as_json)
        return
    _train(cells, out, workers, threads, quiet, as_json)


def _check_runs(sources: Sequence[Path]) -> None:
    """Refuse options that are for a config, and a run that is given twice."""
    from accord.errors import UsageError

    context = click.get_current_context()
    for parameter in ("out", "overrides", "dry_run", "seeds", "equal", "workers", "threads"):
        if context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE:
            shown = "--set" if parameter == "overrides" else f"--{parameter.replace('_', '-')}"
            raise UsageError(f"{shown} is for a config, not for run folders")
    folders = [source.resolve() for source in sources]
    for i, folder in enumerate(folders):
        if folder in folders[:i]:
            raise UsageError(f"{sources[i]}: is given twice; a run counts once")


def _train(
    cells: list[Cell], out: Path, workers: int, threads: int | None, quiet: bool, as_json: bool
) -> None:
    from accord.cli.comparisons import print_comparison
    from accord.cli.grid import end_with
    from accord.grids.running import grid_groups, run_grid
    from accord.runs.progress import Console

    results = run_grid(cells, out, workers=workers, threads=threads, console=Console(quiet))
    print_comparison(grid_groups(out), as_json)
    end_with(results)
