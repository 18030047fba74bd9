"""Gradient methods against TorchJD's, and against what scipy makes of the same problems.

Where TorchJD needs a solver that isn't installed its comparison is skipped; scipy's never is.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from looped import looped
from scipy.optimize import minimize, nnls
from torch import Tensor
from torchjd import aggregation, linalg

from accord.gradients import get_method
from accord.methods import Signals

KINDS = ["random", "wide", "dependent", "unlike"]
TASKS = [1, 2, 3, 5]
each_matrix = looped("kind, tasks", [(kind, tasks) for kind in KINDS for tasks in TASKS])
each_of_several = looped("kind, tasks", [(kind, tasks) for kind in KINDS for tasks in TASKS[1:]])
each_independent = looped(
    "kind, tasks", [(kind, tasks) for kind in KINDS if kind != "dependent" for tasks in TASKS]
)


def matrices(kind: str, tasks: int, count: int = 5) -> Iterator[Tensor]:
    """Some J [T, P], float64; of `unlike` gradients each is twice as long as the one before."""
    columns = {"wide": 200, "dependent": max(1, tasks - 1)}.get(kind, 6)
    for seed in range(count):
        drawn = torch.Generator().manual_seed(seed)
        J = torch.randn(tasks, columns, generator=drawn, dtype=torch.float64)
        if kind == "unlike":
            J *= 2 ** torch.arange(tasks, dtype=torch.float64)[:, None]
        yield J


def ours(name: str, J: Tensor, seed: int = 0, **options: Any) -> Tensor:
    """The combined gradient."""
    method = get_method(name)
    signals, drawn = Signals.of(J @ J.t()), torch.Generator().manual_seed(seed)
    weights, _ = method.function(signals, method.initial_state(len(J)), drawn, **options)
    return weights @ J


def peer(name: str, *needed: str) -> Callable[..., Any]:
    """One of TorchJD's aggregators, if the packages that it solves by are installed."""
    for package in needed:
        pytest.importorskip(package)
    return getattr(aggregation, name)


def assert_close(actual: Tensor, expected: Tensor, J: Tensor, tolerance: float = 1e-9) -> None:
    """Equal beside the size of the gradients."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * float(J.norm()))


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


@each_matrix
@pytest.mark.parametrize(("name", "theirs"), [("sum", "Sum"), ("mean", "Mean")])
def test_scalarisation(name: str, theirs: str, kind: str, tasks: int) -> None:
    for J in matrices(kind, tasks):
        assert_close(ours(name, J), peer(theirs)()(J), J)


@pytest.mark.slow
@each_matrix
def test_gradvac_over_steps(kind: str, tasks: int) -> None:
    """The same draws give the same orders; their `eps` in denominators is set to 0."""
    method, theirs = get_method("gradvac"), peer("GradVac")(beta=0.1, eps=0.0)
    state = method.initial_state(tasks)
    for step, J in enumerate(list(matrices(kind, tasks, 20))):
        if kind == "dependent" and tasks > 1:
            J = J.abs()  # noqa: PLW2901  (a g_i' that vanishes has no cosine; they take rounding's)
        torch.manual_seed(step)
        expected = theirs(J)
        drawn = torch.Generator().manual_seed(step)
        weights, state = method.function(Signals.of(J @ J.t()), state, drawn, beta=0.1)
        assert_close(weights @ J, expected, J, 1e-8)


@pytest.mark.slow
@each_matrix
def test_mgda(kind: str, tasks: int) -> None:
    """Theirs takes Frank-Wolfe steps, so compared are the norms, which both minimise."""
    for J in matrices(kind, tasks):
        actual = ours("mgda", J)
        expected = peer("MGDA")(epsilon=1e-9, max_iters=500)(J)
        assert actual.norm() <= expected.norm() + 1e-9
        assert expected.norm() - actual.norm() < 1e-2 * J.norm()


@each_independent
def test_imtl_g(kind: str, tasks: int) -> None:
    """The same direction; the same weights where theirs don't go uphill."""
    for J in matrices(kind, tasks):
        actual, expected = ours("imtl-g", J), peer("IMTLG")()(J)
        downhill = float((J @ expected)[0])
        assert float((J @ actual)[0]) > 0
        torch.testing.assert_close(actual, expected if downhill > 0 else -expected)


