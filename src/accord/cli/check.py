"""`accord check`: reads every file of a configuration and reports on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import as_json_option, overrides_option, strict_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from accord.data.checking import CheckReport, SplitReport, TaskReport

_SHOWN_BAD_ROWS = 10
_SHOWN_LABELS = 12
_PLAIN_COLUMNS = 120


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@overrides_option
@strict_option
@as_json_option
def check(config: Path, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check a configuration, its data and its encoder before training.

    Refuses whatever 'accord train' refuses, in the same words. Shows what was resolved, rows,
    labels, lengths, duplicates, and texts that stand in both train and dev.
    """
    from accord.config.file import load_config
    from accord.config.stages import dropped_note, memory_note
    from accord.config.unused import unused_options
    from accord.data.checking import check_config
    from accord.data.warnings import refuse_all
    from accord.training.stages.plan import check_run

    loaded = load_config(config, overrides)
    if sys.stderr.isatty():
        _say("reading the data and the encoder")
    in_vain = check_run(loaded)
    report = check_config(loaded)
    notes = (unused_options(loaded), memory_note(loaded), dropped_note(loaded))
    warnings = [*filter(None, notes), *in_vain, *report.warnings]
    if as_json:
        click.echo(json.dumps({**report.to_json(), "warnings": warnings}, indent=2))
    else:
        render(report)
    if strict:
        refuse_all(warnings, _say)
    for line in warnings:
        _say(f"warning: {line}")


def render(report: CheckReport) -> None:
    """Print a report as tables on stdout."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_PLAIN_COLUMNS)
    console.print(f"encoder {report.encoder}, at most {report.max_length} tokens a sequence")
    for task in report.tasks:
        console.print(f"\n{_heading(task)}")
        console.print(_splits(task))
        _print_skipped(task, console)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    console.print()
    _print_overlaps(report, console)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _heading(report: TaskReport) -> str:
    task = report.task
    if not (task.is_classification or task.is_regression):
        return f"{task.name}: {task.kind}, {task.metric}"
    if task.is_classification:
        shown = ", ".join(task.labels[:_SHOWN_LABELS])
        more = f" and {len(task.labels) - _SHOWN_LABELS} more" * (len(task.labels) > _SHOWN_LABELS)
        target = f"labels {shown}{more}"
    else:
        target = f"range {task.range[0]:g} to {task.range[1]:g}"
    source = " (from the training file)" if report.taken_from_data else ""
    encoding = f", {task.encoding} encoding" if task.is_pair else ""
    return f"{task.name}: {task.kind}{encoding}, {target}{source}, {task.loss}, {task.metric_name}"


def _splits(report: TaskReport) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("split")
    for title in ("rows", "skipped", "tokens 50 %", "90 %", "99 %", "most", "cut", "duplicates"):
        table.add_column(title, justify="right")
    regression = "lowest, mean, highest" if report.task.is_regression else ""
    table.add_column("labels" if report.task.is_classification else regression)
    for split in report.splits:
        tokens = split.tokens
        numbers = (
            split.rows, len(split.skipped), tokens.median, tokens.p90, tokens.p99, tokens.max,
            split.truncated, split.duplicates.normalised,
        )  # fmt: skip
        table.add_row(_name(split), *(f"{number:,}" for number in numbers), _targets(split))
    return table


def _name(split: SplitReport) -> str:
    return split.split if split.share is None else f"{split.split} ({split.share:.0%} of train)"


def _targets(split: SplitReport) -> str:
    if split.labels is not None:
        shown = [f"{label}: {count:,}" for label, count in split.labels.items()][:_SHOWN_LABELS]
        return ", ".join(shown) + ", …" * (len(split.labels) > _SHOWN_LABELS)
    if split.targets is not None:
        return f"{split.targets.min:g}, {split.targets.mean:.3g}, {split.targets.max:g}"
    if split.split == "test":
        return "(not used)" if split.unused else "(none)"
    return ""


def _print_skipped(report: TaskReport, console: Console) -> None:
    for split in report.splits:
        for bad in split.skipped[:_SHOWN_BAD_ROWS]:
            console.print(f"skipped {bad}", soft_wrap=True)
        if len(split.skipped) > _SHOWN_BAD_ROWS:
            more = len(split.skipped) - _SHOWN_BAD_ROWS
            console.print(f"skipped {more:,} more of {split.path}", soft_wrap=True)


def _print_overlaps(report: CheckReport, console: Console) -> None:
    from rich import box
    from rich.table import Table

    found = [one for one in report.overlaps if one.texts.normalised or one.examples.normalised]
    if not found:
        console.print("No dev text stands in a training file.")
        return
    console.print("Dev rows that stand in training data (as spelt / blind to case and spaces):")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("dev of", "train of"):
        table.add_column(title)
    for title in ("dev rows", "whole example", "any text"):
        table.add_column(title, justify="right")
    for one in found:
        table.add_row(
            one.dev_task, one.train_task, f"{one.dev_rows:,}",
            f"{one.examples.exact:,} / {one.examples.normalised:,}",
            f"{one.texts.exact:,} / {one.texts.normalised:,}",
        )  # fmt: skip
    console.print(table)
