"""A model folder, or an ensemble's, as what answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import torch

from accord.errors import UsageError
from accord.evaluation.predict import Predictor
from accord.kernels.matmul import MatmulPolicy, choose_matmul_policy
from accord.model.saved import find_model_folder, load_model, read_tasks
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.runs.devices import check_precision, choose_device


def load(folder: str | Path, device: str = "auto", precision: Precision = "float32") -> Predictor:
    """Load a trained model, or all members of an ensemble.

    Args:
        folder: a model folder, or the run folder that holds it.
        device: where it runs: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.
        precision: 'float32', 'bfloat16', or 'tf32' on a GPU that has it.

    Raises:
        ModelError, EncoderError, ConfigError: if it can't be loaded, or not there.

    Example:
        >>> model = load("runs/first")  # doctest: +SKIP
        >>> model.predict("quora", [("How old is he?", "What is his age?")])  # doctest: +SKIP
        ['1']
    """
    if precision not in get_args(Precision):
        raise UsageError(
            f"precision: '{precision}' is unknown; allowed: {', '.join(get_args(Precision))}"
        )
    path = find_model_folder(Path(folder))
    place = choose_device(device)
    check_precision(precision, place)
    matmul = choose_matmul_policy(place, precision)
    first, *others = member_folders(path)
    members = [_load_alone(other, place, matmul) for other in others]
    thresholds = {task.name: task.thresholds for task in read_tasks(path)[0]}
    return _load_alone(first, place, matmul, members, thresholds)


def _load_alone(
    folder: Path,
    place: torch.device,
    matmul: MatmulPolicy,
    others: Sequence[Predictor] = (),
    thresholds: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
) -> Predictor:
    model, inputs, max_length = load_model(folder)
    model.to(place).eval()
    return Predictor(model, inputs, max_length, folder, matmul, others, thresholds)
