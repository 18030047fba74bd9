"""What does one pass for all answers cost, beside other ways to the same answers?

    python benchmarks/one_pass.py [--only PART ...] [--data FOLDER] [--rounds N]

MiniLM with CLS pooling and a head per task; from texts to predictions, tokenising included on all
sides, imports and loading on none. The peers are those of prediction.py: the encoder in onnxruntime
(exported at opset 23) and in transformers, with as many threads.

one_text       one text of one task in a call, every round another one: all sides have seen its
               length before. Ours in float32 and in bfloat16, the peers in float32.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
import transformers
from harness import Report, Row, alternate, arguments, overhead, speedup
from prediction import (
    Padded,
    Set,
    at_best,
    dev_sets,
    quieten,
    save,
    with_onnxruntime,
    with_transformers,
)
from utilisation import faster_precision

import accord
from accord.model.multitask import MultitaskModel

TEXTS = 40


@dataclass(frozen=True)
class World:
    """What all parts work on.

    Attributes:
        sets: each task with its dev texts.
        model: a saved model of them.
        folder: where it is saved.
        precision: torch's setting for float32 products that is faster here for transformers.
        rounds: of every comparison.
    """

    sets: list[Set]
    model: MultitaskModel
    folder: Path
    precision: str
    rounds: int


def one_text(world: World) -> list[Row]:
    """Compare single texts, one a call."""
    first = world.sets[0]
    singles = [Set(first.task, [text]) for text in first.texts[:TEXTS]]
    onnx = Padded(with_onnxruntime(world.folder), world.model)
    plain = Padded(with_transformers(bfloat16=False), world.model)
    loaded = {name: accord.load(world.folder, "cpu", name) for name in ("float32", "bfloat16")}

    def by_transformers(one: Set) -> object:
        return at_best(world.precision, lambda: [plain.predict(one)])()[0]

    sides: dict[str, Callable[[Set], object]] = {
        name: lambda one, model=model: model.predict(one.task.name, one.texts)
        for name, model in loaded.items()
    }
    sides |= {"onnxruntime": onnx.predict, "transformers": by_transformers}
    wanted = [onnx.predict(one) for one in singles]
    for name, side in sides.items():
        like = sum(side(one) == right for one, right in zip(singles, wanted, strict=True))
        if like < len(singles) * (0.8 if name == "bfloat16" else 0.97):
            raise SystemExit(f"{name} and onnxruntime don't predict the same: nothing to compare")
    rounds = {
        name: lambda i, side=side: side(singles[i % len(singles)]) for name, side in sides.items()
    }
    seconds = alternate(rounds, world.rounds)
    return [
        overhead("one_text_fp32_over_onnxruntime",
                 seconds["float32"], seconds["onnxruntime"], 1.35),
        overhead("one_text_bf16_over_onnxruntime",
                 seconds["bfloat16"], seconds["onnxruntime"], 1.0),
        speedup("one_text_fp32_vs_transformers",
                seconds["transformers"], seconds["float32"], None),
    ]  # fmt: skip


PARTS: dict[str, Callable[[World], list[Row]]] = {"one_text": one_text}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "one_pass", rounds=200)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of all sides")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quieten()
    report = Report("One pass: how many times as long as the peers, and as ours task by task")
    sets = dev_sets(options.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save(sets, folder)
        precision, _ = faster_precision(model.encoder.config, rows=32 * 24)
        world = World(sets, model, folder, precision, options.rounds)
        load_before = os.getloadavg()[0]
        for part in options.only:
            report.add(*PARTS[part](world))
    report.details = {
        "load_before_and_after": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "transformers_precision": precision,
        "onnxruntime": onnxruntime.__version__,
        "transformers": transformers.__version__,
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
