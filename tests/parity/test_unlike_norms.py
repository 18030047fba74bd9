"""Methods against 50 digits, where one task's gradient is up to 1e12 times as long as another's."""

from collections.abc import Callable, Iterator
from itertools import product

import mpmath as mp
import numpy as np
import pytest
import torch
from looped import looped

from accord.gradients import get_method, method_names
from accord.gradients.methods.pcgrad import visiting_orders
from accord.methods import Signals

Matrix = mp.matrix
RATIOS = [1.0, np.e**4, np.e**8, np.e**12, 1e8, 1e12]
ratios = looped("ratio", RATIOS)


@pytest.fixture(autouse=True)
def fifty_digits() -> Iterator[None]:
    with mp.workdps(50):
        yield


def gradients(tasks: int, ratio: float, seed: int) -> np.ndarray:
    """J whose norms are spread evenly, in an order by chance, between 1 and the ratio."""
    random = np.random.default_rng(seed)
    norms = ratio ** np.linspace(0, 1, tasks)[random.permutation(tasks)]
    return random.standard_normal((tasks, 2 * tasks)) * norms[:, None]


def exact(J: np.ndarray) -> Matrix:
    X = Matrix(J.tolist())
    return X * X.T


def ones(n: int) -> Matrix:
    return mp.ones(n, 1)


def part(A: Matrix, rows: list[int], columns: list[int]) -> Matrix:
    return Matrix([[A[i, j] for j in columns] for i in rows])


def subsets(n: int) -> Iterator[list[int]]:
    for chosen in product([True, False], repeat=n):
        yield [i for i in range(n) if chosen[i]]


def spread_out(x: Matrix, free: list[int], n: int) -> Matrix:
    whole = mp.zeros(n, 1)
    for value, i in zip(x, free, strict=True):
        whole[i] = value
    return whole


def quadratic_program(A: Matrix, b: Matrix) -> Matrix:
    """The x >= 0 at which Ax - b >= 0 and one of the two is 0 each, by trying all choices."""
    n = len(b)
    for free in subsets(n):
        x = mp.zeros(n, 1)
        if free:
            x = spread_out(mp.lu_solve(part(A, free, free), part(b, free, [0])), free, n)
        slope = A * x - b
        if min(x) >= 0 and all(slope[i] >= 0 for i in range(n) if i not in free):
            return x
    raise AssertionError("no solution")


def aligned_mtl(G: Matrix) -> Matrix:
    T = G.rows
    values, vectors = mp.eigsy(G)
    w = mp.zeros(T, 1)
    for k in range(T):
        u = vectors[:, k]
        w += u * (sum(u) / T * mp.sqrt(min(values) / values[k]))
    return w


def imtl_g(G: Matrix) -> Matrix:
    w = mp.lu_solve(G, Matrix([mp.sqrt(G[i, i]) for i in range(G.rows)]))
    return w / abs(sum(w))


def con_fig(G: Matrix) -> Matrix:
    norms = Matrix([mp.sqrt(G[i, i]) for i in range(G.rows)])
    w = mp.lu_solve(G, norms)  # G w = D 1: the same product with all unit vectors
    w = w / mp.sqrt((w.T * G * w)[0])
    return w * sum(G * w)


def mgda(G: Matrix) -> Matrix:
    for free in subsets(G.rows):
        if free:
            x = mp.lu_solve(part(G, free, free), ones(len(free)))
            a = spread_out(x / sum(x), free, G.rows)
            if min(a) >= 0 and min(G * a) >= (a.T * G * a)[0] * (1 - mp.mpf(10) ** -30):
                return a
    raise AssertionError("no solution")


def upgrad(G: Matrix) -> Matrix:
    T = G.rows
    return sum((quadratic_program(G, -G[:, i] / T) for i in range(T)), ones(T) / T)


def dualproj(G: Matrix) -> Matrix:
    mean = ones(G.rows) / G.rows
    return mean + quadratic_program(G, -G * mean)


def gem(G: Matrix) -> Matrix:
    """The first task is trained, the others are memories."""
    rest = list(range(1, G.rows))
    v = quadratic_program(part(G, rest, rest), -part(G, rest, [0]))
    return Matrix([1, *v])


def a_gem(G: Matrix) -> Matrix:
    memories = Matrix([0] + [1] * (G.rows - 1))
    along = (G * memories)[0] / (memories.T * G * memories)[0]
    return Matrix([1] + [max(mp.mpf(0), -along)] * (G.rows - 1))


