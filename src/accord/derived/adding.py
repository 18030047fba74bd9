"""New tasks on a trained model, whose encoder and other tasks stay as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accord.config.file import load_config
from accord.config.sections import Config
from accord.data.examples import Given
from accord.derived.adding_faults import (
    check_names,
    check_parts,
    encoder_faults,
    refuse,
    section_faults,
)
from accord.derived.composed import SavedTask, open_model, saved_tasks, write_proved
from accord.derived.finished import nearest_parent
from accord.durable import link
from accord.encoders.pretrained import HUB_FILES
from accord.errors import AccordError, UsageError
from accord.evaluation.dev_texts import read_dev_texts
from accord.model.layers_computed import LayersComputed, layers_of_folder
from accord.model.origin import Origin
from accord.model.saved import read_tasks
from accord.plan.making import plan_run
from accord.plan.run import StagePlan
from accord.runs.lock import hold
from accord.runs.progress import Console
from accord.statistics.crossed import Difference
from accord.training.run import Run, start_run
from accord.untrusted import read_toml


@dataclass(frozen=True)
class Added:
    """What came of it.

    Attributes:
        results: of the run that trained the new tasks, as `results.json` has them.
        parameters: how many numbers each new task brings, by its name.
        before: encoder layers computed for an answer to all tasks of the old model.
        after: of the new one.
        proofs: one line for each other task: on which texts its answers are equal to the byte.
        moved: of tasks that were trained on: how their metrics differ from before, on dev.
    """

    results: dict[str, Any]
    parameters: dict[str, int]
    before: LayersComputed
    after: LayersComputed
    proofs: tuple[str, ...] = ()
    moved: Mapping[str, Difference] = field(default_factory=dict)


def add_tasks(
    model: Path,
    config: Path,
    out: Path,
    replaced: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Added:
    """Train new tasks on a model's encoder as it is, and write a model folder with all tasks.

    The other tasks' weights are the same to the bit, and so are their answers, which is checked
    before anything is written.

    Args:
        model: a run folder or model folder.
        config: a TOML file with the new tasks, `[training]`, and `[sharing]` for parts of theirs.
        out: the folder to write; must not exist yet.
        replaced: tasks of the model that the config's tasks of the same names take the place of.
        overrides: of the config, as `load_config` takes them.
        quiet: no progress on stderr.

    Raises:
        UsageError: if `out` is there, or model, config or data can't be used; nothing was written.
        TrainingError: if training failed, or an answer of another task would change.
    """
    opened = open_model(model, out, replaced)
    folder = opened.folder
    plan = _plan(folder, config, overrides)
    check_names(config, [*plan.data.labelled], [task.name for task in opened.tasks], replaced)
    check_parts(folder, plan, opened.others)
    with scratch_beside(out) as scratch:
        encoder = scratch / "encoder"
        _link_encoder(folder, encoder)
        run = train_in(scratch, plan.from_model(encoder), quiet=quiet)
        new = [dated(task) for task in saved_tasks(run.folder / "model")]
        tasks = _in_place(opened.tasks, new, replaced)
        spare = _dev_rows(plan, run.folder / "model")
        proofs = write_proved(opened, tasks, out, spare, Console(quiet).say)
    return Added(
        run.results,
        {task.name: task.parameters for task in new},
        layers_of_folder(folder),
        layers_of_folder(out),
        proofs,
    )


def loaded_config(folder: Path, config: Path, overrides: Sequence[str]) -> Config:
    """Read a config of new tasks, whose encoder is a model's, named or not."""
    loaded = load_config(config, [encoder_key(folder), *overrides])
    if "path" in read_toml(config).get("encoder", {}):
        loaded = load_config(config, overrides)
    return loaded


def encoder_key(folder: Path) -> str:
    """Return the override of a config that makes a folder its encoder."""
    return f"encoder.path={json.dumps(str(folder.absolute()))}"


def _plan(folder: Path, config: Path, overrides: Sequence[str]) -> StagePlan:
    """Return the plan of the new tasks' run on a model's encoder.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    loaded = loaded_config(folder, config, overrides)
    refuse(config, [*encoder_faults(loaded, folder), *section_faults(loaded)])
    _, _, length = read_tasks(folder)
    settled = [encoder_key(folder), f"encoder.max_length={length}"]
    if loaded.sharing.schemes:
        settled += ["sharing.train_shared=false"]
    else:
        settled += ['encoder.mode="frozen"']
    return plan_run(load_config(config, [*overrides, *settled]), str(config)).only


def _link_encoder(folder: Path, target: Path) -> None:
    """Make a folder of a model's encoder alone, without what its tasks have of their own."""
    target.mkdir()
    for pattern in HUB_FILES:
        for file in folder.glob(pattern):
            link(file.resolve(), target / file.name)


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Give an empty folder on the same file system as one that is to be written, and remove it.

    What a process that was killed left of it is removed first.

    Raises:
        BusyError: if another process adds to the same folder.
        UsageError: if it can't be made.
    """
    parent = nearest_parent(out)
    folder = parent / "-".join([".accord-add", *out.absolute().relative_to(parent).parts])
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: can't be written: {error.strerror}") from None
    with hold(folder):
        try:
            for left in [*folder.iterdir()]:
                if left.is_dir():
                    shutil.rmtree(left)
            yield folder
        finally:
            shutil.rmtree(folder)


def train_in(scratch: Path, plan: StagePlan, *, quiet: bool) -> Run:
    """Train in a folder that is not kept.

    Raises:
        UsageError, TrainingError, Stopped: as `start_run`; there is nothing to resume.
    """
    folder = scratch / "run"
    try:
        return start_run(plan, folder, quiet=quiet, kept=False)
    except AccordError as error:
        goes_on = f"'accord resume {folder}' goes on"
        error.args = tuple(line.replace(goes_on, "nothing was written") for line in error.args)
        raise


def dated(task: SavedTask) -> SavedTask:
    """Return a task with the time at which it was made."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    origin = replace(Origin.from_json(task.entry["made"]), date=now)
    return replace(task, entry={**task.entry, "made": origin.to_json()})


def _in_place(
    old: Sequence[SavedTask], new: Sequence[SavedTask], replaced: Sequence[str]
) -> list[SavedTask]:
    """Return all tasks: a replaced one's successor in its place, new ones behind."""
    made = {task.name: task for task in new}
    kept = [made.pop(task.name) if task.name in replaced else task for task in old]
    return [*kept, *made.values()]


def _dev_rows(plan: StagePlan, folder: Path) -> list[Given]:
    tasks, _, _ = read_tasks(folder)
    return [row for task in tasks for row in read_dev_texts(task, plan, folder)]
