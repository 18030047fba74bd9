"""What a run in stages leaves: the last stage's results, sums over all, and what was forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accord.evaluation.continual import (
    Matrix,
    Trained,
    average_accuracy,
    backward_transfer,
    forgetting,
)

Results = dict[str, Any]

HELD_OUT = "held-out values"
_SUMMED = ("steps", "skipped_steps", "train_seconds")
_SEEN = ("steps", "examples", "tokens", "padding_tokens")


def whole_results(names: Sequence[str], trained: Trained, results: Sequence[Results]) -> Results:
    """Return a run's results.

    Args:
        names: of the stages.
        trained: the tasks that each of them trains.
        results: what each of them left.

    Returns:
        The last stage's results. Steps, training time and what each task was shown are sums over
        the stages; `stages` has each one's own, and `continual` what was learned and forgotten,
        by the stages' held-out values, where stages evaluate the tasks of earlier ones too.
    """
    last = results[-1]
    rows = [
        {
            "name": name, "tasks": list(tasks), "metrics": own["metrics"], "score": own["score"],
            "heldout": _values(own), "best_epoch": own["best_epoch"],
            "epochs": len(own["epochs"]), "steps": own["steps"],
            "train_seconds": own["train_seconds"],
        }
        for name, tasks, own in zip(names, trained, results, strict=True)
    ]  # fmt: skip
    matrix = [_values(own) for own in results]
    remembers = any(set(own) - set(tasks) for own, tasks in zip(matrix, trained, strict=True))
    return {
        **last,
        **{key: round(sum(own[key] for own in results), 3) for key in _SUMMED},
        "exposure": {name: _exposure(name, results) for name in last["exposure"]},
        "peak_memory_bytes": max(own["peak_memory_bytes"] for own in results),
        "stages": rows,
        **({"continual": _continual(matrix, trained)} if remembers and matrix[-1] else {}),
    }


def _values(results: Results) -> dict[str, float]:
    """Return each task's held-out value."""
    return {name: own["value"] for name, own in results["heldout"].items()}


def _continual(matrix: Matrix, trained: Trained) -> dict[str, Any]:
    return {
        "of": HELD_OUT,
        "average_accuracy": average_accuracy(matrix),
        "forgetting": forgetting(matrix, trained),
        "backward_transfer": backward_transfer(matrix, trained),
    }


def _exposure(name: str, results: Sequence[Results]) -> dict[str, Any]:
    """Add up what a task was shown in all stages; its rows are those of the first."""
    seen = [own["exposure"][name] for own in results if name in own["exposure"]]
    return {
        **seen[0],
        **{key: sum(own[key] for own in seen) for key in _SEEN},
        "epochs": round(sum(own["examples"] for own in seen) / max(1, seen[0]["rows"]), 4),
    }