def cagrad(G: Matrix, c: float = 0.4) -> Matrix:
    """Every choice of tasks that count: the least product μ at which the length is c ‖g0‖."""
    T = G.rows
    pull = G * ones(T) / T
    radius = mp.mpf(c) * mp.sqrt(sum(pull) / T)
    for free in subsets(T):
        if not free:
            continue
        A, p = part(G, free, free), part(pull, free, [0])
        level, offset = mp.lu_solve(A, ones(len(free))), mp.lu_solve(A, p)
        a, b, rest = sum(level), sum(offset), (p.T * offset)[0] - radius**2
        if b * b < a * rest:
            continue
        for sign in (1, -1):
            mu = (b + sign * mp.sqrt(b * b - a * rest)) / a
            x = spread_out(mu * level - offset, free, T)
            slope = G * x + pull - mu * ones(T)
            if min(x) >= 0 and all(slope[i] >= 0 for i in range(T) if i not in free):
                return x + ones(T) / T
    raise AssertionError("no solution")


def pcgrad(G: Matrix) -> Matrix:
    T, total = G.rows, mp.zeros(G.rows, 1)
    orders = visiting_orders(T, torch.Generator().manual_seed(0)).tolist()
    for i in range(T):
        c = mp.zeros(T, 1)
        c[i] = mp.mpf(1)
        for j in orders[i]:
            c[j] -= min(mp.mpf(0), (G[j, :] * c)[0]) / G[j, j]
        total += c
    return total


REFERENCES: dict[str, Callable[[Matrix], Matrix]] = {
    "a-gem": a_gem, "aligned-mtl": aligned_mtl, "cagrad": cagrad, "con-fig": con_fig,
    "dualproj": dualproj, "gem": gem, "gradvac": pcgrad, "imtl-g": imtl_g, "mgda": mgda,
    "pcgrad": pcgrad, "upgrad": upgrad,
}  # fmt: skip
BY_EQUATION = {"nash-mtl": 1.0, "fairgrad": 0.5}  # w = (G w)^(-1/p)


def weights(name: str, J: np.ndarray) -> np.ndarray:
    method, T = get_method(name), len(J)
    memories = torch.arange(T) > 0 if method.remembers else torch.zeros(T, dtype=torch.bool)
    signals = Signals.of(torch.from_numpy(J @ J.T), memories=memories)
    generator = torch.Generator().manual_seed(0)
    numpy: np.ndarray = method.function(signals, method.initial_state(T), generator)[0].numpy()
    return numpy


def error(J: np.ndarray, actual: np.ndarray, wanted: Matrix) -> float:
    """The largest term of what is wrong, beside the largest term of what is wanted."""
    norms = np.linalg.norm(J, axis=1)
    right = np.array([float(each) for each in wanted])
    return float((np.abs(actual - right) * norms).max() / (np.abs(right) * norms).max())


def test_every_method_that_weighs_by_the_gramian_is_here() -> None:
    methods = map(get_method, method_names())
    assert {method.name for method in methods if "gramian" in method.needs} == {
        *REFERENCES,
        *BY_EQUATION,
    }


@ratios
@pytest.mark.parametrize("name", REFERENCES)
@looped("tasks", [2, 3])
def test_weights_at_all_ratios_of_norms(name: str, tasks: int, ratio: float) -> None:
    for seed in range(3):
        J = gradients(tasks, ratio, seed)
        assert error(J, weights(name, J), REFERENCES[name](exact(J))) < 1e-8


@ratios
@pytest.mark.parametrize(("name", "p"), BY_EQUATION.items())
@looped("tasks", [2, 4, 8])
def test_equations_at_all_ratios_of_norms(name: str, p: float, tasks: int, ratio: float) -> None:
    for seed in range(3):
        J = gradients(tasks, ratio, seed)
        w = Matrix(weights(name, J).tolist())
        actual = exact(J) * w
        assert max(abs(actual[i] * w[i] ** p - 1) for i in range(tasks)) < 1e-8


@ratios
@looped("tasks", range(2, 9))
def test_aligned_mtl_keeps_the_shortest_gradient(tasks: int, ratio: float) -> None:
    """Its principal component is the least of all, to whose length the others are brought."""
    J = gradients(tasks, ratio, tasks)
    actual, wanted = weights("aligned-mtl", J), aligned_mtl(exact(J))
    assert error(J, actual, wanted) < 1e-12
    np.testing.assert_allclose(actual, [float(each) for each in wanted], rtol=1e-10)


@ratios
def test_imtl_g_where_the_shortest_gradient_needs_no_weight(ratio: float) -> None:
    """The sum of the two orthogonal unit vectors has the same product with the third, by hand."""
    J = np.array([[0.5, 0.5, 0.5**0.5], [10 * ratio, 0.0, 0.0], [0.0, 10 * ratio, 0.0]])
    np.testing.assert_allclose(weights("imtl-g", J) * J.max(1), [0, 5 * ratio, 5 * ratio],
                               rtol=1e-2, atol=1e-2)  # fmt: skip
