"""Equal exposure: how much a single-task run draws to see as much of its task as the shared run."""

from __future__ import annotations

from typing import Literal

from accord.data.datasets import Data, read_data
from accord.encoders.pretrained import resolve_encoder_folder
from accord.errors import UsageError
from accord.grids.cells import Settings
from accord.plan.run import RunPlan, StagePlan
from accord.training.drawing import (
    balanced_classes,
    build_sampler,
    mean_tokens,
    training_sources,
)
from accord.training.exposure import exposures

Equal = Literal["examples", "steps", "tokens", "nothing"]
"""What runs of a task alone have as much of as the shared run: examples of the task, steps of the
optimizer, tokens of the task, or nothing in particular, where each goes by its own config."""
AT_DEV_S_WORD = "a run that dev figures end shows an amount that isn't known before"


def equal_settings(plan: RunPlan, equal: Equal, where: str) -> dict[str, Settings]:
    """Return the settings that give a run of each task alone as much as the shared run has.

    The training data are read and the shared run's draws counted. Rows of a memory count where
    they are drawn; alone, the last stage that trains the task has as many more.

    Args:
        plan: of the shared run.
        equal: what is to be equal.
        where: the config's name in messages.

    Returns:
        `training.examples` of each labelled task, stage by stage where there are stages; none with
        'nothing', and none of finished tasks, which have no run alone.

    Raises:
        UsageError: if the shared run draws a task less than once an epoch, or may stop early; or
            whatever is wrong with data, encoder or config.
    """
    if equal == "nothing":
        return {name: {} for name in plan.data.labelled}
    if any(stage.training.patience is not None for stage in plan.stages):
        raise UsageError(
            f"{where}: training.patience: {AT_DEV_S_WORD}; leave it out, or compare with"
            " --equal nothing"
        )
    drawn = [drawn_of(stage, equal) for stage in plan.stages]
    by_task: dict[str, Settings] = {}
    for task in plan.data.labelled:
        training = [
            i for i, stage in enumerate(plan.stages)
            if task in stage.data.tasks and task not in stage.finished
        ]  # fmt: skip
        counts = {i: drawn[i][task] for i in training}
        if training:
            counts[training[-1]] += sum(
                count.get(task, 0) for i, count in enumerate(drawn) if i not in training
            )
        for i, count in counts.items():
            stage_plan = plan.stages[i]
            stage = f" in stage '{stage_plan.name}'" if stage_plan.name else ""
            _check_an_epoch(f"'{task}'{stage}", count, stage_plan.training.epochs, where)
        by_task[task] = {_key(plan.stages[i]): count for i, count in counts.items()}
    return by_task


def _check_an_epoch(task: str, examples: int, epochs: int, where: str) -> None:
    """Check that a run alone has an example for every epoch."""
    if examples < epochs:
        drawn = "one example" if examples == 1 else f"{examples} examples"
        raise UsageError(
            f"{where}: task {task}: the shared run shows as much of it as {drawn} in {epochs}"
            " epochs, and a run of it alone can't have less than one per epoch; let the shared run"
            " draw more of it (a larger training.batch_size or training.steps_per_epoch, or another"
            " training.batching), or compare with --equal nothing"
        )


def drawn_of(
    plan: StagePlan, equal: Equal = "examples", data: Data | None = None
) -> dict[str, int]:
    """Return how many examples of each task make up what a run without stages has.

    Of 'examples' what it draws of each; of 'steps' as many full batches of one task as it has
    steps; of 'tokens' what it draws, in tokens, over the mean length of a row that is drawn.

    Args:
        plan: of the run.
        equal: what is counted.
        data: of the run; None reads them.
    """
    if data is None:
        folder = resolve_encoder_folder(plan.encoder.path, plan.encoder.revision)
        data = read_data(plan.data, folder, lambda text: None)
    epochs = plan.training.epochs
    names = [task.name for task in data.tasks]
    sources = training_sources(plan, data.train)
    drawn, sizes = tuple(source.name for source in sources), tuple(map(len, sources))
    classes = balanced_classes(plan, data.train)
    sampler = build_sampler(plan, drawn, sizes, classes)
    steps = epochs * sampler.steps
    if equal == "steps":
        full = plan.training.batch_size * steps
        return {name: 0 if name in plan.finished else full for name in names}
    if equal == "examples" and len(sources) == len(names):
        return dict(zip(names, sampler.examples(epochs), strict=True))
    seen = exposures(sampler, sources, data.assembler, steps)
    if equal == "examples":
        return {name: exposure.examples for name, exposure in seen.items()}
    return {
        split.task.name: round(
            seen[split.task.name].tokens
            / mean_tokens(split.task.name, data.assembler.lengths(split), classes)
            if len(split) else 0
        )
        for split in data.train
    }  # fmt: skip


def _key(stage: StagePlan) -> str:
    return f"stages.{stage.name}.training.examples" if stage.name else "examples"
