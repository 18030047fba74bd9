"""Cosines between two tasks' gradients, corrected for attenuation by the batches' noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1_000
_BLOCKS = 50  # of a run's measurements, at most: neighbouring steps may be alike
_MIDDLE = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Corrected:
    """A noise-corrected cosine.

    Attributes:
        value: None where it is undefined. It is not clipped: chance may bring it above 1.
        low: end of its 95 % interval, at least −1; None where there is no interval.
        high: likewise, at most 1.
        runs: that were resampled; 1 resamples steps alone.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    runs: int = 1


def reliability(half_cosine: float) -> float:
    """Return the expected cosine r between two whole batches of a task: r = 2h / (1 + h).

    *Source:* Spearman 1910 and Brown 1910, for a test of twice the length.

    Args:
        half_cosine: h, the mean cosine between the gradients of two halves of one batch.

    Returns:
        r; NaN where h is not positive: then nothing but noise was seen.

    Example:
        >>> reliability(1 / 3), reliability(-0.1)
        (0.5, nan)
    """
    return 2 * half_cosine / (1 + half_cosine) if half_cosine > 0 else float("nan")


def corrected_cosine(
    pair: Sequence[Floats], first: Sequence[Floats], second: Sequence[Floats], seed: int = 0
) -> Corrected:
    """Correct the mean cosine c between two tasks' gradients for attenuation: c / √(r_i r_j).

    All three are means over the measured steps before the ratio is taken. The interval is the
    middle 95 % of 1,000 resamples: of runs, where there are several, and in each of at most 50
    blocks of successive measurements. Its ends are clipped to [−1, 1]. Where more than 2.5 % of the
    resamples have an r that is not positive there is none; fewer are left out.

    *Source:* Spearman 1904, "The Proof and Measurement of Association between Two Things", the
    correction for attenuation; Efron 1979 for the bootstrap, Künsch 1989 for its blocks.

    Args:
        pair: each run's cosines between the two tasks' whole batches.
        first: each run's cosines between halves of the first task's batches.
        second: likewise of the second task's.
        seed: of the resamples.

    Example:
        >>> once = [np.array([0.1])], [np.array([1 / 3])], [np.array([1 / 3])]
        >>> round(corrected_cosine(*once).value, 12)
        0.2
    """
    runs = [samples for samples in zip(pair, first, second, strict=True) if all(map(len, samples))]
    if not runs:
        return Corrected(None)
    kinds = list(zip(*runs, strict=True))
    value = float(_ratio(*(np.array([np.concatenate(kind).mean()]) for kind in kinds))[0])
    if not np.isfinite(value):
        return Corrected(None, runs=len(runs))
    random = np.random.default_rng(seed)
    drawn = random.integers(len(runs), size=(_RESAMPLES, len(runs)))
    ratios = _ratio(*(_resampled_means(kind, drawn, random) for kind in kinds))
    known = ratios[np.isfinite(ratios)]
    if max(map(len, kinds[0])) < 2 or len(known) < 0.975 * _RESAMPLES:
        return Corrected(value, runs=len(runs))
    low, high = np.clip(np.percentile(known, _MIDDLE), -1, 1)
    return Corrected(value, float(low), float(high), len(runs))


def _ratio(cosine: Floats, first: Floats, second: Floats) -> Floats:
    """Return c / √(r_i r_j), element by element; NaN where it is undefined."""
    both = np.array([[reliability(h) for h in sides] for sides in (first, second)])
    result: Floats = cosine / np.sqrt(both.prod(0))
    return result


def _resampled_means(
    series: Sequence[Floats], drawn: npt.NDArray[np.int64], random: np.random.Generator
) -> Floats:
    """Return the mean over each resample's runs, [resamples].

    Args:
        series: each run's measurements.
        drawn: which runs a resample consists of, [resamples, runs].
        random: draws blocks.
    """
    total, count = np.zeros(len(drawn)), np.zeros(len(drawn))
    for run, values in enumerate(series):
        blocks = np.array_split(values, min(len(values), _BLOCKS))
        sums = np.array([block.sum() for block in blocks])
        lengths = np.array([len(block) for block in blocks])
        for column in drawn.T:
            rows = np.flatnonzero(column == run)
            chosen = random.integers(len(blocks), size=(len(rows), len(blocks)))
            total[rows] += sums[chosen].sum(1)
            count[rows] += lengths[chosen].sum(1)
    means: Floats = total / count
    return means
