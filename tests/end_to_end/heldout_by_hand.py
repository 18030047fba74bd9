"""What a run left of its held-out rows, and the same figures computed from it by hand."""

import csv
import json

import numpy as np
from safetensors.numpy import load_file
from scipy.stats import pearsonr

# Steps so large that the epochs differ, and the halves choose different ones.
LIVELY = {"training.lr": 3e-3, "training.epochs": 5, "training.steps_per_epoch": 3}
METRICS = {"mood": "accuracy", "same": "accuracy", "near": "pearson"}


def results_of(run):
    return json.loads((run / "results.json").read_text())


def predicted(task, logits):
    """Predictions of the projects' tasks: argmax, argmax, and 5 times the output."""
    return logits.argmax(-1).astype(float) if task != "near" else 5.0 * logits[..., 0]


def metric(task, logits, labels):
    own = predicted(task, logits)
    if task != "near":
        return float((own == labels).mean())
    return pearsonr(own, labels).statistic


def rows_of(run, task):
    text = (run / "predictions" / f"{task}-heldout.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def by_hand(run, tasks=tuple(METRICS), count=None):
    """Cross-fit a run's scores: the epochs that the halves choose, and each task's value."""
    tensors = load_file(run / "scores.safetensors")
    epochs = {task: tensors[f"epochs/{task}"].astype(float) for task in tasks}
    labels = {task: tensors[f"labels/{task}"] for task in tasks}
    halves = {task: tensors[f"halves/{task}"] for task in tasks}
    chosen = []
    for half in (0, 1):
        sums = [
            sum(
                metric(task, epochs[task][e][halves[task] == half],
                       labels[task][halves[task] == half])
                for task in count or tasks
            )
            for e in range(len(epochs["mood"]))
        ]  # fmt: skip
        chosen.append(int(np.argmax(sums)))
    values = {}
    for task in tasks:
        parts = []
        for half in (0, 1):
            mask = halves[task] == half
            own = epochs[task][chosen[1 - half]][mask]
            parts.append((mask.mean(), metric(task, own, labels[task][mask])))
        values[task] = sum(share * own for share, own in parts)  # accuracy is a mean as well
    return [own + 1 for own in chosen], values
