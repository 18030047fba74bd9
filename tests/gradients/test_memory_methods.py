"""Methods that remember finished tasks: their laws, and hard input. No method is named."""

from collections.abc import Iterator

import pytest
import torch
from gradient_cases import (
    METHOD_NAMES,
    float64,
    hard_matrices,
    matrices,
    weights_of,
    with_law,
)
from torch import Tensor

from accord.gradients import get_method


def remembered(kept: int) -> Iterator[tuple[Tensor, Tensor]]:
    """J of two current tasks and some memories, at all scales and ranks, and the memories' rows."""
    for columns in (12, 4, 2):
        for base in matrices(2 + kept):
            J = base[:, :columns] * torch.logspace(-2, 2, 2 + kept, dtype=torch.float64)[:, None]
            yield J, J[2:]


@with_law("sum_without_conflict")
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_the_sum_where_no_memory_is_opposed(name: str, kept: int) -> None:
    method, wanted = get_method(name), float64([1.0, 1.0] + [0.0] * kept)
    seen = 0
    for J, memories in remembered(kept):
        if bool((memories @ J[:2].sum(0) >= 0).all()):
            assert torch.equal(weights_of(method, J @ J.t(), kept=kept), wanted)
            seen += 1
    assert seen > 2


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (name, kept)
        for law, counts in (("memory_kept", (1,)), ("memories_kept", (2, 5)))
        for kept in counts
        for name in METHOD_NAMES
        if law in get_method(name).laws
    ],
)
def test_no_memory_is_opposed(name: str, kept: int) -> None:
    """And current tasks go their own way wherever they may: with one memory along its boundary."""
    method, conflicts = get_method(name), 0
    for J, memories in remembered(kept):
        weights = weights_of(method, J @ J.t(), kept=kept)
        combined, summed = weights @ J, J[:2].sum(0)
        size = (weights.abs() * J.norm(dim=1)).sum()
        assert bool((memories @ combined >= -1e-9 * memories.norm(dim=1) * size).all())
        assert torch.equal(weights[:2], float64([1.0, 1.0]))
        if bool((memories @ summed < 0).any()):
            conflicts += 1
            assert combined.norm() <= summed.norm() * (1 + 1e-9)
            assert kept > 1 or abs(memories[0] @ combined) <= 1e-9 * memories[0].norm() * size
    assert conflicts > 2


@pytest.mark.parametrize("name", [each for each in METHOD_NAMES if get_method(each).remembers])
@pytest.mark.parametrize("case", hard_matrices())
def test_finite_with_several_memories_on_hard_input(name: str, case: str) -> None:
    J = hard_matrices()[case]
    for kept in range(1, min(3, len(J))):
        weights = weights_of(get_method(name), J @ J.t(), kept=kept)
        assert bool(weights.isfinite().all())
        assert bool((weights @ J).isfinite().all())
