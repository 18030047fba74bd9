"""`accord check`: reads every file of a configuration and reports on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option, overrides_option, strict_option
from accord.cli.results import print_parts
from accord.terminal import echo, tell

if TYPE_CHECKING:
    from accord.data.checking import CheckReport
    from accord.model.layers_computed import LayersComputed
    from accord.plan.run import StagePlan


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
    from accord.data.check_parts import check_parts
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
        print_parts(check_parts(report))
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
