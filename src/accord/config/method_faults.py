"""What is wrong with a choice of methods, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.config.sections import Config
from accord.errors import nearest
from accord.families import FAMILIES


def method_faults(config: Config) -> Iterator[str]:
    """Yield what is wrong, a line each; options of methods that aren't chosen are checked too."""
    yield from _option_faults(config)
    yield from _sampling_faults(config)
    yield from _examples_faults(config)
    yield from _sharing_faults(config)
    yield from _scheme_faults(config)
    yield from _gradient_faults(config)
    yield from _balancing_faults(config)
    yield from _joint_faults(config)
    yield from _memory_faults(config)
    if config.training.balancing_rule == "fixed":
        yield from _weight_faults(config, config.methods.get("fixed", {}).get("weights"))
    yield from _regulariser_faults(config)
    yield from _unfreezing_faults(config)


def _option_faults(config: Config) -> Iterator[str]:
    owners = {name: family for family in FAMILIES for name in family.names()}
    for name, given in config.methods.items():
        if name not in owners:
            yield f"methods.{name}: no such method{nearest(name, owners)}"
            continue
        try:
            owners[name].get(name).check_options(given)
        except ValueError as error:
            yield from error.args
            continue
        for task in given.get("weights") or () if name == "fixed" else ():
            if task not in config.tasks:
                yield f"methods.fixed.weights: no task '{task}'{nearest(task, config.tasks)}"


def _sampling_faults(config: Config) -> Iterator[str]:
    rule = sampling.get_rule(config.training.batching)
    if config.training.tasks_per_step == "one" and rule.orders == ("together",):
        able = [own.name for own in sampling.RULES.all() if own.orders != ("together",)]
        yield (
            f"training.tasks_per_step: batching '{rule.name}' draws from all tasks in each step;"
            f" 'one' is for {', '.join(able)}"
        )


def _examples_faults(config: Config) -> Iterator[str]:
    training, key, examples = config.training, "training.examples", config.training.examples
    if examples is None:
        return
    if len(config.tasks) > 1:
        yield f"{key}: is for a run of one task; here are {len(config.tasks)}"
    elif training.steps_per_epoch is not None:
        yield f"{key}: sets the steps, and so does training.steps_per_epoch; leave one of them out"
    elif examples < training.epochs:
        yield f"{key}: {examples} are too few for {training.epochs} epochs of a step or more"


def _sharing_faults(config: Config) -> Iterator[str]:
    if _is_frozen(config) and config.sharing.schemes:
        yield (
            f"sharing.schemes: '{config.sharing.schemes[0]}' acts inside the encoder, which reads"
            " each row once where encoder.mode = 'frozen'; use sharing.train_shared = false"
        )
    if _is_frozen(config) and config.encoder.reinit_layers:
        yield "encoder.reinit_layers: encoder.mode = 'frozen' would never train the new layers"
    if _is_frozen(config) and not config.sharing.train_shared:
        yield "sharing.train_shared: encoder.mode = 'frozen' leaves nothing to it"
    if not config.sharing.train_shared and not config.sharing.schemes and not _is_frozen(config):
        yield (
            "sharing.train_shared: false without sharing.schemes trains heads alone; that is"
            " encoder.mode = 'frozen', which is quicker"
        )


def _scheme_faults(config: Config) -> Iterator[str]:
    copying = [name for name in config.sharing.schemes if sharing.get_scheme(name).copies]
    if len(copying) > 1:
        yield f"sharing.schemes: '{copying[0]}' and '{copying[1]}' both take a layer's place"
    whole = next((own for own in copying if sharing.get_scheme(own).embeddings), None)
    for name in config.sharing.schemes if whole else ():
        if not sharing.get_scheme(name).beside_copies:
            yield f"sharing.schemes: '{name}' has no place beside '{whole}', whose copies hold it"
    if config.encoder.heads == "keep" and config.encoder.reinit_layers and copying:
        yield (
            f"encoder.reinit_layers: draws shared layers anew, but tasks whose heads are kept go on"
            f" with their copies of them ('{copying[0]}')"
        )
    if config.sharing.soft and not copying:
        able = [own.name for own in sharing.SCHEMES.all() if own.copies]
        yield f"sharing.soft: there are no copies to hold together; it needs {' or '.join(able)}"
    if config.sharing.soft and len(config.tasks) == 1:
        yield "sharing.soft: holds several tasks' copies together; there is one task"


