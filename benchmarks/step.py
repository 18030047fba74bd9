"""How many times as long does a training step take elsewhere?

    python benchmarks/step.py [--size minilm|bert-base] [--pooling cls|mean]
                              [--precision float32|bfloat16] [--only WORD ...]
                              [--data FOLDER] [--rounds N] [--examples N]

Super batches of 3 x 32 examples, dropout on, no clipping; batches are packed or padded within the
step. Each peer (peers.py) runs in turn with ours: the plain step against multitask training, the
step with PCGrad against PCGrad. Freed memory is kept for both (accord.runs.memory).

best       torch's fused AdamW, and its setting for float32 products that is faster here
defaults   what torch does unless told otherwise

medium     torch's float32 setting that allows bfloat16 inside: where a processor has instructions
           for it, its results are bfloat16's, and ours in bfloat16 is compared with it

In bfloat16 both run under autocast. A processor that has no such instructions takes a hundred
times as long for the peer, so there a few rounds have to do, and fewer examples may.
"""

from __future__ import annotations

import argparse
import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import torch
from harness import RESULTS, Report, Row, Side, alternate, arguments, speedup
from peers import (
    bert,
    torchjd_step,
    transformers_lean_pcgrad_step,
    transformers_pcgrad_step,
    transformers_step,
)
from utilisation import at_precision, faster_precision
from workload import Workload, encoder, our_step, workload

from accord.runs.memory import keep_freed_memory, release_freed_memory

TARGETS = {
    "train_step_fp32_vs_transformers_best": 3.5,
    "train_step_fp32_vs_transformers_defaults": 6.0,
    "pcgrad_step_fp32_vs_transformers_best": 5.5,
    "pcgrad_step_fp32_vs_transformers_defaults": 7.0,
    "pcgrad_step_fp32_vs_torchjd_best": 8.5,
    "pcgrad_step_fp32_vs_torchjd_defaults": 10.0,
    "train_step_bf16_vs_transformers_bf16": 4.5,
    "train_step_bert_base_vs_transformers_best": 3.0,
    "train_step_bert_base_vs_transformers_defaults": 5.0,
}
MIDDLE = {
    ("minilm", "float32"): "fp32",
    ("minilm", "bfloat16"): "bf16",
    ("bert-base", "float32"): "bert_base",
    ("bert-base", "bfloat16"): "bert_base_bf16",
}


@dataclass(frozen=True)
class Comparison:
    """A peer, and which of our steps does the same.

    Attributes:
        kind: 'train' for the plain step, 'pcgrad' for PCGrad's.
        peer: as the figure's name has it.
        build: makes the peer's side.
        best: with the settings that are best here, instead of torch's own.
        bfloat16: whether the peer runs in bfloat16.
        medium: whether the peer's float32 products are allowed bfloat16 inside.
    """

    kind: str
    peer: str
    build: Callable[..., Side]
    best: bool = True
    bfloat16: bool = False
    medium: bool = False


FLOAT32 = (
    Comparison("train", "transformers_best", transformers_step),
    Comparison("train", "transformers_defaults", transformers_step, best=False),
    Comparison("pcgrad", "transformers_best", transformers_pcgrad_step),
    Comparison("pcgrad", "transformers_defaults", transformers_pcgrad_step, best=False),
    Comparison("pcgrad", "transformers_lean_best", transformers_lean_pcgrad_step),
    Comparison("pcgrad", "torchjd_best", torchjd_step),
    Comparison("pcgrad", "torchjd_defaults", torchjd_step, best=False),
)
BFLOAT16 = (
    Comparison("train", "transformers_bf16", transformers_step, bfloat16=True),
    Comparison("train", "transformers_medium", transformers_step, medium=True),
    Comparison("train", "transformers_fp32_best", transformers_step),
)


def figure_name(comparison: Comparison, options: argparse.Namespace) -> str:
    """By which the results know a comparison."""
    middle = MIDDLE[options.size, options.precision]
    suffix = "" if options.pooling == "cls" else f"_{options.pooling}"
    return f"{comparison.kind}_step_{middle}_vs_{comparison.peer}{suffix}"


def sides(
    comparison: Comparison, work: Workload, options: argparse.Namespace, precision: str
) -> dict[str, Side]:
    """Build both sides of a comparison."""
    torch.manual_seed(0)
    random.seed(0)
    peer = comparison.build(
        work, bert(options.size), fused=comparison.best, bfloat16=comparison.bfloat16
    )
    ours = our_step(
        work, encoder(options.size), joint=comparison.kind == "train",
        bfloat16=options.precision == "bfloat16",
    )  # fmt: skip
    if comparison.medium:
        precision = "medium"
    return {"ours": ours, "peer": at_precision(peer, precision) if comparison.best else peer}


def measure(
    comparison: Comparison, work: Workload, options: argparse.Namespace, precision: str
) -> Row:
    """Time a comparison; its models are gone afterwards, so that two of them have to fit."""
    warmup = min(1, options.warmup) if comparison.bfloat16 else options.warmup
    seconds = alternate(sides(comparison, work, options, precision), options.rounds, warmup)
    gc.collect()
    release_freed_memory()
    name = figure_name(comparison, options)
    return speedup(name, seconds["peer"], seconds["ours"], TARGETS.get(name))


def variant(options: argparse.Namespace) -> str:
    """Name the file of results."""
    parts = ["step"]
    if options.size != "minilm":
        parts.append(options.size)
    if options.pooling != "cls":
        parts.append(options.pooling)
    if options.precision != "float32":
        parts.append("bf16")
    return "-".join(parts)


def chosen(options: argparse.Namespace) -> list[Comparison]:
    """The comparisons whose names hold one of the words of --only, or all."""
    every = FLOAT32 if options.precision == "float32" else BFLOAT16
    return [
        each
        for each in every
        if not options.only or any(word in figure_name(each, options) for word in options.only)
    ]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "step", rounds=12)
    parser.add_argument("--size", choices=["minilm", "bert-base"], default="minilm")
    parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--only", nargs="+", default=[], help="figures whose names hold a word")
    parser.add_argument("--examples", type=int, default=32, help="of each task in a super batch")
    parser.add_argument("--warmup", type=int, default=3, help="rounds before; 1 at most in bf16")
    parser.set_defaults(output=None)
    options = parser.parse_args()
    comparisons = chosen(options)
    if not comparisons:
        parser.error("no figure's name holds a word of --only")
    keep_freed_memory()
    work = workload(options.data, batch_size=options.examples, pooling=options.pooling)
    config = encoder(options.size).config
    # A peer multiplies a task's padded batch at a time.
    rows = work.batches[0].padded_tokens // len(work.tasks)
    precision, trial = faster_precision(config, rows)
    report = Report("A training step: peers' time over ours")
    for comparison in comparisons:
        report.add(measure(comparison, work, options, precision))
    report.details = {
        "source": work.source,
        "examples": f"{len(work.tasks)} x {options.examples}",
        "pooling": options.pooling,
        "tokens": [batch.tokens for batch in work.batches],
        "padded_tokens": [batch.padded_tokens for batch in work.batches],
        "best_precision": precision,
        "best_precision_trial_ms": trial,
        "transformers": version("transformers"),
        "torchjd": version("torchjd"),
    }
    report.finish(options.output or RESULTS / f"{variant(options)}.json")


if __name__ == "__main__":
    main()
