"""What a run will take, in time and memory, before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from accord.encoders.encoder import EncoderConfig
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing

_TRAINED_PASSES = 340  # additions that all else but products costs as much as, for each token,
_ENCODED_PASSES = 60  # layer and hidden unit; see docs/performance.md
_ACTIVATION_FLOATS = 28  # saved for the backward pass, per token, layer and hidden unit
_LOGIT_FLOATS = 3  # saved per masked word and entry of the vocabulary: logits, softmax, gradient
_TRIES = 5  # of a rate at least: the first one also starts threads and picks kernels
_SIDES = (8192, 4096, 2048, 1024)  # of the products that measure a GPU
_GPU_ROWS = 32768  # of an addition that measures one: long beside its launch
_LIBRARIES = 600 << 20  # bytes that Python and torch hold before any model is loaded


@dataclass(frozen=True)
class Estimate:
    """Seconds of training and evaluation, and peak memory."""

    seconds: float
    memory_bytes: int

    def __str__(self) -> str:
        return (
            f"about {duration(self.seconds)} and {self.memory_bytes / (1 << 30):.1f} GiB of memory"
        )


def matrix_rate(
    device: torch.device, matmul: MatmulPolicy = DEFAULT, seconds: float = 0.2
) -> float:
    """Measure the rate of a matrix product, in FLOP per second.

    On a CPU the product has a BERT's shape. A GPU does one of that shape in less time than its
    launch takes: there it is a square one, as large as memory and time allow (`product_side`), of
    random values, as a GPU multiplies ones faster than it does anything else.
    """
    dtype = torch.bfloat16 if matmul.bfloat16 else torch.float32
    if device.type == "cuda":
        return _gpu_matrix_rate(device, dtype, matmul, seconds)
    x = torch.ones(2048, 768, dtype=dtype, device=device)
    weight = torch.ones(768, 768, dtype=dtype, device=device)
    with computing(matmul):
        return 2 * 2048 * 768 * 768 / _quickest(lambda: matmul.mm(x, weight), seconds)


def product_side(free_bytes: int, rate: float, seconds: float, itemsize: int = 2) -> int:
    """Return the side n of a square product that a GPU's rate is measured by.

    Args:
        free_bytes: of the GPU's memory; a quarter may be taken, by three matrices.
        rate: a first guess, in FLOP per second, and rather too low: launches count in it.
        seconds: that all tries may take.
        itemsize: bytes of an entry.

    Returns:
        The largest of 8192, 4096, 2048 and 1024 whose memory and tries (one to warm up, then
        `_TRIES`) fit; 1024 where none does.

    Example:
        >>> product_side(64 << 30, 4e14, 0.2), product_side(64 << 30, 1e12, 0.2)
        (8192, 2048)
    """
    for side in _SIDES:
        fits = 3 * itemsize * side**2 <= free_bytes // 4
        if fits and (_TRIES + 1) * 2 * side**3 / rate <= seconds:
            return side
    return _SIDES[-1]


def _gpu_matrix_rate(
    device: torch.device, dtype: torch.dtype, matmul: MatmulPolicy, seconds: float
) -> float:
    def measure(side: int, seconds: float) -> float:
        x, y = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        return 2 * side**3 / _quickest_event(lambda: matmul.mm(x, y), seconds)

    with computing(matmul), torch.cuda.device(device):
        guess = measure(_SIDES[-2], 0.0)
        free, _ = torch.cuda.mem_get_info(device)
        return measure(product_side(free, guess, seconds, dtype.itemsize), seconds)


def pass_rate(device: torch.device, seconds: float = 0.1) -> float:
    """Measure the rate of additions over an activation's memory, in elements per second."""
    if device.type == "cuda":
        x = torch.ones(_GPU_ROWS, 768, device=device)
        with torch.cuda.device(device):
            return x.numel() / _quickest_event(lambda: x + x, seconds)
    x = torch.ones(2048, 768, device=device)
    return x.numel() / _quickest(lambda: x + x, seconds)


def _quickest_event(compute: Callable[[], torch.Tensor], seconds: float) -> float:
    """Return the least time of a computation by a GPU's own clock, in seconds."""
    compute()  # loads and chooses kernels
    best, tries, end = float("inf"), 0, time.perf_counter() + seconds
    before, after = [torch.cuda.Event(enable_timing=True) for _ in (0, 1)]  # type: ignore[no-untyped-call]
    while tries < _TRIES or time.perf_counter() < end:
        before.record()
        compute()
        after.record()
        after.synchronize()
        best, tries = min(best, before.elapsed_time(after) / 1e3), tries + 1
    return best


