"""What does one pass for all answers cost, beside other ways to the same answers?

    python benchmarks/one_pass.py [--only PART ...] [--data FOLDER] [--rounds N]

MiniLM with CLS pooling and a head per task; from texts to predictions, tokenising included on all
sides, imports and loading on none. The peers are those of prediction.py: the encoder in onnxruntime
(exported at opset 23) and in transformers, with as many threads.

all_tasks      three tasks on the same single texts: one `answer` for all, against `predict` task by
               task, and three models in onnxruntime and in transformers, both sorted by length, in
               batches of 512 padded tokens.
many_heads     one text in a call: a model with a hundred heads, against one with three.
one_text       one text of one task in a call, every round another one: all sides have seen its
               length before. Ours in float32 and in bfloat16, the peers in float32.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
import torch
import transformers
from harness import Report, Row, alternate, arguments, overhead, speedup
from prediction import (
    Padded,
    Set,
    at_best,
    check,
    dev_sets,
    measure,
    quieten,
    save,
    with_onnxruntime,
    with_transformers,
)
from utilisation import faster_precision

import accord
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

TEXTS = 40
ALL_TEXTS = 500
PADDED_TOKENS = 512  # of a batch of the peers


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


def several(world: World, count: int) -> tuple[list[Task], Path]:
    """Save MiniLM with so many heads for the first set's task, two classes each beyond three."""
    task = world.sets[0].task
    tasks = [replace(task, name=f"t{i}") for i in range(3)]
    tasks += [replace(task, name=f"t{i}", labels=task.labels[:2]) for i in range(3, count)]
    folder = world.folder / f"heads-{count}"
    save([Set(task, []) for task in tasks], folder)
    return tasks, folder


def all_tasks(world: World) -> list[Row]:
    """Compare all answers in one pass with answers task by task."""
    tasks, folder = several(world, 3)
    texts = world.sets[0].texts[:ALL_TEXTS]
    model = accord.load(folder, "cpu")
    heads = model.model
    onnx = Padded(with_onnxruntime(world.folder), heads, PADDED_TOKENS)
    plain = Padded(with_transformers(bfloat16=False), heads, PADDED_TOKENS)
    sets = [Set(task, texts) for task in tasks]
    sides: dict[str, Callable[[], list[list[Any]]]] = {
        "one_pass": lambda: [list(each) for each in
                             zip(*(a.values() for a in model.answer(texts)), strict=True)],
        "task_by_task": lambda: [list(model.predict(task.name, texts)) for task in tasks],
        "onnxruntime": lambda: [list(onnx.predict(each)) for each in sets],
        "transformers": at_best(
            world.precision, lambda: [list(plain.predict(each)) for each in sets]
        ),
    }  # fmt: skip
    check(sides, "one_pass", 0.97)
    seconds = measure(sides, max(3, world.rounds // 20))
    note = f"{len(texts)} texts"
    return [
        speedup("all_tasks_one_pass_vs_task_by_task",
                seconds["task_by_task"], seconds["one_pass"], 2.8, note),
        speedup("all_tasks_one_pass_vs_three_onnxruntime",
                seconds["onnxruntime"], seconds["one_pass"], 3.3, note),
        speedup("all_tasks_one_pass_vs_three_transformers",
                seconds["transformers"], seconds["one_pass"], 3.5, note),
    ]  # fmt: skip


def many_heads(world: World) -> list[Row]:
    """Compare a hundred heads with three on single texts."""
    texts = world.sets[0].texts[:TEXTS]
    models = {f"{count}": accord.load(several(world, count)[1], "cpu") for count in (3, 100)}
    for model in models.values():
        for text in texts:
            model.answer([text])
    seconds = alternate(
        {
            name: lambda i, model=model: model.answer([texts[i % len(texts)]])
            for name, model in models.items()
        },
        world.rounds,
    )
    more = [a - b for a, b in zip(seconds["100"], seconds["3"], strict=True)]
    note = f"{1e3 * median(more):.2f} ms more a text, at most 0.5 wanted"
    return [overhead("many_heads_100_over_3", seconds["100"], seconds["3"], None, note)]


PARTS: dict[str, Callable[[World], list[Row]]] = {
    "all_tasks": all_tasks, "many_heads": many_heads, "one_text": one_text
}  # fmt: skip


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
