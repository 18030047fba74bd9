"""The optimizer's state as named tensors, saved and restored to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from accord.errors import TrainingError
from accord.optim.adamw import MOMENTS


def state_tensors(optimizer: Optimizer, names: Mapping[Parameter, str]) -> dict[str, Tensor]:
    """Flatten the optimizer's state to named tensors, as a safetensors file holds them.

    Returns:
        `exp_avg.NAME` and `exp_avg_sq.NAME`, shaped like the parameter, and `step.NAME`, an int64
        scalar, for every parameter that was ever updated. The moments are the optimizer's own
        tensors, not copies.
    """
    tensors = {}
    for param in _params(optimizer):
        if state := optimizer.state.get(param):
            for moment in MOMENTS:
                tensors[f"{moment}.{names[param]}"] = state[moment]
            tensors[f"step.{names[param]}"] = torch.tensor(state["step"])
    return tensors


def load_state_tensors(
    optimizer: Optimizer, names: Mapping[Parameter, str], tensors: Mapping[str, Tensor]
) -> None:
    """Replace the optimizer's state by copies of what `state_tensors` returned, bit for bit.

    Raises:
        TrainingError: a tensor that is missing, unexpected, or of a wrong shape or dtype; the
            optimizer is as it was.
    """
    left = dict(tensors)
    restored: dict[Tensor, dict[str, Any]] = {}
    for param in _params(optimizer):
        if any(f"{key}.{names[param]}" in left for key in ("step", *MOMENTS)):
            restored[param] = _take_state(left, names[param], param)
    if left:
        raise TrainingError(f"optimizer state: no parameter fits tensor '{min(left)}'")
    optimizer.state.clear()
    optimizer.state.update(restored)


def _params(optimizer: Optimizer) -> Iterator[Parameter]:
    return (param for group in optimizer.param_groups for param in group["params"])


def _take_state(tensors: dict[str, Tensor], name: str, param: Tensor) -> dict[str, Any]:
    step = _take(tensors, f"step.{name}", torch.Size(), torch.int64)
    moments = {
        moment: _take(tensors, f"{moment}.{name}", param.shape, param.dtype)
        .to(param.device, copy=True)
        .contiguous()
        for moment in MOMENTS
    }
    return {"step": int(step), **moments}


def _take(tensors: dict[str, Tensor], name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    tensor = tensors.pop(name, None)
    if tensor is None:
        raise TrainingError(f"optimizer state: tensor '{name}' is missing")
    if tensor.shape != shape or tensor.dtype != dtype:
        raise TrainingError(
            f"optimizer state: tensor '{name}' is {tensor.dtype} {list(tensor.shape)}, "
            f"should be {dtype} {list(shape)}"
        )
    return tensor
