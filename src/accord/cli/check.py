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
    from accord.plan.run import RunPlan


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
    from accord.data.warnings import refuse_all
    from accord.plan.making import plan_run
    from accord.training.stages.preflight import reported

    plan = plan_run(load_config(config, overrides), str(config))
    if sys.stderr.isatty():
        tell("reading the data and the encoder")
    report = reported(plan)
    layers = _layers(plan, report)
    if as_json:
        table = {**report.to_json(), "layers_computed": layers.to_json()}
        echo(*json.dumps(table, indent=2).splitlines())
    else:
        print_parts(check_parts(report))
        echo(*map(str, [layers] if layers.inputs else []))
    if strict:
        refuse_all(report.warnings, tell)
    for line in report.warnings:
        tell(f"warning: {line}")


def _layers(plan: RunPlan, report: CheckReport) -> LayersComputed:
    """Return the encoder layers that an answer to all tasks of the trained model will take."""
    from accord.encoders.pretrained import read_config, resolve_encoder_folder
    from accord.model.layers_computed import layers_computed
    from accord.model.parts import Sharing

    first, last = plan.stages[0].encoder, plan.stages[-1]
    encoder = read_config(resolve_encoder_folder(first.path, first.revision))
    tasks = [each.task for each in report.tasks if each.task.name in last.data.labelled]
    sharing = Sharing(tuple(last.sharing.schemes), last.options)
    return layers_computed(sharing, tasks, encoder.num_hidden_layers)