def _gradient_faults(config: Config) -> Iterator[str]:
    method, key = gradients.get_method(config.training.gradients), "training.gradients"
    if method.remembers:
        yield f"{key}: '{method.name}' goes by memories; memory.method = '{method.name}' chooses it"
        return
    method = gradients.get_method(config.gradient_method)
    if config.training.granularity == "layer" and "layer" not in method.granularities:
        yield f"training.granularity: '{method.name}' has no weights that could differ by layer"
    if method.remembers or not method.combines:
        return
    if len(_drawn(config)) == 1:
        yield f"{key}: '{method.name}' combines several tasks' gradients; there is one task"
    elif _is_frozen(config):
        yield f"{key}: '{method.name}' combines shared gradients; a frozen encoder has none"
    elif any(sharing.get_scheme(name).embeddings for name in config.sharing.schemes):
        yield (
            f"{key}: '{method.name}' combines shared gradients; with an encoder a task there are"
            " none"
        )
    elif not config.sharing.train_shared:
        yield (
            f"{key}: '{method.name}' combines shared gradients; sharing.train_shared = false leaves"
            " none"
        )
    elif _alone(config):
        yield (
            f"{key}: '{method.name}' combines the gradients of a step's tasks, but"
            f" {_alone(config)} gives a step one task"
        )


def _balancing_faults(config: Config) -> Iterator[str]:
    rule, key = balancing.get_rule(config.training.balancing_rule), "training.balancing"
    if "shares" in rule.needs and _alone(config):
        yield (
            f"{key}: '{rule.name}' goes by the tasks' shares of a step, but {_alone(config)} gives"
            " a step one task"
        )
    if "constant" in rule.laws:
        return
    if len(_weighed(config)) == 1:
        yield f"{key}: '{rule.name}' weighs tasks against each other; there is one task"
    elif _is_frozen(config):
        yield f"{key}: '{rule.name}' weighs what tasks share; a frozen encoder learns nothing"
    elif "last_layer" in rule.needs and not _shares_layers(config):
        yield f"{key}: '{rule.name}' looks at the last shared layer; no layer is shared and trained"
    elif _alone(config) and "separable" not in rule.laws:
        yield (
            f"{key}: '{rule.name}' compares the tasks of a step, but {_alone(config)} gives a step"
            " one task"
        )


def _joint_faults(config: Config) -> Iterator[str]:
    if config.training.gramian:
        return
    key = "training.gramian: false sums the tasks' gradients as they come"
    if _memory(config) in gradients.method_names():
        yield f"{key}, but memory.method is '{_memory(config)}'"
    elif config.training.gradients != "sum":
        yield f"{key}, but training.gradients is '{config.training.gradients}'"
    elif config.training.balancing_rule != "equal":
        yield f"{key}, but training.balancing is '{config.training.balancing_rule}'"


def _weight_faults(config: Config, weights: Any) -> Iterator[str]:
    named = weights if isinstance(weights, Mapping) else {}
    counted = [name for name in _weighed(config) if named.get(name) != 0]
    method = gradients.get_method(config.training.gradients)
    if not counted:
        yield "methods.fixed.weights: all are 0, and so nothing would be trained"
    elif len(counted) == 1 and len(_weighed(config)) > 1 and method.combines:
        yield (
            f"training.gradients: '{method.name}' combines several tasks' gradients;"
            f" methods.fixed.weights leaves '{counted[0]}' alone"
        )