@each_matrix
@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_aligned_mtl(kind: str, tasks: int, scale: str) -> None:
    for J in matrices(kind, tasks):
        expected = peer("AlignedMTL")(scale_mode=scale)(J)
        assert_close(ours("aligned-mtl", J, scale=scale), expected, J)


@each_matrix
def test_con_fig(kind: str, tasks: int) -> None:
    for J in matrices(kind, tasks):
        assert_close(ours("con-fig", J), peer("ConFIG")()(J), J, 1e-7)


@each_matrix
@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
def test_graddrop(kind: str, tasks: int, leak: float, monkeypatch: pytest.MonkeyPatch) -> None:
    method = get_method("graddrop")
    for J in matrices(kind, tasks):
        J[:, 0] = 0
        drawn = torch.rand(J.shape[1], dtype=torch.float64)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *shape, drawn=drawn, **others: drawn)
            expected = peer("GradDrop")(leak=torch.full((tasks,), leak, dtype=torch.float64))(J)
            actual, _ = method.function(J, {}, torch.Generator(), leak=leak)
        assert_close(actual, expected, J)


@each_independent
@pytest.mark.parametrize(
    "alpha", [0.5, *(pytest.param(each, marks=pytest.mark.slow) for each in (1.0, 2.0, 5.0))]
)
def test_fairgrad(kind: str, tasks: int, alpha: float) -> None:
    """Theirs stops at its least squares' tolerance."""
    for J in matrices(kind, tasks):
        J = J / J.norm()  # noqa: PLW2901  (their tolerance isn't free of scale)
        actual, expected = ours("fairgrad", J, alpha=alpha), peer("FairGrad")(alpha=alpha)(J)
        assert_close(unit(actual), unit(expected), unit(actual), 1e-3)


def projected(J: Tensor, reference: Tensor) -> Tensor:
    """The vector nearest to Jᵀu that opposes no gradient, by scipy: v = u + x, x >= 0."""
    A, target = J.t().numpy(), (reference @ J).numpy()
    x, _ = nnls(A, -target)
    return torch.from_numpy(target + A @ x)


@each_matrix
def test_dual_cone_projections_against_scipy(kind: str, tasks: int) -> None:
    for J in matrices(kind, tasks):
        each = torch.eye(tasks, dtype=torch.float64) / tasks
        assert_close(ours("dualproj", J), projected(J, each.sum(0)), J)
        assert_close(ours("upgrad", J), sum(projected(J, one) for one in each), J)


@each_matrix
@pytest.mark.parametrize(("name", "theirs"), [("upgrad", "UPGrad"), ("dualproj", "DualProj")])
def test_dual_cone_projections(name: str, theirs: str, kind: str, tasks: int) -> None:
    aggregator = peer(theirs, "qpsolvers", "quadprog")
    projector = linalg.QuadprogProjector(norm_eps=1e-12, reg_eps=1e-9)
    for J in matrices(kind, tasks):
        assert_close(ours(name, J), aggregator(projector=projector)(J), J, 1e-4)


def conflict_averse(J: np.ndarray, c: float) -> np.ndarray:
    """Maximise the least g_i·d in the ball around g0, by scipy: over d and the least product."""
    mean = J.mean(0)
    radius, size = c * np.linalg.norm(mean), np.linalg.norm(J)
    start = np.append(mean, (J @ mean).min() / size)
    actual = minimize(
        lambda z: -z[-1], start, jac=lambda z: np.append(np.zeros_like(mean), -1.0),
        method="SLSQP", options={"ftol": 1e-14, "maxiter": 2000},
        constraints=[
            {"type": "ineq", "fun": lambda z: J @ z[:-1] / size - z[-1]},
            {"type": "ineq", "fun": lambda z: radius**2 - ((z[:-1] - mean) ** 2).sum()},
        ],
    )  # fmt: skip
    return actual.x[:-1]


