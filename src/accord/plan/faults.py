"""What is wrong with a stage's plan, said before anything is loaded.

What all methods of a family need follows from what each declares (`needs`, `laws`, `copies`, …);
what one alone needs is its own `requires`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.config.sections import Config
from accord.config.training import SCORE
from accord.errors import nearest
from accord.families import FAMILIES
from accord.methods import Circumstances
from accord.plan.auxiliary_faults import auxiliary_faults
from accord.plan.run import StagePlan
from accord.plan.sources import source_faults


def faults(plan: StagePlan, config: Config) -> Iterator[str]:
    """Yield what is wrong, one line each; options of methods that aren't chosen are checked too.

    Args:
        plan: of a stage.
        config: that it was made from.
    """
    yield from _option_faults(config)
    yield from _sampling_faults(plan)
    yield from _examples_faults(plan)
    yield from _sharing_faults(plan)
    yield from _scheme_faults(plan)
    yield from _gradient_faults(plan, config.training.gradients)
    yield from _balancing_faults(plan)
    yield from _joint_faults(plan)
    yield from _memory_faults(plan, config.training.gradients)
    yield from _requirements(plan)
    yield from _regulariser_faults(plan, config)
    yield from _unfreezing_faults(plan)
    yield from _stopping_faults(plan)
    yield from auxiliary_faults(plan, config)
    yield from source_faults(plan.data, plan.sharing)


def unknown_memory(config: Config) -> Iterator[str]:
    """Yield that there is no such way to use a memory."""
    name = "none" if config.memory is None else config.memory.method
    if name not in ("none", "replay") and not gradients.goes_by_memories(name):
        known = ("none", "replay", *gradients.memory_methods())
        yield f"memory.method: unknown value '{name}'{nearest(name, known)}"


def _option_faults(config: Config) -> Iterator[str]:
    families = {name: family for family in FAMILIES for name in family.names()}
    for name, given in config.methods.items():
        if name not in families:
            yield f"methods.{name}: no such method{nearest(name, families)}"
            continue
        try:
            options = families[name].get(name).check_options(given)
        except ValueError as error:
            yield from error.args
            continue
        for option, value in options.items():
            for task in value if isinstance(value, dict) else ():  # a value for each task
                if task not in config.tasks:
                    hint = nearest(task, config.tasks)
                    yield f"methods.{name}.{option}: no task '{task}'{hint}"


def _requirements(plan: StagePlan) -> Iterator[str]:
    """Yield the unmet requirements of the chosen methods."""
    method, labelled = gradients.get_method(plan.training.gradients), plan.data.labelled
    around = Circumstances(
        tasks=tuple(plan.data.tasks),
        weighed=tuple(_sources(plan, _weighed(plan))),
        combining=method.name if method.combines and not method.remembers else "",
        averaging=plan.averaging.method,
        targets={name: section.targets for name, section in labelled.items()},
    )
    for family in FAMILIES:
        for name in family.names():
            if name in plan.options:
                yield from family.get(name).requires(plan.options[name], around)


def _sampling_faults(plan: StagePlan) -> Iterator[str]:
    rule = sampling.get_rule(plan.training.batching)
    if plan.training.one_task and rule.orders == ("together",):
        able = [rule.name for rule in sampling.RULES.all() if rule.orders != ("together",)]
        yield (
            f"training.tasks_per_step: batching '{rule.name}' draws from all tasks in each step;"
            f" 'one' is for {', '.join(able)}"
        )


def _examples_faults(plan: StagePlan) -> Iterator[str]:
    training, key, examples = plan.training, "training.examples", plan.training.examples
    if examples is None:
        return
    if len(plan.data.tasks) > 1:
        yield f"{key}: is for a run of one task; here are {len(plan.data.tasks)}"
    elif training.steps_per_epoch is not None:
        yield f"{key}: sets the steps, and so does training.steps_per_epoch; leave one of them out"
    elif examples < training.epochs:
        yield f"{key}: {examples} are too few for {training.epochs} epochs of a step or more"


def _sharing_faults(plan: StagePlan) -> Iterator[str]:
    frozen, planned = plan.encoder.frozen, plan.sharing
    if frozen and planned.schemes:
        yield (
            f"sharing.schemes: '{planned.schemes[0]}' acts inside the encoder, which reads"
            " each row once where encoder.mode = 'frozen'; use sharing.train_shared = false"
        )
    if frozen and plan.encoder.reinit_layers:
        yield "encoder.reinit_layers: encoder.mode = 'frozen' would never train the new layers"
    if frozen and not planned.train_shared:
        yield "sharing.train_shared: encoder.mode = 'frozen' leaves nothing to train"
    if not planned.train_shared and not planned.schemes and not frozen:
        yield (
            "sharing.train_shared: false without sharing.schemes trains heads alone; that is"
            " encoder.mode = 'frozen', which is quicker"
        )


def _scheme_faults(plan: StagePlan) -> Iterator[str]:
    planned = plan.sharing
    copying = [name for name in planned.schemes if sharing.get_scheme(name).copies]
    if len(copying) > 1:
        yield f"sharing.schemes: '{copying[0]}' and '{copying[1]}' both take a layer's place"
    complete = next((name for name in copying if sharing.get_scheme(name).embeddings), None)
    for name in planned.schemes if complete else ():
        if not sharing.get_scheme(name).allowed_with_copies:
            yield (
                f"sharing.schemes: '{name}' has no place beside '{complete}', whose copies hold it"
            )
    if plan.encoder.keeps_heads and plan.encoder.reinit_layers and copying:
        yield (
            f"encoder.reinit_layers: reinitialises shared layers, but tasks whose heads are kept"
            f" keep their copies of them ('{copying[0]}')"
        )
    if planned.soft and not copying:
        able = [scheme.name for scheme in sharing.SCHEMES.all() if scheme.copies]
        yield f"sharing.soft: there are no copies to hold together; it needs {' or '.join(able)}"
    if planned.soft and len(plan.data.tasks) == 1:
        yield "sharing.soft: holds several tasks' copies together; there is one task"


def nothing_shared(plan: StagePlan) -> str:
    """Say why a plan's tasks have no shared gradients; empty where they have."""
    if plan.encoder.frozen:
        return "a frozen encoder has none"
    if any(sharing.get_scheme(name).embeddings for name in plan.sharing.schemes):
        return "with one encoder per task there are none"
    return "" if plan.sharing.train_shared else "sharing.train_shared = false leaves none"


