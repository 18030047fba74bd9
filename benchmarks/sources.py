"""What does a second task on the same rows cost?

    python benchmarks/sources.py [--data FOLDER] [--rounds N] [--examples N]

A step of MiniLM on one task, on two tasks that label the same rows (one source), and on the same
two packed apart; packing included, dropout on, the sum of the tasks' gradients. With SNIPS in the
folder (snips-train.jsonl, intents and slots) it is that; else the bundled sample's sentiment
beside whether a text is long.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from harness import Report, Side, alternate, arguments, overhead
from workload import ROOT, minilm_folder

from accord.config.file import parse_config
from accord.plan.making import plan_run
from accord.runs.memory import keep_freed_memory
from accord.training.setup import prepare

TARGET = 1.1
LONG = 8  # words


def tasks(folder: Path | None, scratch: Path) -> dict[str, dict[str, Any]]:
    """Return two tasks that label the same rows."""
    snips = None if folder is None else folder / "snips-train.jsonl"
    if snips is not None and snips.is_file():
        file = {"train": str(snips), "text": "tokens"}
        return {
            "intent": {**file, "kind": "classification", "label": "intent", "pooling": "mean"},
            "slots": {**file, "kind": "token-classification", "label": "tags"},
        }
    table = scratch / "table.csv"
    with (
        (ROOT / "examples" / "sample" / "sentiment-train.tsv").open(encoding="utf-8") as source,
        table.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["text", "label", "long"])
        for row in csv.DictReader(source, delimiter="\t"):
            writer.writerow([row["text"], row["label"], len(row["text"].split()) > LONG])
    file = {"train": str(table), "text": "text", "kind": "classification", "pooling": "mean"}
    return {"sentiment": {**file, "label": "label"}, "length": {**file, "label": "long"}}


def side(given: dict[str, dict[str, Any]], examples: int, **keys: Any) -> Side:
    """Return a step on some tasks, each with some more keys."""
    config = {
        "encoder": {"path": str(minilm_folder())},
        "tasks": {name: {**task, **keys} for name, task in given.items()},
        "training": {"batch_size": examples, "epochs": 1},
    }
    setup = prepare(plan_run(parse_config(config)).only)
    setup.learner.model.train()

    def step(number: int) -> None:
        setup.learner.step(number, setup.batch(number), 1.0)

    return step


def main() -> None:
    """Time the three steps in turn."""
    parser = arguments(__doc__.splitlines()[0], "sources", rounds=30)
    parser.add_argument("--examples", type=int, default=32, help="rows of a source in a step")
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        both = tasks(options.data, Path(scratch))
        first = dict(list(both.items())[:1])
        sides = {
            "one": side(first, options.examples),
            "both": side(both, options.examples),
            "apart": side(both, options.examples, apart=True),
        }
        seconds = alternate(sides, options.rounds)
    names = " and ".join(both)
    report = Report(__doc__.splitlines()[0])
    report.add(
        overhead("two_tasks_on_one_source_vs_one", seconds["both"], seconds["one"], TARGET, names),
        overhead("two_tasks_apart_vs_one", seconds["apart"], seconds["one"], None, names),
    )
    report.finish(options.output)


if __name__ == "__main__":
    main()
