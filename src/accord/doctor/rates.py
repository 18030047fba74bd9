"""How fast a machine multiplies matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from accord.kernels.matmul import MatmulPolicy, onednn_error
from accord.runs.estimate import matrix_rate


@dataclass(frozen=True)
class Rates:
    """Measured rates of matrix products, in GFLOP per second; None: not measured.

    Attributes:
        float32_default_gflops: float32 by torch's default library, on the processor.
        float32_onednn_gflops: through torch's way to oneDNN.
        onednn_relative_error: of that product's result; float32's is 1e-6 and below.
        bfloat16_native_gflops: bfloat16 by torch's own ways, on the processor.
        bfloat16_accord_gflops: as `choose_matmul_policy` has it.
        gpu_float32_gflops: on the GPU that 'auto' takes.
        gpu_bfloat16_gflops: on it too.
    """

    float32_default_gflops: float | None = None
    float32_onednn_gflops: float | None = None
    onednn_relative_error: float | None = None
    bfloat16_native_gflops: float | None = None
    bfloat16_accord_gflops: float | None = None
    gpu_float32_gflops: float | None = None
    gpu_bfloat16_gflops: float | None = None


def measure_rates(device: torch.device, matmul: MatmulPolicy) -> Rates:
    """Measure the products of a BERT's shape.

    Args:
        device: that 'auto' takes.
        matmul: the policy that was chosen for the processor.
    """
    cpu = torch.device("cpu")
    error = onednn_error()
    if error is not None and not math.isfinite(error):  # which JSON can't hold
        error = None
    return Rates(
        float32_default_gflops=_gflops(lambda: matrix_rate(cpu)),
        float32_onednn_gflops=(
            None if error is None else _gflops(lambda: matrix_rate(cpu, MatmulPolicy(onednn=True)))
        ),
        onednn_relative_error=error,
        bfloat16_native_gflops=_gflops(native_rate),
        bfloat16_accord_gflops=_gflops(lambda: matrix_rate(cpu, matmul)),
        gpu_float32_gflops=_gpu_gflops(device, MatmulPolicy()),
        gpu_bfloat16_gflops=_gpu_gflops(device, MatmulPolicy(bfloat16=True)),
    )


def native_rate(seconds: float = 0.3) -> float:
    """Measure bfloat16 products by torch's own ways on the processor, in FLOP per second.

    Some processors run a hundred times as fast as others: the product is small at first
    and grows as long as the time allows, up to that of `matrix_rate`.
    """
    rows, best, end = 16, 0.0, time.perf_counter() + seconds
    x, weight = (torch.ones(n, 768, dtype=torch.bfloat16) for n in (2048, 768))
    while True:
        start = time.perf_counter()
        torch.mm(x[:rows], weight)
        now = time.perf_counter()
        best = max(best, 2 * rows * 768 * 768 / max(now - start, 1e-9))
        if rows < len(x) and 8 * (now - start) < end - now:
            rows *= 2
        if now + (now - start) > end:
            return best


def _gpu_gflops(device: torch.device, matmul: MatmulPolicy) -> float | None:
    if device.type == "cpu":
        return None
    _gflops(lambda: matrix_rate(device, matmul, 0.01))  # loads the kernels
    return _gflops(lambda: matrix_rate(device, matmul))


def _gflops(measure: Callable[[], float]) -> float | None:
    """Return a rate in GFLOP per second to four digits; None if it can't be had."""
    try:
        rate = measure() / 1e9
    except RuntimeError:  # a full or broken GPU is no reason to say nothing of the rest
        return None
    return float(f"{rate:.4g}") if 0 < rate < math.inf else None
