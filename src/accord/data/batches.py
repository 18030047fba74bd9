"""From the rows that a step draws to packed batches, and what each task's head sees of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.data.sources import Source
from accord.encoders.packing import PackedBatch, PackedWords, TokenSequence, pack, placing
from accord.encoders.static import StaticBatch, pack_static
from accord.encoders.units import Units, located
from accord.kinds import kind_of
from accord.plural import count


@dataclass(frozen=True)
class View:
    """What the head of one task sees of a pass.

    Attributes:
        task: its number in the run.
        group: the place of its examples among the pass's groups of sequences.
        index: int64, which of the group's sequences, or words where its kind labels these, are the
            task's; None: all.
        units: where its vectors belong, for a kind with a varying number of them in an example.
    """

    task: int
    group: int
    index: Tensor | None = None
    units: Units | None = None

    def mapped(self, move: Callable[[Tensor], Tensor]) -> View:
        """Return the same with each tensor moved."""
        index = None if self.index is None else move(self.index)
        return replace(self, index=index, units=self.units and self.units.mapped(move))


@dataclass(frozen=True)
class MicroBatch:
    """One pass of a step: a share of the examples of each group.

    Attributes:
        inputs: the packed sequences, group by group; or, with a frozen encoder, each view's pooled
            vectors.
        targets: float32 [n, ...] for each view.
        views: what each task's head sees of them.
    """

    inputs: PackedBatch | list[Tensor]
    targets: list[Tensor]
    views: tuple[View, ...]

    @property
    def words(self) -> dict[int, PackedWords]:
        """The masked words of the views that have any, by place."""
        packed = self.inputs.words if isinstance(self.inputs, PackedBatch) else {}
        return {
            place: packed[view.group] for place, view in enumerate(self.views)
            if view.group in packed
        }  # fmt: skip

    def mapped(self, move: Callable[[Tensor], Tensor]) -> MicroBatch:
        """Return the same with each tensor moved."""
        packed = self.inputs
        return MicroBatch(
            packed.mapped(move) if isinstance(packed, PackedBatch) else [*map(move, packed)],
            [*map(move, self.targets)],
            tuple(view.mapped(move) for view in self.views),
        )


@dataclass(frozen=True)
class StepBatch:
    """All of a step's examples, in groups that have a row of J each: a source's, or a part of it.

    Attributes:
        present: the number of each view's task, of those that have labelled examples in this step.
        rows: each view's rows of its task's split, for messages.
        passes: the examples, in one pass or several.
        tokens: of all examples; 0 where the encoder is frozen.
        token_ids: all of them, on the host, for the embedding's gradient.
        sources: the number of each group's source.
        group_of: the place of each view's group.
        weights: what each view's loss counts in its group's.
        fixed: whether a frozen encoder's vectors are all its inputs, and nothing but their number
            decides its shapes.
    """

    present: tuple[int, ...]
    rows: tuple[np.ndarray, ...]
    passes: list[MicroBatch]
    tokens: int
    token_ids: Tensor
    sources: tuple[int, ...]
    group_of: tuple[int, ...]
    weights: tuple[float, ...]
    fixed: bool = False

    @property
    def is_static(self) -> bool:
        """Whether its shapes follow from its `size`, so that it may be recorded."""
        return self.fixed or self.static is not None

    @property
    def static(self) -> StaticBatch | None:
        """Its one pass's sequences, where shapes don't depend on what they are; else None."""
        inputs = self.passes[0].inputs
        return inputs if isinstance(inputs, StaticBatch) else None

    @property
    def size(self) -> tuple[object, ...]:
        """What a static step's shapes follow from."""
        shapes = tuple(tuple(each.shape) for each in self.passes[0].targets)
        views = tuple((view.task, view.group) for view in self.passes[0].views)
        inputs: tuple[object, ...] = tuple(tuple(each.shape) for each in self._vectors)
        if self.static is not None:
            inputs = self.static.size
        return inputs, shapes, views, self.group_of, self.weights, len(self.sources)

    @property
    def described(self) -> str:
        """A static step's size in words."""
        if self.static is not None:
            return self.static.described
        return f"{sum(map(len, self._vectors)):,} vectors of {count(len(self._vectors), 'task')}"

    @property
    def _vectors(self) -> list[Tensor]:
        """A frozen encoder's, of each view; none where sequences are encoded."""
        inputs = self.passes[0].inputs
        return [] if isinstance(inputs, PackedBatch) else inputs

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of a static step's data, by name."""
        targets = {f"targets.{i}": each for i, each in enumerate(self.passes[0].targets)}
        vectors = {f"vectors.{i}": each for i, each in enumerate(self._vectors)}
        packed = {} if self.static is None else self.static.tensors
        return {**packed, **vectors, **targets}

    def holding(self, tensors: Mapping[str, Tensor]) -> StepBatch:
        """Return a static step of the same shapes that has other tensors, named as in `tensors`."""
        (micro,) = self.passes
        targets = [tensors[f"targets.{i}"] for i in range(len(micro.targets))]
        if self.static is None:
            vectors = [tensors[f"vectors.{i}"] for i in range(len(self._vectors))]
            return replace(self, passes=[replace(micro, inputs=vectors, targets=targets)])
        inputs = self.static.holding(tensors)
        held = replace(micro, inputs=inputs, targets=targets)
        return replace(self, passes=[held], token_ids=inputs.table_ids)

    @property
    def targets(self) -> list[Tensor]:
        """What all examples of each view are compared with, [n, ...] each."""
        parts = zip(*(micro.targets for micro in self.passes), strict=True)
        return [torch.cat(part) for part in parts]

    def to(self, device: torch.device) -> StepBatch:
        """Return the batch, which is on the host, with its passes on a device."""
        return self if device.type == "cpu" else self._mapped(placing(device))

    def pinned(self) -> StepBatch:
        """Return the batch with its passes in memory that a GPU reads by itself."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, move: Callable[[Tensor], Tensor]) -> StepBatch:
        return replace(self, passes=[micro.mapped(move) for micro in self.passes])

    def total(self, losses: Tensor) -> Tensor:
        """Return the weighted sum of the views' losses [h]; nothing goes to their device for it."""
        if set(self.weights) == {1.0}:
            return losses.sum()
        weighed = [loss * weight for loss, weight in zip(losses, self.weights, strict=True)]
        return torch.stack(weighed).sum()

    def by_group(self, losses: Tensor) -> Tensor:
        """Return the groups' losses [t], the weighted sums of their views' [h]; on the host."""
        weighed = losses * losses.new_tensor(self.weights)
        return losses.new_zeros(len(self.sources)).index_add(
            0, torch.tensor(self.group_of), weighed
        )


