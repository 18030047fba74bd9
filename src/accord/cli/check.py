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

    from accord.config.sections import Config
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
    """Check a configuration and its data before training.

    Shows what was resolved, rows, labels, lengths, duplicates, and texts that stand in both
    train and dev.
    """
    from accord.config.file import load_config
    from accord.config.stages import dropped_note, memory_note
    from accord.config.unused import unused_options
    from accord.data.checking import check_config
    from accord.data.warnings import refuse_all

    loaded = load_config(config, overrides)
    _check_sizes(loaded)
    report = check_config(loaded, reading=_reading if sys.stderr.isatty() else lambda task: None)
    _check_memories(loaded, report)
    notes = (unused_options(loaded), memory_note(loaded), dropped_note(loaded))
    warnings = [*filter(None, notes), *_in_vain(loaded, report), *report.warnings]
    if as_json:
        click.echo(json.dumps({**report.to_json(), "warnings": warnings}, indent=2))
    else:
        render(report)
    if strict:
        refuse_all(warnings, _say)
    for line in warnings:
        _say(f"warning: {line}")


def _check_sizes(config: Config) -> None:
    """Check that parts and new layers fit the encoder, and that kept heads are there."""
    from accord.training.building import check_all_sizes

    check_all_sizes(config)
    if config.encoder.heads == "keep":
        from accord.bert.pretrained import resolve_encoder_folder
        from accord.model.inherited import check_inheritance

        check_inheritance(resolve_encoder_folder(config.encoder.path, config.encoder.revision))


def _parts(config: Config) -> list[tuple[str, Config]]:
    """Return the configs of the run's stages behind what names them, or its own if it has none."""
    from accord.config.file import stage_configs
    from accord.config.stages import stage_label

    labels = [f"{stage_label(config.stages, i)}: " for i in range(len(config.stages))]
    return list(zip(labels, stage_configs(config), strict=True)) or [("", config)]


def _training_rows(report: CheckReport) -> dict[str, int]:
    return {
        own.task.name: next(split.rows for split in own.splits if split.split == "train")
        for own in report.tasks
    }


def _check_memories(config: Config, report: CheckReport) -> None:
    """Check that memories are no larger than their tasks' data."""
    from accord.data.rehearsal import check_size
    from accord.errors import ConfigError

    rows = _training_rows(report)
    for label, own in _parts(config):
        if own.memory is not None and own.memory.method != "none":
            for name in own.memory.finished:
                try:
                    check_size(own.memory.size, rows[name], name)
                except ConfigError as error:
                    raise ConfigError(f"{label}{error}") from None


def _in_vain(config: Config, report: CheckReport) -> list[str]:
    """Return what the config asks for in vain, as a run would say it when it begins."""
    from accord.errors import ConfigError
    from accord.training.building import build_sampler, check_averages, warnings

    rows, found = _training_rows(report), []
    for label, own in _parts(config):
        sizes = tuple(_drawn_rows(own, name, rows[name]) for name in own.tasks)
        try:
            sampler = build_sampler(own, tuple(own.tasks), sizes)
            check_averages(own, sampler.steps)
        except ConfigError as error:
            raise ConfigError(f"{label}{error}") from None
        found += [f"{label}{line}" for line in warnings(own, sampler)]
    return found


def _drawn_rows(config: Config, name: str, rows: int) -> int:
    """Return how many rows of a task are drawn from: of a finished one those in its memory."""
    if config.memory is None or name not in config.finished:
        return rows
    return 0 if config.memory.method == "none" else config.memory.size


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


def _reading(task: str) -> None:
    _say(f"reading {task}")


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
