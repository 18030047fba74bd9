"""Variance components of a difference: runs and rows are both drawn, and cross.

Row r of run s has the value y_sr, whose mean over rows is the run's metric. Each side has a random
effect of the seed, of the row, and of the two together (the interaction, noise included); the two
sides' effects of a shared seed, and of a row, are correlated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]
"""Places of the runs that share a seed: (ours, theirs)."""

LEAST_SHARE = 0.03
"""The seed part is taken as at least this share of its interaction, which by theory it holds whole.

Without it, runs whose metrics happen to tie would seem to have no variance over seeds. The whole
of it would make intervals too wide; this share shows with two seeds alone."""

_ROUNDING = 1e-13


@dataclass(frozen=True)
class Components:
    """Variances of the estimate, mean of ours minus mean of theirs. Each array is [...].

    Attributes:
        seed: V_S, of runs on the same rows, the interaction included.
        row: max(V_R − V_E, 0), of rows with the same runs, the interaction left out.
        interaction: V_E, of seeds and rows together.
        seed_freedom: degrees of freedom of V_S.
        row_freedom: of the rows' part: rows − 1.
    """

    seed: Array
    row: Array
    interaction: Array
    seed_freedom: Array
    row_freedom: float


def components(ours: Array, theirs: Array, pairs: Pairs) -> Components:
    """Estimate the variance components from values of each run and row.

    With V_S(·) as in `seed_variance`, D_r the difference of the sides' means over runs at row r,
    and R rows,

        V_R = var_r(D_r) / R,    V_E = (Σ_r V_S(y_·r) / R² − V_S(ȳ) / R) · R / (R − 1).

    V_S and V_R both hold the interaction, so that V_S + max(V_R − V_E, 0) counts it once. Where
    each side has the same S seeds it is [MS_S + max(MS_R − MS_E, 0)] / (S R), the mean squares
    those of the two-way table of differences d_sr.

    *Source:* Obuchowski & Rockette 1995, Comm. Stat. Simul. 24; Hillis 2007, Stat. Med. 26, for
    the balanced, paired case, with readers and cases for our seeds and rows.

    Args:
        ours: values [S1, ..., R] with S1 ≥ 2, the axes between for independent replications.
        theirs: [S2, ..., R] with S2 ≥ 2.
        pairs: see `Pairs`.
    """
    rows = ours.shape[-1]
    means = ours.mean(-1), theirs.mean(-1)
    seed, freedom = seed_variance(*means, pairs), seed_freedom(*means, pairs)
    if rows < 2:
        zero = np.zeros(seed.shape)
        return Components(seed, zero, zero, freedom, 1.0)
    each = seed_variance(ours, theirs, pairs).sum(-1)
    interaction = np.clip((each / rows**2 - seed / rows) * rows / (rows - 1), 0, None)
    row = (ours.mean(0) - theirs.mean(0)).var(-1, ddof=1) / rows
    return Components(
        np.maximum(seed, LEAST_SHARE * interaction),
        np.clip(row - interaction, 0, None), interaction, freedom, rows - 1.0,
    )  # fmt: skip


def seed_variance(ours: Array, theirs: Array, pairs: Pairs) -> Array:
    """Return the variance over seeds of the difference of two means of runs.

        V_S = s₁²/n₁ + s₂²/n₂ − 2 r s₁ s₂ c / (n₁ n₂),
        r = Σ_pairs (a − ā)(b − b̄) / √(Σ_all (a − ā)² · Σ_all (b − b̄)²).

    c runs share a seed; in r the means above the line are those of the c pairs, below it those of
    all runs. Where all runs are pairs this is Pearson's r, and V_S the paired t-test's variance;
    where few are, r is shrunk towards 0, as it is worth little, and V_S stays a sum of squares,
    which is never negative.

    *Source:* Derrick, Russ, Toher & White 2017, J. Mod. Appl. Stat. Meth. 16, 137–157, for samples
    that overlap in part, except for the shrinking.

    Args:
        ours: [n1, ...], n1 ≥ 2.
        theirs: [n2, ...], n2 ≥ 2.
        pairs: see `Pairs`.

    Example:
        >>> ours, theirs = np.array([0.5, 0.75, 1.0]), np.array([0.25, 0.5, 0.75])
        >>> seed_variance(ours, theirs, [(0, 0), (1, 1), (2, 2)]).item()
        0.0
    """
    n1, n2 = len(ours), len(theirs)
    separate = ours.var(0, ddof=1) / n1 + theirs.var(0, ddof=1) / n2
    if len(pairs) < 2:
        return np.asarray(separate)
    a, b = ours[[i for i, _ in pairs]], theirs[[j for _, j in pairs]]
    products = ((a - a.mean(0)) * (b - b.mean(0))).sum(0) / np.sqrt((n1 - 1) * (n2 - 1))
    variance = separate - 2 * len(pairs) / (n1 * n2) * products
    return np.asarray(np.where(variance > _ROUNDING * separate, variance, 0.0))


def seed_freedom(ours: Array, theirs: Array, pairs: Pairs) -> Array:
    """Return the degrees of freedom of `seed_variance`: Satterthwaite's at r = 0.

    That is 2 V_S² / var(V_S); with v₁ = s₁²/n₁ and v₂ = s₂²/n₂,

        ν = (v₁ + v₂)² / [v₁²/(n₁−1) + v₂²/(n₂−1) + 2c²(c−1) v₁v₂ / (n₁n₂(n₁−1)(n₂−1))].

    Without pairs, or with one, it is Welch's; where all S runs are pairs it is S − 1.

    *Source:* Satterthwaite 1946, Biometrics Bull. 2, 110–114. Derrick et al.'s own, which falls to
    c − 1 with few pairs, shows less and covers too much (docs/statistics.md).

    Args:
        ours: the metric of each run, [n1, ...].
        theirs: [n2, ...].
        pairs: see `Pairs`.

    Example:
        >>> ours, theirs = np.array([0.0, 0.25, 1.0]), np.array([0.0, 0.5, 0.75])
        >>> seed_freedom(ours, theirs, [(0, 0), (1, 1), (2, 2)]).item()
        2.0
    """
    n1, n2, shared = len(ours), len(theirs), max(len(pairs), 1)
    v1, v2 = ours.var(0, ddof=1) / n1, theirs.var(0, ddof=1) / n2
    together = 2 * shared**2 * (shared - 1) / (n1 * n2 * (n1 - 1) * (n2 - 1))
    under = v1**2 / (n1 - 1) + v2**2 / (n2 - 1) + together * v1 * v2
    least = np.full(np.shape(under), min(n1, n2) - 1.0)
    return np.asarray(np.divide((v1 + v2) ** 2, under, out=least, where=under > 0))
