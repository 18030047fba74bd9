"""From a plan to everything that a run needs, before anything is written."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from accord.data.batches import StepBatch, step_batch
from accord.data.datasets import Data, Say, read_data
from accord.data.loader import TaskData
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.data.sources import Source, shared_rows, sources_of
from accord.data.warnings import data_warnings
from accord.encoders.pretrained import read_config, resolve_encoder_folder
from accord.evaluation.inputs import Pooled
from accord.evaluation.packed import packed_inputs
from accord.evaluation.passes import tokens_of_a_pass
from accord.evaluation.pooling import encoded
from accord.installed import version
from accord.kernels.matmul import MatmulPolicy, choose_matmul_policy
from accord.kinds import kind_of
from accord.model.inherited import check_inheritance, dropped_parts, inherit
from accord.model.multitask import MultitaskModel
from accord.model.origin import Origin
from accord.model.saved import InputFormat
from accord.optim.averaging import Averages, trained
from accord.plan.run import StagePlan, Table
from accord.runs.devices import check_precision, choose_device
from accord.runs.estimate import Estimate, Workload, estimate, matrix_rate, pass_rate
from accord.runs.repeatable import order_fault
from accord.tracking import check_installed
from accord.training.building import (
    build_combination,
    build_encoder,
    build_learner,
    build_regularisation,
    check_averages,
    check_dropout,
    check_sizes,
    warnings,
)
from accord.training.drawing import (
    balanced_classes,
    build_sampler,
    mean_tokens,
    training_sources,
)
from accord.training.frozen import feature_batch
from accord.training.observers import observers
from accord.training.recording import (
    exceptions,
    obstacles,
    recorder_of,
    records,
    rows_beside_steps,
)
from accord.training.step import Learner
from accord.training.unfreezing import Unfreezing

OTHER_WAYS = (
    "training.micro_batch_tokens", "encoder.gradient_checkpointing", "training.deterministic",
)  # fmt: skip
"""Keys by which a run takes its steps in another way, and no others: they may be edited."""

COPIES = {"none": 0, "ema": 1, "swa": 1, "soup": 2}  # of the weights, beside themselves


@dataclass
class Setup:
    """A run, ready to start.

    Attributes:
        plan: of the run.
        data: every task's splits.
        encoder_folder: where the encoder and its tokenizer were found.
        sources: the training rows, as steps draw them.
        learner: model, optimizer, and how gradients combine.
        sampler: says which rows a step draws.
        device: of the model.
        fingerprint: of config and data.
        features: with a frozen encoder, each task's pooled training vectors.
        dev_features: likewise of its dev rows.
        unused: what of the config makes no difference, one line each.
        static: whether steps are packed in static shapes, where their examples allow it.
        pass_tokens: most tokens of a pass; None: all of a step's. Where the config says 'auto',
            `training.passes` sets it before the first step.
        unordered: why its sums have no fixed order though they are to have one; else empty.
    """

    plan: StagePlan
    data: Data
    sources: list[Source]
    encoder_folder: Path
    learner: Learner
    sampler: Sampler | RehearsalSampler
    device: torch.device
    fingerprint: str
    features: list[Pooled] | None = None
    dev_features: list[Pooled] | None = None
    unused: Sequence[str] = ()
    static: bool = False
    pass_tokens: int | None = None
    unordered: str = ""

    def warnings(self) -> list[str]:
        """Return the warnings before the run begins, one line each."""
        return [*self.unused, *map(str, data_warnings(self.data.facts))]

    @property
    def is_repeatable(self) -> bool:
        """Whether the same run on this machine would give the same bits."""
        ordered = self.plan.training.deterministic and not self.unordered
        return self.device.type == "cpu" or ordered

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.training.epochs * self.sampler.steps

    def batch(self, step: int) -> StepBatch:
        """Return the examples of a step, counted from 0, on the run's device."""
        if self.features is not None:
            drawn = self.sampler.draw(step)
            return feature_batch(drawn, self.sources, self.features, self.static)
        return self.drawn(step).to(self.device)

    def drawn(self, step: int) -> StepBatch:
        """Return the examples of a step on the host. A function of the step: any thread may ask,
        for any step."""
        return self.packed(step, self.sampler.draw(step), self.pass_tokens)

    def packed(self, step: int, drawn: Sequence[np.ndarray], pass_tokens: int | None) -> StepBatch:
        """Return some rows of each source as a step's examples: on the host, in memory that a GPU
        reads by itself, where the run has one.

        Args:
            step: names the words that are hidden.
            drawn: rows of each source.
            pass_tokens: most tokens of a pass.
        """
        batch = step_batch(
            drawn, self.sources, self.data.assembler, torch.device("cpu"), pass_tokens,
            self.learner.objective.matmul.row_multiple, (self.plan.training.seed, step),
            self.learner.model.encoder.config.vocab_size if self.static else None,
        )  # fmt: skip
        return batch.pinned() if self.device.type == "cuda" else batch

    def origins(self) -> dict[str, Origin]:
        """Return what each task is made from."""
        contents = sorted(self.data.contents().items())
        return {
            task.name: Origin(
                version(),
                self.fingerprint,
                _hash([pair for pair in contents if pair[0].rpartition(".")[0] == task.name]),
            )
            for task in self.data.tasks
        }

    def encode_data(self) -> None:
        """Run a frozen encoder over the training and dev rows, once for the whole run."""
        self.features = self._encoded(self.data.train)
        self.dev_features = self._encoded(self.data.dev)

    def _encoded(self, data: list[TaskData]) -> list[Pooled]:
        """Encode rows that several tasks label once, and give each task those that it labels."""
        sources = sources_of(data, shared_rows(data))
        model, matmul = self.learner.model, self.learner.objective.matmul
        groups = [
            source.examples(self.data.assembler, np.arange(len(source))) for source in sources
        ]
        packed = packed_inputs(model, groups, matmul, tasks=[source.tasks for source in sources])
        pooled = encoded(model, packed, matmul)
        for source in sources:
            for task, places in zip(source.tasks, source.places, strict=True):
                if (places < 0).any():
                    pooled[task] = pooled[task].part(np.argsort(places)[(places < 0).sum() :])
        return [pooled[task] for task in range(len(data))]

    def estimate(self) -> Estimate:
        """Estimate the run's time and memory."""
        rate, passes = _rates(self.device, self.learner.objective.matmul)
        config = self.learner.model.encoder.config
        return estimate(config, self.workload(self.pass_tokens), rate, passes)

    def workload(self, limit: int | None) -> Workload:
        """Return how much the run has to do, in passes of at most so many tokens."""
        plan, model = self.plan, self.learner.model
        lengths = [source.lengths(self.data.assembler) for source in self.sources]
        dev = sum(int(self.data.assembler.lengths(split).sum()) for split in self.data.dev)
        frozen = plan.encoder.frozen
        shares = self.sampler.shares
        classes = balanced_classes(plan, self.data.train)
        step_tokens = sum(
            share * mean_tokens(source.name, length, classes)
            for share, source, length in zip(shares, self.sources, lengths, strict=True)
            if share
        )
        once = sum(int(length.sum()) for length in lengths) if frozen else 0
        epochs, averaging = plan.training.epochs, plan.averaging.method
        # A soup is made three times: by all dev rows, and by either half of them.
        evaluated = 4 * epochs - 3 if averaging == "soup" else epochs
        weights = sum(parameter.numel() for _, parameter in trained(model.named_parameters()))
        terms = self.learner.objective.regularisation
        copies = COPIES[averaging] + (terms is not None and terms.averages is not None)
        return Workload(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            tasks=len(self.sources) if plan.training.gramian else 1,
            steps=self.total_steps,
            step_tokens=step_tokens,
            pass_tokens=(
                tokens_of_a_pass(self.device, model.encoder.config)
                if frozen
                else min(step_tokens, limit or step_tokens)
            ),
            encoded_tokens=once + dev * (1 if frozen else evaluated),
            mean_length=float(np.concatenate(lengths).mean()),
            frozen=frozen,
            checkpointing=plan.encoder.gradient_checkpointing,
            averaged=copies * weights,
            passes=1.0 if terms is None else terms.work,
            graphs=1 if terms is None else 1 + len(terms.chosen),
            masked_words=sum(
                share * kind_of(part.task).masked_words(part.task, size)
                for share, source, size in zip(shares, self.sources, lengths, strict=True)
                for part in source.parts
            ),
        )


