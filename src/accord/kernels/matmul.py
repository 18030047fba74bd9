"""How this machine multiplies matrices: which library does it, and what stands for bfloat16.

On a CPU two things differ by processor and are found out at run time (`choose_matmul_policy`):

- torch's default library for float32 products runs at half oneDNN's rate on some processors.
  torch reaches oneDNN through a setting that allows it bfloat16 inside, which some processors
  make use of; it is taken only where the result is float32's.
- Without instructions for bfloat16, its products run at a tenth of float32's rate and below.
  There they are computed in float32, from operands rounded to bfloat16: the same numbers, as
  bfloat16 instructions add up in float32 too.

On a GPU float32 products are float32's in full, whatever torch is set to outside: TF32, which
rounds their operands to 10 bits of mantissa, is for a policy that names it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_EXACT = 1e-5  # relative: float32 products err by 1e-6 and below, bfloat16's by 1e-3

_EVEN_ROWS = 32
_WORD = 8  # bfloat16 entries of 16 bytes
_GROUPED = (9, 10)  # compute capabilities with a kernel for grouped products


@dataclass(frozen=True)
class MatmulPolicy:
    """A choice of how to multiply; part of what a resumed run has to do again.

    Attributes:
        bfloat16: mixed precision: linear layers and attention in bfloat16, all else in float32.
        onednn: on a CPU, float32 products through oneDNN and not torch's default library.
        rounded: bfloat16 products computed in float32, from rounded operands.
        tf32: on a GPU, float32 products may use TF32.
    """

    bfloat16: bool = False
    onednn: bool = False
    rounded: bool = False
    tf32: bool = False

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

    Other threads don't see the block, except for torch's settings of oneDNN and TF32, which are the
    process's: oneDNN's stays as long as any thread is within such a block, TF32 is used while no
    thread is within a block without it, and the backward passes of what ran within have to run
    within too.
    """
    token = _CURRENT.set(matmul)
    try:
        onednn = _ONEDNN.wanted("bf16") if matmul.onednn else contextlib.nullcontext()
        with onednn, _CUDA.wanted("tf32" if matmul.tf32 else "ieee"):
            yield
    finally:
        _CURRENT.reset(token)


class _Setting:
    """One of torch's settings of float32 products, as the blocks of all threads want it.

    Of a thread's blocks the innermost counts. Set with the first that enters, and back with the
    last to leave.

    Args:
        backend: whose it is.
        values: that may be wanted; where threads want several, the first of them holds.
    """

    def __init__(self, backend: Any, *values: str) -> None:
        self._backend, self._threads = backend, dict.fromkeys(values, 0)
        self._before, self._lock = "", threading.Lock()
        self._innermost: ContextVar[str | None] = ContextVar("innermost", default=None)

    @contextlib.contextmanager
    def wanted(self, value: str) -> Iterator[None]:
        """Want a value within a block."""
        around = self._innermost.get()
        token = self._innermost.set(value)
        self._change(around, value)
        try:
            yield
        finally:
            self._change(value, around)
            self._innermost.reset(token)

    def _change(self, before: str | None, after: str | None) -> None:
        with self._lock:
            if not any(self._threads.values()):
                self._before = self._backend.fp32_precision
            for value, change in ((before, -1), (after, 1)):
                if value is not None:
                    self._threads[value] += change
            held = (value for value, threads in self._threads.items() if threads)
            self._backend.fp32_precision = next(held, self._before)


_ONEDNN = _Setting(torch.backends.mkldnn.matmul, "bf16")  # type: ignore[attr-defined]
_CUDA = _Setting(torch.backends.cuda.matmul, "ieee", "tf32")


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
    return follow and even and has_whole_words(left, right) and grouped_works(left.device)


def has_whole_words(*operands: Tensor) -> bool:
    """Whether bfloat16 rows have a width that grouped products take: 16 bytes, or several.

    Example:
        >>> has_whole_words(torch.ones(3, 64), torch.ones(3, 8)), has_whole_words(torch.ones(8, 4))
        (True, False)
    """
    return all(operand.shape[1] % _WORD == 0 for operand in operands)


def grouped_matmul(left: Tensor, right: Tensor, ends: Tensor, hot: Tensor) -> Tensor:
    """Return leftᵀ right apart for each of T groups of rows, [T, m, k], in shapes without data.

    Args:
        left: [n, m].
        right: [n, k].
        ends: where each group ends, int32 [T].
        hot: float32 [T, n], 1 where a row belongs to a group; for devices that don't.
    """
    half = left.is_cuda and left.dtype == right.dtype == torch.bfloat16
    if half and has_whole_words(left, right) and grouped_works(left.device):
        return F.grouped_mm(left.contiguous().t(), right.contiguous(), offs=ends)
    masked = hot.to(left.dtype)[:, :, None] * left
    return torch.matmul(masked.mT, right)


@lru_cache
def grouped_works(device: torch.device) -> bool:
    """Whether grouped products on a device give what single ones give; tried once per process.

    Of GPUs those of compute capability 9 and 10 alone have a kernel for them: elsewhere torch asks
    the host where groups end, which waits, and can't be recorded.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] not in _GROUPED:
        return False
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
def choose_matmul_policy(device: torch.device, precision: str = "float32") -> MatmulPolicy:
    """Find out how this machine multiplies best; measured once per process.

    Args:
        device: where the products run.
        precision: of the products: 'float32', 'bfloat16', or 'tf32' on a device that `has_tf32`.
    """
    bfloat16 = precision == "bfloat16"
    if device.type != "cpu":
        return MatmulPolicy(bfloat16, tf32=precision == "tf32")
    rounded = bfloat16 and product_seconds(torch.bfloat16) > product_seconds(torch.float32)
    return MatmulPolicy(bfloat16, onednn_is_exact(), rounded)


def has_tf32(device: torch.device) -> bool:
    """Whether a device has TF32: NVIDIA's GPUs from compute capability 8.0 on."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


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
        with _ONEDNN.wanted("bf16"):
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