def _quickest(compute: Callable[[], torch.Tensor], seconds: float) -> float:
    """Return the least time of a computation by the host's clock, in seconds: of a few tries."""
    best, tries, end = float("inf"), 0, time.perf_counter() + seconds
    while tries < _TRIES or time.perf_counter() < end:
        start = time.perf_counter()
        compute()[0, 0].item()  # waits for the device
        best, tries = min(best, time.perf_counter() - start), tries + 1
    return best


def token_flops(config: EncoderConfig, length: float) -> float:
    """Return the FLOP of one token's forward pass in a sequence of this length."""
    hidden, inner = config.hidden_size, config.intermediate_size
    weights = config.num_hidden_layers * (4 * hidden * hidden + 2 * hidden * inner)
    return 2.0 * weights + config.num_hidden_layers * 4 * hidden * length


@dataclass(frozen=True)
class Workload:
    """How much a run has to do.

    Attributes:
        parameters: of the encoder and all heads.
        tasks: rows of J.
        steps: of the run.
        step_tokens: mean tokens of a step.
        pass_tokens: most tokens of a pass.
        encoded_tokens: that are only encoded, over the whole run.
        mean_length: of a sequence, in tokens.
        frozen: whether the encoder is.
        checkpointing: whether activations are recomputed.
        averaged: parameters of copies that are kept for averages of the weights.
        passes: what a step's passes take, beside one forward and backward pass.
        graphs: forward passes whose activations are kept at once.
        masked_words: by masked language models, in a step: each takes one logit per word.
    """

    parameters: int
    tasks: int
    steps: int
    step_tokens: float
    pass_tokens: float
    encoded_tokens: float
    mean_length: float
    frozen: bool
    checkpointing: bool
    averaged: int = 0
    passes: float = 1.0
    graphs: int = 1
    masked_words: float = 0.0


def estimate(config: EncoderConfig, work: Workload, rate: float, passes: float) -> Estimate:
    """Estimate a run.

    Args:
        config: the encoder's sizes.
        work: how much there is to do.
        rate: of matrix products, measured, in FLOP per second.
        passes: `pass_rate`, measured: what a step does beside products goes over memory.
    """
    trained = 0.0 if work.frozen else work.step_tokens * work.steps * work.passes
    again = 4 / 3 if work.checkpointing else 1
    flops = token_flops(config, work.mean_length) * (3 * again * trained + work.encoded_tokens)
    table = config.vocab_size * config.hidden_size
    flops += 3 * 2.0 * table * work.masked_words * work.steps
    units = config.num_hidden_layers * config.hidden_size
    elements = units * (_TRAINED_PASSES * again * trained + _ENCODED_PASSES * work.encoded_tokens)
    return Estimate(
        seconds=flops / rate + elements / passes,
        memory_bytes=memory_bytes(config, work),
    )


def memory_bytes(config: EncoderConfig, work: Workload) -> int:
    """Estimate the most memory that a run's process holds."""
    return _state_bytes(config, work) + _activation_bytes(config, work) + _LIBRARIES


def _state_bytes(config: EncoderConfig, work: Workload) -> int:
    """Parameters, gradient, two moments, averages; J, whose embedding part is small; their sum."""
    if work.frozen:
        return 4 * (work.parameters + work.averaged)
    dense = work.parameters - config.vocab_size * config.hidden_size
    word_table = (
        work.tasks * (work.parameters - dense) if work.masked_words else 0
    )  # J holds all words
    return 4 * (4 * work.parameters + work.averaged + (work.tasks + 1) * dense + word_table)


def _activation_bytes(config: EncoderConfig, work: Workload) -> int:
    layers = 1 if work.frozen else 2 if work.checkpointing else config.num_hidden_layers
    floats = _ACTIVATION_FLOATS * config.hidden_size * work.pass_tokens * layers * work.graphs
    predicted_words = work.masked_words * work.pass_tokens / max(1.0, work.step_tokens)
    floats += _LOGIT_FLOATS * config.vocab_size * predicted_words
    return int(4 * floats)


def duration(seconds: float) -> str:
    """Return a duration as people say it.

    Example:
        >>> duration(7.4), duration(95), duration(7500)
        ('7 s', '1 min 35 s', '2 h 5 min')
    """
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60} min"
