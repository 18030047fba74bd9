"""A saved model's figures on labelled data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from accord.data.datafiles import shown
from accord.data.datasets import TaskFiles
from accord.data.in_memory import Rows
from accord.data.loader import TaskData
from accord.data.plan import DataPlan
from accord.data.textfiles import QuotingName
from accord.data.warnings import DataWarning
from accord.errors import ConfigError, ModelError, RunFolderError, nearest
from accord.evaluation.inference import evaluate, split_logits
from accord.evaluation.loading import load
from accord.evaluation.predict import Predictor
from accord.evaluation.task_groups import TaskGroup, check_finite
from accord.evaluation.thresholds import evaluate_dev
from accord.kinds import Evaluation, labelled_kind
from accord.model.saved import find_model_folder, read_tasks
from accord.plan.recorded import recorded_plan
from accord.plan.run import Precision
from accord.runs.contents import Contents
from accord.runs.devices import choose_device, takes_precision
from accord.runs.folder import RunFolder
from accord.showing import Part, Shown, Table
from accord.tasks import Task


@dataclass(frozen=True)
class Evaluated:
    """A model's figures on dev files.

    Attributes:
        tasks: how it did on each.
        changed: dev files that are not what they were as the model was trained, which was forced.
    """

    tasks: dict[str, Evaluation]
    changed: tuple[str, ...] = ()


class Evaluations(Shown, dict[str, Evaluation]):
    """How a model did on each of some tasks, by name."""

    def shown(self) -> Iterator[Part]:
        """Yield what `accord evaluate` prints."""
        return evaluation_parts(self)


def evaluation_parts(
    evaluated: Mapping[str, Evaluation], overall: Mapping[str, float] = MappingProxyType({})
) -> Iterator[Part]:
    """Yield the figures of tasks and of all together, and remarks on single tasks."""
    table = Table(("task", "metric", "value"), left=2)
    for name, evaluation in evaluated.items():
        for metric, value in evaluation.figures.items():
            table.rows.append((name, metric, f"{value:z.4f}"))
    table.rows.extend(("overall", kind, f"{value:z.4f}") for kind, value in overall.items())
    yield table
    for name, evaluation in evaluated.items():
        if evaluation.remark:
            yield f"{name}: {evaluation.remark}"


def run_of(model: Path) -> RunFolder:
    """Return the run folder that a model lies in.

    Raises:
        ModelError: if it lies in none.
    """
    run = RunFolder(find_model_folder(model).absolute().parent)
    if not (run.path / "resolved.json").is_file():
        raise ModelError(
            f"{model}: lies in no run folder: name the files by --config, or --task and --input"
        )
    return run


def evaluate_run(
    model: Path, run: RunFolder, only: str | None = None, *, force: bool = False
) -> Evaluated:
    """Evaluate a run's model on the dev splits that it was evaluated by as it was trained.

    Thresholds that these chose are cross-fitted, as they were then.

    Args:
        model: a run folder or model folder.
        run: that it lies in.
        only: one task's name, to evaluate no other.
        force: evaluate by the files as they are now, though they were changed.

    Raises:
        RunFolderError: naming the dev file that was changed since, unless it was forced.
        UsageError: if a file can't be used.
    """
    plan, contents = recorded_plan(run).stages[-1], Contents(run.read_json("resolved.json"))
    predictor, splits = _splits(model, plan.data, plan.training.precision, only)
    changed = tuple(
        f"{shown(plan.data.tasks[name].dev or plan.data.tasks[name].train or '')} ({name}.dev)"
        for name, split in splits.items()
        if (before := contents.recorded(name, "dev")) and split[0].content != before
    )
    if changed and not force:
        raise RunFolderError(
            f"{run.path}: changed since this run was trained: {'; '.join(changed)}; its figures"
            " would be of other rows: --force evaluates on them as they are now, --config or"
            " --input on other files"
        )
    return Evaluated(_evaluate(predictor, splits, evaluate_dev), changed)


def evaluate_files(
    model: Path, data: DataPlan, precision: Precision, only: str | None = None
) -> dict[str, Evaluation]:
    """Evaluate a model on the dev splits of some tasks.

    Args:
        model: a run folder or model folder.
        data: names the files; their tasks must be the model's.
        precision: in which the model multiplies.
        only: one task's name, to evaluate no other.

    Returns:
        How it did on each task.

    Raises:
        UsageError: if model and tasks don't fit, or a file can't be used.
    """
    return _evaluate(*_splits(model, data, precision, only), evaluate)


def _splits(
    model: Path, data: DataPlan, precision: Precision, only: str | None
) -> tuple[Predictor, dict[str, list[TaskData]]]:
    """Load a model, and read each task's dev split; an ensemble's members read the rows by their
    own tokenizers."""
    here = takes_precision(precision, choose_device("auto"))
    predictor = load(model, precision=precision if here else "float32")
    names = [only] if only else list(data.labelled)
    for name in names:
        _check_fit(predictor.task(name), data)
    splits = {
        name: [
            TaskFiles(member.task(name), data.tasks[name], member.tokenizer, warnings.warn).dev(
                data.dev_share
            )
            for member in predictor.members
        ]
        for name in names
    }
    for first, *_ in splits.values():
        for note in first.store.notes:
            warnings.warn(str(DataWarning(*note)), stacklevel=2)
    return predictor, splits


def _evaluate(
    predictor: Predictor,
    splits: Mapping[str, Sequence[TaskData]],
    compare: Callable[[TaskData, Tensor], Evaluation],
) -> dict[str, Evaluation]:
    evaluated = {}
    for name, parts in splits.items():
        logits = []
        for member, part in zip(predictor.members, parts, strict=True):
            logits.append(split_logits(member.model, part, member.assembler, matmul=member.matmul))
            check_finite([TaskGroup((part.task,))], logits[-1:], member.folder)
        mean = labelled_kind(parts[0].task).mean_logits(parts[0].task, logits)
        evaluated[name] = compare(parts[0], mean)
    return evaluated


def _check_fit(task: Task, data: DataPlan) -> None:
    if task.name not in data.labelled:
        hint = nearest(task.name, data.labelled)
        raise ConfigError(f"task '{task.name}' is not in the config{hint}")
    kind = data.tasks[task.name].kind
    if kind != task.kind:
        raise ConfigError(f"tasks.{task.name}.kind: '{kind}', but the model's is '{task.kind}'")


def metric_names(model: Path) -> dict[str, str]:
    """Return the name of the metric by which each task of a model is evaluated."""
    tasks, _, _ = read_tasks(find_model_folder(model))
    return {task.name: task.metric for task in tasks}


def evaluate_input(
    model: Path,
    task: str,
    source: str | Path | Rows,
    skip_bad_rows: bool = False,
    quoting: QuotingName | None = None,
) -> Evaluation:
    """Evaluate a model on one labelled file of one task, or on rows; `quoting` as
    `Predictor.read_quotes`.

    Raises:
        UsageError: if there is no such task, or a row can't be used and may not be skipped.
    """
    predictor = load(model)
    predictor.read_quotes(task, quoting)
    return predictor.evaluate_file(task, source, skip_bad_rows)
