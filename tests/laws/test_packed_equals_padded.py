"""The central law: a packed batch gives what a padded one gives, and what each gives alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from accord.encoders.families.bert import BertEncoder, named_views
from accord.encoders.packing import TokenSequence, pack
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

Sequences = Callable[..., list[TokenSequence]]
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Callable[..., BertEncoder]) -> BertEncoder:
    return tiny_encoder(num_hidden_layers=3)


def padded_bert(encoder: BertEncoder, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
    """BERT as the textbook has it, on padded [B, L] tensors: -> [B, L, H]."""
    w, config = dict(named_views(encoder)), encoder.config

    def norm(x: Tensor, name: str) -> Tensor:
        weight, bias = w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, config.layer_norm_eps)

    def dense(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][types], "embeddings")
    for i in range(config.num_hidden_layers):
        at = f"encoder.layer.{i}"
        q, k, v = (
            dense(x, f"{at}.attention.self.{name}")
            .unflatten(2, (config.num_attention_heads, -1))
            .transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = norm(dense(mixed, f"{at}.attention.output.dense") + x, f"{at}.attention.output")
        inner = F.gelu(dense(x, f"{at}.intermediate.dense"))
        x = norm(dense(inner, f"{at}.output.dense") + x, f"{at}.output")
    return x


def padded(encoder: BertEncoder, sequences: list[TokenSequence], extra: int = 0) -> list[Tensor]:
    """Each sequence's states from one padded batch."""
    longest = max(len(sequence.input_ids) for sequence in sequences) + extra
    ids = torch.zeros(len(sequences), longest, dtype=torch.int64)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
    types = torch.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        length = len(sequence.input_ids)
        ids[i, :length] = torch.from_numpy(sequence.input_ids)
        mask[i, :length] = True
        types[i, sequence.first : length] = 1
    out = padded_bert(encoder, ids, types, mask)
    return [row[each] for row, each in zip(out, mask, strict=True)]


def packed(encoder: BertEncoder, tasks: list[list[TokenSequence]]) -> list[Tensor]:
    batch = pack(tasks)
    return list(encoder(batch).split(list(batch.lengths)))


def cut(sequences: list[TokenSequence], at: list[int]) -> list[list[TokenSequence]]:
    """Divide into tasks, some of them perhaps empty."""
    bounds = [0, *sorted(min(i, len(sequences)) for i in at), len(sequences)]
    return [sequences[a:b] for a, b in pairwise(bounds)]


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float = 1e-5) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@settings(max_examples=40)
@given(
    lengths=LENGTHS, splits=st.lists(st.integers(0, 9), max_size=3), extra=st.integers(0, 3),
    seed=st.integers(0, 50),
)  # fmt: skip
def test_packed_equals_padded_equals_alone(
    encoder: BertEncoder,
    random_sequences: Sequences,
    lengths: list[int],
    splits: list[int],
    extra: int,
    seed: int,
) -> None:
    sequences = random_sequences(lengths, seed)
    with torch.no_grad():
        together = packed(encoder, cut(sequences, splits))
        assert_close(together, padded(encoder, sequences, extra))
        assert_close(together, [packed(encoder, [[one]])[0] for one in sequences])


@settings(max_examples=20)
@given(lengths=LENGTHS, order=st.randoms(use_true_random=False))
def test_any_order(encoder: BertEncoder, random_sequences: Sequences, lengths: list[int],
                   order: object) -> None:  # fmt: skip
    sequences = random_sequences(lengths)
    places = list(range(len(lengths)))
    order.shuffle(places)  # type: ignore[attr-defined]
    with torch.no_grad():
        straight = packed(encoder, [sequences])
        shuffled = packed(encoder, [[sequences[i] for i in places]])
    assert_close(shuffled, [straight[i] for i in places])


@settings(max_examples=15)
@given(lengths=LENGTHS, splits=st.lists(st.integers(0, 9), max_size=3))
def test_gradients_of_all_parameters_equal_too(
    encoder: BertEncoder, random_sequences: Sequences, lengths: list[int], splits: list[int]
) -> None:
    sequences = random_sequences(lengths)
    parameters = [p for name, p in encoder.named_parameters() if "pooler" not in name]
    probes = [torch.randn(length, encoder.config.hidden_size) for length in lengths]

    def gradients(states: list[Tensor]) -> tuple[Tensor, ...]:
        total = sum((x * probe).sum() for x, probe in zip(states, probes, strict=True))
        return torch.autograd.grad(total, parameters)

    ours = gradients(packed(encoder, cut(sequences, splits)))
    for a, b in zip(ours, gradients(padded(encoder, sequences)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, b.abs().max().item()))


