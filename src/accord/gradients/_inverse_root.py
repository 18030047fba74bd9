"""G^(−½) of gradients whose norms differ by any factor: every eigenvalue with its own digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accord.gradients._solvers import ROUNDING, Array

_SWEEPS = 40  # over all pairs; four to eight are usual
_ORTHOGONAL = 1e-15  # a cosine of two columns: below it they are turned no further


def inverse_root_product(C: Array, norms: Array, m: Array) -> tuple[Array, Array]:
    """Return G^(−½) m over the nonzero eigenvalues of G = D C D, and the roots of those.

    G = X Xᵀ with X = D L, L Lᵀ = C. The rows of L are eliminated by the sizes of what is left of
    the gradients, so that X is a well-conditioned matrix times a diagonal one, and rotations of its
    columns (one-sided Jacobi) leave each small singular value its digits: X = V S Wᵀ. The result
    w = V S⁻¹ Vᵀ m has Xᵀw = W Vᵀ m, all of one size; what V's smallest entries lack of that is
    put on the rows that L was pivoted on.

    *Source:* Demmel & Veselić 1992, "Jacobi's method is more accurate than QR", section 4; with
    pivoting, Drmač & Veselić 2008, "New fast and accurate Jacobi SVD algorithm".

    Args:
        C: cosines [k, k], positive semidefinite to float64's rounding, k at least 1.
        norms: D's diagonal [k], above 0, the largest near 1.
        m: [k].

    Returns:
        The product [k], and the singular values of X [r], falling; r is how many gradients depend
        on no others, as far as float32 can tell.

    Example:
        >>> product, values = inverse_root_product(np.eye(2), np.array([1e-12, 1.0]), np.ones(2))
        >>> product.tolist(), values.tolist()
        ([1000000000000.0, 1.0], [1.0, 1e-12])
    """
    L, pivots = _factor(C, norms)
    X = norms[:, None] * L
    values, V, W = _svd(X)
    seen = m @ V
    product = V @ (seen / values)
    missing = W @ seen - product @ X
    product[pivots] += np.linalg.solve(L[pivots].T, missing) / norms[pivots]
    return product, values


def _svd(X: Array) -> tuple[Array, Array, Array]:
    """Return s [r], falling, V [k, r] and W [r, r], X = V diag(s) Wᵀ, by one-sided Jacobi."""
    turned = np.concatenate([X, np.eye(X.shape[1])])
    rounds = _rounds(X.shape[1])
    for _ in range(_SWEEPS):
        if not sum(_turn(turned, len(X), *pairs) for pairs in rounds):
            break
    values = np.sqrt((turned[: len(X)] ** 2).sum(0))
    order = np.argsort(-values, kind="stable")
    return values[order], turned[: len(X), order] / values[order], turned[len(X) :, order]


def _factor(C: Array, norms: Array) -> tuple[Array, list[int]]:
    """Return L [k, r], L Lᵀ = C, and its pivots: the largest remainder, times its norm, first."""
    rest, columns, pivots = C.copy(), [], []
    least = len(C) * ROUNDING  # a square beside the gradient's own: less of it is rounding
    for _ in range(len(C)):
        squares = rest.diagonal()
        independent = squares > least
        if not independent.any():
            break
        pivot = int(np.argmax(np.where(independent, norms**2 * squares, -1.0)))
        column = np.where(independent, rest[pivot], 0.0) / np.sqrt(squares[pivot])
        columns.append(column)
        pivots.append(pivot)
        rest = rest - np.outer(column, column)
        rest[pivot], rest[:, pivot] = 0.0, 0.0
    return np.stack(columns, 1), pivots


def _turn(X: Array, rows: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """Make pairs of columns orthogonal in their first rows; return whether any were not."""
    x, y = X[:, left], X[:, right]
    a, b, c = ((one * other)[:rows].sum(0) for one, other in ((x, x), (y, y), (x, y)))
    oblique = np.abs(c) > _ORTHOGONAL * np.sqrt(a) * np.sqrt(b)
    if not oblique.any():
        return False
    zeta = (b - a) / (2 * np.where(oblique, c, 1.0))
    tangent = np.where(zeta < 0, -1.0, 1.0) / (np.abs(zeta) + np.hypot(1.0, zeta))
    tangent = np.where(oblique, tangent, 0.0)
    cosine = 1 / np.hypot(1.0, tangent)
    X[:, left], X[:, right] = cosine * (x - tangent * y), cosine * (tangent * x + y)
    return True


def _rounds(columns: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return all pairs of columns, in rounds of a tournament, in which each column meets one."""
    players = list(range(columns)) + [-1] * (columns % 2)
    half, rounds = len(players) // 2, []
    for _ in range(len(players) - 1):
        pairs = [
            (min(pair), max(pair))
            for pair in zip(players[:half], players[: half - 1 : -1], strict=True)
            if min(pair) >= 0
        ]
        if pairs:
            left, right = np.array(pairs, dtype=np.int64).T
            rounds.append((left, right))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds
