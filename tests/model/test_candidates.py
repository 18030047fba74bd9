"""Losses of scored candidates, against sums that are written out row by row."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from accord.model import candidates

INF = math.inf


def drawn(seed: int, rows: int = 6, most: int = 5) -> tuple[Tensor, Tensor, list[int]]:
    """Scores and grades with ties, and how many candidates each row has."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, rows)
    scores, grades = np.full((rows, most), -INF), np.full((rows, most), np.nan)
    for i, size in enumerate(sizes):
        scores[i, :size] = np.round(3 * rng.normal(size=size), 1)
        grades[i, :size] = rng.integers(0, 4, size)
    return torch.tensor(scores), torch.tensor(grades), sizes.tolist()


def softmax(values: list[float]) -> list[float]:
    total = sum(map(math.exp, values))
    return [math.exp(value) / total for value in values]


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_their_formulas(seed: int) -> None:
    scores, grades, sizes = drawn(seed)
    listwise, pairwise = candidates.listwise(scores, grades), candidates.pairwise(scores, grades)
    for i, size in enumerate(sizes):
        s, g = scores[i, :size].tolist(), grades[i, :size].tolist()
        expected = -sum(p * math.log(q) for p, q in zip(softmax(g), softmax(s), strict=True))
        assert listwise[i] == pytest.approx(expected, abs=1e-9)
        pairs = [
            math.log1p(math.exp(s[b] - s[a]))
            for a in range(size) for b in range(size) if g[a] > g[b]
        ]  # fmt: skip
        assert pairwise[i] == pytest.approx(np.mean(pairs) if pairs else 0.0, abs=1e-9)
        for right in range(size):
            chosen = candidates.choice(scores[i : i + 1], torch.tensor([float(right)]))
            assert chosen.item() == pytest.approx(-math.log(softmax(s)[right]), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_divergences_are_their_formulas(seed: int) -> None:
    one, _, sizes = drawn(seed)
    other = torch.where(one == -INF, one, one.flip(0).nan_to_num(neginf=0.5) + 0.25)
    listwise = candidates.listwise_divergence(one, other)
    pairwise = candidates.pairwise_divergence(one, other)
    for i, size in enumerate(sizes):
        a, b = one[i, :size].tolist(), other[i, :size].tolist()
        expected = sum(
            (p - q) * math.log(p / q) for p, q in zip(softmax(a), softmax(b), strict=True)
        )
        assert listwise[i] == pytest.approx(expected, abs=1e-9)
        apart = [
            (softmax([a[j], a[k]])[0] - softmax([b[j], b[k]])[0]) * (a[j] - a[k] - b[j] + b[k])
            for j in range(size) for k in range(j)
        ]  # fmt: skip
        assert pairwise[i] == pytest.approx(np.mean(apart) if apart else 0.0, abs=1e-9)


@pytest.mark.parametrize("name", ["listwise", "pairwise"])
def test_what_stands_behind_a_row_s_candidates_changes_nothing(name: str) -> None:
    scores, grades, _ = drawn(0)
    loss, divergence = getattr(candidates, name), getattr(candidates, f"{name}_divergence")
    wide = torch.nn.functional.pad(scores, (0, 3), value=-INF)
    behind = torch.nn.functional.pad(grades, (0, 3), value=math.nan)
    torch.testing.assert_close(loss(wide, behind), loss(scores, grades))
    torch.testing.assert_close(divergence(wide, wide.flip(1).flip(1)), torch.zeros(6).double())
    for values in (loss, lambda s, g: divergence(s, (0.5 * s).detach())):
        given = wide.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(values(given, behind).sum(), [given])
        assert bool(gradient.isfinite().all())
        assert not gradient[wide == -INF].any()