@settings(max_examples=20)
@given(lengths=LENGTHS.filter(lambda lengths: len(lengths) > 1), data=st.data())
def test_examples_do_not_influence_each_other(
    encoder: BertEncoder, random_sequences: Sequences, lengths: list[int], data: st.DataObject
) -> None:
    """Other tokens in one sequence change its states and, to the bit, no other's."""
    sequences = random_sequences(lengths, low=5)
    changed = data.draw(st.integers(0, len(lengths) - 1))
    ids = sequences[changed].input_ids.copy()
    ids[data.draw(st.integers(0, len(ids) - 1))] = 3  # not among the ids drawn
    others = list(sequences)
    others[changed] = replace(sequences[changed], input_ids=ids)
    with torch.no_grad():
        before, after = packed(encoder, [sequences]), packed(encoder, [others])
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(a, b) is (i != changed)


@settings(max_examples=20)
@given(lengths=LENGTHS)
def test_first_tokens_alone_equal_the_full_runs(
    encoder: BertEncoder, random_sequences: Sequences, lengths: list[int]
) -> None:
    batch = pack([random_sequences(lengths)])
    with torch.no_grad():
        first = encoder(batch, cls_only=True)
        torch.testing.assert_close(first, encoder(batch)[batch.cls_rows], rtol=1e-5, atol=1e-5)


@settings(max_examples=20)
@given(counts=st.lists(st.integers(1, 4), min_size=3, max_size=3), seed=st.integers(0, 50))
@pytest.mark.parametrize("poolings", [("cls", "pooler", "cls"), ("mean", "cls", "pooler")])
def test_pooling(
    encoder: BertEncoder,
    random_sequences: Sequences,
    poolings: tuple[str, ...],
    counts: list[int],
    seed: int,
) -> None:
    tasks = [
        Task(f"t{i}", "regression", "mse", "pearson", pooling=pooling)  # type: ignore[arg-type]
        for i, pooling in enumerate(poolings)
    ]
    model = MultitaskModel(encoder, tasks)
    sequences = [
        random_sequences([1 + (seed + 7 * i + j) % 20 for j in range(count)], seed + i)
        for i, count in enumerate(counts)
    ]
    view = dict(named_views(encoder))

    def pool(states: Tensor, pooling: str) -> Tensor:
        if pooling == "mean":
            return states.mean(0)
        if pooling == "cls":
            return states[0]
        return torch.tanh(view["pooler.dense.weight"] @ states[0] + view["pooler.dense.bias"])

    with torch.no_grad():
        pooled = model.pooled(pack(sequences), range(3))
        for sequence, vectors, pooling in zip(sequences, pooled, poolings, strict=True):
            expected = [pool(states, pooling) for states in padded(encoder, sequence)]
            assert_close(list(vectors), expected)


@pytest.mark.quick("poolings1")
@settings(max_examples=20)
@given(lengths=st.lists(LENGTHS, min_size=3, max_size=3), multiple=st.sampled_from([2, 8, 32, 64]))
@pytest.mark.parametrize(
    "poolings", [("cls",), ("mean",), ("cls", "pooler", "cls"), ("mean", "cls", "pooler")]
)
def test_fillers_change_no_pooled_vector(
    encoder: BertEncoder, random_sequences: Sequences, poolings: tuple[str, ...],
    lengths: list[list[int]], multiple: int,
) -> None:  # fmt: skip
    tasks = [
        Task(f"t{i}", "regression", "mse", "pearson", pooling=pooling)  # type: ignore[arg-type]
        for i, pooling in enumerate(poolings)
    ]
    model, present = MultitaskModel(encoder, tasks), range(len(tasks))
    sequences = [random_sequences(length, i) for i, length in zip(present, lengths, strict=False)]
    with torch.no_grad():
        filled = model.pooled(pack(sequences, multiple), present)
        assert_close(filled, model.pooled(pack(sequences), present))


def test_a_task_whose_encoder_has_no_pooler_is_refused(
    tiny_encoder: Callable[..., BertEncoder],
) -> None:
    task = Task("sst", "regression", "mse", "pearson", pooling="pooler")
    with pytest.raises(ValueError, match="task 'sst' pools by 'pooler'"):
        MultitaskModel(tiny_encoder(pooler=False), [task])
