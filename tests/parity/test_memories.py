"""GEM and A-GEM against their equations, solved on the gradients themselves by scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls

from accord.gradients.methods.a_gem import a_gem
from accord.gradients.methods.gem import gem
from accord.methods import Signals

HELD = torch.tensor([False, False, True, True, True])


def gradients(seed, columns):
    return np.random.default_rng(seed).normal(size=(5, columns)) * [[1], [2], [0.5], [3], [1]]


def combined(method, J, **options):
    signals = Signals.of(torch.tensor(J @ J.T), memories=HELD)
    weights, _ = method(signals, {}, torch.Generator(), **options)
    return weights.numpy() @ J, weights.numpy()


@pytest.mark.parametrize("columns", [20, 4, 2])
@pytest.mark.parametrize("seed", range(8))
def test_gem_is_the_nearest_vector_that_opposes_no_memory(seed, columns):
    """argmin ‖z − g‖² over M z ≥ 0; by its dual, the least squares problem ‖Mᵀv + g‖ over v ≥ 0."""
    J = gradients(seed, columns)
    g, M = J[:2].sum(0), J[2:]
    z, _ = combined(gem, J)
    v, _ = nnls(M.T, -g)
    np.testing.assert_allclose(z, g + M.T @ v, atol=1e-7)
    actual = minimize(
        lambda each: 0.5 * np.sum((each - g) ** 2), g, jac=lambda each: each - g, method="SLSQP",
        constraints={"type": "ineq", "fun": lambda each: M @ each, "jac": lambda each: M},
        options={"ftol": 1e-14, "maxiter": 500},
    ).x  # fmt: skip
    np.testing.assert_allclose(z, actual, atol=1e-4)


@pytest.mark.parametrize("margin", [0.5, 2.0])
@pytest.mark.parametrize("seed", range(8))
def test_gem_s_margin_is_the_least_weight_where_a_memory_is_opposed(seed, margin):
    J = gradients(seed, 20)
    g, M = J[:2].sum(0), J[2:]
    z, weights = combined(gem, J, margin=margin)
    if (M @ g >= 0).all():
        np.testing.assert_array_equal(z, g)
        return
    v, _ = nnls(M.T, -(g + margin * M.sum(0)))
    np.testing.assert_allclose(weights[2:], v + margin, atol=1e-7)
    assert (M @ z >= -1e-9).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_gem_projects_off_the_mean_memory(seed):
    J = gradients(seed, 6)
    g, r = J[:2].sum(0), J[2:].mean(0)
    expected = g - min(0.0, g @ r) / (r @ r) * r
    np.testing.assert_allclose(combined(a_gem, J)[0], expected, atol=1e-12)


def test_a_gem_goes_on_where_the_memories_cancel_each_other():
    J = np.array([[1.0, 1.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1e-9], [0.0, 0.0]])
    np.testing.assert_array_equal(combined(a_gem, J)[1], [1, 1, 0, 0, 0])
