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
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
from coverage_models import TRUTHS, Array, Cell, cells, values
from coverage_tables import coverage_table, influence_table, partial_table, quantile_table
from scipy.special import stdtrit
from scipy.stats import rankdata

from accord.metrics import pearson, spearman
from accord.metrics._ranks import rank_moments
from accord.statistics.components import LEAST_SHARE, components
from accord.statistics.quantile import half_width

METRICS = {"pearson": pearson, "spearman": spearman}
OUTPUT = Path(__file__).parent / "results" / "coverage.json"
LEVEL = 0.95
ELEMENTS = 4_000_000  # values of one side at once: bounds memory
TRUE_ERRORS = 3.0  # how many true standard errors the sides are apart

Ends = dict[str, Array]


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
    by_name = {
        "new": half_width(p, seed, nu, row, rows),
        "one t": one_t * np.sqrt(total),
        "two quantiles": np.sqrt(stdtrit(nu, p / 2) ** 2 * seed + stdtrit(rows, p / 2) ** 2 * row),
    }
    if 0 < len(cell.pairs) < max(len(cell.ours), len(cell.theirs)):
        by_name |= dict(_other_correlations(cell, ours, theirs))
    ends = {name: np.stack([value, width]) for name, width in by_name.items()}
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
                value, jackknife = METRICS[kind].influence(x, labels)
                kinds = {"jackknife": jackknife}
                if kind == "spearman":
                    ranks = rankdata(labels, axis=-1), rankdata(x, axis=-1)
                    kinds["influence function"] = _first_order(*rank_moments(x, labels))
                    kinds["ranks fixed"] = pearson.influence(*ranks)[1]
                else:
                    a, b = (one - one.mean(-1, keepdims=True) for one in (x, labels))
                    products = [a * b, a * a, b * b]
                    moments = [product.mean(-1, keepdims=True) for product in products]
                    each = [product - mean for product, mean in zip(products, moments, strict=True)]
                    kinds["influence function"] = _first_order(moments, each)
                true = float(value.std())
                results.append({
                    "metric": kind, "rho": rho, "rows": rows,
                    **{name: round(float(np.sqrt(one.var(-1, ddof=1).mean() / rows)) / true, 3)
                       for name, one in kinds.items()},
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


def _first_order(moments: Sequence[Array], each: Sequence[Array]) -> Array:
    """The influence function of C/√(AB)."""
    (c, a, b), (of_c, of_a, of_b) = moments, each
    root = np.sqrt(a * b)
    return of_c / root - c / root / 2 * (of_a / a + of_b / b)


def lines_of(results: dict[str, object]) -> str:
    """JSON with a line for each key, and for each element of a list."""
    parts = []
    for key, each in results.items():
        rows = ",\n  ".join(map(json.dumps, each)) if isinstance(each, list) else None
        text = json.dumps(each) if rows is None else f"[\n  {rows}\n ]"
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
        coverage_table(results), partial_table(results), quantile_table(quantiles),
        influence_table(errors), sep="\n\n",
    )  # fmt: skip
    report = {
        "command": f"python benchmarks/coverage.py --draws {options.draws}",
        "draws": options.draws, "level": LEVEL, "true_errors": TRUE_ERRORS,
        "seconds": round(time.monotonic() - started), "cells": results,
        "influence": errors, "quantiles": quantile_table(quantiles).splitlines(),
    }  # fmt: skip
    options.output.write_text(lines_of(report), encoding="utf-8")


if __name__ == "__main__":
    main()
