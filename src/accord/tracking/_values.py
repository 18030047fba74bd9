"""A line of `metrics.jsonl` as named numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_OF_TASKS = {
    "losses": "loss", "loss_weights": "loss_weight", "task_gradient_norms": "gradient_norm",
    "method_weights": "gradient_weight",
}  # fmt: skip


def values_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line by the names that all trackers are told.

    Of a step `loss/TASK` (mean of its examples), `loss_weight/TASK`, `gradient_norm` of all shared
    parameters, `gradient_norm/TASK`, `gradient_weight/TASK`, `cosine/TASK,TASK` of the tasks'
    gradients, `lr` of the first group of parameters, `tokens_per_second` and `seconds`; of an
    evaluation `dev/TASK/FIGURE` and `dev/score`. What isn't finite is left out.

    Example:
        >>> values_of({"kind": "step", "step": 3, "losses": {"sst": 1.5}, "lr": [1e-4, 0.0]})
        {'loss/sst': 1.5, 'lr': 0.0001}
    """
    found = _of_evaluation(record) if record["kind"] == "dev" else _of_step(record)
    return {
        name: float(value)
        for name, value in found
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _of_step(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, name in _OF_TASKS.items():
        for task, value in record.get(key, {}).items():
            yield f"{name}/{task}", value
    for key in ("gradient_norm", "tokens_per_second", "seconds"):
        yield key, record.get(key)
    yield "lr", next(iter(record.get("lr", ())), None)
    norms = record.get("task_gradient_norms", {})
    for (i, (task, norm)), row in zip(
        enumerate(norms.items()), record.get("gramian", ()), strict=False
    ):
        for (other, other_norm), product in zip([*norms.items()][:i], row, strict=False):
            if norm and other_norm and product is not None:
                yield f"cosine/{other},{task}", product / (norm * other_norm)


def _of_evaluation(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "dev/score", record.get("score")
    for task, figures in record.get("figures", {}).items():
        for figure, value in figures.items():
            yield f"dev/{task}/{figure}", value
