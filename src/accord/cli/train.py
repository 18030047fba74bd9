"""`accord train`: from a config to a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import as_json_option, overrides_option, quiet_option


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run's folder.")
@overrides_option
@as_json_option
@quiet_option
def train(config: Path, out: Path, overrides: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Train one encoder for all tasks of CONFIG.

    Everything about the run is found in the folder --out: metrics, checkpoints, the best model.
    """
    from accord.cli.results import show_run
    from accord.config import load_config
    from accord.run_folder import RunFolder

    loaded = load_config(config, overrides)
    RunFolder.check_free(out)

    from accord.training import start_run

    source = config.read_text(encoding="utf-8")
    note = "".join(f"# --set {override}\n" for override in overrides)
    show_run(start_run(loaded, out, source=note + source, quiet=quiet), as_json)
