"""A sum's norm in one operation: to the bit the composition on a CPU, and where kernels are used.

The formula plays the kernels.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from accord.encoders.blocks import PLAIN, Block, BlockHooks
from accord.encoders.families.bert import BertConfig, BertEncoder, bert_block
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.kernels import fused
from accord.kernels.dropout import DropoutKey
from accord.kernels.fused import formula
from accord.kernels.matmul import MatmulPolicy, computing
from accord.pertask import Jacobian, TaskBounds
from accord.pertask.operations import dropout_add_norm

K, P, KEY = 6, 0.4, DropoutKey(3, 1)
Sequences = Callable[..., list[TokenSequence]]


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Lets the formula play the kernels; holds the dtypes of x that were asked for."""
    dtypes: list[torch.dtype] = []

    def kernels_for(x: Tensor, *others: Tensor | None) -> object:
        dtypes.append(x.dtype)
        return formula if fused.fits(x, *others) else None

    monkeypatch.setattr(fused, "kernels_for", kernels_for)
    return dtypes


def weighed(*results: Tensor) -> Tensor:
    """A loss of both results, no row of which is like another's."""
    return sum((r.float() * drawn(*r.shape, seed=7 + i)).sum() for i, r in enumerate(results))


def collected(
    bounds: TaskBounds, static: bool, dtype: torch.dtype, biased: bool, used: slice
) -> list[Tensor]:
    """J and the gradients of x and the residual, of one operation."""
    rows = len(bounds)
    x, residual = drawn(rows, K, seed=1).to(dtype), drawn(rows, K, seed=2)
    x, residual = x.requires_grad_(), residual.requires_grad_()
    weight, bias = (Parameter(drawn(K, seed=i)) for i in (3, 4))
    ours = [weight, bias] if biased else [weight]
    step = Jacobian(ours).begin(3, static=static)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with step.collecting(bounds), autocast:
        given = (weight, bias if biased else None, 1e-5, P, KEY)
        results = dropout_add_norm(x, residual, *given, rounds=True)
    weighed(*results[used]).backward()
    return [step.dense(), x.grad, residual.grad]


@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "used", [slice(2), slice(1), slice(1, 2)], ids=["both results", "the first", "the second"]
)
@pytest.mark.parametrize(
    "bounds",
    [
        TaskBounds.of_counts([2, 0, 5]),
        TaskBounds.of_counts([2, 3, 2], [2, 0, 0]),
        TaskBounds.of_index([1, 0, 2, 1, 1, 0, 0]),
    ],
    ids=["in order", "named", "by index"],
)
def test_a_task_s_gradients_are_those_by_offsets(
    asked: list[torch.dtype], bounds: TaskBounds, used: slice, dtype: torch.dtype, biased: bool
) -> None:
    fine = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    expected = collected(bounds, False, dtype, biased, used)
    assert asked == []
    for one, other in zip(collected(bounds, True, dtype, biased, used), expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, **fine)
    assert asked == [dtype]


def test_kernels_are_for_static_steps_and_for_answers(asked: list[torch.dtype]) -> None:
    """Elsewhere autograd, or a step by offsets, has the gradients."""
    x, residual = drawn(4, K, seed=1), drawn(4, K, seed=2)
    weight, bias = (Parameter(drawn(K, seed=i)) for i in (3, 4))
    given = (x, residual, weight, bias, 1e-5, P)
    y, same = dropout_add_norm(*given, None, rounds=True)
    assert asked == []
    assert same is y
    with torch.no_grad():
        ours, same = dropout_add_norm(*given, None, rounds=True)
        assert same is ours  # nothing multiplies in another dtype
        torch.testing.assert_close(ours, y)
        with torch.autocast("cpu", torch.bfloat16):
            ours, rounded = dropout_add_norm(*given, None, rounds=True)
            assert (ours.dtype, rounded.dtype) == (torch.float32, torch.bfloat16)
            assert torch.equal(rounded, ours.bfloat16())
            ours, same = dropout_add_norm(*given, None)
            assert same is ours
    assert len(asked) == 3
    jacobian = Jacobian([weight, bias])
    for static in (False, True):
        step = jacobian.begin(1, static=static)
        with torch.no_grad(), step.collecting(TaskBounds.of_counts([4])):
            dropout_add_norm(*given, KEY)
    assert len(asked) == 4  # the static one
    weight.requires_grad_(False), bias.requires_grad_(False)
    step = jacobian.begin(1, static=True)
    with step.collecting(TaskBounds.of_counts([4])):
        dropout_add_norm(*given, KEY)
    assert len(asked) == 4  # a frozen norm's


class Nothing(BlockHooks):
    """Acts on nothing, as PLAIN, but is another: a block goes the way of hooks."""


CONFIG = BertConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
    hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.1, layer_norm_eps=1e-5,
)  # fmt: skip


def of_block(
    block: Block, batch: PackedBatch, hooks: BlockHooks, static: bool, first: bool, bfloat16: bool
) -> list[Tensor]:
    """What a block gives, and the gradients of its input and of each task."""
    x = drawn(len(batch.input_ids), 8, seed=5).requires_grad_()
    step = Jacobian(block.parameters()).begin(2, static=static)
    matmul = MatmulPolicy(bfloat16)
    plan = batch.cls_plan if first else batch.plan
    rows = (batch.cls_rows, batch.sequence_bounds) if first else None
    with computing(matmul), matmul.autocast(x.device), step.collecting(batch.token_bounds):
        out = block(x, plan, KEY, rows, hooks)
    weighed(out).backward()
    return [out.detach(), x.grad, step.dense()]


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("first", [False, True], ids=["all rows", "first rows"])
@pytest.mark.parametrize("static", [False, True], ids=["by offsets", "by tensors"])
def test_a_cpu_computes_to_the_bit_what_the_composition_does(
    random_sequences: Sequences, static: bool, first: bool, bfloat16: bool
) -> None:
    torch.manual_seed(0)
    block = bert_block(CONFIG)
    batch = pack([random_sequences([4, 7]), random_sequences([2, 5, 3])])
    ours, composed = (
        of_block(block, batch, hooks, static, first, bfloat16) for hooks in (PLAIN, Nothing())
    )
    for one, other in zip(ours, composed, strict=True):
        assert bool(other.any())
        assert torch.equal(one, other)


def test_blocks_hand_their_sums_to_the_kernels(
    asked: list[torch.dtype], random_sequences: Sequences
) -> None:
    """In a static step and in answers, with J and vectors as without; not where hooks act."""
    torch.manual_seed(0)
    block, sizes = bert_block(CONFIG), {"rtol": 1e-4, "atol": 1e-5}
    batch = pack([random_sequences([4, 7]), random_sequences([2, 5, 3])])
    composed = of_block(block, batch, Nothing(), True, False, False)
    assert asked == []
    for one, other in zip(of_block(block, batch, PLAIN, True, False, False), composed, strict=True):
        torch.testing.assert_close(one, other, **sizes)
    assert asked == [torch.float32] * 2

    encoder = BertEncoder(CONFIG).eval()
    expected = encoder(batch).detach()
    with torch.inference_mode():
        torch.testing.assert_close(encoder(batch), expected, **sizes)
        assert asked[2:] == [torch.float32] * 4
        with torch.autocast("cpu", torch.bfloat16):
            rounded = encoder(batch, cls_only=True)
    assert asked[6:] == [torch.bfloat16] * 4
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected[batch.cls_rows], rtol=0.05, atol=0.05)
