"""Steps on a device without values: what would wait for a GPU fails.

A tensor on the device 'meta' has a shape and no values. What would wait for a GPU to tell a value,
or a shape that depends on values, fails there.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from worlds import World

import accord
from accord.data.batches import StepBatch
from accord.kernels.dropout import DropoutKey
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.regularisers import smart
from accord.training.measurement import Measurement, Passed

META = torch.device("meta")
SOURCE = str(Path(accord.__file__).parent)
ONCE = {"_on_device"}
"""Copies that are kept, so that they wait once in a run."""


class Copies(TorchFunctionMode):
    """Notes who copies to the device and waits for it.

    Attributes:
        waiting: names of the functions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: set[str] = set()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        result = function(*args, **given)
        copied = function is Tensor.to and args[0].device.type == "cpu"
        if (copied and result.device.type == "meta" and not given.get("non_blocking")) or (
            function is torch.tensor and result.device.type == "meta"
        ):
            self.waiting.add(caller())
        return result


def caller() -> str:
    """The innermost function of the package that runs."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(SOURCE):
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_name


class NoGenerators:
    """Stands in for torch where it draws on a device that has no generators."""

    class Generator:
        def __init__(self, device: torch.device) -> None: ...

        def manual_seed(self, number: int) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for the fetch, and for what torch doesn't do on 'meta'; return the fetches."""
    fetched: list[int] = []

    def measured(self: Passed) -> Measurement:
        fetched.append(len(self.owned))
        ones = torch.ones(len(self.owned), dtype=torch.float64)
        groups, rows, _ = self.gramians
        return Measurement(ones, torch.eye(rows).double().repeat(groups, 1, 1), ones, self.shared)

    def keep(self: DropoutKey, shape: torch.Size, p: float, device: torch.device) -> Tensor:
        return torch.ones(shape, dtype=torch.bool, device=device)

    monkeypatch.setattr(Passed, "measured", measured)
    monkeypatch.setattr(DropoutKey, "keep_mask", keep)
    monkeypatch.setattr(torch, "autocast", lambda *rest, **more: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *rest: False)
    monkeypatch.setattr(smart, "torch", NoGenerators())
    return fetched


def moved(world: World) -> World:
    """Put a world on 'meta'."""
    model = world.model.to(META)
    world.jacobian = Jacobian(model.encoder.parameters(), model.encoder.embeddings.word)  # type: ignore[assignment]
    world.learner.jacobian = world.jacobian
    own = [(str(i), p) for i, p in enumerate(world.own_parameters())]
    groups = parameter_groups([(model.encoder.named_parameters(), 0.0), (own, 0.0)], 0.0)
    world.learner.optimizer = AdamW(groups)
    return world


def waits_once(world: World, batch: StepBatch, fetches: list[int]) -> None:
    with Copies() as copies:
        world.step(batch.to(META), 1)
    assert copies.waiting <= ONCE
    assert fetches == [len(batch.present)]
