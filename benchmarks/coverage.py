"""How often do intervals of a difference cover the truth, and how often do they show it?

    python benchmarks/coverage.py [--draws N] [--only KIND] [--output FILE]

Draws runs and rows from models whose true difference is known, and compares the interval of
`accord.statistics` with the one that Accord had before, and with alternatives. Every interval is
made of the same draws. The table goes to standard output, everything to a JSON file.
docs/statistics.md explains the models and the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit
from scipy.stats import norm, rankdata

from accord.statistics.components import LEAST_SHARE, components
from accord.statistics.influence import VALUES, f1_values, pearson_values, rank_moments
from accord.statistics.quantile import half_width

OUTPUT = Path(__file__).parent / "results" / "coverage.json"
LEVEL = 0.95
ELEMENTS = 4_000_000  # values of one side at once: bounds memory
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
TRUE_ERRORS = 3.0  # how many true standard errors the sides are apart

Array = np.ndarray
Ends = dict[str, Array]


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
        made = [_together(*f1_values(labels, side, 2)) for side in sides]
        return made, made
    labels, sides = correlated_sides(cell, shift, draws, rng)
    made = [_together(*VALUES[cell.kind](labels, side)) for side in sides]
    if cell.kind == "pearson":
        return made, made
    ranks = rankdata(labels, axis=-1)
    fixed = [_together(*pearson_values(ranks, rankdata(side, axis=-1))) for side in sides]
    return made, fixed


def _together(value: Array, each: Array) -> Array:
    return value[..., None] + each


TRUTHS: dict[str, Callable[[Cell, float], float]] = {
    "gaussian": lambda cell, shift: shift, "accuracy": accuracy_truth, "f1": f1_truth,
    "pearson": correlation_truth, "spearman": correlation_truth,
}  # fmt: skip


def intervals(cell: Cell, sides: Sequence[Array], former: Sequence[Array]) -> Ends:
    """Estimate and half-width by every method, each [2, draws]."""
    ours, theirs = sides
    value = (ours.mean((0, 2)) - theirs.mean((0, 2))).astype(float)
    p = 1 - LEVEL
    parts = components(ours, theirs, cell.pairs)
    seed, row, nu, rows = parts.seed, parts.row, parts.seed_freedom, parts.row_freedom
    total = np.maximum(seed + row, 1e-30)
    one_t = -stdtrit(
        np.minimum(total**2 / np.maximum(seed**2 / nu + row**2 / rows, 1e-300), 1e6), p / 2
    )
    found = {
        "new": half_width(p, seed, nu, row, rows),
        "one t": one_t * np.sqrt(total),
        "two quantiles": np.sqrt(stdtrit(nu, p / 2) ** 2 * seed + stdtrit(rows, p / 2) ** 2 * row),
    }
    if 0 < len(cell.pairs) < max(len(cell.ours), len(cell.theirs)):
        found |= dict(_other_correlations(cell, ours, theirs))
    ends = {name: np.stack([value, width]) for name, width in found.items()}
    return {"former": _former(cell, *former), **ends}


def _other_correlations(cell: Cell, ours: Array, theirs: Array) -> Iterator[tuple[str, Array]]:
    """Half-widths with r = 0, and with r of the pairs as it is and Derrick et al.'s freedom."""
    parts = components(ours, theirs, ())
    yield "r = 0", half_width(0.05, parts.seed, parts.seed_freedom, parts.row, parts.row_freedom)
    if len(cell.pairs) < 2:
        return
    a, b = ours.mean(-1), theirs.mean(-1)
    one, two = a[[i for i, _ in cell.pairs]], b[[j for _, j in cell.pairs]]
    one, two = one - one.mean(0), two - two.mean(0)
    root = np.sqrt((one**2).sum(0) * (two**2).sum(0))
    r = np.divide((one * two).sum(0), root, out=np.zeros_like(root), where=root > 0)
    s1, s2, n1, n2 = a.std(0, ddof=1), b.std(0, ddof=1), len(a), len(b)
    seed = s1**2 / n1 + s2**2 / n2 - 2 * r * s1 * s2 * len(cell.pairs) / (n1 * n2)
    c, single = len(cell.pairs), n1 + n2 - 2 * len(cell.pairs)
    freedom = c - 1 + (parts.seed_freedom - c + 1) * single / (single + 2 * c)
    yield "r as it is", half_width(0.05, seed, freedom, parts.row, parts.row_freedom)


def _former(cell: Cell, ours: Array, theirs: Array) -> Array:
    pairs = cell.pairs or list(zip(range(len(ours)), range(len(theirs)), strict=False))
    each = ours[[i for i, _ in pairs]] - theirs[[j for _, j in pairs]]
    means, n, count = each.mean(-1), each.shape[-1], len(pairs)
    over_rows = each.mean(0).std(-1) / math.sqrt(n)
    over_seeds = means.std(0, ddof=1) / math.sqrt(count) if count > 1 else np.zeros(len(over_rows))
    width = np.hypot(
        -stdtrit(max(1, count - 1), 0.025) * over_seeds, -stdtrit(n - 1, 0.025) * over_rows
    )
    return np.stack([means.mean(0), width]).astype(float)


