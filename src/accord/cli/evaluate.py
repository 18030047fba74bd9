"""`accord evaluate`: a model's figures on labelled files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import as_json_option, quoting_option
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.data.textfiles import QuotingName
    from accord.evaluation.metrics import Score
    from accord.kinds import Evaluation


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", help="One task alone.")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), help="A labelled file of that task."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="A config whose dev files are evaluated."
)
@click.option(
    "--force", is_flag=True, help="Evaluate though the run's dev files were changed; it is said."
)
@click.option("--skip-bad-rows", is_flag=True, help="With --input: leave such rows out, and say.")
@quoting_option
@as_json_option
def evaluate(
    model: Path,
    task: str | None,
    source: Path | None,
    config: Path | None,
    force: bool,
    skip_bad_rows: bool,
    quoting: QuotingName | None,
    as_json: bool,
) -> None:
    """Evaluate MODEL, a run folder or a model folder.

    On the dev files of the run that it belongs to, if they are what they were as it was trained;
    or on those of --config; or, with --task, on --input. Rows that can't be used are treated as the
    config says; with --input they stop.
    """
    _check_options(task, source, config, force, quoting)
    evaluated, changed, score = _evaluated(
        model, task, source, config, force, skip_bad_rows, quoting
    )
    overall = {} if score is None else _overall(model, evaluated, score)
    if as_json:
        figures = {name: own.figures for name, own in evaluated.items()}
        more = {"overall": overall, "forced": changed}
        echo(json.dumps({**figures, **{key: own for key, own in more.items() if own}}))
        return
    for line in changed:
        echo(f"FORCED: changed since the run was trained: {line}")

    from accord.cli.results import new_table, print_table

    table = new_table("task", "metric", "value", left=2)
    for name, own in evaluated.items():
        for metric, value in own.figures.items():
            table.add_row(name, metric, f"{value:z.4f}")
    for kind, value in overall.items():
        table.add_row("overall", kind, f"{value:z.4f}")
    print_table(table)
    for name, own in evaluated.items():
        if own.remark:
            echo(f"{name}: {own.remark}")


def _check_options(
    task: str | None,
    source: Path | None,
    config: Path | None,
    force: bool,
    quoting: QuotingName | None,
) -> None:
    from accord.errors import UsageError

    if source is not None and task is None:
        raise UsageError("--input needs --task: which task's file is it?")
    if quoting is not None and source is None:
        raise UsageError("--quoting goes with --input: a config says how its own files are read")
    if force and (source or config):
        raise UsageError("--force is for the run's dev files, not for those of --config or --input")


def _evaluated(
    model: Path,
    task: str | None,
    source: Path | None,
    config: Path | None,
    force: bool,
    skip_bad_rows: bool,
    quoting: QuotingName | None,
) -> tuple[dict[str, Evaluation], Sequence[str], Score | None]:
    """Return how each task did, which files were changed, and the score of all together."""
    from accord.config.file import load_config
    from accord.evaluation.evaluate import evaluate_files, evaluate_input, evaluate_run, run_of
    from accord.plan.making import plan_run
    from accord.plan.recorded import recorded_plan

    if source is not None and task is not None:
        return {task: evaluate_input(model, task, source, skip_bad_rows, quoting)}, (), None
    if config is not None:
        # Only the dev files are read.
        plan = plan_run(load_config(config), str(config), files=False)
        precision = plan.stages[-1].training.precision
        figures = evaluate_files(model, plan.data, precision, task)
        return figures, (), None if task else plan.stages[-1].score
    run = run_of(model)
    found = evaluate_run(model, run, task, force=force)
    return found.tasks, found.changed, None if task else recorded_plan(run).stages[-1].score


def _overall(model: Path, evaluated: dict[str, Evaluation], score: Score) -> dict[str, float]:
    from accord.cli.results import overall_scores
    from accord.evaluation.evaluate import metric_names

    values = {name: own.metric for name, own in evaluated.items()}
    return dict(overall_scores(values, metric_names(model), score))
