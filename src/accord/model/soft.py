"""Soft sharing: penalties that hold the tasks' own copies of a tensor together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

_BLOCK = 1 << 20  # numbers of each copy that are in float64 at once
_RANK = 1e-6  # of the largest singular value: below it a direction counts as zero


def l2(copies: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return Σ_{i<j} ‖W_i − W_j‖² and its gradient, 2 (T W_i − Σ_j W_j) for W_i.

    *Source:* Duong et al. 2015, section 3, for T tasks.

    Args:
        copies: of one tensor, one per task.
    """
    moved = torch.stack([copy - copies[0] for copy in copies])  # so that equal copies are at 0
    total = moved.sum(0)
    gradients = [2 * (len(copies) * copy - total) for copy in moved]
    # Σ_{i<j} ‖W_i − W_j‖² = Σ_i W_i · (T W_i − Σ_j W_j)
    value = sum(
        (copy.flatten() @ g.flatten() / 2 for copy, g in zip(moved, gradients, strict=True)),
        start=total.new_zeros(()),
    )
    return value, gradients


def trace_norm(copies: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the trace norm of W [n, T], the copies as columns, and its gradient W (WᵀW)^(−½).

    WᵀW is T x T, so no singular values of W itself are needed: they are the roots of its
    eigenvalues. Where some are zero, as with copies that are still equal, the inverse root is the
    pseudo-inverse's, a subgradient.

    *Source:* Yang & Hospedales 2017, equation 4 with the last-axis flattening.

    Args:
        copies: of one tensor, one per task.
    """
    gram = sum((block @ block.t() for block in _blocks(copies)), start=0.0)
    values, vectors = torch.linalg.eigh(gram)
    roots = values.clamp(min=0).sqrt()
    kept = roots > _RANK * roots[-1]
    inverse = torch.where(kept, 1 / roots.clamp(min=1e-300), 0.0)
    mixing = vectors * inverse @ vectors.t()
    gradients = torch.cat([(mixing @ block).to(copies[0]) for block in _blocks(copies)], 1)
    return roots[kept].sum().to(copies[0]), [
        gradient.view_as(copy) for gradient, copy in zip(gradients, copies, strict=True)
    ]


def _blocks(copies: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the copies' numbers as rows of a matrix [T, at most _BLOCK], in float64.

    Copies that are close differ by less than their Gram matrix's rounding in float32.
    """
    flat = [copy.flatten() for copy in copies]
    for start in range(0, flat[0].numel(), _BLOCK):
        yield torch.stack([copy[start : start + _BLOCK] for copy in flat]).double()


PENALTIES: dict[str, Callable[[Sequence[Tensor]], tuple[Tensor, list[Tensor]]]] = {
    "l2": l2,
    "trace-norm": trace_norm,
}


@dataclass(frozen=True)
class Coupling:
    """A penalty on all tensors that tasks have copies of.

    Attributes:
        kind: a name in `PENALTIES`.
        weight: λ.
        tensors: for each tensor its copies, one per task.
    """

    kind: str
    weight: float
    tensors: list[list[Parameter]]

    @torch.no_grad()
    def pull(self) -> float:
        """Add the penalty's gradient to copies that have one, after clipping; return the penalty.

        A copy whose task was absent from the step has no gradient and stays where it is.
        """
        values = []
        for copies in self.tensors:
            value, gradients = PENALTIES[self.kind](copies)
            values.append(value.double())
            for copy, gradient in zip(copies, gradients, strict=True):
                if copy.grad is not None:
                    copy.grad.add_(gradient, alpha=self.weight)
        return self.weight * float(torch.stack(values).sum())  # one wait for a GPU
