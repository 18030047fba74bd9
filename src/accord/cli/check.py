"""`accord check`: reads every file of a configuration and reports on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option, overrides_option, strict_option
from accord.cli.results import ResultsTable, new_table, print_table
from accord.terminal import echo, tell

if TYPE_CHECKING:
    from accord.data.checking import CheckReport, SplitReport, TaskReport
    from accord.model.layers_computed import LayersComputed
    from accord.plan.run import StagePlan
    from accord.tasks import Task

_SHOWN_BAD_ROWS = 10
_SHOWN_LABELS = 12


@click.command()
@click.argument("config", type=PATH)
@overrides_option
@strict_option
@as_json_option
def check(config: Path, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check a configuration, its data and its encoder before training.

    Refuses whatever 'accord train' refuses, in the same words. Shows what was resolved, rows,
    labels, lengths, duplicates, and texts that stand in both train and dev.
    """
    from accord.config.file import load_config
    from accord.data.checking import check_data
    from accord.data.warnings import refuse_all
    from accord.encoders.pretrained import resolve_encoder_folder
    from accord.plan.making import plan_run
    from accord.plan.sources import same_rows
    from accord.training.stages.preflight import check_run

    plan = plan_run(load_config(config, overrides), str(config))
    if sys.stderr.isatty():
        tell("reading the data and the encoder")
    unused = check_run(plan)
    encoder = plan.stages[0].encoder
    folder = resolve_encoder_folder(encoder.path, encoder.revision)
    data = plan.data if plan.staged else plan.only.data
    packed = {stage.label: stage.data for stage in plan.stages}  # each may pack apart
    report = check_data(data, folder, same_rows(data), packed)
    layers = _layers(plan.stages[-1], report, folder)
    warnings = [*plan.notes, *unused, *report.warnings]
    if as_json:
        table = {
            **report.to_json(), "layers_computed": layers.to_json(), "warnings": warnings
        }  # fmt: skip
        echo(*json.dumps(table, indent=2).splitlines())
    else:
        render(report)
        echo(*map(str, [layers] if layers.inputs else []))
    if strict:
        refuse_all(warnings, tell)
    for line in warnings:
        tell(f"warning: {line}")


def _layers(plan: StagePlan, report: CheckReport, encoder: Path) -> LayersComputed:
    """Return the encoder layers that an answer to all tasks of the trained model will take."""
    from accord.encoders.pretrained import read_config
    from accord.model.layers_computed import layers_computed
    from accord.model.parts import Sharing

    tasks = [each.task for each in report.tasks if each.task.name in plan.data.labelled]
    sharing = Sharing(tuple(plan.sharing.schemes), plan.options)
    return layers_computed(sharing, tasks, read_config(encoder).num_hidden_layers)


def render(report: CheckReport) -> None:
    """Print a report as tables on stdout."""
    echo(f"encoder {report.encoder}, at most {report.max_length} tokens per sequence")
    for task in report.tasks:
        echo("", _heading(task))
        print_table(_splits(task))
        _print_skipped(task)
    echo(*report.notes)
    if report.sources:
        echo("", *map(str, report.sources))
    echo("")
    _print_overlaps(report)


def _heading(report: TaskReport) -> str:
    from accord.kinds import labelled_kind
    from accord.kinds._classes import loss_words

    task, most = report.task, _SHOWN_LABELS
    if not task.labelled:
        return f"{task.name}: {task.kind}, {task.metric}"
    target = labelled_kind(task).described(task, most)
    source = " (from the training file)" if report.taken_from_data else ""
    encoding = f", {task.encoding} encoding" if task.texts > 1 else ""
    learnt = f"{loss_words(task, most)}, {task.metric_name}"
    return f"{task.name}: {task.kind}{encoding}, {target}{source}, {learnt}"


def _splits(report: TaskReport) -> ResultsTable:
    from accord.kinds import kind_of

    table = new_table(
        "split", "rows", "skipped", "tokens 50 %", "90 %", "99 %", "most", "cut", "duplicates",
        kind_of(report.task).summary_head, text_last=True,
    )  # fmt: skip
    for split in report.splits:
        tokens = split.tokens
        numbers = (
            split.rows, len(split.skipped), tokens.median, tokens.p90, tokens.p99, tokens.max,
            split.truncated, split.duplicates.normalised,
        )  # fmt: skip
        summary = "; ".join(filter(None, (_targets(split), _candidates(report.task, split))))
        table.add_row(_name(split), *(f"{number:,}" for number in numbers), summary)
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


def _candidates(task: Task, split: SplitReport) -> str:
    """Say how many candidates the rows have; nothing where they have none."""
    from accord.kinds import kind_of

    if split.candidates is None:
        return ""
    fewest, most = split.candidates
    numbers = f"{fewest} to {most}" if fewest < most else f"{most}"
    return f"{numbers} {kind_of(task).candidate}s a {kind_of(task).row_called[0]}"


def _print_skipped(report: TaskReport) -> None:
    for split in report.splits:
        for bad in split.skipped[:_SHOWN_BAD_ROWS]:
            echo(f"skipped {bad}")
        if len(split.skipped) > _SHOWN_BAD_ROWS:
            more = len(split.skipped) - _SHOWN_BAD_ROWS
            echo(f"skipped {more:,} more of {split.path}")


def _print_overlaps(report: CheckReport) -> None:
    overlaps = [
        one for one in report.source_overlaps if one.texts.normalised or one.examples.normalised
    ]
    if not overlaps:
        echo("No dev text stands in a training file.")
        return
    echo("Dev rows that stand in training data (as spelt / blind to case and spaces):")
    table = new_table("dev of", "train of", "dev rows", "whole example", "any text", left=2)
    for one in overlaps:
        table.add_row(
            one.dev_task, one.train_task, f"{one.dev_rows:,}",
            f"{one.examples.exact:,} / {one.examples.normalised:,}",
            f"{one.texts.exact:,} / {one.texts.normalised:,}",
        )  # fmt: skip
    print_table(table)
