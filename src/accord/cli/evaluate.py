"""`accord evaluate`: a model's figures on labelled files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from accord.cli.options import as_json_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", help="One task alone.")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), help="A labelled file of that task."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="A config whose dev files are judged."
)
@click.option("--skip-bad-rows", is_flag=True, help="With --input: leave such rows out, and say.")
@as_json_option
def evaluate(
    model: Path,
    task: str | None,
    source: Path | None,
    config: Path | None,
    skip_bad_rows: bool,
    as_json: bool,
) -> None:
    """Judge MODEL, a run folder or a model folder.

    On the dev files of the run that it belongs to; or on those of --config; or, with --task, on
    --input. Rows that can't be used are treated as the config says; with --input they stop.
    """
    from accord.cli.results import overall_scores
    from accord.errors import UsageError
    from accord.judging.evaluate import (
        evaluate_config,
        evaluate_input,
        evaluated_config,
        metric_names,
    )

    if source is not None:
        if task is None:
            raise UsageError("--input needs --task: which task's file is it?")
        judged, score = {task: evaluate_input(model, task, source, skip_bad_rows)}, None
    else:
        settings = evaluated_config(model, config)
        judged = evaluate_config(model, settings, task)
        score = None if task else settings.score
    overall = {}
    if score is not None:
        names = metric_names(model)
        values = {name: figures[names[name]] for name, figures in judged.items()}
        overall = dict(overall_scores(values, names, score))
    if as_json:
        click.echo(json.dumps({**judged, "overall": overall} if overall else judged))
        return

    from accord.cli.results import new_table, print_table

    table = new_table("task", "metric", "value", left=2)
    for name, figures in judged.items():
        for metric, value in figures.items():
            table.add_row(name, metric, f"{value:.4f}")
    for kind, value in overall.items():
        table.add_row("overall", kind, f"{value:.4f}")
    print_table(table)
