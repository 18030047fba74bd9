"""Runs and rows drawn from models whose true difference is known: what coverage is measured on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import norm, rankdata

from accord.metrics import f1, pearson, spearman

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

Array = np.ndarray


@dataclass(frozen=True)
class Cell:
    """One model and design.

    Attributes:
        kind: 'gaussian' or a metric.
        ours: seeds of our runs.
        theirs: of theirs.
        rows: how many.
        seed: standard deviation of a run's effect, on the model's scale.
        row: of a row's effect that differs by side.
        noise: of a run and a row together.
        rho: of a correlation, its value at the mean run.
        shared: the correlation of two runs of a seed.
    """

    kind: str
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    rows: int
    seed: float
    row: float
    noise: float = 1.0
    rho: float = 0.0
    shared: float = 0.5

    @property
    def design(self) -> str:
        pairs = len(set(self.ours) & set(self.theirs))
        if pairs == len(self.ours) == len(self.theirs):
            return f"{pairs} pairs"
        between = f"{len(self.ours)} and {len(self.theirs)}"
        return f"{between}, {pairs} shared" if pairs else f"{between}, unpaired"

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return [(i, self.theirs.index(s)) for i, s in enumerate(self.ours) if s in self.theirs]


def run_effects(cell: Cell, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Standard normal effects of our runs and theirs, [S, draws], correlated for a shared seed."""
    most = max(*cell.ours, *cell.theirs) + 1
    common, one, two = rng.standard_normal((3, most, draws))
    share, rest = math.sqrt(cell.shared), math.sqrt(1 - cell.shared)
    return (share * common + rest * one)[list(cell.ours)], (share * common + rest * two)[
        list(cell.theirs)
    ]


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


# Each model yields, for a shift between the sides, values [S, draws, rows] of both sides whose
# mean over rows is the metric, those of the former interval, and knows the true difference.


def gaussian(cell: Cell, shift: float, draws: int, rng: np.random.Generator) -> list[Array]:
    """y_sr = seed effect + row effect of the side + noise."""
    sides = []
    for effect, move in zip(run_effects(cell, draws, rng), (shift, 0.0), strict=True):
        values = normal(rng, len(effect), draws, cell.rows) * cell.noise
        values += (cell.seed * effect + move)[..., None]
        values += cell.row / math.sqrt(2) * normal(rng, draws, cell.rows)
        sides.append(values)
    return sides


def hits(cell: Cell, shift: float, draws: int, rng: np.random.Generator) -> list[Array]:
    """A row is right where 1 + run's effect − difficulty + side's row effect + noise > 0."""
    difficulty = normal(rng, draws, cell.rows)
    sides = []
    for effect, move in zip(run_effects(cell, draws, rng), (shift, 0.0), strict=True):
        latent = normal(rng, len(effect), draws, cell.rows) * cell.noise
        latent += (1 + cell.seed * effect + move)[..., None]
        latent += cell.row * normal(rng, draws, cell.rows) - difficulty
        sides.append((latent > 0).astype(np.float32))
    return sides


def accuracy_truth(cell: Cell, shift: float) -> float:
    spread = math.sqrt(1 + cell.row**2 + cell.noise**2 + cell.seed**2)
    return float(norm.cdf((1 + shift) / spread) - norm.cdf(1 / spread))


SHARE, APART = 0.3, 2.0  # positives; how far apart the classes are


def f1_sides(
    cell: Cell, shift: float, draws: int, rng: np.random.Generator
) -> tuple[Array, list[Array]]:
    """Class 1 is predicted where ±1 by the label, times quality, + row's effect + noise > 0."""
    labels = (rng.random((draws, cell.rows)) < SHARE).astype(np.int8)
    sides = []
    for effect, move in zip(run_effects(cell, draws, rng), (shift, 0.0), strict=True):
        latent = normal(rng, len(effect), draws, cell.rows) * cell.noise
        latent += (1 + cell.seed * effect + move)[..., None] * (labels - 0.5) * APART
        latent += cell.row * normal(rng, draws, cell.rows)
        sides.append((latent > 0).astype(np.int8))
    return labels, sides


def f1_truth(cell: Cell, shift: float) -> float:
    def of_side(move: float) -> float:
        quality = (1 + move + cell.seed * NODES) * APART / 2
        spread = math.hypot(cell.row, cell.noise)
        hit, false = norm.cdf(quality / spread), norm.cdf(-quality / spread)
        each = 2 * SHARE * hit / (SHARE + SHARE * hit + (1 - SHARE) * false)
        return float(WEIGHTS @ each)

    return of_side(shift) - of_side(0)


def spreads(cell: Cell, move: float) -> tuple[float, float]:
    """Standard deviations of a side's error: of the row, and of run and row together."""
    rho = math.tanh(math.atanh(cell.rho) + move)
    error = 1 / rho**2 - 1
    share = cell.row  # of the error's variance that a side's runs have in common
    return math.sqrt(error * share), math.sqrt(error * (1 - share))


