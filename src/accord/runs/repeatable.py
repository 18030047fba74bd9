"""Sums in one order on a GPU: what makes a run there repeatable. Loads torch only when called."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
ORDERED = (":4096:8", ":16:8")
"""Its values with which cuBLAS adds up in one order, as NVIDIA has it."""

_UNORDERED = "does not have a deterministic implementation"


def claim_workspace() -> None:
    """Let cuBLAS work in one order, unless the environment says how it is to work.

    It reads the variable as CUDA starts in a process: call this before.
    """
    os.environ.setdefault(VARIABLE, ORDERED[0])


def order_fault(device: torch.device) -> str:
    """Make a device's sums repeatable as far as the environment decides it.

    To be called before anything is moved to the device.

    Returns:
        Why they aren't, with what would help; empty where they are.
    """
    import torch

    value = os.environ.get(VARIABLE)
    if device.type != "cuda" or value in ORDERED:
        return ""
    if value is None and not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        claim_workspace()
        return ""
    why = f"{VARIABLE} is '{value}'" if value else f"CUDA started without {VARIABLE}"
    return (
        f"training.deterministic: this run is not repeatable to the bit: {why}; set"
        f" {VARIABLE}={ORDERED[0]} before Python starts, or in a notebook restart it and set this"
        " in its first cell"
    )


@contextlib.contextmanager
def in_one_order(wanted: bool = True) -> Iterator[None]:
    """Let torch compute on a GPU by repeatable algorithms alone within a block, as is `wanted`.

    An operation that has none raises (`unordered`).
    """
    if not wanted:
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written: filling it would only take time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def unordered(error: BaseException) -> str:
    """Return what torch can't compute in one order, if that is what an error says; else ''.

    Example:
        >>> unordered(RuntimeError(f"cumsum_cuda_kernel {_UNORDERED}, but you set"))
        'cumsum_cuda_kernel'
        >>> unordered(RuntimeError("you must set an environment variable: CUBLAS_WORKSPACE_CONFIG"))
        'a matrix product'
        >>> unordered(RuntimeError("CUDA error"))
        ''
    """
    text = str(error)
    if not isinstance(error, RuntimeError):
        return ""
    if _UNORDERED in text:
        return text.partition(_UNORDERED)[0].strip()
    return "a matrix product" if VARIABLE in text else ""
