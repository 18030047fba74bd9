"""The parts of a run, each from its section of the config: encoder, sampler, method, learner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from accord import balancing
from accord.balancing import get_rule as get_balancing
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.data.sources import Source
from accord.encoders.encoder import Encoder, EncoderConfig
from accord.encoders.pretrained import (
    load_encoder,
    load_predictions,
    read_config,
    resolve_encoder_folder,
)
from accord.errors import ConfigError, EncoderError
from accord.gradients import get_method
from accord.kernels.matmul import MatmulPolicy
from accord.kinds import get_kind
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing, check_fit
from accord.model.soft import Coupling
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.plan.run import RunPlan, StagePlan
from accord.plural import count
from accord.regularisers import get_regulariser
from accord.tasks import Task
from accord.training.combining import Combination
from accord.training.drawing import fixed_weights
from accord.training.objective import Objective
from accord.training.rates import rated_parameters
from accord.training.regularising import Regularisation
from accord.training.step import Learner


def check_sizes(plan: StagePlan, sizes: EncoderConfig) -> None:
    """Check that what is made of an encoder fits it, before its weights are read.

    Raises:
        ConfigError: naming the key.
    """
    if plan.encoder.reinit_layers > sizes.num_hidden_layers:
        raise ConfigError(
            f"encoder.reinit_layers: the encoder has {sizes.num_hidden_layers} layers, got"
            f" {plan.encoder.reinit_layers}"
        )
    try:
        check_fit(sizes, Sharing(tuple(plan.sharing.schemes), plan.options))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def check_all_sizes(plan: RunPlan) -> None:
    """Check that parts and new layers fit the encoder, in all stages.

    Where there are any, the encoder's config is read, and nothing else of it.

    Raises:
        ConfigError: naming the key.
        EncoderError: if it can't be read.
    """
    made = [stage for stage in plan.stages
            if stage.sharing.schemes or stage.encoder.reinit_layers]  # fmt: skip
    if made:
        first = made[0].encoder
        sizes = read_config(resolve_encoder_folder(first.path, first.revision))
        for each in made:
            check_sizes(each, sizes)


def build_encoder(plan: StagePlan, folder: Path) -> Encoder:
    """Load the encoder with the dropout and the new layers that the config asks for."""
    encoder = load_encoder(folder)
    if plan.encoder.reinit_layers:
        encoder.reinitialise(plan.encoder.reinit_layers, plan.training.seed)
    if plan.encoder.dropout is not None:
        encoder.set_dropout(plan.encoder.dropout)
    encoder.gradient_checkpointing = plan.encoder.gradient_checkpointing
    return encoder


def warnings(plan: StagePlan, sampler: Sampler | RehearsalSampler) -> Iterator[str]:
    """Yield one line for each setting that has no effect."""
    training, steps = plan.training, sampler.steps
    if training.steps_per_epoch is not None and training.steps_per_epoch > steps:
        yield (
            f"training.steps_per_epoch: is {training.steps_per_epoch}, but an epoch of batching"
            f" '{training.batching}' ends after {steps}; more epochs make a longer run"
        )
    for name, task in plan.data.labelled.items():
        if task.draw == task.class_weights == "balanced" and name not in plan.finished:
            yield (
                f"tasks.{name}.draw: 'balanced' shows every class as often, and class_weights ="
                " 'balanced' weighs them as if it didn't: both act, so rare classes outweigh others"
            )
    if training.patience is not None and training.patience + 1 >= training.epochs:
        yield (
            f"training.patience: is {training.patience}, but the run has"
            f" {count(training.epochs, 'epoch')}: it never stops early"
        )
    rule, method = get_balancing(training.balancing), get_method(plan.training.gradients)
    options = plan.options[rule.name]
    if rule.waits is not None and rule.waits(options, steps) >= steps * training.epochs:
        yield (
            f"training.balancing: '{rule.name}' weighs all tasks alike in the first"
            f" {rule.waits(options, steps)} steps, and the run has {steps * training.epochs}"
        )
    if rule.name != balancing.DEFAULT and "scale_of_one" in method.laws:
        yield (
            f"training.balancing: '{method.name}' gives the same direction whatever the losses'"
            f" weights; those of '{rule.name}' reach only the heads"
        )


def check_averages(plan: StagePlan, steps: int) -> None:
    """Check that an average is of more than one step's weights.

    Args:
        plan: of the run.
        steps: of an epoch.

    Raises:
        ConfigError: if the run ends before the second.
    """
    averaging, total = plan.averaging, steps * plan.training.epochs
    if averaging.method == "swa" and averaging.every_steps is not None:
        start = max(1, round(averaging.start * total))
        if start + averaging.every_steps > total:
            raise ConfigError(
                f"averaging.every_steps: {averaging.every_steps} steps after step {start}, where"
                f" the average begins, the run of {total} steps is over; at most {total - start}"
            )


def build_combination(
    plan: StagePlan,
    encoder: Encoder,
    sources: Sequence[Source],
    sampler: Sampler | RehearsalSampler,
) -> Combination:
    """Choose how the sources' gradients become one."""
    layers = len(encoder.layer_groups()) if plan.training.by_layer else None
    options = dict(plan.options)
    silent = {source.name: 0.0 for source in sources if not any(source.weights)}
    if silent:  # all of a source's weights are 0, and so is its own
        options["fixed"] = {"weights": {**fixed_weights(plan), **silent}}
    combination = Combination.of(
        [[part.task for part in source.parts] for source in sources],
        get_method(plan.training.gradients),
        get_balancing(plan.training.balancing),
        options=options,
        shares=lambda step: sampler.shape(step // sampler.steps).shares,
        steps_per_epoch=sampler.steps,
        layers=layers,
        finished=plan.finished,
    )
    combination.summed = not plan.training.gramian
    return combination


def build_learner(
    plan: StagePlan,
    encoder: Encoder,
    tasks: tuple[Task, ...],
    combination: Combination,
    device: torch.device,
    matmul: MatmulPolicy,
    folder: Path | None = None,
) -> Learner:
    """Make the model with fresh heads, and its optimizer.

    Args:
        plan: of the run.
        encoder: shared by the tasks.
        tasks: in the config's order.
        combination: makes one gradient of the tasks'.
        device: where the model is to be.
        matmul: in what precision, and how this machine multiplies.
        folder: the encoder's, whose shared head a masked language model takes over; None has none.
    """
    settings = plan.training
    torch.manual_seed(settings.seed)
    sharing = Sharing(tuple(plan.sharing.schemes), plan.options)
    try:
        model = MultitaskModel(encoder, tasks, sharing).to(device)
    except ValueError as error:  # a task's name, or a pooler that isn't there
        raise ConfigError(str(error)) from None
    if folder is not None:
        _take_over_heads(model, folder)
    if not plan.trains_shared:
        model.encoder.requires_grad_(False)
    for place, task in enumerate(tasks):
        if task.name in plan.finished:
            for parameter in model.own_parameters(place):
                parameter.requires_grad_(False)
    rated = rated_parameters(
        model, settings.lr, plan.sharing.lr, settings.head_lr, settings.layer_decay
    )
    groups = parameter_groups(rated, settings.weight_decay)
    if not groups:
        raise ConfigError("encoder.mode: 'frozen' leaves cosine heads nothing to train")
    shared = model.encoder
    layers = shared.layer_groups() if combination.by_layer else None
    combination.last_shared = shared.last_trained_layer()
    return Learner(
        model=model,
        optimizer=AdamW(groups),
        combination=combination,
        objective=Objective(model, settings.seed, matmul),
        clip=settings.clip,
        coupling=_coupling(plan, model),
        jacobian=Jacobian(shared.parameters(), shared.word_table, layers),
    )


def _take_over_heads(model: MultitaskModel, folder: Path) -> None:
    """Give tasks the head that their encoder was pretrained with, if there is one of their kind.

    Raises:
        EncoderError: if it is there in part.
    """
    heads = [head for head in model.task_heads().values() if any(head.named_views())]
    if not heads:
        return
    saved = load_predictions(folder, dict(heads[0].named_views()))
    for head in heads if saved is not None else ():
        head.load(saved or {})


def check_dropout(plan: StagePlan, encoder: Encoder) -> None:
    """Check that something drops out where two masks are compared.

    Raises:
        EncoderError: if the encoder has no dropout, but a task or a regulariser goes by it.
    """
    rates = (encoder.config.hidden_dropout_prob, encoder.config.attention_probs_dropout_prob)
    if not plan.encoder.frozen and max(rates) > 0:
        return
    goes_by = [f"'{task.kind}' (tasks.{name})" for name, task in plan.data.tasks.items()
               if get_kind(task.kind).by_dropout]  # fmt: skip
    if not any(
        section.dropout > 0 and section.head == "linear" for section in plan.data.labelled.values()
    ):
        goes_by += [f"'{name}'" for name in plan.training.regularisers
                    if get_regulariser(name).by_dropout]  # fmt: skip
    if goes_by:
        raise EncoderError(
            f"{plan.encoder.path}: has no dropout, and {goes_by[0]} compares passes under two"
            " dropout masks; encoder.dropout = 0.1 has some"
        )


def build_regularisation(plan: StagePlan, model: MultitaskModel) -> Regularisation | None:
    """Make the regularisers, which may start from the weights as they are now."""
    names = plan.training.regularisers
    return Regularisation.of(model, names, plan.options) if names else None


def _coupling(plan: StagePlan, model: MultitaskModel) -> Coupling | None:
    settings = plan.sharing
    if settings.soft is None or model.parts is None:
        return None
    return Coupling(settings.soft, settings.soft_weight, model.parts.copies())
