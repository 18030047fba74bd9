"""From a configuration to everything that a run needs, before anything is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from accord.auxiliary import MaskedLMHead
from accord.averaging import Averages, trained
from accord.balancing import get_rule as get_balancing
from accord.bert import BertEncoder
from accord.combining import Combination
from accord.config import Config
from accord.config_file import check_methods, effective
from accord.datasets import Data, Say, read_data
from accord.devices import choose_device
from accord.errors import ConfigError, EncoderError
from accord.estimate import Estimate, Workload, estimate, matrix_rate, pass_rate
from accord.frozen import feature_batch
from accord.gradients import get_method
from accord.inference import PASS_TOKENS, pooled_vectors
from accord.inherited import check_inheritance, inherit
from accord.jacobian import Jacobian
from accord.loader import StepBatch, TaskData, step_batch
from accord.model import MultitaskModel
from accord.optim import AdamW, parameter_groups
from accord.parts import Sharing
from accord.pretrained import load_encoder, load_predictions, resolve_encoder_folder
from accord.products import Products, choose_products
from accord.rates import rated_parameters
from accord.regularising import Regularisation
from accord.rehearsal import RehearsalSampler
from accord.sampler import Sampler
from accord.sampling import Budget, get_rule
from accord.saved_model import InputFormat
from accord.soft import Coupling
from accord.step import Learner
from accord.tasks import AuxiliaryTask, Task
from accord.unfreezing import Unfreezing

HEAD_LR = 1e-3
COPIES = {"none": 0, "ema": 1, "swa": 1, "soup": 2}  # of the weights, beside themselves
LR = {"finetune": 5e-5, "frozen": 1e-3}


@dataclass
class Setup:
    """A run, ready to start.

    Attributes:
        config: as given.
        data: every task's splits.
        encoder_folder: where the encoder and its tokenizer were found.
        learner: model, optimizer, and how gradients combine.
        sampler: says which rows a step draws.
        device: of the model.
        fingerprint: of config and data.
        features: with a frozen encoder, each task's pooled training vectors.
        dev_features: likewise of its dev rows.
    """

    config: Config
    data: Data
    encoder_folder: Path
    learner: Learner
    sampler: Sampler | RehearsalSampler
    device: torch.device
    fingerprint: str
    features: list[torch.Tensor] | None = None
    dev_features: list[torch.Tensor] | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.training.epochs * self.sampler.steps

    def batch(self, step: int) -> StepBatch:
        """Return the examples of a step, counted from 0."""
        drawn = self.sampler.draw(step)
        if self.features is not None:
            return feature_batch(drawn, self.data.train, self.features)
        return step_batch(
            drawn, self.data.train, self.data.assembler, self.device,
            self.config.training.micro_batch_tokens, self.learner.products.row_multiple,
            (self.config.training.seed, step),
        )  # fmt: skip

    def encode_data(self) -> None:
        """Run a frozen encoder over the training and dev rows, once for the whole run."""
        self.features = self._encoded(self.data.train)
        self.dev_features = self._encoded(self.data.dev)

    def _encoded(self, data: list[TaskData]) -> list[torch.Tensor]:
        sequences = [self.data.assembler.sequences(own, range(len(own))) for own in data]
        return pooled_vectors(self.learner.model, sequences, self.learner.products)

    def estimate(self) -> Estimate:
        """Estimate the run's time and memory."""
        config, model = self.config, self.learner.model
        lengths = [self.data.assembler.lengths(own) for own in self.data.train]
        dev = sum(int(self.data.assembler.lengths(own).sum()) for own in self.data.dev)
        frozen, limit = config.encoder.mode == "frozen", config.training.micro_batch_tokens
        shares = self.sampler.shares
        step_tokens = sum(
            share * float(own.mean()) for share, own in zip(shares, lengths, strict=True) if share
        )
        once = sum(int(own.sum()) for own in lengths) if frozen else 0
        epochs, averaging = config.training.epochs, config.averaging.method
        judged = 2 * epochs - 1 if averaging == "soup" else epochs
        weights = sum(own.numel() for _, own in trained(model.named_parameters()))
        terms = self.learner.regularisation
        copies = COPIES[averaging] + (terms is not None and terms.averages is not None)
        work = Workload(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            tasks=len(self.data.tasks),
            steps=self.total_steps,
            step_tokens=step_tokens,
            pass_tokens=PASS_TOKENS if frozen else min(step_tokens, limit or step_tokens),
            encoded_tokens=once + dev * (1 if frozen else judged),
            mean_length=float(np.concatenate(lengths).mean()),
            frozen=frozen,
            checkpointing=config.encoder.gradient_checkpointing,
            averaged=copies * weights,
            passes=1.0 if terms is None else terms.work,
            graphs=1 if terms is None else 1 + len(terms.chosen),
            told_words=sum(
                share * _told_words(own, size)
                for share, own, size in zip(shares, self.data.train, lengths, strict=True)
            ),
        )
        rate, passes = _rates(self.device, self.learner.products)
        return estimate(model.encoder.config, work, rate, passes)


