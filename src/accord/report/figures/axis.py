"""The axis of a forest plot: it reaches every end, and one wide interval does not hide the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from accord.report.figures.measuring import text_width

_DWARFS = 8.0  # times as far as the nearer rows reach: from there on the axis is compressed
_EDGE = 0.06  # of the axis, left free at both of its ends
_GAP_POINTS = 12.0  # between two ticks' labels
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, where x stands at asinh(x / width), or at x if width is None.

    Attributes:
        low: its left end.
        high: its right end.
        width: up to about which |x| the axis is linear; beyond it is logarithmic.
    """

    low: float
    high: float
    width: float | None

    def place(self, x: Floats) -> Floats:
        """Where values stand, from 0 at the left end to 1 at the right one."""
        forward, _ = self.functions
        ends = forward(np.array([self.low, self.high]))
        return np.asarray((forward(x) - ends[0]) / (ends[1] - ends[0]))

    @property
    def functions(self) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
        """The scale's function and its inverse."""
        width = self.width
        if width is None:
            return lambda x: x, lambda x: x
        return lambda x: np.arcsinh(x / width), lambda x: width * np.sinh(x)


def make_scale(reaches: Sequence[float], low: float, high: float) -> Scale:
    """Return the axis that holds 0 and all that lies between two ends.

    Where the farthest row reaches more than eight times as far as the nearer quarter of the rows,
    the axis is compressed beyond what that quarter needs.

    Args:
        reaches: how far from 0 each row's value and interval reach.
        low: the least of all ends.
        high: the greatest.

    Example:
        >>> make_scale([1.0, 1.2, 40.0], -40, 1.2).width
        1.0
        >>> make_scale([1.0, 1.2, 2.0], -2, 1.2).width is None
        True
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = -1.0, 1.0
    some = sorted(reach for reach in reaches if reach > 0)
    near = some[(len(some) - 1) // 4] if some else 0.0
    compressed = near > 0 and max(-low, high) > _DWARFS * near
    bare = Scale(low, high, near if compressed else None)
    forward, back = bare.functions
    ends = forward(np.array([low, high]))
    edge = _EDGE * (ends[1] - ends[0])
    left, right = back(np.array([ends[0] - edge, ends[1] + edge]))
    return Scale(float(left), float(right), bare.width)


def set_scale(axes: Axes, scale: Scale, width_points: float) -> None:
    """Give axes a scale, with as many ticks as have room for their labels."""
    if scale.width is not None:
        axes.set_xscale("function", functions=scale.functions)
    axes.set_xlim(scale.low, scale.high)
    axes.xaxis.set_major_locator(FixedLocator(ticks(scale, width_points)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick_label(x)))


def ticks(scale: Scale, width_points: float) -> list[float]:
    """Return where ticks stand so that no label touches another."""
    if scale.width is not None:
        return _compressed_ticks(scale, width_points)
    for count in range(7, 0, -1):
        steps = MaxNLocator(count).tick_values(scale.low, scale.high)
        inside = [float(x) for x in steps if scale.low <= x <= scale.high]
        if _fit(inside, scale, width_points):
            return inside
    return [0.0]


def tick_label(x: float) -> str:
    """Return a tick's label, with a true minus.

    Example:
        >>> tick_label(-0.5), tick_label(0.30000000000000004)
        ('−0.5', '0.3')
    """
    return f"{x:.6g}".replace("-", "−")


def _compressed_ticks(scale: Scale, width_points: float) -> list[float]:
    """Return 0, then from the far ends inward what is round and has room."""
    largest = max(-scale.low, scale.high)
    powers = range(int(np.floor(np.log10(largest))), -300, -1)
    kept = [0.0]
    for power in powers:
        if 10.0**power * 5 < (scale.width or largest) / 3:
            break
        for digit in (1, 5, 2):
            for x in (digit * 10.0**power, -digit * 10.0**power):
                inside = scale.low <= x <= scale.high
                if inside and _fit(sorted([*kept, x]), scale, width_points):
                    kept.append(x)
    return sorted(kept)


def _fit(values: Sequence[float], scale: Scale, width_points: float) -> bool:
    places = scale.place(np.array(values, dtype=np.float64)) * width_points
    widths = [text_width(tick_label(x)) for x in values]
    gaps = zip(places, places[1:], widths, widths[1:], strict=False)
    return all(b - a >= (m + n) / 2 + _GAP_POINTS for a, b, m, n in gaps)