def step_batch(
    drawn: Sequence[np.ndarray],
    sources: Sequence[Source],
    assembler: Assembler,
    device: torch.device,
    micro_batch_tokens: int | None = None,
    multiple: int = 1,
    key: tuple[int, int] = (0, 0),
    vocabulary: int | None = None,
) -> StepBatch:
    """Pack a step's examples.

    Args:
        drawn: the rows of every source in this step; may be empty.
        sources: those that may be drawn.
        assembler: makes sequences.
        device: where the tensors go.
        micro_batch_tokens: most tokens of one pass, fillers not counted, except for a single
            example that is longer.
        multiple: of which each group's tokens in a pass are to be (`packing.pack`).
        key: (seed, step), which names the words that are hidden.
        vocabulary: how many words the encoder knows: the step is packed in static shapes where it
            can be. None never does so.
    """
    groups = tuple(i for i, rows in enumerate(drawn) if len(rows))
    examples = [_examples(assembler, sources[i], drawn[i], (*key, i)) for i in groups]
    labelled = [
        one for place, i in enumerate(groups) for one in labelled_of(sources[i], drawn[i], place)
    ]
    passes, ids = [], []
    for shares in _passes(examples, micro_batch_tokens):
        parts = [
            example[start:stop] for example, (start, stop) in zip(examples, shares, strict=True)
        ]
        seen = [one.within(parts[one.group], *shares[one.group]) for one in labelled]
        sequences = [_flat(part) for part in parts]
        whole = all(len(part) == len(all_) for part, all_ in zip(parts, examples, strict=True))
        if vocabulary is not None and whole and _fits_static(seen, sequences):
            static = pack_static(sequences, vocabulary)
            batch: PackedBatch = static
            ids.append(static.table_ids)
        else:
            batch = pack(sequences, multiple)
            ids.append(batch.input_ids)
        passes.append(
            MicroBatch(batch, [targets for _, targets in seen], tuple(view for view, _ in seen))
        )
    packed = StepBatch(
        present=tuple(one.task for one in labelled),
        rows=tuple(one.rows for one in labelled),
        passes=passes,
        tokens=sum(len(one.input_ids) for example in examples for one in _flat(example)),
        token_ids=torch.cat(ids),
        sources=groups,
        group_of=tuple(one.group for one in labelled),
        weights=tuple(one.weight for one in labelled),
    )
    return packed.to(device)


