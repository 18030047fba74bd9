"""What is wrong with a choice of methods, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.errors import nearest
from accord.families import FAMILIES


@dataclass(frozen=True)
class Choice:
    """The methods that a run is to use, and what they are given.

    Attributes:
        batching: name of the sampling rule.
        balancing: of the balancing rule.
        gradients: of the gradient method.
        per_layer: whether the gradient method is to weigh each layer apart.
        one_task_a_step: whether a step is to draw from a single task.
        tasks: the tasks' names.
        frozen: whether the encoder is.
        schemes: names of the sharing schemes.
        train_shared: whether what is shared is trained.
        new_layers: whether layers of the encoder are drawn anew.
        soft: whether a penalty holds the tasks' copies together.
        memory: `memory.method`; None without a memory.
        finished: names of the tasks that are remembered and not trained.
        keeps_heads: whether heads are taken over from the encoder's folder.
        regularisers: names of the regularisers.
        drops_out: whether anything that is trained may drop out.
        unfreezes: whether layers are thawed one by one.
    """

    batching: str
    balancing: str
    gradients: str
    per_layer: bool
    one_task_a_step: bool
    tasks: tuple[str, ...]
    frozen: bool
    schemes: tuple[str, ...] = ()
    train_shared: bool = True
    soft: bool = False
    new_layers: bool = False
    memory: str | None = None
    finished: tuple[str, ...] = ()
    keeps_heads: bool = False
    regularisers: tuple[str, ...] = ()
    drops_out: bool = True
    unfreezes: bool = False

    @property
    def drawn(self) -> tuple[str, ...]:
        """The tasks that steps draw rows of: without a method, finished ones have none."""
        if self.memory != "none":
            return self.tasks
        return tuple(name for name in self.tasks if name not in self.finished)


def method_faults(choice: Choice, options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong, a line each.

    Args:
        choice: of methods.
        options: of methods by name; those that aren't chosen are checked too.
    """
    yield from _option_faults(choice, options)
    yield from _sampling_faults(choice)
    yield from _sharing_faults(choice)
    yield from _scheme_faults(choice)
    yield from _gradient_faults(choice)
    yield from _balancing_faults(choice)
    yield from _memory_faults(choice)
    if choice.balancing == "fixed":
        yield from _weight_faults(choice, options.get("fixed", {}).get("weights"))
    yield from _regulariser_faults(choice)
    yield from _unfreezing_faults(choice)