def prepare(
    plan: StagePlan,
    say: Say = lambda text: None,
    matmul: MatmulPolicy | None = None,
    *,
    planned: bool = False,
) -> Setup:
    """Read and check everything that a run needs: what this passes, a run begins.

    `accord.training.stages.preflight.check_run` is this without a run, for all stages.

    Args:
        plan: of the run, or of a stage.
        say: told what is being done and what was decided.
        matmul: how to multiply, as a run began that goes on; default: what is best here.
        planned: only to check and to estimate a stage whose encoder is yet to be trained: no heads
            are taken over.

    Raises:
        UsageError: whatever is wrong with data or encoder, or with the plan beside them.
    """
    check_installed(plan.track.to)
    device = choose_device(plan.training.device, trains=True)
    unordered = order_fault(device) if plan.training.deterministic else ""
    check_precision(plan.training.precision, device, "training.precision")  # may start CUDA
    if plan.training.threads is not None:
        torch.set_num_threads(plan.training.threads)
    folder = resolve_encoder_folder(plan.encoder.path, plan.encoder.revision)
    keeps = plan.encoder.keeps_heads and not planned
    if keeps:
        check_inheritance(folder)
    check_sizes(plan, read_config(folder))
    data = read_data(plan.data, folder, say)
    encoder = build_encoder(plan, folder)
    check_dropout(plan, encoder)
    matmul = matmul or choose_matmul_policy(device, plan.training.precision)
    sources = training_sources(plan, data.train)
    names, sizes = tuple(source.name for source in sources), tuple(map(len, sources))
    sampler = build_sampler(plan, names, sizes, balanced_classes(plan, data.train))
    check_averages(plan, sampler.steps)
    unused = (*_dropped(plan, folder), *warnings(plan, sampler))
    combination = build_combination(plan, encoder, sources, sampler)
    learner = build_learner(plan, encoder, data.tasks, combination, device, matmul, folder)
    for split in data.labelled(data.train):
        head, whole = learner.model.head(split.task.name), data.full_train.get(split.task.name)
        if whole is None:
            head.begin(split.targets(np.arange(len(split))))
        else:  # its memory may be too small to have a spread
            head.hold(whole.targets(np.arange(len(whole))))
    if keeps:
        kept = inherit(learner.model, folder, plan.finished)
        say(f"heads taken over: {', '.join(kept) or 'none'}")
    # After what is taken over: these begin from the weights as they are.
    objective = learner.objective
    objective.regularisation = build_regularisation(plan, learner.model)
    objective.unfreezing = _unfreezing(plan, learner.model, sampler.steps)
    learner.averages = _averages(plan, learner.model, sampler.steps)
    learner.observers = list(observers(objective, combination, learner.averages))
    fingerprint, limit = _fingerprint(plan.settings, data), plan.training.micro_batch_tokens
    static = records(plan, learner, device)
    if static:
        learner.recorder = recorder_of(device)
        learner.most_rows = rows_beside_steps(plan, len(sources))
        if line := exceptions(learner):
            say(line)
    elif device.type == "cuda":
        say(f"steps run without CUDA graphs: {'; '.join(obstacles(plan, learner, device))}")
    return Setup(
        plan, data, sources, folder, learner, sampler, device, fingerprint, unused=unused,
        static=static, pass_tokens=None if limit == "auto" else limit, unordered=unordered,
    )  # fmt: skip