def prepare(
    config: Config,
    say: Say = lambda text: None,
    products: Products | None = None,
    *,
    planned: bool = False,
) -> Setup:
    """Read and check everything that a run needs.

    Args:
        config: of the run.
        say: told what is being done and what was decided.
        products: how to multiply, as a run began that goes on; default: what is best here.
        planned: only to check and to estimate a stage whose encoder is yet to be trained: no heads
            are taken over.

    Raises:
        UsageError: whatever is wrong with config, data or encoder.
    """
    if config.stages:
        raise ConfigError("stages: are runs of their own, which accord.staged starts one by one")
    device = choose_device(config.training.device)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    folder = resolve_encoder_folder(config.encoder.path, config.encoder.revision)
    keeps = config.encoder.heads == "keep" and not planned
    if keeps:
        check_inheritance(folder)
    encoder = build_encoder(config, folder)
    _check_dropout(config, encoder)
    data = read_data(config, folder, say)
    check_methods(config)
    products = products or choose_products(device, config.training.precision == "bfloat16")
    names = tuple(task.name for task in data.tasks)
    sampler = build_sampler(config, names, tuple(len(own) for own in data.train))
    if capped := capped_epoch(config, sampler):
        say(f"warning: {capped}")
    combination = build_combination(config, encoder, data.tasks, sampler)
    learner = build_learner(config, encoder, data.tasks, combination, device, products, folder)
    for own in data.labelled(data.train):
        head, targets = learner.model.head(own.task.name), own.targets(np.arange(len(own)))
        (head.hold if own.task.name in config.finished else head.begin)(targets)
    if keeps:
        kept = inherit(learner.model, folder, config.finished)
        say(f"heads taken over: {', '.join(kept) or 'none'}")
    learner.averages = _averages(config, learner.model, sampler.steps)
    learner.unfreezing = _unfreezing(config, learner.model, sampler.steps)
    return Setup(config, data, folder, learner, sampler, device, _fingerprint(config, data))


def build_encoder(config: Config, folder: Path) -> BertEncoder:
    """Load the encoder with the dropout and the new layers that the config asks for."""
    encoder = load_encoder(folder)
    if config.encoder.reinit_layers:
        try:
            encoder.reinitialise(config.encoder.reinit_layers, config.training.seed)
        except ValueError as error:
            raise ConfigError(f"encoder.reinit_layers: {error}") from None
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
    return RehearsalSampler(current, names, sizes) if config.finished else current


def _current_sampler(config: Config, names: tuple[str, ...], sizes: tuple[int, ...]) -> Sampler:
    settings = config.training
    rule = get_rule(settings.batching)
    budget = Budget(
        settings.batch_size, epochs=settings.epochs, steps=settings.steps_per_epoch,
        one_task=settings.tasks_per_step == "one" or rule.orders == ("cyclic",),
    )  # fmt: skip
    options = rule.check_options(config.methods.get(rule.name, {}))
    return Sampler(names, sizes, rule, budget, settings.seed, options)