def _option_faults(choice: Choice, options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    owners = {name: family for family in FAMILIES for name in family.names()}
    for name, given in options.items():
        if name not in owners:
            yield f"methods.{name}: no such method{nearest(name, owners)}"
            continue
        try:
            owners[name].get(name).check_options(given)
        except ValueError as error:
            yield from str(error).splitlines()
            continue
        for task in given.get("weights") or () if name == "fixed" else ():
            if task not in choice.tasks:
                yield f"methods.fixed.weights: no task '{task}'{nearest(task, choice.tasks)}"


def _sampling_faults(choice: Choice) -> Iterator[str]:
    rule = sampling.get_rule(choice.batching)
    if choice.one_task_a_step and rule.orders == ("together",):
        able = [own.name for own in sampling.RULES.all() if own.orders != ("together",)]
        yield (
            f"training.tasks_per_step: batching '{rule.name}' draws from all tasks in each step;"
            f" 'one' is for {', '.join(able)}"
        )


def _sharing_faults(choice: Choice) -> Iterator[str]:
    if choice.frozen and choice.schemes:
        yield (
            f"sharing.schemes: '{choice.schemes[0]}' acts inside the encoder, which reads each row"
            " once where encoder.mode = 'frozen'; use sharing.train_shared = false"
        )
    if choice.frozen and choice.new_layers:
        yield "encoder.reinit_layers: encoder.mode = 'frozen' would never train the new layers"
    if choice.frozen and not choice.train_shared:
        yield "sharing.train_shared: encoder.mode = 'frozen' leaves nothing to it"
    if not choice.train_shared and not choice.schemes and not choice.frozen:
        yield (
            "sharing.train_shared: false without sharing.schemes trains heads alone; that is"
            " encoder.mode = 'frozen', which is quicker"
        )


def _scheme_faults(choice: Choice) -> Iterator[str]:
    copying = [name for name in choice.schemes if sharing.get_scheme(name).copies]
    if len(copying) > 1:
        yield f"sharing.schemes: '{copying[0]}' and '{copying[1]}' both take a layer's place"
    whole = next((own for own in copying if sharing.get_scheme(own).embeddings), None)
    for name in choice.schemes if whole else ():
        if not sharing.get_scheme(name).beside_copies:
            yield f"sharing.schemes: '{name}' has no place beside '{whole}', whose copies hold it"
    if choice.keeps_heads and choice.new_layers and copying:
        yield (
            f"encoder.reinit_layers: draws shared layers anew, but tasks whose heads are kept go on"
            f" with their copies of them ('{copying[0]}')"
        )
    if choice.soft and not copying:
        able = [own.name for own in sharing.SCHEMES.all() if own.copies]
        yield f"sharing.soft: there are no copies to hold together; it needs {' or '.join(able)}"
    if choice.soft and len(choice.tasks) == 1:
        yield "sharing.soft: holds several tasks' copies together; there is one task"


def _gradient_faults(choice: Choice) -> Iterator[str]:
    method, key = gradients.get_method(choice.gradients), "training.gradients"
    if method.remembers:
        yield f"{key}: '{method.name}' goes by memories; memory.method = '{method.name}' chooses it"
        return
    if choice.memory in gradients.method_names():
        method = gradients.get_method(choice.memory)
    if choice.per_layer and "layer" not in method.granularities:
        yield f"training.granularity: '{method.name}' has no weights that could differ by layer"
    if method.remembers or not method.combines:
        return
    if len(choice.drawn) == 1:
        yield f"{key}: '{method.name}' combines several tasks' gradients; there is one task"
    elif choice.frozen:
        yield f"{key}: '{method.name}' combines shared gradients; a frozen encoder has none"
    elif any(sharing.get_scheme(name).embeddings for name in choice.schemes):
        yield (
            f"{key}: '{method.name}' combines shared gradients; with an encoder a task there are"
            " none"
        )
    elif not choice.train_shared:
        yield (
            f"{key}: '{method.name}' combines shared gradients; sharing.train_shared = false leaves"
            " none"
        )
    elif _alone(choice):
        yield (
            f"{key}: '{method.name}' combines the gradients of a step's tasks, but"
            f" {_alone(choice)} gives a step one task"
        )


def _balancing_faults(choice: Choice) -> Iterator[str]:
    rule, key = balancing.get_rule(choice.balancing), "training.balancing"
    if "shares" in rule.needs and _alone(choice):
        yield (
            f"{key}: '{rule.name}' goes by the tasks' shares of a step, but {_alone(choice)} gives"
            " a step one task"
        )
    if "constant" in rule.laws:
        return
    if len(choice.drawn) == 1:
        yield f"{key}: '{rule.name}' weighs tasks against each other; there is one task"
    elif choice.frozen:
        yield f"{key}: '{rule.name}' weighs what tasks share; a frozen encoder learns nothing"
    elif "last_layer" in rule.needs and not _shares_layers(choice):
        yield f"{key}: '{rule.name}' looks at the last shared layer; no layer is shared and trained"
    elif _alone(choice) and "separable" not in rule.laws:
        yield (
            f"{key}: '{rule.name}' compares the tasks of a step, but {_alone(choice)} gives a step"
            " one task"
        )


def _weight_faults(choice: Choice, weights: Any) -> Iterator[str]:
    named = weights if isinstance(weights, Mapping) else {}
    counted = [name for name in choice.drawn if named.get(name) != 0]
    method = gradients.get_method(choice.gradients)
    if not counted:
        yield "methods.fixed.weights: all are 0, and so nothing would be trained"
    elif len(counted) == 1 and len(choice.drawn) > 1 and method.combines:
        yield (
            f"training.gradients: '{method.name}' combines several tasks' gradients;"
            f" methods.fixed.weights leaves '{counted[0]}' alone"
        )


def _regulariser_faults(choice: Choice) -> Iterator[str]:
    key = "training.regularisers"
    for own in map(regularisers.get_regulariser, choice.regularisers):
        if own.inside and choice.frozen:
            yield (
                f"{key}: '{own.name}' acts inside the encoder, which reads each row once where"
                " encoder.mode = 'frozen'"
            )
        if own.by_dropout and not choice.drops_out:
            yield f"{key}: '{own.name}' compares dropout's masks; here nothing drops out"


def _unfreezing_faults(choice: Choice) -> Iterator[str]:
    key = "training.unfreeze_over"
    if choice.unfreezes and choice.frozen:
        yield f"{key}: encoder.mode = 'frozen' leaves no layer to thaw"
    elif choice.unfreezes and not choice.train_shared:
        yield f"{key}: sharing.train_shared = false leaves no layer to thaw"


def _shares_layers(choice: Choice) -> bool:
    own = any(sharing.get_scheme(name).embeddings for name in choice.schemes)
    return choice.train_shared and not own


def _alone(choice: Choice) -> str:
    """Say what gives each step a single task; empty if nothing does."""
    if sampling.get_rule(choice.batching).orders == ("cyclic",):
        return f"batching '{choice.batching}'"
    return "tasks_per_step 'one'" if choice.one_task_a_step else ""


def _memory_faults(choice: Choice) -> Iterator[str]:
    if choice.memory is None:
        return
    yield from _finished_faults(choice)
    if choice.memory == "none":
        return
    key = f"memory.method: '{choice.memory}'"
    if choice.memory in gradients.method_names() and choice.gradients != "sum":
        yield f"{key} is the gradient method, but training.gradients is '{choice.gradients}'"
    if choice.frozen:
        yield f"{key} holds shared gradients; a frozen encoder has none"
    elif not choice.train_shared:
        yield f"{key} holds shared gradients; sharing.train_shared = false leaves none"
    elif not _shares_layers(choice):
        yield f"{key} holds shared gradients; with an encoder a task there are none"


def _finished_faults(choice: Choice) -> Iterator[str]:
    for name in choice.finished:
        if name not in choice.tasks:
            yield f"memory.finished: no task '{name}'{nearest(name, choice.tasks)}"
    if len(set(choice.finished)) < len(choice.finished):
        yield f"memory.finished: names one twice: {', '.join(choice.finished)}"
    if set(choice.tasks) <= set(choice.finished):
        yield "memory.finished: leaves no task to train"
    elif not choice.keeps_heads:
        yield (
            "memory.finished: finished tasks' heads are not trained; encoder.heads = 'keep' takes"
            " them from the model folder that encoder.path names"
        )
    if choice.soft:
        yield "sharing.soft: pulls tasks' copies together, but finished tasks' stay as they are"
