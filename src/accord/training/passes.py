"""How many tokens a pass may have: what fits in memory, found out before the first step."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from accord.runs.estimate import memory_bytes
from accord.runs.memory import examine_memory, held_bytes
from accord.training.setup import Setup

_SHARE = 0.9  # of the memory that is free: what is left is for fragments and what isn't foreseen
_STEPS = 512  # that are looked at for the one with the most tokens
_PRECISION = 8  # of what fits, an eighth is not looked for


@dataclass(frozen=True)
class Room:
    """How much memory passes may take, and how much they take.

    Attributes:
        free_bytes: infinite where the system doesn't say.
        taken_bytes: by a step in passes of at most so many tokens; infinite where they don't fit.
    """

    free_bytes: float
    taken_bytes: Callable[[int], float]

    def holds(self, tokens: int) -> bool:
        """Whether passes of so many tokens fit."""
        return self.taken_bytes(tokens) <= _SHARE * self.free_bytes


@dataclass(frozen=True)
class LargestStep:
    """A step of as many rows as a real one, the longest that there are.

    Attributes:
        drawn: the rows of each source.
        longest: tokens of the longest row: a pass has no fewer.
        tokens: of all rows.
    """

    drawn: list[np.ndarray]
    longest: int
    tokens: int


def fitting_pass_tokens(setup: Setup) -> int:
    """Return the most tokens of a pass that fit in memory; no more than a step has.

    Nothing of the run is changed: no step is taken, and no generator has a state.
    """
    largest = largest_step(setup)
    room = (_on_gpu if setup.device.type == "cuda" else _by_estimate)(setup, largest)
    return most_fitting(room.holds, largest.longest, largest.tokens)


def most_fitting(fits: Callable[[int], bool], least: int, most: int) -> int:
    """Return about the largest number that fits, `least` if none does.

    Numbers are doubled up to the first that doesn't fit, so that nothing far too large is tried.

    Args:
        fits: asked of numbers from `least` to `most`.
        least: the smallest that is of use.
        most: the largest.

    Example:
        >>> most_fitting(lambda size: size <= 700, 64, 4096), most_fitting(bool, 64, 4096)
        (640, 4096)
    """
    good, tried = least, least
    while fits(tried):
        good = tried
        if tried == most:
            return most
        tried = min(2 * tried, most)
    while tried - good > max(1, good // _PRECISION):
        middle = (good + tried) // 2
        good, tried = (middle, tried) if fits(middle) else (good, middle)
    return good


def largest_step(setup: Setup) -> LargestStep:
    """Return the largest step that the run's first ones could be, and its last."""
    lengths = [source.lengths(setup.data.assembler) for source in setup.sources]
    orders = [np.argsort(-each, kind="stable") for each in lengths]
    steps = {*range(min(setup.total_steps, _STEPS)), setup.total_steps - 1}
    counts = {tuple(map(len, setup.sampler.draw(step))) for step in sorted(steps)}

    def rows(count: tuple[int, ...]) -> list[np.ndarray]:
        return [np.resize(order, size) for order, size in zip(orders, count, strict=True)]

    def tokens(count: tuple[int, ...]) -> list[int]:
        return [
            int(length[drawn].sum()) for length, drawn in zip(lengths, rows(count), strict=True)
        ]

    most = max(sorted(counts), key=lambda count: sum(tokens(count)))
    longest = max(int(each.max()) for each, size in zip(lengths, most, strict=True) if size)
    return LargestStep(rows(most), longest, sum(tokens(most)))


def _by_estimate(setup: Setup, largest: LargestStep) -> Room:
    """Of a CPU: what is available, and what is held already, as the estimate counts it."""
    config, available = setup.learner.model.encoder.config, examine_memory().available_bytes
    free = math.inf if available is None else available + held_bytes()
    return Room(free, lambda tokens: memory_bytes(config, setup.workload(tokens)))


def _on_gpu(setup: Setup, largest: LargestStep) -> Room:
    """Of a GPU: the peak of a rehearsed step, beside the model and all else that lies there."""
    device, learner = setup.device, setup.learner
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated(device)
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - held
    last = setup.total_steps - 1  # by when all layers are trained

    def taken(tokens: int) -> float:
        learner.model.train()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            learner.rehearse(last, setup.packed(last, largest.drawn, tokens).to(setup.device))
            peak: float = torch.cuda.max_memory_allocated(device) - held
        except torch.OutOfMemoryError:
            peak = math.inf
        learner.optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        return peak

    return Room(free + unused - _moments_to_come(setup), taken)


def _moments_to_come(setup: Setup) -> int:
    """Return the bytes that the optimizer takes with its first step."""
    optimizer = setup.learner.optimizer
    return sum(
        2 * parameter.numel() * parameter.element_size()
        for group in optimizer.param_groups for parameter in group["params"]
        if parameter not in optimizer.state
    )  # fmt: skip
