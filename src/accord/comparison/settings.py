"""Which single-task runs a shared model is compared with, and how their settings differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accord.comparison.contents import content_table
from accord.comparison.exposure import EXPOSURE_KEYS, exposure_distance
from accord.comparison.group import Group
from accord.config.file import reduced
from accord.plan.keys import flat

_INDIFFERENT = (
    "training.seed", "training.halves_every", "training.gramian", "training.threads",
    "training.device", "training.deterministic", "training.micro_batch_tokens",
    "encoder.gradient_checkpointing", "score",
)  # fmt: skip

_OF_ROWS = ("unlabelled", "apart")


def nearest_single_task(
    task: str, together: Group, alone: Sequence[Group]
) -> tuple[Group | None, tuple[str, ...]]:
    """Choose the group of a task alone whose settings differ least from a shared model's.

    One that was evaluated on the same rows and metric goes before any that was not. Training
    data and encoders are compared by content. Keys that only say how much of a task is shown
    (`EXPOSURE_KEYS`) don't count: `accord.comparison.exposure` compares what was shown.

    Args:
        task: its name.
        together: the shared model's group.
        alone: groups that were trained on the task alone.

    Returns:
        The group and the keys in which it differs; None where there is none, or where several are
        equally near and none has the same settings.
    """
    differing = [_differing(task, together, group) for group in alone]
    ranks = [
        (_evaluated(group, task) != _evaluated(together, task), len(keys),
         exposure_distance(group, together, task))
        for group, keys in zip(alone, differing, strict=True)
    ]  # fmt: skip
    if not ranks or (min(ranks)[1] > 0 and ranks.count(min(ranks)) > 1):
        return None, ()
    nearest = ranks.index(min(ranks))
    return alone[nearest], differing[nearest]


def _evaluated(group: Group, task: str) -> tuple[str, ...]:
    run = group.runs[0]
    on = run.results["heldout"][task]["on"]
    return run.tasks[task].metric_name, on, run.heldout_content(task)


def _differing(task: str, together: Group, alone: Group) -> tuple[str, ...]:
    """Return the keys in which a group of a task alone differs from a shared model's."""
    wanted, given = (dict(_settings(group, task)) for group in (together, alone))
    skipped = any(
        run.results.get("skipped_steps", 0) for group in (together, alone) for run in group.runs
    )
    indifferent = () if skipped else ("training.max_skipped_steps",)
    return tuple(
        key for key in {**wanted, **given}
        if key not in indifferent and given.get(key) != wanted.get(key)
    )  # fmt: skip


def _settings(group: Group, task: str) -> Iterator[tuple[str, object]]:
    """Yield what may make a difference to a task alone, key by key."""
    run = group.runs[0]
    config = run.config
    if len(config.tasks) > 1:
        config = reduced(config, {task: config.tasks[task]})
    table = content_table(run, config)
    table.pop("checkpoint")
    chosen = {*config.sharing.schemes, *config.training.regularisers}
    table["methods"] = {name: method for name, method in table["methods"].items() if name in chosen}
    for section in table["tasks"].values():
        for key in ("test", *_OF_ROWS):  # which rows are read is compared by their contents
            section.pop(key, None)
    for training in (table["training"], *(stage["training"] for stage in table["stages"])):
        for key in EXPOSURE_KEYS:
            training.pop(key.removeprefix("training."), None)
    yield from ((key, value) for key, value in flat(table) if key not in _INDIFFERENT)
