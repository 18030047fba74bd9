"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

PATH = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)


def _read_formats(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, ...]:
    from accord.report.formats import parse_formats

    return parse_formats(text or "")


overrides_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a config key, as in training.epochs=2.",
)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON object."
)
strict_option = click.option("--strict", is_flag=True, help="Treat warnings as errors.")
quoting_option = click.option(
    "--quoting",
    type=click.Choice(["csv", "none"]),
    help="How quotes in --input are read, as by the config key; default: as in training.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress on stderr.")
force_option = click.option(
    "--force",
    is_flag=True,
    help="Go on even if data or an encoder changed between runs; this is recorded and reported.",
)
against_option = click.option(
    "--against", metavar="GROUP", help="Compare every other group with this one, task by task."
)
formats_option = click.option(
    "--formats",
    metavar="LIST",
    callback=_read_formats,
    help="Also write the report's figures as pdf or png and its tables as latex: pdf,png,latex.",
)
margin_option = click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    metavar="POINTS",
    help="Points (hundredths of a metric) within which two models count as equally good; default:"
    " the config's comparison.margin.",
)


workers_option = click.option(
    "--workers", type=COUNT, default=1, help="How many run at once, each in a process of its own."
)
threads_option = click.option(
    "--threads",
    type=COUNT,
    help="Threads of each worker; default: the processors divided by the workers.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only list the cells, with an estimate of their time."
)


def cells_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every command that runs cells takes: workers, threads, force, dry_run and quiet."""
    options = (workers_option, threads_option, force_option, dry_run_option, quiet_option)
    for option in reversed(options):
        command = option(command)
    return command
