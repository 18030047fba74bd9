"""What a run leaves at its end: a soup, predictions of test and held-out rows, results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from accord.evaluation.dev import counted
from accord.evaluation.inference import split_logits
from accord.evaluation.predictions import has_ids
from accord.metrics import overall_score
from accord.model.layers_computed import LayersComputed, layers_computed
from accord.model.multitask import HARD, MultitaskModel
from accord.model.saved import load_model
from accord.runs.estimate import duration
from accord.runs.folder import RunFolder
from accord.runs.memory import peak_memory_bytes
from accord.runs.progress import Console
from accord.training.checkpoint import RunState
from accord.training.epoch import write_split
from accord.training.epoch_soup import make_soup
from accord.training.exposure import exposures
from accord.training.heldout import Saved, evaluate_heldout
from accord.training.recording import summary
from accord.training.setup import Setup
from accord.training.stopping import early_stop


def _exposure(setup: Setup, steps: int) -> dict[str, Any]:
    seen = exposures(
        setup.sampler, setup.sources, setup.data.assembler, steps,
        frozen=setup.plan.encoder.frozen,
    )  # fmt: skip
    return {name: asdict(exposure) for name, exposure in seen.items()}


def _layers(model: MultitaskModel) -> LayersComputed:
    sharing = HARD if model.parts is None else model.parts.sharing
    return layers_computed(sharing, model.tasks, len(model.encoder.layers))


def finish(setup: Setup, run: RunFolder, progress: RunState, console: Console) -> dict[str, Any]:
    """Predict the test files with the best model, and write `results.json`."""
    assert progress.best is not None  # every epoch ends with an evaluation
    epoch = progress.evaluations[progress.best]
    early = early_stop(setup.plan, progress.evaluations)
    soup = make_soup(setup, run, progress, console)
    best = soup.record if soup else epoch
    test = _predict_test(setup, run, console)
    labelled = {name: split for name, split in test.items() if name in setup.data.heldout_test}
    epochs = tuple(best["epochs"]) if soup else (epoch["epoch"],)
    saved = Saved(epochs, soup.logits if soup else (), labelled)
    heldout = evaluate_heldout(setup, run, progress, console, saved)
    results = {
        "metrics": best["metrics"],
        "metric_names": {task.name: task.metric_name for task in counted(setup.data.tasks)},
        "figures": best["figures"],
        "score": best["score"],
        "score_kind": setup.plan.score,
        "mean": overall_score("mean", best["metrics"], {}),
        "heldout": heldout,
        "heldout_score": _heldout_score(setup, heldout),
        "best_epoch": epoch["epoch"],
        **({"soup": soup.record} if soup else {}),
        "stopped_early": early.to_json() if early else None,
        "epochs": progress.evaluations,
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "repeatable": progress.repeatable,
        "exposure": _exposure(setup, progress.step),
        "train_seconds": round(progress.train_seconds, 3),
        "own_parameters": {
            task.name: sum(p.numel() for p in setup.learner.model.own_parameters(i))
            for i, task in enumerate(setup.data.tasks)
        },
        "parameters": sum(p.numel() for p in setup.learner.model.parameters()),
        "layers_computed": _layers(setup.learner.model).to_json(),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    run.write_json("results.json", results)
    if (recorder := setup.learner.recorder).records:
        run.log(summary(recorder))
    heldout_text = f", {results['heldout_score']:z.4f} held out" if heldout else ""
    console.say(
        f"done: best epoch {epoch['epoch']}, {setup.plan.score} score {best['score']:z.4f} on dev"
        f"{heldout_text}, {duration(progress.train_seconds)} of training"
        + (f"; model in {run.model}" if console.kept else "")
    )
    return results


def _predict_test(setup: Setup, run: RunFolder, console: Console) -> dict[str, Tensor]:
    """Predict the test files with the best model; return each task's logits."""
    if not setup.data.test:
        return {}
    console.say("predicting the test files with the best model")
    model, _, _ = load_model(run.model)
    model.to(setup.device)
    tasks, by_task = {task.name: task for task in model.tasks}, {}
    for split in setup.data.test:
        logits = split_logits(
            model, split, setup.data.assembler, matmul=setup.learner.objective.matmul
        )
        tuned = replace(split, task=tasks[split.task.name])
        write_split(setup, run.predictions, tuned, logits, "test")
        if setup.plan.score == "cs224n" and not has_ids(split):
            console.say(
                f"{split.task.name}: no leaderboard file: the test file's ids are not named"
            )
        by_task[split.task.name] = logits
    return by_task


def _heldout_score(setup: Setup, heldout: Mapping[str, Any]) -> float | None:
    values = {name: entry["value"] for name, entry in heldout.items()}
    metrics = {task.name: task.metric for task in setup.data.tasks}
    return overall_score(setup.plan.score, values, metrics) if values else None