def capped_epoch(config: Config, sampler: Sampler | RehearsalSampler) -> str:
    """Say that an epoch is shorter than the config wants it; empty if it isn't."""
    wanted = config.training.steps_per_epoch
    if wanted is None or wanted <= sampler.steps:
        return ""
    return (
        f"training.steps_per_epoch: is {wanted}, but an epoch of batching"
        f" '{config.training.batching}' ends after {sampler.steps}; more epochs make a longer run"
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
    except ValueError as error:
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
        regularisation=_regularisation(config, model),
        jacobian=Jacobian(own.parameters(), own.embeddings.word, layers) if shared else None,
    )


def _take_over_heads(model: MultitaskModel, folder: Path) -> None:
    """Give masked language models the head that their encoder was pretrained with, if it is there.

    Raises:
        EncoderError: if it is there in part.
    """
    heads = [head for head in model.heads.children() if isinstance(head, MaskedLMHead)]
    if not heads:
        return
    found = load_predictions(folder, dict(heads[0].named_views()))
    for head in heads if found is not None else ():
        head.load(found or {})


def _check_dropout(config: Config, encoder: BertEncoder) -> None:
    """Check that a text's two vectors differ.

    Raises:
        EncoderError: if the encoder has no dropout, but a task compares texts under two masks.
    """
    rates = (encoder.config.hidden_dropout_prob, encoder.config.attention_probs_dropout_prob)
    for name, task in config.auxiliary.items():
        if task.kind == "simcse" and max(rates) == 0:
            raise EncoderError(
                f"{config.encoder.path}: has no dropout, and 'simcse' (tasks.{name}) compares a"
                " text under two dropout masks; encoder.dropout = 0.1 has some"
            )


def _averages(config: Config, model: MultitaskModel, steps: int) -> Averages | None:
    own = config.averaging
    if own.method in ("none", "soup"):  # a soup's epochs lie in the run folder
        return None
    named = trained(model.named_parameters())
    if own.method == "ema":
        return Averages(named, own.decay)
    total = steps * config.training.epochs
    every = own.every_steps or max(1, steps // 4)
    return Averages(named, start=max(1, round(own.start * total)), every=every)


def _unfreezing(config: Config, model: MultitaskModel, steps: int) -> Unfreezing | None:
    share = config.training.unfreeze_over
    return Unfreezing.of(model, share * steps * config.training.epochs) if share else None


def _regularisation(config: Config, model: MultitaskModel) -> Regularisation | None:
    names = config.training.regularisers
    return Regularisation.of(model, names, config.methods) if names else None


def _coupling(config: Config, model: MultitaskModel) -> Coupling | None:
    settings = config.sharing
    if settings.soft is None or model.parts is None:
        return None
    return Coupling(settings.soft, settings.soft_weight, model.parts.copies())


def input_formats(config: Config) -> dict[str, InputFormat]:
    """Return how each task's files name their columns."""
    return {
        name: InputFormat(task.text_columns, task.label, task.id, task.delimiter, task.quoting)
        for name, task in config.labelled.items()
    }


def _told_words(data: TaskData, lengths: np.ndarray) -> float:
    """Return how many words of an example a masked language model is to tell, on average."""
    task = data.task
    if not isinstance(task, AuxiliaryTask) or task.kind != "masked-lm":
        return 0.0
    return float(np.maximum(1, (lengths - 2) * task.mask_share).mean())


@cache
def _rates(device: torch.device, products: Products) -> tuple[float, float]:
    """Measure the machine once: two runs of one process are not to be told different things."""
    return matrix_rate(device, products), pass_rate(device)


def _fingerprint(config: Config, data: Data) -> str:
    table = effective(config)
    # Where files lie doesn't matter, what they hold does.
    for task in (*table["tasks"].values(), *table["texts"].values()):
        for split in ("train", "dev", "test"):
            task.pop(split, None)
    table["encoder"].pop("path")
    content = json.dumps([table, data.contents()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
