"""The parts of a run, each from its section of the config: encoder, sampler, method, learner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from accord.balancing import get_rule as get_balancing
from accord.config.file import stage_configs
from accord.config.sections import Config
from accord.data.exact_sampler import ExactSampler
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.encoders.bert import BertConfig, BertEncoder
from accord.encoders.pretrained import (
    load_encoder,
    load_predictions,
    read_config,
    resolve_encoder_folder,
)
from accord.errors import ConfigError, EncoderError
from accord.gradients import get_method
from accord.kernels.matmul import Products
from accord.kinds import get_kind
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing, check_fit
from accord.model.soft import Coupling
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.regularisers import get_regulariser
from accord.sampling import Budget, get_rule
from accord.tasks import Task
from accord.training.combining import Combination
from accord.training.rates import rated_parameters
from accord.training.regularising import Regularisation
from accord.training.step import Learner

HEAD_LR = 1e-3
LR = {"finetune": 5e-5, "frozen": 1e-3}


def check_sizes(config: Config, sizes: BertConfig) -> None:
    """Check that what is made of an encoder fits it, before its weights are read.

    Raises:
        ConfigError: naming the key.
    """
    if config.encoder.reinit_layers > sizes.num_hidden_layers:
        raise ConfigError(
            f"encoder.reinit_layers: the encoder has {sizes.num_hidden_layers} layers, got"
            f" {config.encoder.reinit_layers}"
        )
    try:
        check_fit(sizes, Sharing(tuple(config.sharing.schemes), config.methods))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def check_all_sizes(config: Config) -> None:
    """Check that parts and new layers fit the encoder, in all stages.

    Where there are any, the encoder's config is read, and nothing else of it.

    Raises:
        ConfigError: naming the key.
        EncoderError: if it can't be read.
    """
    made = [own for own in stage_configs(config) or [config]
            if own.sharing.schemes or own.encoder.reinit_layers]  # fmt: skip
    if made:
        folder = resolve_encoder_folder(config.encoder.path, config.encoder.revision)
        sizes = read_config(folder)
        for own in made:
            check_sizes(own, sizes)


def build_encoder(config: Config, folder: Path) -> BertEncoder:
    """Load the encoder with the dropout and the new layers that the config asks for."""
    encoder = load_encoder(folder)
    if config.encoder.reinit_layers:
        encoder.reinitialise(config.encoder.reinit_layers, config.training.seed)
    if config.encoder.dropout is not None:
        encoder.set_dropout(config.encoder.dropout)
    encoder.gradient_checkpointing = config.encoder.gradient_checkpointing
    return encoder


def build_sampler(
    config: Config, names: tuple[str, ...], sizes: tuple[int, ...]
) -> Sampler | RehearsalSampler:
    """Say which rows each step draws.

    Args:
        config: of the run.
        names: of the tasks.
        sizes: training rows of each.

    Raises:
        ConfigError: if a task that is to be trained gets none.
    """
    trained = [i for i, name in enumerate(names) if name not in config.finished]
    current = _current_sampler(
        config, tuple(names[i] for i in trained), tuple(sizes[i] for i in trained)
    )
    _check_every_task_is_drawn(current, config)
    _check_texts_have_others(current, config)
    return RehearsalSampler(current, names, sizes) if config.finished else current


def _current_sampler(config: Config, names: tuple[str, ...], sizes: tuple[int, ...]) -> Sampler:
    settings = config.training
    rule = get_rule(settings.batching)
    if settings.examples is not None:
        exact = Budget(settings.batch_size, epochs=settings.epochs)
        return ExactSampler(names, sizes, rule, exact, settings.seed, total=settings.examples)
    budget = Budget(
        settings.batch_size, epochs=settings.epochs, steps=settings.steps_per_epoch,
        one_task=settings.tasks_per_step == "one" or rule.orders == ("cyclic",),
    )  # fmt: skip
    options = rule.check_options(config.methods.get(rule.name, {}))
    return Sampler(names, sizes, rule, budget, settings.seed, options)


def warnings(config: Config, sampler: Sampler | RehearsalSampler) -> Iterator[str]:
    """Yield what a config asks for in vain, a line each."""
    training, steps = config.training, sampler.steps
    if training.steps_per_epoch is not None and training.steps_per_epoch > steps:
        yield (
            f"training.steps_per_epoch: is {training.steps_per_epoch}, but an epoch of batching"
            f" '{training.batching}' ends after {steps}; more epochs make a longer run"
        )
    rule, method = get_balancing(training.balancing_rule), get_method(config.gradient_method)
    options = rule.check_options(config.methods.get(rule.name, {}))
    if rule.waits is not None and rule.waits(options, steps) >= steps * training.epochs:
        yield (
            f"training.balancing: '{rule.name}' weighs all tasks alike in the first"
            f" {rule.waits(options, steps)} steps, and the run has {steps * training.epochs}"
        )
    if rule.name != "equal" and "scale_of_one" in method.laws:
        yield (
            f"training.balancing: '{method.name}' goes the same way whatever a task's loss counts;"
            f" the weights of '{rule.name}' reach the heads alone"
        )


def check_averages(config: Config, steps: int) -> None:
    """Check that an average is of more than one step's weights.

    Args:
        config: of the run.
        steps: of an epoch.

    Raises:
        ConfigError: if the run ends before the second.
    """
    own, total = config.averaging, steps * config.training.epochs
    if own.method == "swa" and own.every_steps is not None:
        start = max(1, round(own.start * total))
        if start + own.every_steps > total:
            raise ConfigError(
                f"averaging.every_steps: {own.every_steps} steps after step {start}, where the"
                f" average begins, the run of {total} steps is over; at most {total - start}"
            )


def _check_every_task_is_drawn(sampler: Sampler, config: Config) -> None:
    """Check that no head stays as it was drawn.

    Raises:
        ConfigError: naming the task.
    """
    for name, count in zip(sampler.names, sampler.examples(config.training.epochs), strict=True):
        if count == 0:
            raise ConfigError(
                f"training.batching: '{sampler.rule.name}' draws no example of '{name}' in"
                f" {config.training.epochs * sampler.steps} steps; more steps, a larger batch_size"
                " or another rule would"
            )


def _check_texts_have_others(sampler: Sampler, config: Config) -> None:
    """Check that a task that tells a text from the others of its step has others.

    Raises:
        ConfigError: naming the task.
    """
    kinds = {name: config.tasks[name].kind for name in sampler.names}
    compared = {name for name, kind in kinds.items() if get_kind(kind).compares_examples}
    if not compared or sampler.budget.one_task:
        return
    exact = config.training.examples is not None
    drawing = "training.examples" if exact else f"batching '{sampler.rule.name}'"
    for epoch in range(config.training.epochs if sampler.rule.varies else 1):
        for name, share in zip(sampler.names, sampler.shape(epoch).shares, strict=True):
            if name in compared and share < 2:
                raise ConfigError(
                    f"tasks.{name}.kind: '{kinds[name]}' tells a text from the others of its step,"
                    f" but {drawing} draws {share:.3g} of them in a step; a larger batch_size or"
                    " another rule would draw more"
                )


def build_combination(
    config: Config,
    encoder: BertEncoder,
    tasks: tuple[Task, ...],
    sampler: Sampler | RehearsalSampler,
) -> Combination:
    """Choose how the tasks' gradients become one."""
    layers = len(encoder.layer_groups()) if config.training.granularity == "layer" else None
    return Combination.of(
        tasks,
        get_method(config.gradient_method),
        get_balancing(config.training.balancing_rule),
        options=config.methods,
        shares=lambda step: sampler.shape(step // sampler.steps).shares,
        steps_per_epoch=sampler.steps,
        layers=layers,
        finished=config.finished,
    )


def build_learner(
    config: Config,
    encoder: BertEncoder,
    tasks: tuple[Task, ...],
    combination: Combination,
    device: torch.device,
    products: Products,
    folder: Path | None = None,
) -> Learner:
    """Make the model with fresh heads, and its optimizer.

    Args:
        config: of the run.
        encoder: shared by the tasks.
        tasks: in the config's order.
        combination: makes one gradient of the tasks'.
        device: where the model is to be.
        products: in what precision, and how this machine multiplies.
        folder: the encoder's, whose own head a masked language model takes over; None has none.
    """
    settings, frozen = config.training, config.encoder.mode == "frozen"
    torch.manual_seed(settings.seed)
    sharing = Sharing(tuple(config.sharing.schemes), config.methods)
    try:
        model = MultitaskModel(encoder, tasks, sharing).to(device)
    except ValueError as error:  # a task's name, or a pooler that isn't there
        raise ConfigError(str(error)) from None
    if folder is not None:
        _take_over_heads(model, folder)
    if frozen or not config.sharing.train_shared:
        model.encoder.requires_grad_(False)
    for place, task in enumerate(tasks):
        if task.name in config.finished:
            for parameter in model.own_parameters(place):
                parameter.requires_grad_(False)
    lr = settings.lr or LR[config.encoder.mode]
    head_lr = settings.head_lr or (lr if frozen else HEAD_LR)
    part_lr = config.sharing.lr or head_lr
    rated = rated_parameters(model, lr, part_lr, head_lr, settings.layer_decay)
    groups = parameter_groups(rated, settings.weight_decay)
    if not groups:
        raise ConfigError("encoder.mode: 'frozen' leaves cosine heads nothing to train")
    own = model.encoder
    shared = any(parameter.requires_grad for parameter in own.parameters())
    layers = own.layer_groups() if combination.by_layer else None
    combination.last_shared = own.last_trained_layer()
    return Learner(
        model=model,
        optimizer=AdamW(groups),
        combination=combination,
        seed=settings.seed,
        clip=settings.clip,
        products=products,
        skips_left=config.training.max_skipped_steps,
        coupling=_coupling(config, model),
        joint=not settings.gramian,
        jacobian=Jacobian(own.parameters(), own.embeddings.word, layers) if shared else None,
    )


def _take_over_heads(model: MultitaskModel, folder: Path) -> None:
    """Give tasks the head that their encoder was pretrained with, if there is one of their kind.

    Raises:
        EncoderError: if it is there in part.
    """
    heads = [head for head in model.task_heads().values() if any(head.named_views())]
    if not heads:
        return
    found = load_predictions(folder, dict(heads[0].named_views()))
    for head in heads if found is not None else ():
        head.load(found or {})


def check_dropout(config: Config, encoder: BertEncoder) -> None:
    """Check that something drops out where two masks are compared.

    Raises:
        EncoderError: if the encoder has no dropout, but a task or a regulariser goes by it.
    """
    rates = (encoder.config.hidden_dropout_prob, encoder.config.attention_probs_dropout_prob)
    if config.encoder.mode == "finetune" and max(rates) > 0:
        return
    goes_by = [f"'{task.kind}' (tasks.{name})" for name, task in config.auxiliary.items()
               if get_kind(task.kind).by_dropout]  # fmt: skip
    if not any(own.dropout > 0 and own.head == "linear" for own in config.labelled.values()):
        goes_by += [f"'{name}'" for name in config.training.regularisers
                    if get_regulariser(name).by_dropout]  # fmt: skip
    if goes_by:
        raise EncoderError(
            f"{config.encoder.path}: has no dropout, and {goes_by[0]} compares passes under two"
            " dropout masks; encoder.dropout = 0.1 has some"
        )


def build_regularisation(config: Config, model: MultitaskModel) -> Regularisation | None:
    """Make the regularisers, which may start from the weights as they are now."""
    names = config.training.regularisers
    return Regularisation.of(model, names, config.methods) if names else None


def _coupling(config: Config, model: MultitaskModel) -> Coupling | None:
    settings = config.sharing
    if settings.soft is None or model.parts is None:
        return None
    return Coupling(settings.soft, settings.soft_weight, model.parts.copies())
