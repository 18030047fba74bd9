"""BERT (Devlin et al. 2019): absolute positions, token types, blocks with norms after sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.encoders.blocks import Attention, Block, FeedForward
from accord.encoders.encoder import Embeddings, Encoder, EncoderConfig
from accord.encoders.family import Family
from accord.kernels.dropout import DropoutKey, dropout
from accord.pertask.modules import LayerNorm, Linear
from accord.pertask.operations import embedding


@dataclass(frozen=True)
class BertConfig(EncoderConfig):
    """The sizes and constants of a BERT."""

    model_type: ClassVar[str] = "bert"

    def new_encoder(self, pooler: bool = True) -> BertEncoder:
        """Return an encoder of these sizes as it is before any training, drawn by torch."""
        return BertEncoder(self, pooler)


def _normal(rows: int, columns: int, std: float) -> Parameter:
    values = torch.empty(rows, columns)
    # Torch loads its compiler (a second) to draw values of a tensor that has none.
    return Parameter(values if values.is_meta else values.normal_(0, std))


class BertEmbeddings(Embeddings):
    """Word + position + token type, normalised, with dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden, std = config.hidden_size, config.initializer_range
        self.word = _normal(config.vocab_size, hidden, std)
        self.position = _normal(config.max_position_embeddings, hidden, std)
        self.token_type = _normal(config.type_vocab_size, hidden, std)
        self.norm = LayerNorm(hidden, config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, ids: Sequence[Tensor], key: DropoutKey | None) -> Tensor:
        """Return the first block's input [n, H] of token, position and type ids, [n] each."""
        x = embedding(ids[0], self.word)
        x = x + embedding(ids[1], self.position)
        x = x + embedding(ids[2], self.token_type)
        normed: Tensor = self.norm(x)
        return dropout(normed, self.p, key)


def bert_block(config: BertConfig) -> Block:
    """Return a block as BERT has them, newly drawn."""
    hidden, std, eps = config.hidden_size, config.initializer_range, config.layer_norm_eps
    attention_p, heads = config.attention_probs_dropout_prob, config.num_attention_heads
    return Block(
        Attention(hidden, heads, attention_p, std),
        FeedForward(hidden, config.intermediate_size, config.hidden_act, std),
        LayerNorm(hidden, eps),
        LayerNorm(hidden, eps),
        config.hidden_dropout_prob,
    )


class BertEncoder(Encoder):
    """A BERT encoder.

    Args:
        config: its sizes.
        pooler: whether it has BERT's pooler, tanh(W x_cls + b).
    """

    def __init__(self, config: BertConfig, pooler: bool = True) -> None:
        hidden, std = config.hidden_size, config.initializer_range
        super().__init__(
            config,
            BertEmbeddings(config),
            [bert_block(config) for _ in range(config.num_hidden_layers)],
            Linear(hidden, hidden, std=std) if pooler else None,
        )


def named_views(encoder: Encoder) -> Iterator[tuple[str, Tensor]]:
    """Yield Hugging Face's name of every tensor with the part of our parameters that it is.

    Keys and values are one matrix here and two there; all else is one to one.
    """
    embeddings = encoder.embeddings
    assert isinstance(embeddings, BertEmbeddings)
    yield "embeddings.word_embeddings.weight", embeddings.word
    yield "embeddings.position_embeddings.weight", embeddings.position
    yield "embeddings.token_type_embeddings.weight", embeddings.token_type
    yield from _pair("embeddings.LayerNorm", embeddings.norm)
    hidden = encoder.config.hidden_size
    for i, block in enumerate(encoder.layers):
        prefix, attention = f"encoder.layer.{i}", block.attention
        yield from _pair(f"{prefix}.attention.self.query", attention.query)
        for part, name in enumerate(("key", "value")):
            half = slice(part * hidden, (part + 1) * hidden)
            yield f"{prefix}.attention.self.{name}.weight", attention.key_value.weight[half]
            yield f"{prefix}.attention.self.{name}.bias", attention.key_value.bias[half]
        yield from _pair(f"{prefix}.attention.output.dense", attention.output)
        yield from _pair(f"{prefix}.attention.output.LayerNorm", block.attention_norm)
        yield from _pair(f"{prefix}.intermediate.dense", block.feed_forward.intermediate)
        yield from _pair(f"{prefix}.output.dense", block.feed_forward.output)
        yield from _pair(f"{prefix}.output.LayerNorm", block.output_norm)
    if encoder.pooler is not None:
        yield from _pair("pooler.dense", encoder.pooler)


def _pair(name: str, module: Any) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", module.weight
    yield f"{name}.bias", module.bias


FAMILY = Family(
    model_type=BertConfig.model_type,
    architecture="BertModel",
    config=BertConfig,
    named_views=named_views,
    words="embeddings.word_embeddings.weight",
    layer="encoder.layer.{}.attention.self.query.weight",
    prefix="bert.",
    constants={"position_embedding_type": "absolute"},
    predictions="cls.predictions.",
    prediction_names={"bias": ("bias", "decoder.bias")},
)