def _dropped(plan: StagePlan, folder: Path) -> Iterator[str]:
    """Yield that an encoder's tasks have parts which the run goes without, if it is so."""
    dropped = "" if plan.encoder.keeps_heads else dropped_parts(folder)
    if dropped:
        yield (
            f"{folder}: the parts of its tasks ({dropped}) are not taken over, only what they"
            " share; encoder.heads = 'keep' takes them"
        )


def _averages(plan: StagePlan, model: MultitaskModel, steps: int) -> Averages | None:
    averaging = plan.averaging
    if averaging.method in ("none", "soup"):  # a soup's epochs lie in the run folder
        return None
    named = trained(model.named_parameters())
    if averaging.method == "ema":
        return Averages(named, averaging.decay)
    total = steps * plan.training.epochs
    every = averaging.every_steps or max(1, steps // 4)
    return Averages(named, start=max(1, round(averaging.start * total)), every=every)


def _unfreezing(plan: StagePlan, model: MultitaskModel, steps: int) -> Unfreezing | None:
    share = plan.training.unfreeze_over
    return Unfreezing.of(model, share * steps * plan.training.epochs) if share else None


def input_formats(plan: StagePlan) -> dict[str, InputFormat]:
    """Return how each task's files name their columns."""
    return {
        name: InputFormat(
            task.text, task.label, task.id, task.delimiter, task.quoting, task.file_encoding,
            tuple(sorted(task.missing)),
        )
        for name, task in plan.data.labelled.items()
    }  # fmt: skip


@cache
def _rates(device: torch.device, matmul: MatmulPolicy) -> tuple[float, float]:
    """Measure the machine once: two runs of one process are not to be told different things."""
    return matrix_rate(device, matmul), pass_rate(device)


def _fingerprint(settings: Table, data: Data) -> str:
    table = copy.deepcopy(dict(settings))
    # Where files lie doesn't matter, what they hold does.
    for task in (*table["tasks"].values(), *table["texts"].values()):
        for split in ("train", "dev", "test"):
            task.pop(split, None)
    table["encoder"].pop("path")
    for key in OTHER_WAYS:
        section, name = key.split(".")
        table[section].pop(name, None)
    return _hash([table, data.contents()])


def _hash(value: object) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
