"""`accord reproduce`: the paper's experiments, on your own machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from accord.cli.options import cells_options, formats_option
from accord.terminal import echo

EXPERIMENTS = ("exp1", "exp2", "exp3", "exp4", "cfimdb", "leaderboard", "pairs")
_NUMBER, _RATE = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)
SETTINGS = (
    ("--seeds", 1, _NUMBER, "Runs of each cell, by seeds 0, 1, …; a verdict takes 2 or more."),
    ("--epochs", 10, _NUMBER, "Passes, as each batching method counts them."),
    ("--lr", 1e-5, _RATE, "Constant rate where the encoder is fine-tuned."),
    ("--frozen-lr", 1e-3, _RATE, "Where it is frozen."),
    ("--batch-size", 32, _NUMBER, "Examples of each task in a step."),
    ("--precision", "float32", click.Choice(["float32", "bfloat16", "tf32"]),
     "Of matrix products."),
    ("--pairs", "separate", click.Choice(["separate", "joint"]), "How a pair is encoded."),
    ("--pooling", "cls", click.Choice(["cls", "pooler", "mean"]), "What the heads see."),
    ("--limit", None, _NUMBER, "Rows of each file, for a quick try."),
    ("--equal-budget", None, click.Choice(["tokens", "steps", "examples"]),
     "Give every cell of an experiment as much of this, by more epochs."),
    ("--halves-every", 20, _NUMBER,
     "Steps between measurements of the noise in the gradients' cosines."),
)  # fmt: skip
"""Options that change the paper's settings: name, default, kind and help."""


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    for name, default, kind, text in reversed(SETTINGS):
        command = click.option(name, default=default, type=kind, help=text, show_default=True)(
            command
        )
    return command


@click.command()
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Folder with the course's files."
)
@click.option(
    "--encoder",
    required=True,
    help="A folder in Hugging Face format, or a hub id; the paper's is bert-base-uncased.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of all runs and the report.",
)
@_settings
@click.option("--report-only", is_flag=True, help="Run nothing; only report on what is done.")
@formats_option
@cells_options
def reproduce(
    experiments: tuple[str, ...],
    out: Path,
    workers: int,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    report_only: bool,
    formats: tuple[str, ...],
    **options: Any,
) -> None:
    """Run the paper's experiments and print its tables beside its own figures.

    EXPERIMENT is exp1, exp2, exp3, exp4, cfimdb, leaderboard, pairs, or all. What is done in --out
    is not run again; the same command goes on after a stop.
    """
    from accord.experiments import reproduce as paper
    from accord.grids.amounts import Sizes
    from accord.grids.running import check_cells, run_grid, write_index
    from accord.runs.progress import Console

    console = Console(quiet)
    given = paper.experiments(_names(experiments), options, Sizes(console.say))
    cells = paper.cells_of(given)
    if dry_run:
        from accord.cli.plans import show_plan

        show_plan(cells, out, workers, as_json=False)
        return
    results = []
    if report_only:
        check_cells(cells, out)
        write_index(cells, out)
    else:
        results = run_grid(
            cells, out, workers=workers, threads=threads, console=console, force=force
        )

    from accord.cli.grid import end_with
    from accord.cli.results import print_report_tables

    console.say("writing the report")
    print_report_tables(paper.report(out, given, options, formats))
    echo(f"report: {out / 'report.html'}")
    end_with(results)


def _names(given: tuple[str, ...]) -> list[str]:
    from accord.errors import UsageError, nearest

    for name in given:
        if name not in (*EXPERIMENTS, "all"):
            raise UsageError(f"no experiment '{name}'{nearest(name, (*EXPERIMENTS, 'all'))}")
    return list(EXPERIMENTS) if "all" in given else list(dict.fromkeys(given))
