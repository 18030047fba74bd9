"""The small problems that methods solve for their weights: T variables, float64, free of scale.

Gradients of one step may differ in size by many orders of magnitude. All is therefore solved for
y = D w, the weights of the gradients' unit vectors: G = D C D, D their norms and C their cosines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUNDING = float(np.finfo(np.float32).eps)  # of a cosine: G's products are taken in float32
_RIDGE = 1e-13  # above float64's rounding of C, below what anybody could see in the result
_NO_SOLUTION_RIDGE = 1e-10
_NEWTON_RIDGE = 1e-14  # of the Hessian alone: it leaves the answer as it is
_TOLERANCE = 1e-13
_PATIENCE = 3  # exchanges of all wrong variables without progress, before one at a time
_NEGLIGIBLE = 1e-60  # a square beside the largest: that gradient counts as zero


def cosines(G: Array) -> tuple[Mask, Array, Array]:
    """Split G = D C D; gradients that are zero are left out.

    Args:
        G: Gram matrix [T, T]; rounding may have left it slightly indefinite.

    Returns:
        Which of the gradients are not zero [T]; the norms of those [k]; their cosines [k, k], the
        diagonal raised by what it takes to be positive semidefinite to float64's rounding.
    """
    squares = G.diagonal()
    kept = squares > max(1e-300, _NEGLIGIBLE * squares.max(initial=0.0))
    norms = np.sqrt(squares[kept])
    C = np.clip(G[np.ix_(kept, kept)] / norms / norms[:, None], -1.0, 1.0)
    if len(C) > 1:
        C = C + max(0.0, -float(np.linalg.eigvalsh(C)[0])) * np.eye(len(C))
    return kept, norms, C


def pseudo_solution(C: Array) -> Array:
    """Return C⁺ 1; eigenvalues that float32 can't tell from zero count as zero.

    Args:
        C: cosines [k, k].
    """
    values, vectors = np.linalg.eigh(C)
    sound = values > len(C) * ROUNDING
    used = vectors[:, sound]
    result: Array = used @ (used.sum(0) / values[sound])
    return result


def non_negative_qp(A: Array, b: Array) -> Array:
    """Minimise ½ xᵀAx − bᵀx over x ≥ 0.

    Args:
        A: positive semidefinite [n, n]. Where it is singular a ridge of 1e-13, beside a unit
            diagonal, chooses among the solutions.
        b: [n], or [m, n] for m problems that share A.

    Returns:
        x in the shape of b; 0 where A's diagonal is 0.
    """
    kept, sizes, C = cosines(A)
    x = np.zeros_like(b)
    x[..., kept] = non_negative_of_unit(C + _RIDGE * np.eye(len(C)), b[..., kept] / sizes) / sizes
    return x


def non_negative_of_unit(C: Array, b: Array) -> Array:
    """Do so for a positive definite matrix whose diagonal is near 1.

    Block pivoting (Júdice & Pires 1994): a variable is free or at 0, and all that are free and
    negative, or at 0 with a negative slope, change sides. That mostly takes a few rounds, all
    problems at once; one whose number of such variables stops falling is solved by exchanging
    them singly, which ends for certain.

    Args:
        C: [n, n].
        b: [n], or [m, n] for m problems.
    """
    shape, b = b.shape, np.atleast_2d(b)
    scale = np.abs(b).max(1, keepdims=True, initial=0.0)
    b = np.divide(b, scale, out=np.zeros_like(b), where=scale > 0)
    y, free = np.zeros_like(b), b > 0
    fewest, patience = np.full(len(b), b.shape[1] + 1), np.full(len(b), _PATIENCE)
    unsolved = np.flatnonzero(free.any(1))  # elsewhere 0 is the answer
    while len(unsolved):
        y[unsolved], wrong = _pivot(C, b[unsolved], free[unsolved])
        free[unsolved] ^= wrong
        count = wrong.sum(1)
        patience[unsolved] = np.where(count < fewest[unsolved], _PATIENCE, patience[unsolved] - 1)
        fewest[unsolved] = np.minimum(count, fewest[unsolved])
        for stuck in unsolved[(count > 0) & (patience[unsolved] == 0)]:
            y[stuck] = _exchange_singly(C, b[stuck])
        unsolved = unsolved[(count > 0) & (patience[unsolved] > 0)]
    result: Array = (np.maximum(y, 0.0) * scale).reshape(shape)
    return result


def _pivot(C: Array, b: Array, free: Mask) -> tuple[Array, Mask]:
    """Solve for the free variables [m, n], the others at 0; return y, and which are wrong."""
    both = free[:, :, None] & free[:, None, :]
    y: Array = np.linalg.solve(np.where(both, C, np.eye(len(C))), np.where(free, b, 0.0)[..., None])
    y = y[..., 0]
    rounding = _TOLERANCE * (1 + np.abs(y).max(1, keepdims=True))
    return y, np.where(free, y, y @ C - b) < -rounding


def _exchange_singly(C: Array, b: Array) -> Array:
    """Solve for one b [n] as Lawson & Hanson 1974 do least squares: every step lowers the value."""
    y, free = np.zeros_like(b), np.zeros(len(b), dtype=bool)
    for _ in range(10 * len(b)):
        slope = np.where(free, -np.inf, b - C @ y)
        if slope.max() < _TOLERANCE * (1 + y.max()):
            break
        free[slope.argmax()] = True
        while free.any():
            target = np.zeros_like(y)
            target[free] = np.linalg.solve(C[np.ix_(free, free)], b[free])
            behind = free & (target < 0)
            if not behind.any():
                y = target
                break
            share = np.full_like(y, np.inf)  # of the way on which each arrives at 0
            share[behind] = y[behind] / (y - target)[behind]
            y = y + share.min() * (target - y)
            free[share == share.min()] = False
            y[~free] = 0.0
    return y


def least_norm_point(G: Array) -> Array:
    """Minimise αᵀGα over the simplex: α ≥ 0, Σ α = 1.

    The minimum of ½ vᵀ(G + s 11ᵀ)v − s 1ᵀv over v ≥ 0 is along the same ray for every s > 0; with
    s the smallest square no entry of the scaled problem exceeds 2, whatever the gradients' scales.

    Args:
        G: Gram matrix [T, T].

    Returns:
        α [T]; where gradients are zero they share the weight evenly.
    """
    kept, norms, C = cosines(G)
    if not kept.all():
        return ~kept / np.count_nonzero(~kept)
    share = norms.min() / norms
    v = share * non_negative_qp(C + np.outer(share, share), share)
    result: Array = v / v.sum()
    return result


def power_stationary(G: Array, p: float) -> Array:
    """Solve G w = w^(−p) for w > 0, p > 0, element by element.

    That is the stationary point of a convex function. It exists unless some w ≥ 0, not 0, has
    Gw = 0. Where it doesn't, or the terms of Σ w_i g_i cancel to 1e-5 of their sizes, a ridge of
    1e-10 on C bounds the result.

    Args:
        G: Gram matrix [T, T].
        p: at least 0.1 and at most 10.

    Returns:
        w [T]; 0 for gradients that are zero.
    """
    kept, norms, C = cosines(G)
    w = np.zeros(len(G))
    if not len(norms):
        return w
    middle = np.sqrt(norms.min()) * np.sqrt(norms.max())  # keeps the powers in range
    pull = (norms / middle) ** (p - 1)
    y, vanishing = _newton(C, pull, p, _NO_SOLUTION_RIDGE)
    if vanishing:
        y, _ = _newton(C + _NO_SOLUTION_RIDGE * np.eye(len(C)), pull, p, 0.0)
    w[kept] = y / norms * middle ** ((p - 1) / (p + 1))
    return w


def _newton(C: Array, pull: Array, p: float, least_square: float) -> tuple[Array, bool]:
    """Solve C y = pull · y^(−p) by damped Newton steps, each after setting the size anew.

    Returns:
        y, and whether the search was given up: yᵀCy, the square of the weighted sum's length, fell
        below `least_square` beside the square of its terms' lengths, as it does without a solution.
    """
    y = pull ** (1 / (1 + p))  # the answer if nothing depended on anything else
    best, least, worse = y, np.inf, 0
    rounding = 4 * np.finfo(np.float64).eps * np.abs(C)
    for _ in range(200):
        square = float(y @ C @ y)
        if square < least_square * y.sum() ** 2:
            return y, True
        y = y * (float(pull @ y ** (1 - p)) / square) ** (1 / (1 + p))
        force = pull * y**-p
        slope = C @ y - force
        fault = float(((np.abs(slope) - rounding @ y) / force).max())
        worse = worse + 1 if least < 1e-3 else 0
        if fault < least:
            best, least, worse = y, fault, 0
        if least < 1e-13 or worse > 3:  # as good as rounding allows
            break
        step = -np.linalg.solve(C + np.diag(p * force / y + _NEWTON_RIDGE), slope)
        y = y + _length(C, pull, p, y, step, 0.1 * float(step @ slope)) * step
    return best, False


def _length(C: Array, pull: Array, p: float, y: Array, step: Array, descent: float) -> float:
    """Return how far to go: y stays above 0, and the function isn't made to rise again."""
    near = 1.0 - float(0.1 ** (1 + 1 / p))  # small powers fall far, and come back fast
    length = min(1.0, near / max(float((-step / y).max()), 1e-300))
    for _ in range(30):
        ahead = y + length * step
        if step @ (C @ ahead - pull * ahead**-p) <= -descent:
            break
        length /= 2
    return length
