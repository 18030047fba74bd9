"""Where a model runs, and in which precision it can."""

from __future__ import annotations

import torch

from accord.errors import ConfigError
from accord.kernels.matmul import has_tf32
from accord.runs.processors import cap_threads

_TRAIN = "auto, cpu, cuda, cuda:N"


def choose_device(name: str, *, trains: bool = False) -> torch.device:
    """Return the device that a config names; 'auto' takes one of CUDA's where there is one.

    What runs there takes no more threads by default than this process may use (`cap_threads`).

    Args:
        name: of the device.
        trains: whether it is to train. 'mps', a Mac's GPU, is for answers: it has no float64, in
            which gradients' inner products are added up.

    Raises:
        ConfigError: if torch knows no such device, it isn't there, or it can't train and is to.
    """
    cap_threads()
    allowed = _TRAIN if trains else f"{_TRAIN}, mps"
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: '{name}' is unknown; allowed: {allowed}") from None
    if device.type == "mps" and trains:
        raise ConfigError(f"device: 'mps' has no float64, which training takes; allowed: {allowed}")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device: '{name}' is not supported; allowed: {allowed}")
    lacking = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if lacking or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise ConfigError(f"device: '{name}' is not on this machine")
    # With its number, as tensors there name it: what is tried once per device is found again.
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def check_precision(precision: str, device: torch.device, key: str = "precision") -> None:
    """Check that a device can multiply as asked.

    Args:
        precision: of `training.precision`'s values.
        device: where products run.
        key: that asks for it.

    Raises:
        ConfigError: if it is TF32 and the device has none.
    """
    if not takes_precision(precision, device):
        where = card_of(device).get("name", "a CPU" if device.type == "cpu" else device.type)
        raise ConfigError(
            f"{key}: 'tf32' takes a GPU with TF32 (compute capability 8.0 and higher), and this"
            f" runs on {where}; allowed here: float32, bfloat16"
        )


def takes_precision(precision: str, device: torch.device) -> bool:
    """Whether a device can multiply in a precision.

    Where it can't, it can evaluate what was trained so in float32: TF32 is a permission to round.
    """
    return precision != "tf32" or has_tf32(device)


def card_of(device: torch.device) -> dict[str, str]:
    """Return the `name` of a GPU's kind and the version of `CUDA`; empty for a CPU."""
    if device.type != "cuda":
        return {}
    return {"name": torch.cuda.get_device_name(device), "CUDA": torch.version.cuda or "none"}
