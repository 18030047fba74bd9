"""Blocks of another family than BERT's: norms before, no biases, no positions in the embeddings."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from accord.encoders import Encoder
from accord.encoders.blocks import Attention, Block, FeedForward
from accord.encoders.encoder import Embeddings, EncoderConfig
from accord.encoders.packing import TokenSequence, pack
from accord.kernels.dropout import DropoutKey
from accord.pertask import Jacobian, LayerNorm, RMSNorm
from accord.pertask.operations import embedding

HIDDEN, HEADS, INNER, WORDS = 8, 2, 12, 40
CONFIG = EncoderConfig(vocab_size=WORDS, hidden_size=HIDDEN, num_hidden_layers=2)
Sequences = Callable[..., list[TokenSequence]]


class Words(Embeddings):
    """Words alone."""

    def __init__(self) -> None:
        super().__init__()
        self.word, self.p = Parameter(torch.randn(WORDS, HIDDEN)), 0.0

    def forward(self, ids: Sequence[Tensor], key: DropoutKey | None) -> Tensor:
        return embedding(ids[0], self.word)


NORMS: dict[str, Callable[[], nn.Module]] = {
    "layer norm without bias": lambda: LayerNorm(HIDDEN, bias=False),
    "rms norm": lambda: RMSNorm(HIDDEN, eps=1e-6),
    "none": nn.Identity,
}


def make(norm: str, pre_norm: bool) -> Encoder:
    torch.manual_seed(0)
    blocks = [
        Block(
            Attention(HIDDEN, HEADS, 0.1, 0.4, bias=False),
            FeedForward(HIDDEN, INNER, "silu", 0.4, bias=False),
            NORMS[norm](), NORMS[norm](), 0.1, pre_norm=pre_norm,
        )
        for _ in range(2)
    ]  # fmt: skip
    encoder = Encoder(CONFIG, Words(), blocks, None, NORMS[norm]() if pre_norm else None)
    with torch.no_grad():
        for parameter in [p for group in encoder.layer_groups()[1:] for p in group]:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def by_formula(encoder: Encoder, ids: Tensor) -> Tensor:
    """One sequence by torch's own functions, [L] -> [L, H]."""
    x = encoder.embeddings.word[ids]
    for block in encoder.layers:
        attention, inner = block.attention, block.feed_forward

        def attended(x: Tensor, ours: Attention = attention) -> Tensor:
            parts = x @ ours.query.weight.t(), *(x @ ours.key_value.weight.t()).chunk(2, 1)
            heads = (part.view(len(x), HEADS, -1).transpose(0, 1) for part in parts)
            out = F.scaled_dot_product_attention(*heads).transpose(0, 1).flatten(1)
            return out @ ours.output.weight.t()

        def fed(x: Tensor, ours: FeedForward = inner) -> Tensor:
            return F.silu(x @ ours.intermediate.weight.t()) @ ours.output.weight.t()

        for part, norm in ((attended, block.attention_norm), (fed, block.output_norm)):
            x = x + part(norm(x)) if block.pre_norm else norm(x + part(x))
    return x if encoder.norm is None else encoder.norm(x)


@pytest.mark.parametrize("pre_norm", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("norm", NORMS)
def test_blocks_are_what_they_were_given(
    norm: str, pre_norm: bool, random_sequences: Sequences
) -> None:
    """By the formula; for first tokens alone the same; J as one backward pass a task gives it."""
    encoder = make(norm, pre_norm)
    tasks = [random_sequences([4, 7]), random_sequences([2, 5, 3])]
    batch = pack(tasks)
    rows = batch.input_ids.split(batch.lengths)
    expected = torch.cat([by_formula(encoder, ids) for ids in rows])
    torch.testing.assert_close(encoder(batch), expected, rtol=1e-4, atol=1e-4)
    first = expected[batch.cls_rows]
    torch.testing.assert_close(encoder(batch, cls_only=True), first, rtol=1e-4, atol=1e-4)

    probe = torch.randn(first.shape)
    columns = [p for p in encoder.parameters() if p is not encoder.word_table]
    columns.append(encoder.word_table)
    J = []
    for start, stop in batch.task_sequences:
        total = (first * probe)[start:stop].sum()
        grads = torch.autograd.grad(total, columns, retain_graph=True)
        J.append(torch.cat([grad.flatten() for grad in grads]))
    for static in (False, True):
        jacobian = Jacobian(encoder.parameters(), encoder.word_table)
        step = jacobian.begin(2, batch.input_ids, static=static)
        with step.collecting():
            out = encoder(batch, cls_only=True)
        (out * probe).sum().backward()
        torch.testing.assert_close(step.dense(), torch.stack(J), rtol=1e-3, atol=1e-4)


def test_recomputed_blocks_draw_the_same_masks(random_sequences: Sequences) -> None:
    actual = []
    for again in (False, True):
        encoder = make("rms norm", True)
        encoder.gradient_checkpointing = again
        batch = pack([random_sequences([4, 7]), random_sequences([2, 5])])
        step = Jacobian(encoder.parameters(), encoder.word_table).begin(2, batch.input_ids)
        with step.collecting():
            out = encoder(batch, DropoutKey(0, 1))
        out.square().sum().backward()
        actual.append(step.dense())
    assert torch.equal(*actual)
