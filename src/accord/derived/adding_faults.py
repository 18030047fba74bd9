"""What of a config can't be trained beside the tasks of a model, said before anything is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.config.sections import Config
from accord.derived.composed import SavedTask
from accord.errors import ConfigError, ModelError, check_known
from accord.model.saved import read_sharing, read_tasks
from accord.plan.run import StagePlan
from accord.sharing import get_scheme

_FREE = {"path", "mode", "max_length", "dropout", "gradient_checkpointing"}
"""Keys of `[encoder]` that a config may have here."""


def refuse(config: Path, faults: Sequence[str]) -> None:
    """Raise a `ConfigError` of some faults, if there are any."""
    if faults:
        raise ConfigError(*(f"{config}: {fault}" for fault in faults))


def encoder_faults(config: Config, folder: Path, *, trained: bool = False) -> Iterator[str]:
    """Yield what `[encoder]` asks of the encoder of a model folder that it can't be.

    Args:
        config: of new tasks.
        folder: of the model.
        trained: whether the encoder is trained on.
    """
    given, (_, _, length) = config.encoder, read_tasks(folder)
    stays = f"the encoder is that of {folder}" + " and stays as it is" * (not trained)
    stays += "; leave the key out"
    for key in given.model_fields_set - _FREE:
        yield f"encoder.{key}: {stays}"
    if Path(given.path).resolve() not in (folder.resolve(), folder.resolve().parent):
        yield f"encoder.path: {given.path} is another one; {stays}"
    if given.max_length not in (None, length):
        yield f"encoder.max_length: is {given.max_length}, but the model's is {length}"
    if "mode" in given.model_fields_set and (given.mode == "frozen") is trained:
        trains = "--joint trains the encoder" if trained else f"'{given.mode}' trains the encoder"
        yield f"encoder.mode: {trains}; {stays}"


def section_faults(config: Config, *, trained: bool = False) -> Iterator[str]:
    """Yield what other sections ask that new tasks can't have; arguments as `encoder_faults`."""
    if config.stages:
        yield "stages: tasks are added in one stage; add those of the next in another call"
    if config.memory is not None:
        yield "memory: what the other tasks say doesn't change, so nothing is to be remembered"
    for name in config.sharing.schemes if not trained else ():
        if get_scheme(name).copies:
            others = "'adapter', 'lora', 'pal' and 'task-norm' stand beside the model's layers"
            yield f"sharing.schemes: '{name}' copies the encoder's layers for all tasks; {others}"


def check_names(
    config: Path, names: Sequence[str], known: Sequence[str], replaced: Sequence[str]
) -> None:
    """Check that new tasks have names of their own, and that those that replace others are there.

    Args:
        config: the file, for messages.
        names: of its tasks with labels.
        known: names of the model's tasks.
        replaced: those of them that are to be replaced.

    Raises:
        UsageError: naming the task.
    """
    if not names:
        raise ConfigError(f"{config}: tasks: none has labels, so there is no head to add")
    check_known(config, replaced, names)
    for name in names:
        if name in known and name not in replaced:
            raise ConfigError(
                f"{config}: tasks.{name}: the model has a task of that name; --replace {name} puts"
                " this one in its place"
            )


def check_parts(folder: Path, plan: StagePlan, others: Sequence[SavedTask]) -> None:
    """Check that the parts of old and new tasks have a place in one model.

    Args:
        folder: of the model, for messages.
        plan: of the new tasks.
        others: the model's, as they stay.

    Raises:
        UsageError: naming the scheme.
    """
    for scheme in read_sharing(folder).schemes:
        if get_scheme(scheme).copies:
            raise ModelError(
                f"{folder}: each of its tasks has layers of its own ('{scheme}'), and what they"
                " share there was never trained; 'accord export' makes one task's model, which"
                " tasks can be added to"
            )
    for scheme, given in (pair for task in others for pair in task.sharing.options.items()):
        if scheme not in plan.sharing.schemes:
            continue
        options = get_scheme(scheme).check_options(plan.options.get(scheme, {}))
        if json.dumps(options) != json.dumps(given):
            raise ConfigError(
                f"methods.{scheme}: the model's tasks have {json.dumps(given)}, and new ones need"
                f" the same, not {json.dumps(options)}"
            )