def _gradient_faults(plan: StagePlan, given: str) -> Iterator[str]:
    key = "training.gradients"
    if gradients.goes_by_memories(given):
        yield f"{key}: '{given}' uses memories; memory.method = '{given}' chooses it"
        return
    method = gradients.get_method(plan.training.gradients)
    if plan.training.by_layer and "layer" not in method.granularities:
        yield f"training.granularity: '{method.name}' has no weights that could differ by layer"
    if method.remembers or not method.combines:
        return
    if len(_sources(plan, _drawn(plan))) == 1:
        yield f"{key}: '{method.name}' combines several tasks' gradients; there is {_one(plan)}"
    elif why := nothing_shared(plan):
        yield f"{key}: '{method.name}' combines shared gradients; {why}"
    elif _alone(plan):
        yield (
            f"{key}: '{method.name}' combines the gradients of a step's tasks, but"
            f" {_alone(plan)} gives a step one task"
        )


def _balancing_faults(plan: StagePlan) -> Iterator[str]:
    rule, key = balancing.get_rule(plan.training.balancing), "training.balancing"
    if "shares" in rule.needs and _alone(plan):
        yield (
            f"{key}: '{rule.name}' uses the tasks' shares of a step, but {_alone(plan)} gives"
            " a step one task"
        )
    if "constant" in rule.laws:
        return
    if len(_sources(plan, _weighed(plan))) == 1:
        yield f"{key}: '{rule.name}' weighs tasks against each other; there is {_one(plan)}"
    elif plan.encoder.frozen:
        yield f"{key}: '{rule.name}' weighs what tasks share; a frozen encoder learns nothing"
    elif "last_layer" in rule.needs and nothing_shared(plan):
        yield f"{key}: '{rule.name}' looks at the last shared layer; no layer is shared and trained"
    elif _alone(plan) and "separable" not in rule.laws:
        yield (
            f"{key}: '{rule.name}' compares the tasks of a step, but {_alone(plan)} gives a step"
            " one task"
        )


def _joint_faults(plan: StagePlan) -> Iterator[str]:
    if plan.training.gramian:
        return
    key = "training.gramian: false sums the tasks' gradients as they come"
    if gradients.goes_by_memories(plan.data.memory.method):
        yield f"{key}, but memory.method is '{plan.data.memory.method}'"
    elif plan.training.gradients != gradients.DEFAULT:
        yield f"{key}, but training.gradients is '{plan.training.gradients}'"
    elif plan.training.balancing != balancing.DEFAULT:
        yield f"{key}, but training.balancing is '{plan.training.balancing}'"


