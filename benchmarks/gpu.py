"""How fast is a step on a GPU?

    python benchmarks/gpu.py [--size bert-base|minilm] [--examples N ...] [--data FOLDER]
                             [--rounds N] [--device DEVICE]

bert-base (random weights) in bfloat16, 3 x 32 and 3 x 128 examples, CLS pooling, dropout on, fused
AdamW on all sides; batches are packed or padded within the step, and every step is waited for.

ours           the joint step, and the step with PCGrad
transformers   BertModel (SDPA, which takes a flash kernel where it can), a padded batch a task,
               autocast, one backward pass

The utilisation is counted as in utilisation.py, over the measured rate of bfloat16 products.
`--device cpu` tries the script where there is no GPU; its figures answer another question.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import torch
from harness import Report, Row, Side, alternate, arguments, median_interval, overhead, speedup
from peers import bert, transformers_step
from utilisation import attention_flops, lengths
from workload import Workload, encoder, our_step, workload

from accord.bert.attention import flash
from accord.bert.products import Products, grouped_works
from accord.runs.estimate import matrix_rate

WARMUP = 5


def waited(side: Side, device: torch.device) -> Side:
    """A side that ends when the device has done its work."""

    def step(i: int) -> None:
        side(i)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def linear_flops(size: str, tokens: int) -> int:
    """FLOP of all linear maps of so many tokens, forward and backward."""
    config = encoder(size).config
    hidden, inner = config.hidden_size, config.intermediate_size
    weights = config.num_hidden_layers * (4 * hidden * hidden + 2 * hidden * inner)
    return 3 * 2 * weights * tokens


def measure(report: Report, options, examples: int, device: torch.device) -> None:
    """Time a batch size."""
    work = workload(options.data, batch_size=examples, pooling="cls")
    own = partial(our_step, work, bfloat16=True, device=device)
    sides = {
        "joint": own(encoder(options.size), joint=True),
        "pcgrad": own(encoder(options.size), joint=False),
        "peer": transformers_step(
            work, bert(options.size), fused=True, bfloat16=True, device=device
        ),
    }
    waiting = {name: waited(side, device) for name, side in sides.items()}
    seconds = alternate(waiting, options.rounds, WARMUP)
    name = f"{device.type}_{options.size.replace('-', '_')}_3x{examples}"
    rate = matrix_rate(device, Products(bfloat16=True), seconds=1.0)
    shares = utilisation(work, options.size, rate, seconds["joint"])
    report.add(
        speedup(f"{name}_train_step_vs_transformers", seconds["peer"], seconds["joint"], None),
        overhead(f"{name}_surgery_overhead", seconds["pcgrad"], seconds["joint"], 1.10),
        Row(f"{name}_utilisation", float(np.median(shares)), 0.5, "higher",
            median_interval(shares), rounds=options.rounds),
    )  # fmt: skip
    for side, times in seconds.items():
        rate_of = 3 * examples / statistics.median(times)
        report.details[f"{name} {side}: examples a second"] = round(rate_of, 1)


def utilisation(work: Workload, size: str, rate: float, seconds: list[float]) -> np.ndarray:
    """The share of each step that its matrix work would take at a rate."""
    config = encoder(size).config
    batches = [work.batch(i + WARMUP) for i in range(len(seconds))]
    flops = [
        linear_flops(size, batch.tokens)
        + config.num_hidden_layers * attention_flops(config, lengths(batch))
        for batch in batches
    ]
    return np.array(flops) / rate / np.array(seconds)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "gpu", rounds=50)
    parser.add_argument("--size", choices=["minilm", "bert-base"], default="bert-base")
    parser.add_argument("--examples", type=int, nargs="+", default=[32, 128], help="of each task")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU: nothing was measured")
    report = Report("A bfloat16 training step on a GPU: peer's time over ours")
    for examples in options.examples:
        measure(report, options, examples, device)
    report.details |= {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "attention without padding": flash.fault(device) or "yes",
        "grouped weight gradients": "yes" if grouped_works(device) else "no",
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
