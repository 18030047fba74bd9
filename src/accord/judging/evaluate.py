"""A saved model's figures on labelled data."""

from __future__ import annotations

from pathlib import Path

from accord.config.file import load_config
from accord.config.sections import Config
from accord.data.datasets import TaskFiles
from accord.errors import ConfigError, ModelError, nearest
from accord.judging.inference import judge, split_logits
from accord.judging.predict import Predictor, load
from accord.model.heads import mean_logits
from accord.model.saved import find_model_folder, read_tasks
from accord.runs.folder import RunFolder
from accord.tasks import Task

Figures = dict[str, float]


def evaluated_config(model: Path, config: Path | None) -> Config:
    """Return the config whose dev files are judged: the one named, or that of the model's run.

    Raises:
        ModelError: if none is named and the model lies in no run folder.
    """
    if config is not None:
        return load_config(config, files=False)  # only the dev files are read
    run = RunFolder(find_model_folder(model).absolute().parent)
    if not (run.path / "resolved.json").is_file():
        raise ModelError(
            f"{model}: lies in no run folder: name the files by --config, or --task and --input"
        )
    return run.judged_config()


def evaluate_config(model: Path, config: Config, only: str | None = None) -> dict[str, Figures]:
    """Judge a model on the dev splits of a config.

    Args:
        model: a run folder or model folder.
        config: its tasks must be the model's.
        only: one task's name, to judge no other.

    Returns:
        For each task its metrics and the mean loss.

    Raises:
        UsageError: if model and config don't fit, or a file can't be used.
    """
    predictor = load(model, precision=config.training.precision)
    names = [only] if only else list(config.labelled)
    for name in names:
        _check_fit(predictor.task(name), config)
    return {name: _figures(predictor, name, config) for name in names}


def _figures(predictor: Predictor, name: str, config: Config) -> Figures:
    """Judge a model's task; an ensemble's members read the rows by their own tokenizers."""
    splits = [
        TaskFiles(own.task(name), config.tasks[name], own.tokenizer, lambda text: None).dev(
            config.training
        )
        for own in predictor.members
    ]
    logits = [
        split_logits(own.model, split, own.assembler, products=own.products)
        for own, split in zip(predictor.members, splits, strict=True)
    ]
    return judge(splits[0], mean_logits(logits, splits[0].task)).figures


def _check_fit(task: Task, config: Config) -> None:
    if task.name not in config.labelled:
        hint = nearest(task.name, config.labelled)
        raise ConfigError(f"task '{task.name}' is not in the config{hint}")
    kind = config.tasks[task.name].kind
    if kind != task.kind:
        raise ConfigError(f"tasks.{task.name}.kind: '{kind}', but the model's is '{task.kind}'")


def metric_names(model: Path) -> dict[str, str]:
    """Return the metric by which each task of a model is judged."""
    tasks, _, _ = read_tasks(find_model_folder(model))
    return {task.name: task.metric for task in tasks}


def evaluate_input(model: Path, task: str, source: Path, skip_bad_rows: bool = False) -> Figures:
    """Judge a model on one labelled file of one task.

    Raises:
        UsageError: if there is no such task, or a row can't be used and may not be skipped.
    """
    return load(model).evaluate_file(task, source, skip_bad_rows).figures
