"""What share of a step is matrix work on real tokens?

    python benchmarks/utilisation.py [--size minilm|bert-base] [--data FOLDER] [--rounds N]

The plain step with mean pooling, in float32. The work is counted from the formulas: for N tokens
every linear layer's product forward and its two backward, and attention's two products forward
and four backward over each sequence's own length. Padding, dropout, norms, heads, the optimizer
count nothing. The rate is that of the linear layers' products alone, on as many rows, each
written into memory held ready, in turn with the step; the share is the seconds that the work
would take at that rate over those that the step took.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import torch
from harness import RESULTS, Report, Row, Side, alternate, arguments, median_interval
from workload import Batch, encoder, our_step, workload

from accord.encoders.families.bert import BertConfig
from accord.kernels.matmul import MatmulPolicy, onednn_is_exact
from accord.runs.estimate import matrix_rate
from accord.runs.memory import keep_freed_memory

TARGETS = {"minilm": 0.75, "bert-base": 0.80}
PRECISIONS = ("highest", "medium")
WARMUP = 3


class LayerProducts:
    """The products of a layer's linear maps, forward and backward.

    For W [m, k], an input x [n, k] and a gradient g [n, m] these are x Wᵀ, g W and gᵀ x.

    Args:
        config: of the encoder.
        rows: largest n.
    """

    def __init__(self, config: BertConfig, rows: int) -> None:
        hidden, inner = config.hidden_size, config.intermediate_size
        self.shapes = (
            (hidden, hidden), (2 * hidden, hidden), (hidden, hidden), (inner, hidden),
            (hidden, inner),
        )  # fmt: skip
        self._inputs = [
            (torch.randn(m, k), torch.randn(rows, k), torch.randn(rows, m)) for m, k in self.shapes
        ]
        self._outputs = [
            (torch.empty(m, k), torch.empty(rows, k), torch.empty(rows, m)) for m, k in self.shapes
        ]

    def run(self, rows: int) -> None:
        """Compute all of them on so many rows."""
        for (w, x, g), (dw, dx, y) in zip(self._inputs, self._outputs, strict=True):
            torch.mm(x[:rows], w.t(), out=y[:rows])
            torch.mm(g[:rows], w, out=dx[:rows])
            torch.mm(g[:rows].t(), x[:rows], out=dw)

    def flops(self, rows: int) -> int:
        """FLOP of `run`."""
        return 3 * 2 * rows * sum(m * k for m, k in self.shapes)


def attention_flops(config: BertConfig, lengths: Sequence[int]) -> int:
    """FLOP of a layer's attention, forward and backward."""
    return 3 * 4 * config.hidden_size * sum(length**2 for length in lengths)


def at_precision(side: Side, precision: str) -> Side:
    """A side under torch's setting for float32 products, which is put back after every call."""

    def step(i: int) -> object:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            return side(i)
        finally:
            torch.set_float32_matmul_precision(before)

    return step


def faster_precision(
    config: BertConfig, rows: int, rounds: int = 9
) -> tuple[str, dict[str, float]]:
    """Find out which setting multiplies faster here, and still in float32.

    'medium' allows bfloat16 inside. Where a processor has no instructions for it, torch takes
    another library all the same, and the result is float32's. Where it has, the result is
    bfloat16's, and the setting is no candidate.

    Args:
        config: whose layers' products are tried.
        rows: of their inputs.
        rounds: of the trial.

    Returns:
        Its name, and the milliseconds of each.
    """
    products = LayerProducts(config, rows)
    sides = {
        name: at_precision(lambda _: products.run(rows), name) for name in PRECISIONS
    }  # fmt: skip
    seconds = alternate(sides, rounds, warmup=1)
    medians = {name: round(statistics.median(second) * 1e3, 2) for name, second in seconds.items()}
    candidates = PRECISIONS if onednn_is_exact() else PRECISIONS[:1]
    return min(candidates, key=lambda name: medians[name]), medians


def lengths(batch: Batch) -> list[int]:
    """Tokens of every sequence."""
    return [len(each.input_ids) for task in batch.sequences for each in task]


def best_rate(precision: str) -> float:
    """The rate of the best single product, FLOP a second."""
    products = MatmulPolicy(onednn=precision != PRECISIONS[0])
    return matrix_rate(torch.device("cpu"), products, seconds=1.0)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "utilisation", rounds=30)
    parser.add_argument("--size", choices=list(TARGETS), default="minilm")
    parser.set_defaults(output=None)
    options = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    work, bert = workload(options.data, pooling="mean"), encoder(options.size)
    config, layers = bert.config, bert.config.num_hidden_layers
    precision, trial = faster_precision(config, max(batch.tokens for batch in work.batches))
    products = LayerProducts(config, max(batch.tokens for batch in work.batches))

    def linear_maps(i: int) -> None:
        for _ in range(layers):
            products.run(work.batch(i).tokens)

    sides = {
        "step": our_step(work, bert, joint=True),
        "products": at_precision(linear_maps, precision),
    }
    seconds = alternate(sides, options.rounds, WARMUP)
    batches = [work.batch(i + WARMUP) for i in range(options.rounds)]
    linear = np.array([layers * products.flops(batch.tokens) for batch in batches])
    total = linear + [layers * attention_flops(config, lengths(batch)) for batch in batches]
    rates, steps = linear / np.array(seconds["products"]), np.array(seconds["step"])
    shares, best = total / rates / steps, best_rate(precision)
    size = options.size.replace("-", "_")
    report = Report("Matrix work on real tokens: its share of a plain step, mean pooling, float32")
    report.add(Row(
        f"utilisation_{size}", float(np.median(shares)), TARGETS[options.size], "higher",
        median_interval(shares), float(np.median(steps)) * 1e3,
        statistics.median(seconds["products"]) * 1e3, options.rounds, "peer: the products alone",
    ))  # fmt: skip
    report.details = {
        "source": work.source,
        "tokens": [batch.tokens for batch in work.batches],
        "step_gflop": round(float(np.median(total)) / 1e9, 2),
        "attention_share_of_work": round(float(np.median(1 - linear / total)), 4),
        "products_gflops": round(float(np.median(rates)) / 1e9, 2),
        "products_precision": precision,
        "products_trial_ms": trial,
        "best_product_gflops": round(best / 1e9, 2),
        "utilisation_of_best_product": round(float(np.median(total / best / steps)), 4),
    }
    variant = "utilisation" if options.size == "minilm" else f"utilisation-{options.size}"
    report.finish(options.output or RESULTS / f"{variant}.json")


if __name__ == "__main__":
    main()