def _regulariser_faults(plan: StagePlan, config: Config) -> Iterator[str]:
    key = "training.regularisers"
    for regulariser in map(regularisers.get_regulariser, plan.training.regularisers):
        if regulariser.inside and plan.encoder.frozen:
            yield (
                f"{key}: '{regulariser.name}' acts inside the encoder, which reads each row once"
                " where encoder.mode = 'frozen'"
            )
        if regulariser.by_dropout and not _drops_out(plan):
            yield f"{key}: '{regulariser.name}' compares dropout masks; here there is no dropout"
    if plan.training.regularisers and config.auxiliary:
        name, task = next(iter(config.auxiliary.items()))
        yield (
            f"{key}: compare the heads' outputs on labelled examples; tasks.{name} is of kind"
            f" '{task.kind}'"
        )


def _unfreezing_faults(plan: StagePlan) -> Iterator[str]:
    key = "training.unfreeze_over"
    if plan.training.unfreeze_over and plan.encoder.frozen:
        yield f"{key}: encoder.mode = 'frozen' leaves no layer to thaw"
    elif plan.training.unfreeze_over and not plan.sharing.train_shared:
        yield f"{key}: sharing.train_shared = false leaves no layer to thaw"


def _stopping_faults(plan: StagePlan) -> Iterator[str]:
    stop_on, tasks, key = plan.training.watched_task, plan.data.tasks, "training.stop_on"
    if stop_on is None:
        return
    if stop_on not in tasks:
        yield f"{key}: no task '{stop_on}'{nearest(stop_on, (SCORE, *tasks))}"
    elif stop_on in plan.finished:
        yield f"{key}: '{stop_on}' is finished: no epoch is chosen by it"
    elif not tasks[stop_on].labelled and plan.data.labelled:
        yield f"{key}: '{stop_on}' has no labels: epochs are chosen by tasks that have some"


def _alone(plan: StagePlan) -> str:
    """Say what gives each step a single task; empty if nothing does."""
    if sampling.get_rule(plan.training.batching).orders == ("cyclic",):
        return f"batching '{plan.training.batching}'"
    return "tasks_per_step 'one'" if plan.training.one_task else ""


def _memory_faults(plan: StagePlan, given: str) -> Iterator[str]:
    memory = plan.data.memory
    if not memory.finished:
        return
    yield from _finished_faults(plan)
    if memory.method is None:
        return
    key = f"memory.method: '{memory.method}'"
    if gradients.goes_by_memories(memory.method) and given != gradients.DEFAULT:
        yield f"{key} is the gradient method, but training.gradients is '{given}'"
    if why := nothing_shared(plan):
        yield f"{key} holds shared gradients; {why}"


def _finished_faults(plan: StagePlan) -> Iterator[str]:
    tasks, finished = plan.data.tasks, plan.finished
    for name in finished:
        if name not in tasks:
            yield f"memory.finished: no task '{name}'{nearest(name, tasks)}"
        elif name not in plan.data.labelled:
            yield f"memory.finished: '{name}' has no labels, and so no head that could be kept"
    if len(set(finished)) < len(finished):
        yield f"memory.finished: names one twice: {', '.join(finished)}"
    if set(tasks) <= set(finished):
        yield "memory.finished: leaves no task to train"
    elif not plan.encoder.keeps_heads:
        yield (
            "memory.finished: finished tasks' heads are not trained; encoder.heads = 'keep' takes"
            " them from the model folder that encoder.path names"
        )
    if plan.sharing.soft:
        yield "sharing.soft: pulls tasks' copies together, but finished tasks' stay as they are"


def _drawn(plan: StagePlan) -> list[str]:
    """Return the tasks that steps draw rows of: without a method, finished ones have none."""
    idle = plan.finished if plan.data.memory.method is None else ()
    return [name for name in plan.data.tasks if name not in idle]


def _weighed(plan: StagePlan) -> list[str]:
    """Return the tasks that a balancing rule weights: not memories, which constrain the others."""
    replayed = plan.data.memory.method is not None and not gradients.goes_by_memories(
        plan.data.memory.method
    )
    return [name for name in plan.data.tasks if replayed or name not in plan.finished]


def _sources(plan: StagePlan, names: Collection[str]) -> list[tuple[str, ...]]:
    """Return the sources that have any of some tasks: a method sees each as one task."""
    return [source for source in plan.data.sources if set(source) & set(names)]


def _one(plan: StagePlan) -> str:
    """Say what there is one of."""
    if not plan.data.shared:
        return "one task"
    return f"one source, of {' and '.join(plan.data.shared[0])} (apart = true packs each alone)"


def _drops_out(plan: StagePlan) -> bool:
    """Whether there is dropout anywhere, as far as the config says."""
    encoder = not plan.encoder.frozen and plan.encoder.dropout != 0
    return encoder or any(
        section.dropout > 0 and section.head == "linear" for section in plan.data.labelled.values()
    )