def correlated_sides(
    cell: Cell, shift: float, draws: int, rng: np.random.Generator
) -> tuple[Array, list[Array]]:
    """x_sr = y_r + the side's error at r + noise · exp(run's effect)."""
    labels = normal(rng, draws, cell.rows)
    sides = []
    for effect, move in zip(run_effects(cell, draws, rng), (shift, 0.0), strict=True):
        of_row, of_run = spreads(cell, move)
        x = normal(rng, len(effect), draws, cell.rows)
        x *= (of_run * np.exp(cell.seed * effect))[..., None]
        x += labels + of_row * normal(rng, draws, cell.rows)
        sides.append(x)
    return labels, sides


def correlation_truth(cell: Cell, shift: float) -> float:
    def of_side(move: float) -> float:
        of_row, of_run = spreads(cell, move)
        r = 1 / np.sqrt(1 + of_row**2 + of_run**2 * np.exp(2 * cell.seed * NODES))
        return float(WEIGHTS @ (6 / np.pi * np.arcsin(r / 2) if cell.kind == "spearman" else r))

    return of_side(shift) - of_side(0)


def values(
    cell: Cell, shift: float, draws: int, rng: np.random.Generator
) -> tuple[list[Array], list[Array]]:
    """Each run's and row's value, [S, draws, rows] of both sides: ours, and the former interval's.

    The former one took Spearman's ranks as fixed; its bootstrap over rows is replaced by the
    variance that it estimates.
    """
    if cell.kind == "gaussian":
        sides = gaussian(cell, shift, draws, rng)
        return sides, sides
    if cell.kind == "accuracy":
        sides = hits(cell, shift, draws, rng)
        return sides, sides
    if cell.kind == "f1":
        labels, sides = f1_sides(cell, shift, draws, rng)
        made = [_together(*f1.influence(side, labels, 1)) for side in sides]
        return made, made
    labels, sides = correlated_sides(cell, shift, draws, rng)
    by = pearson if cell.kind == "pearson" else spearman
    made = [_together(*by.influence(side, labels)) for side in sides]
    if cell.kind == "pearson":
        return made, made
    ranks = rankdata(labels, axis=-1)
    fixed = [_together(*pearson.influence(rankdata(side, axis=-1), ranks)) for side in sides]
    return made, fixed


def _together(value: Array, each: Array) -> Array:
    return value[..., None] + each


TRUTHS: dict[str, Callable[[Cell, float], float]] = {
    "gaussian": lambda cell, shift: shift, "accuracy": accuracy_truth, "f1": f1_truth,
    "pearson": correlation_truth, "spearman": correlation_truth,
}  # fmt: skip


def seeds(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


DESIGNS = [
    *((seeds(0, s - 1), seeds(0, s - 1)) for s in (2, 3, 5, 10)),
    *((seeds(0, s - 1), seeds(s, 2 * s - 1)) for s in (2, 3, 5, 10)),
    (seeds(0, 4), seeds(4, 8)), (seeds(0, 4), seeds(2, 6)), (seeds(0, 9), seeds(0, 2)),
    (seeds(0, 1), seeds(1, 2)),
]  # fmt: skip


FEW = [DESIGNS[0], DESIGNS[1], DESIGNS[2], DESIGNS[6], DESIGNS[9]]


def cells() -> Iterator[Cell]:
    """Seeds and rows that vary little and much, on the scale of each model."""
    for ours, theirs in DESIGNS:
        # A run's effect beside the noise' part of its metric, 1/√rows.
        for rows, seed, row in product((100,), (0.0, 0.5, 3.0), (0.2, 2.0)):
            yield Cell("gaussian", ours, theirs, rows, seed / math.sqrt(rows), row)
        for seed, row in ((0.0, 0.2), (0.5, 0.5)):
            yield Cell("gaussian", ours, theirs, 1000, seed / math.sqrt(1000), row)
    for ours, theirs in DESIGNS:
        for seed, row in product((0.02, 0.3), (0.1, 1.0)):
            yield Cell("accuracy", ours, theirs, 100, seed, row)
        for seed, row in ((0.02, 1.0), (0.1, 0.1)):
            yield Cell("accuracy", ours, theirs, 1000, seed, row)
    for (ours, theirs), (rows, seed) in product(
        FEW, ((40, 0.02), (40, 0.2), (100, 0.02), (100, 0.2), (1000, 0.05))
    ):
        yield Cell("f1", ours, theirs, rows, seed, 0.7, 0.7)
    for kind, (ours, theirs), rows, rho in product(
        ("pearson", "spearman"), FEW, (40, 100, 1000), (0.5, 0.85, 0.95)
    ):
        if rows < 1000 or (ours, theirs) == DESIGNS[1]:  # many rows take long
            yield Cell(kind, ours, theirs, rows, 0.1, 0.5, rho=rho)
