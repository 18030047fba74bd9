"""`accord evaluate`: a model's figures on labelled files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accord.cli.options import PATH, as_json_option, quoting_option
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.data.textfiles import QuotingName
    from accord.kinds import Evaluation
    from accord.metrics import Score


@click.command()
@click.argument("model", type=PATH)
@click.option("--task", help="Evaluate only this task.")
@click.option("--input", "source", type=PATH, help="A labelled file of that task.")
@click.option("--config", type=PATH, help="A config whose dev files are evaluated.")
@click.option(
    "--force",
    is_flag=True,
    help="Evaluate even if the run's dev files have changed; the output says so.",
)
@click.option(
    "--classes",
    is_flag=True,
    help="Also show precision, recall and F1 of each class, the worst first.",
)
@click.option(
    "--skip-bad-rows",
    is_flag=True,
    help="With --input: leave out rows that can't be used, and count them.",
)
@quoting_option
@as_json_option
def evaluate(
    model: Path,
    task: str | None,
    source: Path | None,
    config: Path | None,
    force: bool,
    classes: bool,
    skip_bad_rows: bool,
    quoting: QuotingName | None,
    as_json: bool,
) -> None:
    """Evaluate MODEL, a run folder or a model folder.

    On the dev files of the run that it belongs to, if they have not changed since; on those of
    --config; or, with --task, on --input. Rows that can't be used are treated as the config says;
    with --input they stop.
    """
    from accord.cli.classes import show_classes
    from accord.cli.results import print_parts
    from accord.errors import UsageError
    from accord.evaluation.evaluate import evaluate_input, evaluation_parts

    if source is not None and task is None:
        raise UsageError("--input needs --task: which task's file is it?")
    if quoting is not None and source is None:
        raise UsageError("--quoting goes with --input: a config says how its own files are read")
    if force and (source or config):
        raise UsageError("--force is for the run's dev files, not for those of --config or --input")
    changed: Sequence[str] = ()
    overall: dict[str, float] = {}
    if source is not None and task is not None:
        evaluated = {task: evaluate_input(model, task, source, skip_bad_rows, quoting)}
    else:
        evaluated, changed, score = _dev_files(model, task, config, force)
        overall = {} if task is not None else _overall(model, evaluated, score)
    by_class = {
        name: evaluation.classes for name, evaluation in evaluated.items()
        if classes and evaluation.classes is not None
    }  # fmt: skip
    if classes and not by_class:
        raise UsageError(f"--classes: {', '.join(evaluated)}: no such task has classes")
    if as_json:
        figures: dict[str, Any] = {name: dict(each.figures) for name, each in evaluated.items()}
        for name, table in by_class.items():
            figures[name]["by_class"] = table.to_json()
        more = {"overall": overall, "forced": changed}
        echo(json.dumps({**figures, **{key: entry for key, entry in more.items() if entry}}))
    else:
        for line in changed:
            echo(f"FORCED: changed since the run was trained: {line}")
        print_parts(evaluation_parts(evaluated, overall))
        for name, table in by_class.items():
            show_classes(name, table)


def _dev_files(
    model: Path, task: str | None, config: Path | None, force: bool
) -> tuple[dict[str, Evaluation], Sequence[str], Score]:
    """Return how tasks did on a config's dev files or the run's, which of them were changed, and
    the score of all together."""
    from accord.config.file import load_config
    from accord.evaluation.evaluate import evaluate_files, evaluate_run, run_of
    from accord.plan.making import plan_run
    from accord.plan.recorded import recorded_plan

    if config is not None:
        plan = plan_run(load_config(config), str(config), files=False)  # dev files alone are read
        last = plan.stages[-1]
        return evaluate_files(model, plan.data, last.training.precision, task), (), last.score
    run = run_of(model)
    evaluated = evaluate_run(model, run, task, force=force)
    return evaluated.tasks, evaluated.changed, recorded_plan(run).stages[-1].score


def _overall(model: Path, evaluated: dict[str, Evaluation], score: Score) -> dict[str, float]:
    from accord.evaluation.evaluate import metric_names
    from accord.metrics import overall_score

    values = {name: evaluation.metric for name, evaluation in evaluated.items()}
    metrics = metric_names(model)
    kinds: tuple[Score, ...] = (score, "mean")
    return {kind: overall_score(kind, values, metrics) for kind in kinds}
