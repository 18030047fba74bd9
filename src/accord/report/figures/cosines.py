"""How far the tasks' gradients point the same way, over the training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from accord.report.attenuation import Corrected, corrected_cosine, reliability
from accord.report.figures.drawing import (
    COLOURS,
    GREY,
    blank,
    draw,
    legend_above,
    line_count,
    shown,
    signed,
    taller,
)
from accord.report.figures.series import Point, bin_count, bin_means, spread
from accord.report.page import Figure
from accord.report.record import RunRecord

_MOST_POINTS, _ALL_POINTS = 60, 3_000
_TITLE_POINTS = 400.0  # of the lines above a row of panels, together
_PAIR: dict[str, Any] = {"color": COLOURS[0]}
_HALVES: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[1], "linestyle": "--"},
    {"color": COLOURS[2], "linestyle": ":"},
)

Pair = tuple[str, str]
Series = list[list[Point]]
"""A run's (step, cosine) each."""


def gradient_cosines(name: str, title: str, runs: Sequence[RunRecord]) -> Figure:
    """Draw the cosine of each pair of tasks' gradients over the steps, as running means.

    Where a run measured the cosine h between the gradients of two halves of one task's batch,
    r = 2h / (1 + h) stands beside it: the cosine of two whole batches of the task, which is what
    noise leaves of a perfect agreement. c / √(r_i r_j) is the cosine without the noise.

    Args:
        name: a slug.
        title: of the figure.
        runs: of one kind; they may differ by seed.
    """
    tasks = list(dict.fromkeys(task for run in runs for task in run.config.tasks))
    measured = [_cosines(run.steps) for run in runs]
    by_pair = {(a, b): [cosines.get((a, b)) or cosines.get((b, a)) or [] for cosines in measured]
             for a, b in combinations(tasks, 2)}  # fmt: skip
    pairs = {pair: known for pair, series in by_pair.items() if (known := [s for s in series if s])}
    if not pairs:
        return blank(name, title, "No step recorded cosines between gradients of two tasks.")
    halved = {task: [_half(run.half_cosines, task) for run in runs] for task in tasks}
    halves = {task: known for task, series in halved.items() if (known := [s for s in series if s])}
    corrected = {
        (one, other): corrected_cosine(
            _by_run(by_pair[one, other]), _by_run(halved[one]), _by_run(halved[other])
        )
        for one, other in pairs
        if one in halves and other in halves
    }
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        bins = max(8, min(_MOST_POINTS, _ALL_POINTS // (3 * len(pairs))))
        titles = {pair: shown(" – ".join(pair), _TITLE_POINTS / columns) for pair in pairs}
        taller(canvas, rows * (line_count(titles.values()) - 1))
        for axes, (pair, series) in zip(panels.flat, pairs.items(), strict=False):
            axes.set_title(titles[pair], loc="left")
            _panel(axes, pair, series, halves, bins)
            _note(axes, corrected.get(pair))
        for axes in panels.flat[len(pairs) :]:
            axes.set_visible(False)
        for i, axes in enumerate(panels.flat[: len(pairs)]):
            if i + columns >= len(pairs):
                axes.set_xlabel("step")
                axes.tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel("cosine")
        _legend(canvas, bool(halves))

    return draw(
        name, title, _sentence(pairs, halves, corrected, len(runs)), 0.7 + 1.9 * rows, paint
    )


def _cosines(steps: Iterable[Mapping[str, Any]]) -> dict[Pair, list[Point]]:
    """Return each pair's cosines from the Gram matrices, of which a step has the lower triangle."""
    series: dict[Pair, list[Point]] = {}
    for line in steps:
        names, rows = [*line.get("task_gradient_norms", ())], line.get("gramian", ())
        norms = [math.sqrt(max(0.0, row[-1] or 0.0)) for row in rows]
        for i, row in enumerate(rows):
            for j, product in enumerate(row[:-1]):
                if product is not None:  # as of a step that was left out
                    cosine = product / (norms[i] * norms[j] or 1.0)
                    series.setdefault((names[j], names[i]), []).append(
                        (float(line["step"]), cosine)
                    )
    return series


def _half(lines: Iterable[Mapping[str, Any]], task: str) -> list[Point]:
    return [
        (float(line["step"]), float(line["cosines"][task]))
        for line in lines
        if _is_number(line["cosines"].get(task))
    ]


def _is_number(value: float | None) -> bool:
    """A skipped step's cosine may be none."""
    return value is not None and math.isfinite(value)


def _panel(axes: Axes, pair: Pair, series: Series, halves: Mapping[str, Series], bins: int) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    for task, style in zip(pair, _HALVES, strict=True):
        if task in halves:
            _running(axes, halves[task], bins, of_halves=True, **style)
    _running(axes, series, bins, band=True, **_PAIR)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _note(axes: Axes, corrected: Corrected | None) -> None:
    """Write the cosine without noise into a panel."""
    if corrected is not None:
        text = f"without noise:\n{_corrected_text(corrected, 2)}"
        axes.annotate(text, (0.03, 0.97), xycoords="axes fraction", va="top", zorder=5)


def _running(
    axes: Axes, series: Series, bins: int, band: bool = False, of_halves: bool = False, **style: Any
) -> None:
    end = max(x for points in series for x, _ in points)
    bins = bin_count(min(map(len, series)), bins)
    mean, low, high = spread([bin_means(points, end, bins) for points in series])
    if of_halves:
        mean = np.array([reliability(h) for h in mean])
    x = (np.arange(bins) + 0.5) * end / bins
    if bins == 1:
        style = {**style, "marker": "o"}  # a line of one point shows nothing
    axes.plot(x, mean, **style)
    if band and np.any(high > low):
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _legend(canvas: Canvas, halves: bool) -> None:
    handles, labels = [Line2D([], [], **_PAIR)], ["the two tasks"]
    if halves:
        handles += [Line2D([], [], **style) for style in _HALVES]
        labels += ["two batches of the first-named", "two batches of the second-named"]
    legend_above(canvas, handles, labels)


def _sentence(
    pairs: Mapping[Pair, Series], halves: Mapping[str, Series],
    corrected: Mapping[Pair, Corrected], runs: int,
) -> str:  # fmt: skip
    values = {pair: _values(series) for pair, series in pairs.items()}
    pairs_text = "; ".join(
        f"{a}–{b} {signed(float(value.mean()), 3)}, {(value < 0).mean():.0%} of {len(value):,}"
        for (a, b), value in values.items()
    )
    several = f" over {runs} runs" if runs > 1 else ""
    start = f"Mean cosine{several} and share of steps below zero: {pairs_text}"
    if not halves:
        return f"{start}; no run measured halves of one task's batch, so noise has no reference."
    means = {task: float(_values(series).mean()) for task, series in halves.items()}
    measured = ", ".join(f"{task} {signed(h, 3)}" for task, h in means.items())
    reliabilities = ", ".join(
        f"{task} {_or_undefined(reliability(h))}" for task, h in means.items()
    )
    return (
        f"{start}; between halves of one task's batch: {measured}; between two whole batches of it,"
        f" 2h/(1 + h), hence: {reliabilities}; {_compared(corrected)}."
    )


def _compared(corrected: Mapping[Pair, Corrected]) -> str:
    """Say each pair's cosine without noise, and what its interval shows."""
    if not corrected:
        return "no pair has both its tasks among them"
    pairs_text = ", ".join(
        f"{a}–{b} {_corrected_text(result, 3)}" for (a, b), result in corrected.items()
    )
    meanings = {
        "more agreement than conflict": [p for p, r in corrected.items() if (r.low or 0) > 0],
        "more conflict than agreement": [p for p, r in corrected.items() if (r.high or 0) < 0],
        "no direction shown": [
            p for p, r in corrected.items()
            if r.low is not None and r.high is not None and r.low <= 0 <= r.high
        ],
    }  # fmt: skip
    shown_by = "; ".join(
        f"{meaning}: {', '.join('–'.join(pair) for pair in pairs)}"
        for meaning, pairs in meanings.items() if pairs
    )  # fmt: skip
    runs = max(result.runs for result in corrected.values())
    over = f"{runs} runs and their steps" if runs > 1 else "the run's steps"
    interval = f" (95 % by a bootstrap over {over})" if shown_by else ""
    ending = f"; {shown_by}" if shown_by else ""
    if any(result.low is None for result in corrected.values()):
        ending += "; no interval where halves may not agree at all, or one step was measured"
    return f"without noise, c/√(r r'){interval}: {pairs_text}{ending}"


def _corrected_text(result: Corrected, digits: int) -> str:
    if result.value is None:
        return "undefined"
    value = signed(result.value, digits)
    if result.low is None or result.high is None:
        return f"{value}, no interval"
    return f"{value} ({signed(result.low, digits)} to {signed(result.high, digits)})"


def _or_undefined(value: float) -> str:
    return signed(value, 3) if math.isfinite(value) else "undefined (halves do not agree)"


def _by_run(series: Series) -> list[np.ndarray]:
    return [np.array([y for _, y in points]) for points in series]


def _values(series: Series) -> np.ndarray:
    return np.array([y for points in series for _, y in points])
