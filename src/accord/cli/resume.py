"""`accord resume`: resumes a run that was stopped."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH, as_json_option, quiet_option


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--force",
    is_flag=True,
    help="Go on even if data, config or versions changed; this is recorded.",
)
@as_json_option
@quiet_option
def resume(run: Path, force: bool, as_json: bool, quiet: bool) -> None:
    """Go on with the run in folder RUN from its newest sound checkpoint."""
    from accord.runs.folder import RunFolder

    RunFolder.open(run)

    from accord.cli.results import show_run
    from accord.training.stages.run import resume as resume_any

    show_run(resume_any(run, force=force, quiet=quiet), as_json)