def _regulariser_faults(config: Config) -> Iterator[str]:
    key = "training.regularisers"
    for own in map(regularisers.get_regulariser, config.training.regularisers):
        if own.inside and _is_frozen(config):
            yield (
                f"{key}: '{own.name}' acts inside the encoder, which reads each row once where"
                " encoder.mode = 'frozen'"
            )
        if own.by_dropout and not _drops_out(config):
            yield f"{key}: '{own.name}' compares dropout's masks; here nothing drops out"


def _unfreezing_faults(config: Config) -> Iterator[str]:
    key = "training.unfreeze_over"
    if config.training.unfreeze_over and _is_frozen(config):
        yield f"{key}: encoder.mode = 'frozen' leaves no layer to thaw"
    elif config.training.unfreeze_over and not config.sharing.train_shared:
        yield f"{key}: sharing.train_shared = false leaves no layer to thaw"


def _shares_layers(config: Config) -> bool:
    own = any(sharing.get_scheme(name).embeddings for name in config.sharing.schemes)
    return config.sharing.train_shared and not own


def _alone(config: Config) -> str:
    """Say what gives each step a single task; empty if nothing does."""
    if sampling.get_rule(config.training.batching).orders == ("cyclic",):
        return f"batching '{config.training.batching}'"
    return "tasks_per_step 'one'" if config.training.tasks_per_step == "one" else ""


def _memory_faults(config: Config) -> Iterator[str]:
    if _memory(config) is None:
        return
    yield from _finished_faults(config)
    if _memory(config) == "none":
        return
    key, chosen = f"memory.method: '{_memory(config)}'", config.training.gradients
    if _memory(config) in gradients.method_names() and chosen != "sum":
        yield f"{key} is the gradient method, but training.gradients is '{chosen}'"
    if _is_frozen(config):
        yield f"{key} holds shared gradients; a frozen encoder has none"
    elif not config.sharing.train_shared:
        yield f"{key} holds shared gradients; sharing.train_shared = false leaves none"
    elif not _shares_layers(config):
        yield f"{key} holds shared gradients; with an encoder a task there are none"


def _finished_faults(config: Config) -> Iterator[str]:
    for name in config.finished:
        if name not in config.tasks:
            yield f"memory.finished: no task '{name}'{nearest(name, config.tasks)}"
        elif name in config.auxiliary:
            yield f"memory.finished: '{name}' has no labels, and so no head that could be kept"
    if len(set(config.finished)) < len(config.finished):
        yield f"memory.finished: names one twice: {', '.join(config.finished)}"
    if set(config.tasks) <= set(config.finished):
        yield "memory.finished: leaves no task to train"
    elif config.encoder.heads != "keep":
        yield (
            "memory.finished: finished tasks' heads are not trained; encoder.heads = 'keep' takes"
            " them from the model folder that encoder.path names"
        )
    if config.sharing.soft:
        yield "sharing.soft: pulls tasks' copies together, but finished tasks' stay as they are"


def _is_frozen(config: Config) -> bool:
    return config.encoder.mode == "frozen"


def _memory(config: Config) -> str | None:
    """Return how memories are used; None where no task is finished."""
    return config.memory.method if config.memory is not None and config.remembers else None


def _drawn(config: Config) -> list[str]:
    """Return the tasks that steps draw rows of: without a method, finished ones have none."""
    idle = config.finished if _memory(config) == "none" else ()
    return [name for name in config.tasks if name not in idle]


def _weighed(config: Config) -> list[str]:
    """Return the tasks that a balancing rule weighs: memories that constrain others are none."""
    own = () if _memory(config) == "replay" else config.finished
    return [name for name in config.tasks if name not in own]


def _drops_out(config: Config) -> bool:
    """Whether there is dropout anywhere, as far as the config says."""
    encoder = config.encoder.mode != "frozen" and config.encoder.dropout != 0
    return encoder or any(
        own.dropout > 0 and own.head == "linear" for own in config.labelled.values()
    )