@looped("kind", ["random", "dependent", "unlike"])
@looped("tasks", TASKS[1:])  # one task alone is trained as without the method
@pytest.mark.parametrize(
    "c", [0.4, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.1, 0.9))]
)
def test_cagrad_against_scipy(kind: str, tasks: int, c: float) -> None:
    """The least product is what is maximised; that is compared."""
    for J in matrices(kind, tasks):
        actual = ours("cagrad", J, c=c)
        mean = J.mean(0)
        assert (actual - mean).norm() == pytest.approx(float(c * mean.norm()), rel=1e-6)
        expected = J @ torch.from_numpy(conflict_averse(J.numpy(), c))
        assert abs((J @ actual).min() - expected.min()) < 1e-5 * J.norm() ** 2


@each_of_several
@pytest.mark.parametrize(
    "c", [0.4, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.1, 0.99))]
)
def test_cagrad_leaves_no_duality_gap(kind: str, tasks: int, c: float) -> None:
    """Of max min_i g_i·d its dual, min over w of g_w·g0 + c ‖g0‖ ‖g_w‖, is the upper bound."""
    for J in matrices(kind, tasks):
        mean, actual = J.mean(0), ours("cagrad", J, c=c)
        method = get_method("cagrad")
        weights, _ = method.function(Signals.of(J @ J.t()), {}, torch.Generator(), c=c)
        w = (weights - 1 / tasks) / (weights - 1 / tasks).sum()
        assert bool((w >= -1e-12).all())
        bound = (w @ J) @ mean + c * mean.norm() * (w @ J).norm()
        assert bound - (J @ actual).min() < 1e-7 * J.norm() * mean.norm()


@each_independent
def test_cagrad(kind: str, tasks: int) -> None:
    """Theirs returns 0 where the weighted gradient is short; so only independent ones. One task
    alone is trained as without the method, where theirs multiplies it by 1 + c."""
    aggregator = peer("CAGrad", "cvxpy", "clarabel")
    for J in matrices(kind, tasks) if tasks > 1 else ():
        expected = aggregator(c=0.4, norm_eps=1e-12)(J)
        assert_close(ours("cagrad", J), expected, J, 1e-4)
        rescaled = ours("cagrad", J, rescale=True) * (1 + 0.4**2)
        assert_close(rescaled, expected, J, 1e-4)


@each_independent
def test_nash_mtl_against_scipy(kind: str, tasks: int) -> None:
    for J in matrices(kind, tasks):
        G = (J @ J.t()).numpy()
        actual = minimize(
            lambda z, G=G: np.exp(z) @ G @ np.exp(z) / 2 - z.sum(),  # w = exp(z) > 0
            -np.log(G.diagonal()) / 2, jac=lambda z, G=G: np.exp(z) * (G @ np.exp(z)) - 1,
            options={"gtol": 1e-9},
        )  # fmt: skip
        expected = torch.from_numpy(np.exp(actual.x)) @ J
        torch.testing.assert_close(ours("nash-mtl", J), expected, rtol=1e-4, atol=1e-5)
        assert ours("nash-mtl", J).norm() == pytest.approx(tasks**0.5)


@pytest.mark.filterwarnings("ignore::UserWarning")  # cvxpy's, of how the problem is put to it
@looped("kind", ["random", "wide", "unlike"])
@looped("tasks", TASKS[1:])
def test_nash_mtl(kind: str, tasks: int) -> None:
    """The direction, as theirs divides G by its norm; and only where theirs solves G α ∝ 1/α."""
    aggregator, solved = peer("NashMTL", "cvxpy", "ecos"), 0
    for J in matrices(kind, tasks):
        alpha = aggregator(n_tasks=tasks, max_norm=0.0, optim_niter=100).weighting(J)
        bargain = alpha * (J @ J.t() @ alpha)  # all alike at the solution
        if bargain.min() > 0.999 * bargain.max():
            solved += 1
            assert_close(unit(ours("nash-mtl", J)), unit(alpha @ J), unit(alpha @ J), 1e-3)
    assert solved >= 3
