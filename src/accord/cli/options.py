"""Options that several commands share."""

from __future__ import annotations

import click

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
quiet_option = click.option("--quiet", is_flag=True, help="No progress on stderr.")
