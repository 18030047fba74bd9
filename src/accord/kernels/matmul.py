"""How this machine multiplies matrices: which library does it, and what stands for bfloat16.

On a CPU two things differ by processor and are found out at run time (`choose_matmul_policy`):

- torch's default library for float32 products runs at half oneDNN's rate on some processors.
  torch reaches oneDNN through a setting that allows it bfloat16 inside, which some processors
  make use of; it is taken only where the result is float32's.
- Without instructions for bfloat16, its products run at a tenth of float32's rate and below.
  There they are computed in float32, from operands rounded to bfloat16: the same numbers, as
  bfloat16 instructions add up in float32 too.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

_EXACT = 1e-5  # relative: float32 products err by 1e-6 and below, bfloat16's by 1e-3

_EVEN_ROWS = 32


@dataclass(frozen=True)
class MatmulPolicy:
    """A choice of how to multiply; part of what a resumed run has to do again.

    Attributes:
        bfloat16: mixed precision: linear layers and attention in bfloat16, all else in float32.
        onednn: on a CPU, float32 products through oneDNN and not torch's default library.
        rounded: bfloat16 products computed in float32, from rounded operands.
    """

    bfloat16: bool = False
    onednn: bool = False
    rounded: bool = False

    @property
    def row_multiple(self) -> int:
        """Of which the rows of products should be.

        oneDNN prepares every new shape, for a millisecond and more: shapes have to come again. A
        GPU's bfloat16 products want even sizes too.
        """
        return _EVEN_ROWS if self.onednn or (self.bfloat16 and not self.rounded) else 1

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the block in which a forward pass runs."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)

    def operand(self, x: Tensor) -> Tensor:
        """Return a tensor as the matrix product itself takes it."""
        return x.float() if x.dtype == torch.bfloat16 and self.rounded else x

    def mm(self, left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
        """Return left @ right [n, m], in left's dtype or written into `out`, in its dtype."""
        a, b = self.operand(left), self.operand(right)
        if out is not None and out.dtype == a.dtype:
            return torch.mm(a, b, out=out)
        product = torch.mm(a, b)
        return product.to(left.dtype) if out is None else out.copy_(product)

    def addmm(self, out: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Add left @ right to `out`, in its dtype."""
        a, b = self.operand(left), self.operand(right)
        return out.addmm_(a, b) if out.dtype == a.dtype else out.add_(torch.mm(a, b))

    def affine(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return x Wᵀ + b [n, m], in x's dtype.

        Args:
            x: [n, k].
            weight: [m, k], of x's dtype.
            bias: [m], of x's dtype; None adds nothing.
        """
        shift = None if bias is None else self.operand(bias)
        return F.linear(self.operand(x), self.operand(weight), shift).to(x.dtype)


DEFAULT = MatmulPolicy()
"""torch's own ways."""

_CURRENT: ContextVar[MatmulPolicy] = ContextVar("matmul", default=DEFAULT)


def current_matmul_policy() -> MatmulPolicy:
    """Return how products are computed here; an operation keeps it for its backward pass."""
    return _CURRENT.get()


@contextlib.contextmanager
def computing(matmul: MatmulPolicy) -> Iterator[None]:
    """Multiply in a certain way within a block.

    Other threads don't see the block, except for torch's setting of oneDNN, which is the process's:
    it stays as long as any thread is within such a block, and the backward passes of what ran
    within have to run within too.
    """
    token = _CURRENT.set(matmul)
    try:
        with _onednn() if matmul.onednn else contextlib.nullcontext():
            yield
    finally:
        _CURRENT.reset(token)


@dataclass
class _Within:
    """The blocks that multiply by oneDNN now, in all threads, and the setting before them."""

    blocks: int = 0
    before: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


_WITHIN = _Within()


@contextlib.contextmanager
def _onednn() -> Iterator[None]:
    """Set torch's setting of oneDNN with the first that enters, and back with the last to leave."""
    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    with _WITHIN.lock:
        if not _WITHIN.blocks:
            _WITHIN.before, setting.fp32_precision = setting.fp32_precision, "bf16"
        _WITHIN.blocks += 1
    try:
        yield
    finally:
        with _WITHIN.lock:
            _WITHIN.blocks -= 1
            if not _WITHIN.blocks:
                setting.fp32_precision = _WITHIN.before


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype that products with x are to have: autocast's, or x's own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def fits_groups(left: Tensor, right: Tensor, bounds: Sequence[tuple[int, int, int]]) -> bool:
    """Whether leftᵀ right, apart for each of some groups of rows, can be one grouped product.

    On a GPU, in bfloat16, with groups that follow one another and have even sizes.

    Args:
        left: [n, m].
        right: [n, k].
        bounds: (row, start, stop) of each group.
    """
    if not (left.is_cuda and left.dtype == right.dtype == torch.bfloat16):
        return False
    starts = [0, *(stop for _, _, stop in bounds)]
    follow = all(start == bound[1] for start, bound in zip(starts, bounds, strict=False))
    even = all(stop % _EVEN_ROWS == 0 for stop in starts)
    return follow and even and grouped_works(left.device)


def grouped_matmul(left: Tensor, right: Tensor, ends: Tensor, hot: Tensor) -> Tensor:
    """Return leftᵀ right apart for each of T groups of rows, [T, m, k], in shapes without data.

    Args:
        left: [n, m].
        right: [n, k].
        ends: where each group ends, int32 [T]; where a GPU multiplies groups, these are even.
        hot: float32 [T, n], 1 where a row belongs to a group; for devices that don't.
    """
    if left.is_cuda and left.dtype == right.dtype == torch.bfloat16 and grouped_works(left.device):
        return F.grouped_mm(left.t(), right, offs=ends)
    masked = hot.to(left.dtype)[:, :, None] * left
    return torch.matmul(masked.mT, right)


@lru_cache
def grouped_works(device: torch.device) -> bool:
    """Whether grouped products on a device give what single ones give; tried once per process."""
    left, right = (torch.ones(96, 64, dtype=torch.bfloat16, device=device) for _ in range(2))
    left[32:] = 2
    ends = torch.tensor([32, 96], dtype=torch.int32, device=device)
    try:
        product = F.grouped_mm(left.t(), right, offs=ends)
    except (RuntimeError, NotImplementedError):
        return False  # one product per task, then: slower and no different
    expected = torch.stack([left[:32].t() @ right[:32], left[32:].t() @ right[32:]])
    return bool(torch.equal(product, expected))


@lru_cache
def choose_matmul_policy(device: torch.device, bfloat16: bool) -> MatmulPolicy:
    """Find out how this machine multiplies best; measured once per process.

    Args:
        device: where the products run.
        bfloat16: whether the products are to be in bfloat16.
    """
    if device.type != "cpu":
        return MatmulPolicy(bfloat16)
    rounded = bfloat16 and product_seconds(torch.bfloat16) > product_seconds(torch.float32)
    return MatmulPolicy(bfloat16, onednn_is_exact(), rounded)


def onednn_is_exact() -> bool:
    """Whether torch's way to oneDNN gives float32 products in full on this processor."""
    error = onednn_error()
    return error is not None and error < _EXACT


@lru_cache
def onednn_error() -> float | None:
    """Measure the relative error of float32 products by torch's way to oneDNN; once per process.

    Returns:
        The worst over a few shapes, not finite if a result isn't; None: this torch has no oneDNN.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    generator = torch.Generator().manual_seed(0)
    errors = []
    for rows in (64, 1024):
        left, right = (torch.randn(rows, 384, generator=generator) for _ in range(2))
        exact = left.double() @ right.double().t()
        with _onednn():
            errors.append((left @ right.t() - exact).norm() / exact.norm())
    return float(torch.stack(errors).max())  # which passes a NaN on


def product_seconds(dtype: torch.dtype) -> float:
    """Time products of a small layer, forward and backward, on one core.

    The processor time of a single thread: it is what it is on a busy machine too.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _single_threaded_seconds(dtype)
    finally:
        torch.set_num_threads(threads)


def _single_threaded_seconds(dtype: torch.dtype) -> float:
    x, weight = (torch.ones(256, 384, dtype=dtype) for _ in range(2))
    passes: tuple[Callable[[], Tensor], ...] = (
        lambda: x @ weight.t(), lambda: weight @ x.t() @ x, lambda: x.t() @ weight,
    )  # fmt: skip
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        for product in passes:
            product()
        best = min(best, time.thread_time() - start)
    return best