def shift_for(cell: Cell, rng: np.random.Generator) -> float:
    """The shift at which the sides are `TRUE_ERRORS` standard errors apart, by a trial."""
    draws = 300
    sides, _ = values(cell, 0.0, draws, rng)
    error = float((sides[0].mean((0, 2)) - sides[1].mean((0, 2))).std())
    low, high = 0.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        if TRUTHS[cell.kind](cell, middle) < TRUE_ERRORS * error:
            low = middle
        else:
            high = middle
    return high


def measured(cell: Cell, draws: int) -> dict[str, object]:
    """Coverage, power and width of every interval on a cell."""
    rng = np.random.default_rng(zlib.crc32(repr(cell).encode()))
    shift = shift_for(cell, rng)
    truth = TRUTHS[cell.kind](cell, shift)
    chunk = max(1, ELEMENTS // (cell.rows * max(len(cell.ours), len(cell.theirs))))
    gathered: dict[str, list[Array]] = {}
    for start in range(0, draws, chunk):
        sides = values(cell, shift, min(chunk, draws - start), rng)
        for name, ends in intervals(cell, *sides).items():
            gathered.setdefault(name, []).append(ends)
    figures = {}
    for name, parts in gathered.items():
        value, width = np.concatenate(parts, axis=1)
        figures[name] = {
            "coverage": round(float((np.abs(value - truth) <= width).mean()), 4),
            "power": round(float((value > width).mean()), 4),
            "half_width": float(f"{np.median(width):.4g}"),
        }
    return {**asdict(cell), "design": cell.design, "truth": truth, "intervals": figures}


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


def influence_errors(draws: int) -> list[dict[str, object]]:
    """Of one run's correlation: the mean estimate of its variance over rows, against the true one.

    By the jackknife, which Accord takes, by the influence function, and with ranks taken as fixed.
    """
    rng, results = np.random.default_rng(0), []
    for kind in ("pearson", "spearman"):
        for rho in (0.5, 0.85, 0.95):
            for rows in (40, 100, 400):
                labels = rng.standard_normal((draws, rows))
                x = rho * labels + math.sqrt(1 - rho**2) * rng.standard_normal((draws, rows))
                value, jackknife = VALUES[kind](labels, x)
                kinds = {"jackknife": jackknife}
                if kind == "spearman":
                    ranks = rankdata(labels, axis=-1), rankdata(x, axis=-1)
                    kinds["influence function"] = _first_order(*rank_moments(labels, x))
                    kinds["ranks fixed"] = pearson_values(*ranks)[1]
                else:
                    a, b = (own - own.mean(-1, keepdims=True) for own in (x, labels))
                    products = [a * b, a * a, b * b]
                    moments = [own.mean(-1, keepdims=True) for own in products]
                    each = [own - mean for own, mean in zip(products, moments, strict=True)]
                    kinds["influence function"] = _first_order(moments, each)
                true = float(value.std())
                results.append({
                    "metric": kind, "rho": rho, "rows": rows,
                    **{name: round(float(np.sqrt(own.var(-1, ddof=1).mean() / rows)) / true, 3)
                       for name, own in kinds.items()},
                })  # fmt: skip
    return results


def quantile_cells(draws: int) -> list[dict[str, object]]:
    """Ways to make a quantile, where normal values balance: from the mean squares' distributions.

    The variance over seeds is 1, `share` of it the interaction's, and that over rows is `ratio`.
    """
    rng, results = np.random.default_rng(0), []
    ratios = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
    for count, rows, share, ratio in product(
        (2, 3, 4, 5, 10), (100, 1000), (0.01, 0.5, 1.0), ratios
    ):
        nu, of_rows = count - 1.0, rows - 1.0
        interaction = share * rng.chisquare(nu * of_rows, draws) / (nu * of_rows)
        raw = rng.chisquare(nu, draws) / nu
        seed = np.maximum(raw, LEAST_SHARE * interaction)
        row = (ratio + share) * rng.chisquare(of_rows, draws) / of_rows
        row = np.maximum(row - interaction, 0)
        value, root = rng.standard_normal(draws) * math.sqrt(1 + ratio), np.sqrt(seed + row)
        u = seed / (seed + row)
        t_s, t_r = -stdtrit(nu, 0.025), -stdtrit(of_rows, 0.025)
        one = np.minimum(1 / (u**2 / nu + (1 - u) ** 2 / of_rows), 1e6)
        widths = {
            "new": (u * t_s + (1 - u) * t_r) * root,
            "one t": -stdtrit(one, 0.025) * root,
            "mean of 1/ν": -stdtrit(1 / (u / nu + (1 - u) / of_rows), 0.025) * root,
            "two quantiles": np.sqrt(u * t_s**2 + (1 - u) * t_r**2) * root,
            "no floor": (raw * t_s + row * t_r) / np.sqrt(raw + row),
        }
        figures = {
            name: {"coverage": round(float((np.abs(value) <= width).mean()), 4),
                   "half_width": round(float(width.mean()), 4)}
            for name, width in widths.items()
        }  # fmt: skip
        results.append({
            "seeds": count, "rows": rows, "share": share, "ratio": ratio, "intervals": figures
        })  # fmt: skip
    return results


def quantile_table(results: Sequence[dict[str, Any]]) -> str:
    """The lowest and highest coverage by the number of seeds, and widths beside the new one."""
    names = tuple(results[0]["intervals"])
    lines = [f"| seeds | {' | '.join(names)} | width: {' | '.join(names[1:])} |"]
    lines.append("| --- " * (2 * len(names)) + "|")
    for count in dict.fromkeys(own["seeds"] for own in results):
        own = [cell["intervals"] for cell in results if cell["seeds"] == count]
        cover = [_range([figures[name]["coverage"] for figures in own]) for name in names]
        width = [
            f"{np.mean([cell[name]['half_width'] / cell['new']['half_width'] for cell in own]):.2f}"
            for name in names[1:]
        ]
        lines.append(f"| {count} pairs | {' | '.join([*cover, *width])} |")
    return "\n".join(lines)


def _first_order(moments: Sequence[Array], each: Sequence[Array]) -> Array:
    """The influence function of C/√(AB)."""
    (c, a, b), (of_c, of_a, of_b) = moments, each
    root = np.sqrt(a * b)
    return of_c / root - c / root / 2 * (of_a / a + of_b / b)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The lowest and highest coverage, and mean power, by kind and design."""
    groups: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for result in results:
        groups.setdefault((result["kind"], result["design"]), []).append(result["intervals"])
    lines = [
        "| metric | runs | cells | coverage: former | new | one t | two quantiles"
        " | power: former | new | one t | two quantiles |",
        "| --- | --- | --- |" + " --- |" * 8,
    ]
    names = ("former", "new", "one t", "two quantiles")
    for (kind, design), own in groups.items():
        cover = [_range([figures[name]["coverage"] for figures in own]) for name in names]
        power = [f"{np.mean([figures[name]['power'] for figures in own]):.2f}" for name in names]
        lines.append(f"| {kind} | {design} | {len(own)} | {' | '.join([*cover, *power])} |")
    return "\n".join(lines)


def partial_table(results: Sequence[dict[str, Any]]) -> str:
    """Of sides that share some seeds: what is made of the correlation of the pairs."""
    names = ("new", "r = 0", "r as it is")
    lines = [
        "| metric | runs | coverage: new | r = 0 | r as it is | power: new | r = 0 | r as it is |",
        "| --- | --- |" + " --- |" * 6,
    ]
    groups: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for result in results:
        if "r as it is" in result["intervals"]:
            groups.setdefault((result["kind"], result["design"]), []).append(result["intervals"])
    for (kind, design), own in groups.items():
        cover = [_range([figures[name]["coverage"] for figures in own]) for name in names]
        power = [f"{np.mean([figures[name]['power'] for figures in own]):.2f}" for name in names]
        lines.append(f"| {kind} | {design} | {' | '.join([*cover, *power])} |")
    return "\n".join(lines)


def influence_table(errors: Sequence[dict[str, Any]]) -> str:
    """The estimated standard error of a correlation over the true one."""
    names = ("jackknife", "influence function", "ranks fixed")
    lines = [f"| metric | correlation | rows | {' | '.join(names)} |", "| --- " * 6 + "|"]
    for own in errors:
        figures = [f"{own[name]:.3f}" if name in own else "" for name in names]
        lines.append(f"| {own['metric']} | {own['rho']} | {own['rows']} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _range(values: Sequence[float]) -> str:
    low, high = 100 * min(values), 100 * max(values)
    return f"{low:.1f}–{high:.1f}"


def lines_of(found: dict[str, object]) -> str:
    """JSON with a line for each key, and for each element of a list."""
    parts = []
    for key, own in found.items():
        rows = ",\n  ".join(map(json.dumps, own)) if isinstance(own, list) else None
        text = json.dumps(own) if rows is None else f"[\n  {rows}\n ]"
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--only", help="one kind: gaussian, accuracy, f1, pearson, spearman")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    started, results = time.monotonic(), []
    chosen = [cell for cell in cells() if options.only in (None, cell.kind)]
    for i, cell in enumerate(chosen):
        results.append(measured(cell, options.draws))
        if sys.stderr.isatty():
            print(f"\r\033[Kcell {i + 1} of {len(chosen)}", end="", file=sys.stderr, flush=True)
    errors = influence_errors(options.draws)
    quantiles = quantile_cells(8 * options.draws)
    print(
        table(results), partial_table(results), quantile_table(quantiles),
        influence_table(errors), sep="\n\n",
    )  # fmt: skip
    found = {
        "command": f"python benchmarks/coverage.py --draws {options.draws}",
        "draws": options.draws, "level": LEVEL, "true_errors": TRUE_ERRORS,
        "seconds": round(time.monotonic() - started), "cells": results,
        "influence": errors, "quantiles": quantile_table(quantiles).splitlines(),
    }  # fmt: skip
    options.output.write_text(lines_of(found), encoding="utf-8")


if __name__ == "__main__":
    main()
