"""What is wrong with a config's tasks without labels, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from accord.config.sections import Config
from accord.errors import nearest
from accord.kinds import get_kind
from accord.plan.run import StagePlan
from accord.sharing import get_scheme


def auxiliary_faults(plan: StagePlan, config: Config) -> Iterator[str]:
    """Yield what can't work, one line each."""
    for name in config.texts:
        if name in config.tasks:
            yield f"texts.{name}: is a task too; its texts are read as it is"
        elif all(name not in config.sources(other) for other in config.auxiliary):
            yield f"texts.{name}: no task without labels learns from its texts"
    for name, task in config.auxiliary.items():
        yield from _source_faults(name, config)
        if plan.encoder.frozen:
            yield (
                f"tasks.{name}.kind: '{task.kind}' trains the encoder; encoder.mode = 'frozen'"
                " leaves it nothing to train"
            )
        yield from _step_faults(name, plan)
    if config.auxiliary:
        yield from _sharing_faults(plan, config)


def _source_faults(name: str, config: Config) -> Iterator[str]:
    """Yield why there are no texts to learn from."""
    task, known = config.auxiliary[name], {**config.labelled, **config.texts}
    for source in task.texts_of or ():
        if source in config.auxiliary:
            yield f"tasks.{name}.texts_of: '{source}' has no texts of its own; a labelled task has"
        elif source not in known:
            yield f"tasks.{name}.texts_of: no labelled task '{source}'{nearest(source, known)}"
    if task.train is None and not known:
        yield (
            f"tasks.{name}.train: is missing, and there is no labelled task whose texts to take;"
            " [texts.NAME] names one that is not trained"
        )


def _step_faults(name: str, plan: StagePlan) -> Iterator[str]:
    """Yield why a step gives a task nothing to compare."""
    kind, training = get_kind(plan.data.tasks[name].kind), plan.training
    which = f"'{kind.name}' (tasks.{name})"
    if kind.compares_examples and training.micro_batch_tokens is not None:
        yield (
            f"training.micro_batch_tokens: a pass would hold some of the step's texts alone, and"
            f" {which} compares all of them with each other"
        )
    if kind.compares_examples and training.batch_size == 1:
        yield (
            f"training.batch_size: {which} compares a text with the others in its step; with 1"
            " there are none"
        )
    if kind.by_dropout and plan.encoder.dropout == 0:
        yield (
            f"encoder.dropout: {which} compares a text under two dropout masks; 0 leaves no"
            " difference"
        )


def _sharing_faults(plan: StagePlan, config: Config) -> Iterator[str]:
    """Yield why an auxiliary task could help no other."""
    shared, name = plan.sharing, next(iter(config.auxiliary))
    complete = next((scheme for scheme in shared.schemes if get_scheme(scheme).embeddings), None)
    if shared.schemes and not config.labelled:
        yield (
            f"sharing.schemes: parts of a task without labels are not saved, and tasks.{name} has"
            " no labelled one beside it"
        )
    elif not shared.train_shared:
        yield (
            f"sharing.train_shared: false leaves tasks.{name} nothing by which it could help"
            " another task"
        )
    elif complete and shared.soft is None:
        yield (
            f"sharing.schemes: '{complete}' without sharing.soft shares nothing by which"
            f" tasks.{name} could help another task"
        )
