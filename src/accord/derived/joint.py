"""New tasks on a trained model whose other tasks are trained on with them, from their own files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from accord.config.file import as_table, parse_config, resolve_paths
from accord.data.datasets import TaskFiles
from accord.derived.adding import Added, dated, loaded_config, scratch_beside, train_in
from accord.derived.adding_faults import check_names, encoder_faults, refuse, section_faults
from accord.derived.composed import open_model, saved_tasks, write_composed
from accord.derived.finished import write_new
from accord.errors import UsageError
from accord.evaluation.dev_texts import run_of
from accord.evaluation.inference import split_logits
from accord.evaluation.loading import load
from accord.evaluation.predict import Predictor
from accord.evaluation.thresholds import crossfit_moved
from accord.kinds import labelled_kind
from accord.model.layers_computed import layers_of_folder
from accord.model.saved import read_tasks
from accord.plan.making import plan_run
from accord.plan.recorded import recorded_config
from accord.plan.run import StagePlan
from accord.statistics.crossed import Difference, Side, difference

Table = dict[str, Any]


def add_jointly(
    model: Path,
    config: Path,
    out: Path,
    replaced: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Added:
    """Train all tasks of a model on together with new ones, and write a model folder of them all.

    The old tasks' files, columns and parts are those of the model's run, all else is the config's.

    Args:
        model: the run folder.
        config: as `add_tasks` takes it.
        out: the folder to write; must not exist yet.
        replaced: tasks of the model whose heads begin anew, on the config's data.
        overrides: of the config.
        quiet: no progress on stderr.

    Returns:
        What came of it, and by how much each old task moved.

    Raises:
        UsageError: if model, config or data can't be used, or an old task's files are gone; nothing
            was written.
        TrainingError: if training failed.
    """
    opened = open_model(model, out, replaced)
    folder, others = opened.folder, opened.others
    if not others:
        raise UsageError(f"{folder}: --joint trains other tasks on, and all are replaced")
    run = run_of(model)
    if run is None:
        raise UsageError(
            f"{folder}: --joint trains its tasks on, but it lies in no run folder that names their"
            " files; 'accord train' does so with a config that names the files of all tasks and has"
            " this folder as encoder.path and encoder.heads = 'keep'"
        )
    given = loaded_config(folder, config, overrides)
    refuse(config, [
        *encoder_faults(given, folder, trained=True), *section_faults(given, trained=True),
    ])  # fmt: skip
    names = [task.name for task in others]
    check_names(config, list(given.labelled), [task.name for task in opened.tasks], replaced)
    with scratch_beside(out) as scratch:
        start = scratch / "start"  # without the heads that are to begin anew
        start.mkdir()
        write_composed(folder, others, start)
        _, _, length = read_tasks(folder)
        table = _together(as_table(recorded_config(run)), as_table(given), names)
        table["encoder"] |= {"path": str(start), "heads": "keep", "max_length": length}
        whole = resolve_paths(parse_config(table, str(config), strict=False), config.parent)
        plan = plan_run(whole, str(config)).only
        trained = train_in(scratch, plan, quiet=quiet)
        made = trained.folder / "model"
        moved = dict(_moved(load(folder), load(made), plan, names))
        tasks = [dated(task) for task in saved_tasks(made)]
        write_new(out, lambda aside: write_composed(made, tasks, aside))
    return Added(
        trained.results,
        {task.name: task.parameters for task in tasks if task.name not in names},
        layers_of_folder(folder),
        layers_of_folder(out),
        moved=moved,
    )


def _together(old: Table, new: Table, names: Sequence[str]) -> Table:
    """Return the config of all tasks: an old run's files and parts under the new config."""
    sharing = {**old.get("sharing", {}), **new.get("sharing", {})}
    schemes = sharing.get("schemes", ())
    options = {name: each for name, each in old.get("methods", {}).items() if name in schemes}
    share = {"dev_share": old.get("training", {}).get("dev_share")}
    return {
        **new,
        "encoder": dict(new["encoder"]),
        "training": {**share, **new.get("training", {})},
        "sharing": sharing,
        "methods": {**options, **new.get("methods", {})},
        "texts": {**old.get("texts", {}), **new.get("texts", {})},
        "tasks": {**{name: old["tasks"][name] for name in names}, **new["tasks"]},
    }


def _moved(
    before: Predictor, after: Predictor, plan: StagePlan, names: Sequence[str]
) -> Iterator[tuple[str, Difference]]:
    """Yield by how much each task's metric differs on its dev rows: after minus before."""
    for name in names:
        labels, theirs = _said(before, plan, name)
        _, ours = _said(after, plan, name)
        task = after.task(name)
        yield name, difference(task.metric, labels, ours, theirs, task.positive_class)


def _said(model: Predictor, plan: StagePlan, name: str) -> tuple[npt.NDArray[Any], Side]:
    """Return the labels of a task's dev rows, and what a model says of them."""
    task = model.task(name)
    files = TaskFiles(task, plan.data.tasks[name], model.tokenizer, lambda line: None)
    split = files.dev(plan.data.dev_share)
    logits = split_logits(model.model, split, model.assembler, matmul=model.matmul)
    # As in the run: no row is predicted by a threshold that it has a part in.
    plain, moved = replace(task, thresholds=()), crossfit_moved(split, logits)
    compared = labelled_kind(task).compared(plain, split.labels, moved)
    return split.labels, Side((plan.training.seed,), compared[None])