def _fits_static(
    seen: Sequence[tuple[View, Tensor]], sequences: Sequence[Sequence[TokenSequence]]
) -> bool:
    """Whether shapes follow from how many examples each task has: heads see each sequence whole."""
    plain = all(view.index is None and view.units is None for view, _ in seen)
    return plain and all(one.words is None and one.spans is None for of in sequences for one in of)


@dataclass(frozen=True)
class Labelled:
    """A task's examples among those that a step draws of its source.

    Attributes:
        part: the task's split.
        task: its number.
        weight: of its loss.
        group: the place of the source's group in the step.
        at: which of the source's examples have a label of the task, int64 [n]; None: all.
        rows: of the task's split, int64 [n].
        targets: what they are compared with, [n, ...].
    """

    part: TaskData
    task: int
    weight: float
    group: int
    at: np.ndarray | None
    rows: np.ndarray
    targets: Tensor

    def within(
        self, examples: Sequence[Sequence[TokenSequence]], start: int, stop: int
    ) -> tuple[View, Tensor]:
        """Return what of a pass is the task's, and its targets.

        Args:
            examples: the source's in the pass.
            start: number of the first of them.
            stop: of the last, and one.
        """
        at, begin, end = None, start, stop
        if self.at is not None:
            begin, end = np.searchsorted(self.at, (start, stop)).tolist()
            at = self.at[begin:end] - start
        index, units = located(kind_of(self.part.task).units, examples, at)
        return View(self.task, self.group, index, units), self.targets[begin:end]


def labelled_of(source: Source, drawn: np.ndarray, group: int) -> Iterator[Labelled]:
    """Yield the tasks that have labels among some rows of a source."""
    for task, part, weight, places in zip(
        source.tasks, source.parts, source.weights, source.places, strict=True
    ):
        rows = places[drawn]
        at = None if (rows >= 0).all() else np.flatnonzero(rows >= 0)
        rows = rows if at is None else rows[at]
        if len(rows):
            yield Labelled(part, task, weight, group, at, rows, part.targets(rows))


def _examples(
    assembler: Assembler, source: Source, rows: np.ndarray, key: tuple[int, int, int]
) -> list[list[TokenSequence]]:
    """Return the sequences of each of a source's rows; words are hidden over all its passes."""
    examples, task = source.examples(assembler, rows), source.parts[0].task
    if not kind_of(task).hides_words:
        return examples
    hidden = kind_of(task).step_sequences(task, _flat(examples), assembler.hiding(key))
    return [[sequence] for sequence in hidden]


def _flat(examples: Sequence[Sequence[TokenSequence]]) -> list[TokenSequence]:
    return [sequence for example in examples for sequence in example]


def _passes(
    groups: Sequence[Sequence[Sequence[TokenSequence]]], limit: int | None
) -> Iterator[list[tuple[int, int]]]:
    """Yield for each pass every group's (start, stop) among its examples."""
    shares = [(0, 0) for _ in groups]
    tokens = 0
    for i, examples in enumerate(groups):
        for number, example in enumerate(examples):
            size = sum(len(sequence.input_ids) for sequence in example)
            if limit is not None and tokens and tokens + size > limit:
                yield shares
                shares = [(stop, stop) for _, stop in shares]
                tokens = 0
            tokens += size
            shares[i] = (shares[i][0], number + 1)
    yield shares
