"""Groups of runs on stdout: their figures, and what sharing did to each task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from accord.cli.results import new_table, print_table
from accord.compare import (
    Group,
    SharingVerdict,
    against,
    continual_cells,
    continual_columns,
    contrast_notes,
    dev_notes,
    digits,
    find_group,
    metric_columns,
    sharing,
    sharing_notes,
)
from accord.judging.verdict import LEAST_SEEDS
from accord.report.exposure import exposure_notes, exposure_of

if TYPE_CHECKING:
    from accord.compare import Contrast
    from accord.judging.verdict import Difference


def print_comparison(groups: Sequence[Group], as_json: bool = False) -> None:
    """Print groups side by side, and where single tasks and a shared model are among them, the
    difference that sharing made."""
    if as_json:
        click.echo(json.dumps(comparison_json(groups, None)))
        return
    verdicts = sharing(groups)
    print_groups(groups)
    if verdicts:
        _print_sharing(verdicts)
        _print_cost(verdicts)
        _print_notes(verdicts)
    for note in (*sharing_notes(groups), *dev_notes(groups)):
        click.echo(note)


def comparison_json(groups: Sequence[Group], baseline: str | None) -> dict[str, Any]:
    """Return groups, what sharing did, and what each has over the one that is named, if one is."""
    chosen = find_group(groups, baseline) if baseline and groups else None
    contrasts = [] if chosen is None else against(groups, chosen)
    verdicts = sharing(groups)
    return {
        "groups": [_group_json(group) for group in groups],
        "sharing": [_verdict_json(own) for own in verdicts],
        "exposure_notes": exposure_notes(verdicts),
        "sharing_notes": sharing_notes(groups),
        "dev_notes": dev_notes(groups),
        "against": [
            {"group": own.group.name, "task": own.task, **vars(own.difference)} for own in contrasts
        ],
        "against_notes": [] if chosen is None else contrast_notes(groups, chosen),
    }


def print_groups(groups: Sequence[Group]) -> None:
    """Print each group's dev metrics, and what it learned and forgot where tasks come one after
    another; with the standard deviation over seeds."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    headings = [f"{name} {metric}" for name, metric in tasks.items()]
    headings += [name.replace("_", " ") for name in continual]
    table = new_table("dev, best epoch", "runs", *headings, "seconds", "parameters")
    for group in groups:
        values = [
            f"{group.mean(name):.3f}{digits(group.spread(name))}" if name in group.tasks else "–"
            for name in tasks
        ] + continual_cells(group, continual)
        size = f"{group.parameters / 1e6:.1f} M"
        table.add_row(group.name, str(len(group.runs)), *values, f"{group.train_seconds:.0f}", size)
    print_table(table)


def print_against(groups: Sequence[Group], baseline: Group) -> None:
    """Print what each group has over the one that all are held against, task by task."""
    contrasts = against(groups, baseline)
    if contrasts:
        click.echo(f"\nAgainst {baseline.name}:")
        _print_contrasts(contrasts)
    else:
        click.echo("No other group has the same tasks.")
    for note in contrast_notes(groups, baseline):
        click.echo(note)


def _print_contrasts(contrasts: Sequence[Contrast]) -> None:
    tasks = list(dict.fromkeys(own.task for own in contrasts))
    by_group: dict[str, list[Contrast]] = {}
    for own in contrasts:
        by_group.setdefault(own.group.name, []).append(own)
    table = new_table("difference, 95 % interval", "runs", *tasks)
    for name, parts in by_group.items():
        cells = [
            f"{own.difference.value:+.3f} ({interval(own.difference)}){_mark(own.difference)}"
            for own in parts
        ]
        table.add_row(name, str(parts[0].difference.seeds), *cells)
    print_table(table)
    click.echo(
        "▲ better, ▼ worse: the interval leaves 0 out, and there are 5 pairs of runs or more."
    )


def _mark(found: Difference) -> str:
    return {"better": " ▲", "worse": " ▼"}.get(found.verdict, "")


def interval(found: Difference, form: str = "+.3f") -> str:
    """Say an interval as it stands behind a difference."""
    return f"{found.low:{form}} to {found.high:{form}}"


def _print_sharing(verdicts: Sequence[SharingVerdict]) -> None:
    several = len({own.together.name for own in verdicts}) > 1
    columns = ["task", "metric", *["shared model"] * several]
    table = new_table(
        *columns, "alone", "together", "together − alone", "95 % interval", "verdict",
        left=len(columns),
    )  # fmt: skip
    for own in verdicts:
        found = own.difference
        table.add_row(
            own.task, own.metric, *[own.together.name] * several,
            f"{own.alone.mean(own.task):.3f}", f"{own.together.mean(own.task):.3f}",
            f"{found.value:+.3f}", interval(found), found.verdict,
        )  # fmt: skip
    click.echo("\nWas sharing worth it?")
    print_table(table)
    for note in exposure_notes(verdicts):
        click.echo(note)


def _print_cost(verdicts: Sequence[SharingVerdict]) -> None:
    table = new_table("what it costs", "models", "parameters", "on disk", "passes for all answers",
                      "seconds of training")  # fmt: skip
    shared = list({own.together.name: own.together for own in verdicts}.values())
    for group in shared:
        alone = [own.alone for own in verdicts if own.together is group]
        table.add_row("each task alone", *_cost(alone))
        table.add_row("together" if len(shared) == 1 else group.name, *_cost([group]))
    print_table(table)


def _cost(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return the models, what they take, and the encoder's passes over a text that all tasks
    judge."""
    parameters = sum(group.parameters for group in groups) / 1e6
    size = sum(group.model_bytes for group in groups) / 1e6
    seconds = sum(group.train_seconds for group in groups)
    count = str(len(groups))
    return count, f"{parameters:.1f} M", f"{size:.0f} MB", count, f"{seconds:.0f}"


def _print_notes(verdicts: Sequence[SharingVerdict]) -> None:
    seeds = min(own.difference.seeds for own in verdicts)
    if seeds == 1:
        click.echo("One run each: the intervals are over dev rows alone, and runs differ besides.")
    else:
        click.echo(f"Intervals are over {seeds} seeds and over dev rows, paired by both.")
    for own in verdicts:
        if own.differing:
            keys = ", ".join(own.differing)
            click.echo(f"{own.task}: alone and together also differ in {keys}.")
    if seeds < LEAST_SEEDS:
        click.echo(f"A verdict takes {LEAST_SEEDS} runs of each.")


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "runs": [str(run.path) for run in group.runs],
        "seeds": [run.seed for run in group.runs],
        "metrics": {
            task: {"mean": group.mean(task), "sd": group.spread(task)} for task in group.tasks
        },
        "continual": {
            name: {"mean": mean, "sd": spread} for name, (mean, spread) in group.continual.items()
        },
        "train_seconds": group.train_seconds,
        "parameters": group.parameters,
        "model_bytes": group.model_bytes,
    }


def _verdict_json(own: SharingVerdict) -> dict[str, Any]:
    return {
        "task": own.task,
        "metric": own.metric,
        "alone": own.alone.mean(own.task),
        "together": own.together.mean(own.task),
        "shared_model": own.together.name,
        "also_differ_in": own.differing,
        "examples_alone": exposure_of(own.alone, own.task).examples,
        "examples_together": exposure_of(own.together, own.task).examples,
        **vars(own.difference),
    }
