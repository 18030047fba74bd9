"""Where a model runs."""

from __future__ import annotations

import torch

from accord.errors import ConfigError
from accord.runs.processors import cap_threads


def choose_device(name: str) -> torch.device:
    """Return the device that a config names; 'auto' takes a GPU where there is one.

    What runs there takes no more threads by default than this process may use (`cap_threads`).

    Raises:
        ConfigError: if torch knows no such device, or it isn't there.
    """
    cap_threads()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"device: '{name}' is unknown; allowed: auto, cpu, cuda, cuda:N"
        ) from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: '{name}' is not supported; allowed: auto, cpu, cuda, cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device: '{name}' is not on this machine")
    return device
