"""`accord train`: from a config to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option, overrides_option, quiet_option, strict_option
from accord.errors import printable
from accord.terminal import tell

if TYPE_CHECKING:
    from accord.config.sections import Config


@click.command()
@click.argument("config", type=PATH)
@click.option("--out", required=True, type=PATH, help="The run's folder.")
@click.option("--task", "tasks", multiple=True, help="Only this task of the config; repeatable.")
@overrides_option
@strict_option
@as_json_option
@quiet_option
def train(
    config: Path,
    out: Path,
    tasks: tuple[str, ...],
    overrides: tuple[str, ...],
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train one encoder for all tasks of CONFIG.

    Everything about the run is found in the folder --out: metrics, checkpoints, the best model.
    """
    from accord.cli.results import show_run
    from accord.config.file import load_config
    from accord.plan.making import plan_run
    from accord.runs.folder import RunFolder

    loaded = load_config(config, overrides, tasks)
    plan = plan_run(loaded, str(config))
    RunFolder.check_free(out)
    if len(tasks) == 1 and not quiet:
        _say_what_is_left_out(load_config(config, overrides), loaded)

    from accord.training.stages.run import start

    source = config.read_text(encoding="utf-8")
    options = [f"--task {task}" for task in tasks] + [f"--set {text}" for text in overrides]
    note = "".join(f"# {printable(option)}\n" for option in options)
    run = start(plan, out, source=note + source, quiet=quiet, strict=strict)
    show_run(run, as_json)


def _say_what_is_left_out(full: Config, alone: Config) -> None:
    """Say which keys of `[training]` have no effect with one task."""
    from accord.config.training import COMBINING

    lost = full.training.model_fields_set - alone.training.model_fields_set
    keys = [f"training.{key}" for key in COMBINING if key in lost]
    if keys:
        verb = "is" if len(keys) == 1 else "are"
        tell(f"{', '.join(keys)} {verb} left out: there is one task")
