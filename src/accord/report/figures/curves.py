"""Dev metric and training loss over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from accord.report.figures.drawing import (
    blank,
    draw,
    legend_above,
    line_count,
    line_style,
    shown,
    taller,
)
from accord.report.figures.series import Floats, Point, bin_count, bin_means, spread, thin
from accord.report.page import Figure
from accord.report.record import RunRecord

_MOST_POINTS = 100  # of a line
_ALL_POINTS = 2_000  # of all lines of a kind: what 300 KiB of SVG have room for
_ALL_MARKERS = 300
_TITLE_POINTS = 195.0  # of a line above one of two panels


@dataclass(frozen=True)
class _Curve:
    """A group's mean of something over the epochs, with its lowest and highest run."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def learning_curves(name: str, title: str, groups: Mapping[str, Sequence[RunRecord]]) -> Figure:
    """Draw for each task the dev metric by epoch, and the training loss, smoothed.

    A line is the mean over a group's runs; its band reaches from the lowest to the highest run.
    The loss is a mean over bins of steps, wide enough that a line has at most 100 points.

    Args:
        name: a slug.
        title: of the figure.
        groups: runs that differ by seed alone, by what they are called.
    """
    runs = [run for group in groups.values() for run in group]
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    if not tasks:
        return blank(name, title, "There is no run to draw.")
    lines = len(groups) * len(tasks)
    points = max(8, min(_MOST_POINTS, _ALL_POINTS // lines))
    dev = {
        task: {group: _dev(members, task, points) for group, members in groups.items()}
        for task in tasks
    }
    loss = {
        task: {group: _loss(members, task, points) for group, members in groups.items()}
        for task in tasks
    }
    metrics = {task: name for run in runs for task, name in run.results["metric_names"].items()}

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(len(tasks), 2, squeeze=False, sharex=True)
        titles = {
            task: (
                shown(f"{task}: dev {metrics[task]}", _TITLE_POINTS),
                shown(f"{task}: training loss", _TITLE_POINTS),
            )
            for task in tasks
        }
        taller(canvas, sum(line_count(title) - 1 for title in titles.values()))
        epochs = sum(len(curve.x) for task in tasks for curve in dev[task].values() if curve)
        every = max(1, -(-epochs // _ALL_MARKERS))
        for row, task in zip(panels, tasks, strict=True):
            _panel(row[0], titles[task][0], dev[task], every)
            _panel(row[1], titles[task][1], loss[task], None)
        for axes in panels[-1]:
            axes.set(xlabel="epoch", xlim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        handles = [Line2D([], [], **line_style(i)) for i in range(len(groups))]
        legend_above(canvas, handles, list(groups))

    sentence = _sentence(groups, dev, metrics)
    return draw(name, title, sentence, 0.5 + 1.9 * len(tasks), paint)


def _dev(runs: Sequence[RunRecord], task: str, points: int) -> _Curve | None:
    by_run = [{e["epoch"]: e["metrics"][task] for e in run.evaluations} for run in runs
              if task in run.tasks]  # fmt: skip
    epochs = sorted({epoch for run in by_run for epoch in run})
    if not epochs:
        return None
    rows = [np.array([run.get(epoch, np.nan) for epoch in epochs], dtype=float) for run in by_run]
    kept = thin(len(epochs), points)
    return _Curve(np.array(epochs, dtype=float)[kept], *(bound[kept] for bound in spread(rows)))


def _loss(runs: Sequence[RunRecord], task: str, points: int) -> _Curve | None:
    by_run = [losses for losses in map(partial(_losses, task=task), runs) if losses]
    if not by_run:
        return None
    end = max(x for run in by_run for x, _ in run)
    bins = bin_count(min(map(len, by_run)), points)
    rows = [bin_means(run, end, bins) for run in by_run]
    centres = (np.arange(bins) + 0.5) * end / bins
    mean, low, high = spread(rows)
    known = np.isfinite(mean)
    return _Curve(centres[known], mean[known], low[known], high[known])


def _losses(run: RunRecord, task: str) -> list[Point]:
    """Return (epochs done, loss) of every step that has one."""
    last = run.evaluations[-1]
    steps = last["step"] / last["epoch"]
    points = ((line["step"], line["losses"].get(task)) for line in run.steps)
    return [(step / steps, loss) for step, loss in points if loss is not None]


def _panel(axes: Axes, title: str, curves: Mapping[str, _Curve | None], every: int | None) -> None:
    """Draw one panel; `every` is which of the points get a marker, None none."""
    axes.set_title(title, loc="left")
    for i, curve in enumerate(curves.values()):
        if curve is None:
            continue
        style = line_style(i) | ({} if every else {"marker": None})
        axes.plot(curve.x, curve.mean, markevery=every, **style)
        if every and np.any(curve.high > curve.low):
            axes.fill_between(
                curve.x, curve.low, curve.high, color=style["color"], alpha=0.18, linewidth=0
            )
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _sentence(
    groups: Mapping[str, Sequence[RunRecord]],
    dev: Mapping[str, Mapping[str, _Curve | None]],
    metrics: Mapping[str, str],
) -> str:
    best = []
    for task, curves in dev.items():
        tops = [(float(np.nanmax(curve.mean)), group) for group, curve in curves.items() if curve]
        if tops:
            value, group = max(tops, key=lambda pair: pair[0])
            curve = curves[group]
            assert curve is not None
            epoch = int(curve.x[int(np.nanargmax(curve.mean))])
            best.append(f"{task} {metrics[task]} {value:.3f} ({group}, epoch {epoch})")
    several = any(len(members) > 1 for members in groups.values())
    lines = (
        "lines are means over a group's runs, bands reach from its lowest to its highest run"
        if several
        else "every group is a single run, so nothing is said about chance"
    )
    return (
        f"Highest mean dev metric: {'; '.join(best)}; {lines}; losses are means over bins of steps."
    )
