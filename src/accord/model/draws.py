"""What is drawn for a new model: each head's and each scheme's weights by a key of their own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def drawn_for(name: str) -> Iterator[None]:
    """Let a block's draws depend on torch's seed and a name, not on what was drawn before.

    A task alone then begins with the head that it has beside others, and with any sharing scheme:
    runs of one seed differ in what is compared alone.

    Args:
        name: of a task or scheme.
    """
    key = np.random.SeedSequence([torch.initial_seed(), zlib.crc32(name.encode())])
    with torch.random.fork_rng(devices=[]):
        # Weights are drawn on the CPU: torch.manual_seed would seed every GPU anew as well.
        torch.default_generator.manual_seed(int(key.generate_state(1)[0]))
        yield
