"""What every kind of task must satisfy in a step and in a model; no test here names one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kind_cases import Case, all_cases
from torch import Tensor
from valueless import moved, stand_in, waits_once
from worlds import CPU, World, assert_rows_close

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler, TaskData
from accord.data.ragged import padded
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.kernels.dropout import DropoutKey
from accord.kinds import (
    kind_of,
)
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, load_model, save_model
from accord.tasks import Task
from accord.training.frozen import feature_batch

LABELLED, ALL = all_cases(labelled=True), all_cases()
each = pytest.mark.parametrize("case", ALL, ids=lambda case: case.task.name)


class _Texts:
    """Stands in for a store: random texts beside a case's targets."""

    def __init__(self, case: Case, rows: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._words = case.sizes(rows)
        varying, counts = case.kind_of_any.varying, np.full(rows, case.task.texts)
        self.text_counts = counts + self._words if varying else counts
        self._texts = [
            [rng.integers(5, 37, rng.integers(1, 9)) for _ in range(count)]
            for count in self.text_counts
        ]
        self.labels = case.targets(rows) if case.task.labelled else np.zeros(rows, dtype=np.uint8)
        lengths = np.array([len(own) for row in self._texts for own in row])
        self.lengths = padded(lengths, self.text_counts, 0)

    def word_pieces(self, row: int, which: int) -> np.ndarray:
        """How many of a text's tokens each of its words has: of some none."""
        assert self._words is not None
        words, tokens = self._words[row], self.lengths[row, which]
        return np.bincount(np.arange(tokens) * words // tokens, minlength=words)

    def segment(self, row: int, which: int) -> np.ndarray:
        return self._texts[row][which]


def split(case: Case, rows: int, seed: int = 0) -> TaskData:
    return TaskData(case.task, _Texts(case, rows, seed), np.arange(rows))  # type: ignore[arg-type]


ASSEMBLER = Assembler(SpecialIds(1, 2, 0, 4), 24, vocabulary=37)


@each
def test_a_row_s_sequences_are_its_layout(case: Case) -> None:
    data, kind = split(case, 6), case.kind_of_any
    layouts = [kind.layout_of(case.task, data.texts(row)) for row in range(6)]
    examples = ASSEMBLER.examples(data, range(6))
    lengths = ASSEMBLER.sequence_lengths(data)
    assert lengths.shape == (6, max(map(len, layouts)))
    for row, (sequences, layout) in enumerate(zip(examples, layouts, strict=True)):
        behind = [0] * (lengths.shape[1] - len(layout))
        assert [len(own.input_ids) for own in sequences] + behind == lengths[row].tolist()
        for own, texts in zip(sequences, layout, strict=True):
            joined = np.concatenate([data.store.segment(row, which) for which in texts])
            inner = [token for token in own.input_ids.tolist() if token not in (1, 2)]
            assert inner == joined[: len(inner)].tolist()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_one_backward_pass_is_one_for_each_task(dropout: float, tiny_encoder: Callable) -> None:
    """All kinds' tasks in one step: each row of J is that task's gradient alone."""
    by_name = {case.task.name: case for case in ALL}

    def draw(task: Task, rows: int, seed: int) -> TaskData:
        return split(by_name[task.name], rows, seed)

    tasks = [replace(case.task, dropout=0.0) for case in ALL]
    world = World(tasks, tiny_encoder(), draw)
    world.model.encoder.set_dropout(dropout)
    for case, data in zip(ALL, world.data, strict=True):
        if case.task.labelled:
            world.model.head(case.task.name).begin(data.targets(np.arange(len(data))))
    batch = step_batch(
        [np.arange(5)] * len(tasks), each_alone(world.data), ASSEMBLER, CPU, key=(0, 0)
    )
    losses = [torch.zeros(()) for _ in batch.present]
    for number, micro in enumerate(batch.passes):
        key = DropoutKey(0, 0, number)
        pooled = world.model.pooled(micro.inputs, batch.present, key=key)
        parts = world.model.losses(
            pooled,
            micro.targets,
            batch.present,
            key,
            micro.words,
            [view.units for view in micro.views],
        )
        losses = [loss + own.sum() / 5 for loss, own in zip(losses, parts, strict=True)]
    rows = []
    for loss in losses:
        found = torch.autograd.grad(loss, world.columns(), retain_graph=True, allow_unused=True)
        pairs = zip(world.columns(), found, strict=True)
        rows.append(torch.cat([
            (torch.zeros_like(p) if own is None else own).flatten() for p, own in pairs
        ]))  # fmt: skip
    world.step(batch)  # last, as heads that follow their targets move in it
    assert_rows_close(world.jacobian.J, torch.stack(rows))


@pytest.mark.slow
def test_passes_of_any_size_and_vectors_of_a_frozen_encoder_have_the_same_losses(
    tiny_encoder: Callable,
) -> None:
    """All of an example's words or candidates are in one pass."""
    cases = [case for case in ALL if not case.kind_of_any.compares_examples]
    tasks = [replace(case.task, dropout=0.0) for case in cases]
    data = [split(case, 8, seed) for seed, case in enumerate(cases)]
    model = MultitaskModel(tiny_encoder(), tasks).eval()
    for case, part in zip(cases, data, strict=True):
        if case.task.labelled:
            model.head(case.task.name).begin(part.targets(np.arange(len(part))))
    drawn = [np.array([5, 0, 3, 6])] * len(cases)
    sources = each_alone(data)

    def losses(batch: StepBatch) -> dict[int, Tensor]:
        parts: dict[int, list[Tensor]] = {}
        for micro in batch.passes:
            present = [view.task for view in micro.views]
            units = [view.units for view in micro.views]
            pooled = micro.inputs
            if not isinstance(pooled, list):
                pooled = model.pooled(pooled, present, views=micro.views)
            each = model.losses(pooled, micro.targets, present, None, micro.words, units)
            for task, values in zip(present, each, strict=True):
                parts.setdefault(task, []).append(values.detach())
        return {task: torch.cat(values) for task, values in parts.items()}

    whole = losses(step_batch(drawn, sources, ASSEMBLER, CPU))
    for limit in (1, 30, 100):
        batch = step_batch(drawn, sources, ASSEMBLER, CPU, limit)
        assert len(batch.passes) > 3
        for task, values in losses(batch).items():
            torch.testing.assert_close(values, whole[task], atol=1e-5, rtol=1e-5)
    labelled = [i for i, case in enumerate(cases) if case.task.labelled]
    read = [range(len(part) if part.task.labelled else 0) for part in data]
    examples = [ASSEMBLER.examples(part, rows) for part, rows in zip(data, read, strict=True)]
    features = encoded(model, packed_inputs(model, examples))
    some = [rows if i in labelled else rows[:0] for i, rows in enumerate(drawn)]
    for task, values in losses(feature_batch(some, sources, features)).items():
        torch.testing.assert_close(values, whole[task], atol=1e-5, rtol=1e-5)


def test_a_head_multiplies_by_the_word_embeddings_if_its_kind_says_so(
    tiny_encoder: Callable,
) -> None:
    for case in ALL:
        model = MultitaskModel(tiny_encoder(), [replace(case.task, dropout=0.0)])
        sources = each_alone([split(case, 8)])
        (micro,) = step_batch([np.arange(5)], sources, ASSEMBLER, CPU, key=(0, 0)).passes
        pooled = [own.detach().requires_grad_() for own in model.pooled(micro.inputs, [0])]
        units = [view.units for view in micro.views]
        (losses,) = model.losses(pooled, micro.targets, [0], words=micro.words, units=units)
        table = model.encoder.embeddings.word
        (found, _) = torch.autograd.grad(losses.sum(), [table, *pooled], allow_unused=True)
        assert (found is not None) is kind_of(case.task).uses_word_table
        assert model.uses_word_table([0]) is kind_of(case.task).uses_word_table


def test_what_is_saved_says_the_same(tiny_encoder: Callable, tmp_path: Path) -> None:
    """A model folder holds the labelled tasks' heads, and nothing of the others."""
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.txt").write_text("[PAD]\n[CLS]\n[SEP]\n[UNK]\nfilm\n")
    model = MultitaskModel(tiny_encoder(), [case.task for case in ALL])
    for case in LABELLED:
        labels = torch.from_numpy(case.targets(12))
        model.head(case.task.name).begin(case.kind.targets(case.task, labels))
    inputs = {case.task.name: InputFormat(tuple(case.columns)) for case in LABELLED}
    save_model(model, tmp_path / "model", inputs, 40, tmp_path / "tokenizer")
    loaded, _, _ = load_model(tmp_path / "model")
    names = [case.task.name for case in LABELLED]
    assert [task.name for task in loaded.tasks] == names
    # What changes only how a head learns is not there any more: its outputs are the same.
    for case in LABELLED:
        vectors = torch.randn(4 * case.task.sequences, 8)
        ours, theirs = (own.head(case.task.name)(vectors) for own in (model, loaded))
        if case.kind.units != "rows":  # rows of one unit each
            ours, theirs = ours[:, None], theirs[:, None]
        says = [case.kind.decode(case.task, logits) for logits in (ours, theirs)]
        torch.testing.assert_close(says[0], says[1], rtol=0, atol=1e-6)


@each
def test_a_step_waits_for_a_gpu_once(
    case: Case, tiny_encoder: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = stand_in(monkeypatch)
    world = World([case.task], tiny_encoder(), lambda task, rows, seed: split(case, rows, seed))
    batch = step_batch([np.arange(3)], each_alone(world.data), ASSEMBLER, CPU, 40)
    waits_once(moved(world), batch, fetches)


@each
def test_its_steps_have_a_size_where_every_example_has_as_many_vectors(case: Case) -> None:
    """As docs/performance.md has it: what a GPU can record."""
    sources = each_alone([split(case, 8)])
    batch = step_batch([np.arange(4)], sources, ASSEMBLER, CPU, key=(0, 0), vocabulary=37)
    fits = case.kind_of_any.units == "rows" and not case.kind_of_any.hides_words
    assert (batch.static is not None) is batch.is_static is fits
    table = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    (recorded,) = [line for line in table.splitlines() if line.startswith("| classification, ")]
    named = case.task.kind.removeprefix("pair-") in recorded.partition(", of texts")[0]
    assert named is (fits and case.task.labelled)
