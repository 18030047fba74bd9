"""`accord reproduce`: the paper's experiments, on one's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from accord.cli.options import cells_options, formats_option
from accord.terminal import echo

EXPERIMENTS = ("exp1", "exp2", "exp3", "exp4", "cfimdb", "leaderboard", "pairs")


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
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs of each cell, by seeds 0, 1, …; a verdict takes 5.",
)
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--lr",
    default=1e-5,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Constant rate where the encoder is fine-tuned.",
)
@click.option(
    "--frozen-lr",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Where it is frozen.",
)
@click.option(
    "--batch-size",
    default=32,
    show_default=True,
    type=click.IntRange(min=1),
    help="Examples of each task in a step.",
)
@click.option(
    "--precision", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"])
)
@click.option(
    "--pairs",
    default="separate",
    show_default=True,
    type=click.Choice(["separate", "joint"]),
    help="How a pair is encoded.",
)
@click.option(
    "--pooling",
    default="cls",
    show_default=True,
    type=click.Choice(["cls", "pooler", "mean"]),
    help="What the heads see.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Rows of each file, for a quick try.")
@click.option(
    "--equal-budget",
    type=click.Choice(["tokens", "steps", "examples"]),
    help="Give every cell of an experiment as much of this, by more epochs.",
)
@click.option(
    "--halves-every",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Steps between measurements of the noise in the gradients' cosines.",
)
@click.option("--report-only", is_flag=True, help="Run nothing; report on what is done.")
@formats_option
@cells_options
def reproduce(
    experiments: tuple[str, ...],
    out: Path,
    seeds: int,
    workers: int,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    report_only: bool,
    formats: tuple[str, ...],
    **changes: Any,
) -> None:
    """Run the paper's experiments and print its tables beside its own figures.

    EXPERIMENT is exp1, exp2, exp3, exp4, cfimdb, leaderboard, pairs, or all. What is done in --out
    is not run again; the same command goes on after a stop.
    """
    from accord.experiments.plan import Options
    from accord.experiments.reproduce import planned, remember, union
    from accord.experiments.reproduce import reproduce as run
    from accord.runs.progress import Console

    names = _names(experiments)
    options = Options(seeds=tuple(range(seeds)), **changes)
    console = Console(quiet)
    cells = planned(names, options, console)
    if dry_run:
        from accord.cli.plans import show_plan

        show_plan(union(cells), out, workers, as_json=False)
        return
    results = []
    if report_only:
        remember(cells, out)
    else:
        results = run(cells, out, workers=workers, threads=threads, console=console, force=force)

    from accord.cli.grid import end_with
    from accord.cli.results import print_report_tables
    from accord.experiments.report import report

    print_report_tables(report(out, names, options, console, formats))
    echo(f"report: {out / 'report.html'}")
    end_with(results)


def _names(given: tuple[str, ...]) -> list[str]:
    from accord.errors import UsageError, nearest

    for name in given:
        if name not in (*EXPERIMENTS, "all"):
            raise UsageError(f"no experiment '{name}'{nearest(name, (*EXPERIMENTS, 'all'))}")
    return list(EXPERIMENTS) if "all" in given else list(dict.fromkeys(given))
