"""What the parts share: the device, sizes, batches, and how to wait."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from harness import Side


@dataclass(frozen=True)
class Settings:
    """How the command was called.

    Attributes:
        device: where to run.
        data: folder of the course's files, or None for where they usually are.
        compiled: whether to compile the padded peer too, which takes minutes.
    """

    device: torch.device
    data: Path | None
    compiled: bool

    @property
    def gpu(self) -> bool:
        """Whether it is a GPU: else everything is tiny."""
        return self.device.type == "cuda"

    def size(self, name: str) -> str:
        """An encoder's size, or the tiny one."""
        return name if self.gpu else "tiny"

    def examples(self, count: int) -> int:
        """Examples a task, or a few."""
        return count if self.gpu else min(count, 4)

    def rounds(self, count: int) -> int:
        """Rounds, or two."""
        return count if self.gpu else 2


def wait(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def waited(side: Side, device: torch.device) -> Side:
    """A side that ends when the device has done its work."""

    def step(i: int) -> None:
        side(i)
        wait(device)

    return step


def clear(device: torch.device) -> None:
    """Free what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
