"""Stands in for CUDA graphs: operations are recorded with their memory, and run again there.

As in a graph, nothing of Python runs when a recording does, every tensor lies where it lay, and
all that the host knew while it was recorded is as it was. And as there, the host may not look at a
tensor meanwhile, nor make one of its own numbers: that would end a capture on a GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")
FORBIDDEN = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::lift_fresh", "aten::equal",
    "aten::is_nonzero", "aten::_unique2", "aten::unique_dim", "aten::masked_select",
    "aten::repeat_interleave", "aten::bincount",
}  # fmt: skip


class Tape(TorchDispatchMode):
    """Records what runs in a block."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function._schema.name
        if name in FORBIDDEN or (name == "aten::index" and _by_mask(arguments)):
            raise AssertionError(f"{name} makes the host wait for the device, or the other way")
        result = function(*arguments, **(options or {}))
        self.calls.append((function, arguments, options or {}, result))
        return result

    @torch.no_grad()
    def run(self) -> None:
        """Run it again."""
        for function, arguments, options, result in self.calls:
            again = function(*arguments, **options)
            for old, new in zip(_tensors(result), _tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():  # not a view, and not in place
                    old.detach().copy_(new)


class TapeGraphs:
    """Records by tapes."""

    def __init__(self) -> None:
        self.runs = 0

    def running(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        with Tape() as tape, host_looks_away():
            result = work()

        def run() -> None:
            self.runs += 1
            tape.run()

        return result, run


@contextmanager
def host_looks_away() -> Iterator[None]:
    """Fail where a tensor's numbers go to the host by ways that are no operations."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the host looks at a tensor, or makes one of its own numbers")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("tolist", "numpy", "__array__"):
            patch.setattr(Tensor, name, refuse)
        patch.setattr(torch, "from_numpy", refuse)
        yield


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _by_mask(arguments: Any) -> bool:
    return any(index is not None and index.dtype == torch.bool for index in arguments[1])
