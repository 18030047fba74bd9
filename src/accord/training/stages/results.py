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


def combined_results(names: Sequence[str], trained: Trained, results: Sequence[Results]) -> Results:
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
            "name": name, "tasks": list(tasks), "metrics": result["metrics"],
            "score": result["score"],
            "heldout": _values(result), "best_epoch": result["best_epoch"],
            "stopped_early": result["stopped_early"], "epochs": len(result["epochs"]),
            "steps": result["steps"], "train_seconds": result["train_seconds"],
        }
        for name, tasks, result in zip(names, trained, results, strict=True)
    ]  # fmt: skip
    matrix = [_values(result) for result in results]
    remembers = any(set(row) - set(tasks) for row, tasks in zip(matrix, trained, strict=True))
    return {
        **last,
        **{key: round(sum(result[key] for result in results), 3) for key in _SUMMED},
        "exposure": {name: _exposure(name, results) for name in last["exposure"]},
        "repeatable": all(result.get("repeatable", False) for result in results),
        "peak_memory_bytes": max(result["peak_memory_bytes"] for result in results),
        "stages": rows,
        **({"continual": _continual(matrix, trained)} if remembers and matrix[-1] else {}),
    }


def _values(results: Results) -> dict[str, float]:
    """Return each task's held-out value."""
    return {name: entry["value"] for name, entry in results["heldout"].items()}


def _continual(matrix: Matrix, trained: Trained) -> dict[str, Any]:
    return {
        "of": HELD_OUT,
        "average_accuracy": average_accuracy(matrix),
        "forgetting": forgetting(matrix, trained),
        "backward_transfer": backward_transfer(matrix, trained),
    }


def _exposure(name: str, results: Sequence[Results]) -> dict[str, Any]:
    """Add up what a task was shown in all stages; its rows are those of the first."""
    seen = [result["exposure"][name] for result in results if name in result["exposure"]]
    return {
        **seen[0],
        **{key: sum(entry[key] for entry in seen) for key in _SEEN},
        "epochs": round(sum(entry["examples"] for entry in seen) / max(1, seen[0]["rows"]), 4),
    }
