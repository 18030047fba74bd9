"""The solvers against scipy's, against brute force, and against the equations they solve."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from accord.gradients import _solvers
from accord.gradients._solvers import (
    Array,
    cosines,
    least_norm_point,
    non_negative_of_unit,
    non_negative_qp,
    power_stationary,
    pseudo_solution,
)

KINDS = ["random", "wide", "dependent", "rank one", "zero row", "scales", "opposite", "repeated"]
any_kind = st.sampled_from(KINDS)
few = st.integers(1, 7)
seeds = st.integers(0, 2**31)


def gradients(kind: str, tasks: int, seed: int) -> Array:
    """J [T, P], float64."""
    random = np.random.default_rng(seed)
    J = random.standard_normal((tasks, 3 * tasks))
    if kind == "wide":
        J = random.standard_normal((tasks, 100 * tasks))
    elif kind == "dependent":
        J = random.standard_normal((tasks, max(1, tasks // 2)))
    elif kind == "rank one":
        J = random.standard_normal((tasks, 1)) * J[:1]
    elif kind == "zero row":
        J[random.integers(tasks)] = 0
    elif kind == "scales":
        J *= 10.0 ** random.uniform(-10, 15, (tasks, 1))
    elif kind == "opposite":
        J[-1] = -J[0]
    elif kind == "repeated":
        J[-1] = 3 * J[0]
    return J


def value(A: Array, b: Array, x: Array) -> float:
    return float(x @ A @ x / 2 - b @ x)


def by_brute_force(A: Array, b: Array) -> float:
    """The least value over all choices of the variables at 0."""
    least = 0.0
    for chosen in product([False, True], repeat=len(b)):
        free = np.array(chosen)
        x = np.zeros_like(b)
        x[free] = np.linalg.lstsq(A[np.ix_(free, free)], b[free], rcond=1e-12)[0]
        if (x >= -1e-12).all():
            least = min(least, value(A, b, x))
    return least


@given(kind=any_kind, tasks=few, seed=seeds)
def test_non_negative_qp_equals_nnls(kind: str, tasks: int, seed: int) -> None:
    """min ‖Jᵀx - t‖ over x >= 0 is such a problem; compared are the fits, as x needn't be one."""
    J = gradients(kind, tasks, seed)
    target = np.random.default_rng(seed + 1).standard_normal(J.shape[1])
    J = J / np.maximum(np.linalg.norm(J, axis=1, keepdims=True), 1e-300)  # nnls isn't scale-free
    x = non_negative_qp(J @ J.T, J @ target)
    assert (x >= 0).all()
    expected, _ = nnls(J.T, target)
    np.testing.assert_allclose(J.T @ x, J.T @ expected, rtol=0, atol=1e-7)


@given(kind=any_kind, tasks=st.integers(1, 5), seed=seeds)
def test_non_negative_qp_reaches_the_least_value(kind: str, tasks: int, seed: int) -> None:
    if kind == "scales":
        return  # brute force isn't scale-free
    J = gradients(kind, tasks, seed)
    A, b = J @ J.T, J @ np.random.default_rng(seed + 1).standard_normal(J.shape[1])
    assert value(A, b, non_negative_qp(A, b)) == pytest.approx(by_brute_force(A, b), abs=1e-9)


@given(kind=any_kind, tasks=few, seed=seeds)
def test_many_right_hand_sides_at_once(kind: str, tasks: int, seed: int) -> None:
    J = gradients(kind, tasks, seed)
    A = J @ J.T
    whole = non_negative_qp(A, -A)
    for row, b in zip(whole, -A, strict=True):
        alone = J.T @ non_negative_qp(A, b)
        np.testing.assert_allclose(J.T @ row, alone, atol=1e-9 * (1e-300 + np.abs(J).max()))


@given(kind=any_kind, tasks=st.integers(1, 12), seed=seeds)
def test_optimality_conditions(kind: str, tasks: int, seed: int) -> None:
    """x >= 0, slope >= 0, and one of the two is 0, in units of each variable's own size."""
    J = gradients(kind, tasks, seed)
    A = J @ J.T
    norms = np.sqrt(A.diagonal())
    for b, x in zip(-A, non_negative_qp(A, -A), strict=True):
        y, slope = norms * x, np.divide(A @ x - b, norms, out=np.zeros_like(x), where=norms > 0)
        size = max(y.max(), np.divide(-b, norms, out=np.zeros_like(x), where=norms > 0).max())
        assert (slope >= -1e-8 * size).all()
        assert (np.abs(y * slope) <= 1e-8 * size**2).all()


