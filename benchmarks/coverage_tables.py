"""The tables of docs/statistics.md, from what benchmarks/coverage.py measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Results = Sequence[dict[str, Any]]


def coverage_table(results: Results) -> str:
    """The lowest and highest coverage, and mean power, by kind and design."""
    lines = [
        "| metric | runs | cells | coverage: former | new | one t | two quantiles"
        " | power: former | new | one t | two quantiles |",
        "| --- | --- | --- |" + " --- |" * 8,
    ]
    for kind, design, count, figures in _grouped(
        results, ("former", "new", "one t", "two quantiles")
    ):
        lines.append(f"| {kind} | {design} | {count} | {figures} |")
    return "\n".join(lines)


def partial_table(results: Results) -> str:
    """Of sides that share some seeds: what is made of the correlation of the pairs."""
    lines = [
        "| metric | runs | coverage: new | r = 0 | r as it is | power: new | r = 0 | r as it is |",
        "| --- | --- |" + " --- |" * 6,
    ]
    shared = [result for result in results if "r as it is" in result["intervals"]]
    for kind, design, _, figures in _grouped(shared, ("new", "r = 0", "r as it is")):
        lines.append(f"| {kind} | {design} | {figures} |")
    return "\n".join(lines)


def _grouped(results: Results, names: Sequence[str]) -> Iterator[tuple[str, str, int, str]]:
    """Yield kind, design, number of cells, and cells of a row: coverage, then mean power."""
    groups: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for result in results:
        groups.setdefault((result["kind"], result["design"]), []).append(result["intervals"])
    for (kind, design), group in groups.items():
        cover = [_range([figures[name]["coverage"] for figures in group]) for name in names]
        power = [f"{np.mean([figures[name]['power'] for figures in group]):.2f}" for name in names]
        yield kind, design, len(group), " | ".join([*cover, *power])


def quantile_table(results: Results) -> str:
    """The lowest and highest coverage by the number of seeds, and widths beside the new one."""
    names = tuple(results[0]["intervals"])
    lines = [f"| seeds | {' | '.join(names)} | width: {' | '.join(names[1:])} |"]
    lines.append("| --- " * (2 * len(names)) + "|")
    for count in dict.fromkeys(result["seeds"] for result in results):
        cells = [cell["intervals"] for cell in results if cell["seeds"] == count]
        cover = [_range([figures[name]["coverage"] for figures in cells]) for name in names]
        width = [
            f"{np.mean([c[name]['half_width'] / c['new']['half_width'] for c in cells]):.2f}"
            for name in names[1:]
        ]
        lines.append(f"| {count} pairs | {' | '.join([*cover, *width])} |")
    return "\n".join(lines)


def influence_table(errors: Results) -> str:
    """The estimated standard error of a correlation over the true one."""
    names = ("jackknife", "influence function", "ranks fixed")
    lines = [f"| metric | correlation | rows | {' | '.join(names)} |", "| --- " * 6 + "|"]
    for error in errors:
        figures = [f"{error[name]:.3f}" if name in error else "" for name in names]
        lines.append(
            f"| {error['metric']} | {error['rho']} | {error['rows']} | {' | '.join(figures)} |"
        )
    return "\n".join(lines)


def _range(values: Sequence[float]) -> str:
    low, high = 100 * min(values), 100 * max(values)
    return f"{low:.1f}–{high:.1f}"