def test_exchanging_singly_agrees_with_block_pivoting(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    singly = _solvers._exchange_singly
    monkeypatch.setattr(
        _solvers, "_exchange_singly", lambda C, b: calls.append(len(b)) or singly(C, b)
    )
    for seed in range(40):
        J = gradients("dependent", 24, seed)
        A = J @ J.T
        b = J @ np.random.default_rng(seed).standard_normal(J.shape[1])
        _, norms, C = cosines(A)
        C = C + 1e-13 * np.eye(24)
        blockwise = non_negative_of_unit(C, b / norms)
        alone = singly(C, b / norms)
        assert (alone >= 0).all()
        assert value(C, b / norms, alone) == pytest.approx(value(C, b / norms, blockwise), abs=1e-9)
    assert calls  # block pivoting alone does go round in circles on some of these


def test_no_variable_and_no_gradient() -> None:
    assert non_negative_qp(np.zeros((0, 0)), np.zeros(0)).shape == (0,)
    assert non_negative_qp(np.zeros((2, 2)), np.ones(2)).tolist() == [0, 0]
    assert power_stationary(np.zeros((2, 2)), 1.0).tolist() == [0, 0]
    assert least_norm_point(np.zeros((2, 2))).tolist() == [0.5, 0.5]


@given(kind=any_kind, tasks=st.integers(1, 6), seed=seeds)
def test_least_norm_point_is_optimal(kind: str, tasks: int, seed: int) -> None:
    """On the simplex α is optimal if and only if (Gα)_i >= αᵀGα for all i."""
    J = gradients(kind, tasks, seed)
    alpha = least_norm_point(J @ J.T)
    assert (alpha >= 0).all()
    assert alpha.sum() == pytest.approx(1, abs=1e-12)
    shortest = alpha @ J
    summed = (alpha * np.linalg.norm(J, axis=1)).sum()  # what the terms' rounding is relative to
    allowed = 1e-9 * (np.linalg.norm(J, axis=1) * summed + summed**2)
    assert (J @ shortest >= shortest @ shortest - allowed).all()


@pytest.mark.parametrize("kind", ["random", "dependent", "opposite", "repeated"])
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_least_norm_point_against_scipy(kind: str, tasks: int) -> None:
    for seed in range(5):
        J = gradients(kind, tasks, seed)
        G = J @ J.T
        actual = minimize(
            lambda a, G=G: a @ G @ a, np.full(tasks, 1 / tasks), jac=lambda a, G=G: 2 * G @ a,
            method="SLSQP", bounds=[(0, 1)] * tasks, options={"ftol": 1e-15, "maxiter": 1000},
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
        )  # fmt: skip
        alpha = least_norm_point(G)
        assert alpha @ G @ alpha <= actual.fun + 1e-9
        assert actual.fun <= alpha @ G @ alpha + 1e-6


@given(
    kind=st.sampled_from(["random", "wide", "scales", "zero row", "repeated"]),
    tasks=st.integers(1, 12),
    seed=seeds,
    p=st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.0, 10.0]),
)
def test_power_stationary_solves_its_equation(kind: str, tasks: int, seed: int, p: float) -> None:
    J = gradients(kind, tasks, seed)
    G = J @ J.T
    w = power_stationary(G, p)
    kept = G.diagonal() > 0
    assert (w[~kept] == 0).all()
    assert (w[kept] > 0).all()
    right = w[kept] ** -p
    rounding = 1e-14 * (np.abs(G) @ w)[kept]  # all that is left where one gradient dwarfs another
    assert (np.abs((G @ w)[kept] - right) <= 1e-9 * right + rounding).all()


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("angle", [1e-1, 1e-2, 1e-3, 1e-4])
def test_power_stationary_of_nearly_opposite_gradients(p: float, angle: float) -> None:
    """G = [[1, -cos], [-cos, 1]]: (1 - cos) w = w^-p by hand."""
    opposition = 1 - 2 * np.sin(angle / 2) ** 2
    w = power_stationary(np.array([[1.0, -opposition], [-opposition, 1.0]]), p)
    np.testing.assert_allclose(w, (1 - opposition) ** (-1 / (1 + p)), rtol=1e-6)


@given(kind=st.sampled_from(KINDS), tasks=few, seed=seeds, p=st.sampled_from([0.1, 1.0, 10.0]))
def test_power_stationary_is_finite_and_bounded(kind: str, tasks: int, seed: int, p: float) -> None:
    J = gradients(kind, tasks, seed)
    G = J @ J.T
    w = power_stationary(G, p)
    assert np.isfinite(w).all()
    assert (w >= 0).all()
    rounded = (J / (np.abs(J).max() or 1.0)).astype(np.float32)
    assert np.isfinite(power_stationary((rounded @ rounded.T).astype(np.float64), p)).all()


def test_power_stationary_without_a_solution() -> None:
    """Opposite gradients: the ridge bounds the weights, w = ridge^(-1/2)."""
    w = power_stationary(np.array([[1.0, -1.0], [-1.0, 1.0]]), 1.0)
    np.testing.assert_allclose(w, 1e5, rtol=1e-3)


def test_cosines_leave_zeros_out_and_are_positive_semidefinite() -> None:
    for seed in range(20):
        J = gradients("dependent", 6, seed).astype(np.float32)
        J[2] = 0
        G = (J @ J.T).astype(np.float64)
        kept, norms, C = cosines(G)
        assert kept.tolist() == [True, True, False, True, True, True]
        np.testing.assert_allclose(norms, np.linalg.norm(J[kept], axis=1), rtol=1e-5)
        assert np.linalg.eigvalsh(C)[0] >= -1e-14
        np.testing.assert_allclose(C, G[np.ix_(kept, kept)] / np.outer(norms, norms), atol=1e-5)


def test_pseudo_solution_drops_what_single_precision_cannot_see() -> None:
    def pair(cosine: float) -> Array:
        return np.array([[1.0, cosine], [cosine, 1.0]])

    np.testing.assert_allclose(pseudo_solution(pair(-0.5)), [2.0, 2.0])
    np.testing.assert_allclose(pseudo_solution(pair(-1 + 1e-5)), [1e5, 1e5])
    np.testing.assert_allclose(pseudo_solution(pair(-1 + 1e-8)), [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(pseudo_solution(pair(1.0)), [0.5, 0.5])
