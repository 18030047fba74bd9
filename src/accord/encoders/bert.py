"""BERT (Devlin et al. 2019) over packed sequences: embeddings, layers, pooler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.kernels.attention import AttentionPlan, attend
from accord.kernels.dropout import DropoutKey, dropout, dropout_add
from accord.pertask.bounds import TaskBounds
from accord.pertask.modules import LayerNorm, Linear, checkpoint
from accord.pertask.operations import embedding

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}

_SITES = 1024  # dropout sites reserved for a layer: an attention draws one a bucket


@dataclass(frozen=True)
class BertConfig:
    """The sizes and constants of a BERT, by Hugging Face's names."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0


def _normal(rows: int, columns: int, std: float) -> Parameter:
    values = torch.empty(rows, columns)
    # Torch loads its compiler (a second) to draw values of a tensor that has none.
    return Parameter(values if values.is_meta else values.normal_(0, std))


class Embeddings(nn.Module):
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
        """Return the first layer's input [n, H] of token, position and type ids, [n] each."""
        x = embedding(ids[0], self.word)
        x = x + embedding(ids[1], self.position)
        x = x + embedding(ids[2], self.token_type)
        normed: Tensor = self.norm(x)
        return dropout(normed, self.p, key)


class LayerOps:
    """How a layer's weights are applied: as they are, here; a task's own beside them elsewhere."""

    def of_cls(self) -> LayerOps:
        """Return the same for activations of each sequence's first token alone."""
        return self

    def dense(self, layer: Layer, name: str, x: Tensor) -> Tensor:
        """Apply one of the layer's dense layers."""
        found: Tensor = getattr(layer, name)(x)
        return found

    def norm(self, layer: Layer, name: str, x: Tensor) -> Tensor:
        """Apply one of the layer's norms."""
        found: Tensor = getattr(layer, name)(x)
        return found

    def after(self, half: str, x: Tensor) -> Tensor:
        """Change what the attention or the feed-forward `half` gives, before it is added."""
        return x

    def beside(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        """Add to what the last norm sees.

        Args:
            x: the layer's input, [N, H].
            added: the sum so far, [N, H] or [B, H].
            plan: of the attention.
        """
        return added


class EncoderOps:
    """How an encoder's weights are applied."""

    def embed(self, embeddings: Embeddings, batch: PackedBatch, key: DropoutKey | None) -> Tensor:
        """Return the first layer's input, [N, H]."""
        found: Tensor = embeddings(batch.ids, key)
        return found

    def layer(self, number: int) -> LayerOps:
        """Return how a layer's are, counted from 0."""
        return PLAIN_LAYER


class Shifted(EncoderOps):
    """As given, with something added to the first layer's input.

    Args:
        ops: as given.
        shift: what is added, [N, H].
    """

    def __init__(self, ops: EncoderOps, shift: Tensor) -> None:
        self.ops, self.shift = ops, shift

    def embed(self, embeddings: Embeddings, batch: PackedBatch, key: DropoutKey | None) -> Tensor:
        """Return the first layer's input, shifted."""
        return self.ops.embed(embeddings, batch, key) + self.shift

    def layer(self, number: int) -> LayerOps:
        """Return how a layer's weights are applied: as given."""
        return self.ops.layer(number)


PLAIN_LAYER, PLAIN = LayerOps(), EncoderOps()


class Layer(nn.Module):
    """One transformer layer: attention, then feed-forward, each added and normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden, std, eps = config.hidden_size, config.initializer_range, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.query = Linear(hidden, hidden, std=std)
        self.key_value = Linear(hidden, 2 * hidden, std=std)
        self.attention_output = Linear(hidden, hidden, std=std)
        self.attention_norm = LayerNorm(hidden, eps)
        self.intermediate = Linear(hidden, config.intermediate_size, std=std)
        self.output = Linear(config.intermediate_size, hidden, std=std)
        self.output_norm = LayerNorm(hidden, eps)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.p, self.attention_p = config.hidden_dropout_prob, config.attention_probs_dropout_prob

    def forward(
        self,
        x: Tensor,
        plan: AttentionPlan,
        key: DropoutKey | None,
        cls: tuple[Tensor, TaskBounds] | None = None,
        ops: LayerOps = PLAIN_LAYER,
    ) -> Tensor:
        """Run the layer.

        Args:
            x: [N, H].
            plan: how attention runs; a CLS plan where `cls` is given.
            key: names the dropout masks; None is evaluation.
            cls: the rows of x wanted and whose they are, to compute no others.
            ops: how the layer's weights are applied.

        Returns:
            [N, H], or [B, H] where `cls` is given.
        """
        key_value = ops.dense(self, "key_value", x)
        if cls is None:
            return self._after_keys(x, x, key_value, plan, key, ops)
        with cls[1].applied():
            first = x.index_select(0, cls[0])
            return self._after_keys(x, first, key_value, plan, key, ops.of_cls())

    def _after_keys(
        self, source: Tensor, x: Tensor, key_value: Tensor, plan: AttentionPlan,
        key: DropoutKey | None, ops: LayerOps,
    ) -> Tensor:  # fmt: skip
        """Run the layer for the rows x of its input `source`."""
        key_at = [None if key is None else key.at(key.site + i) for i in range(3)]
        query = ops.dense(self, "query", x)
        attended = attend(query, key_value, plan, self.heads, self.attention_p, key_at[2])
        out = ops.after("attention", ops.dense(self, "attention_output", attended))
        x = ops.norm(self, "attention_norm", dropout_add(out, x, self.p, key_at[0]))
        inner = self.activation(ops.dense(self, "intermediate", x))
        out = ops.after("feed_forward", ops.dense(self, "output", inner))
        added = ops.beside(source, dropout_add(out, x, self.p, key_at[1]), plan)
        return ops.norm(self, "output_norm", added)


class LayerList(nn.ModuleList):
    """A list of layers that says what it holds."""

    def __iter__(self) -> Iterator[Layer]:
        return super().__iter__()  # type: ignore[return-value]


class BertEncoder(nn.Module):
    """A BERT encoder.

    Args:
        config: its sizes.
        pooler: whether it has BERT's pooler, tanh(W x_cls + b).
    """

    def __init__(self, config: BertConfig, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.embeddings = Embeddings(config)
        self.layers = LayerList(Layer(config) for _ in range(config.num_hidden_layers))
        hidden = config.hidden_size
        self.pooler = Linear(hidden, hidden, std=config.initializer_range) if pooler else None

    def forward(
        self,
        batch: PackedBatch,
        key: DropoutKey | None = None,
        cls_only: bool = False,
        ops: EncoderOps = PLAIN,
    ) -> Tensor:
        """Encode a packed batch.

        Args:
            batch: N tokens of B sequences.
            key: names the dropout masks; None is evaluation.
            cls_only: compute the last layer for each sequence's first token alone.
            ops: how the encoder's weights are applied.

        Returns:
            The last hidden states [N, H], or [B, H] of the first tokens.
        """
        with batch.token_bounds.applied():
            return self._encode(batch, key, cls_only, ops)

    def _encode(
        self, batch: PackedBatch, key: DropoutKey | None, cls_only: bool, ops: EncoderOps
    ) -> Tensor:
        x = ops.embed(self.embeddings, batch, key.at(0) if key else None)
        for i, layer in enumerate(self.layers, start=1):
            plan, cls = batch.plan, None
            if cls_only and i == len(self.layers):
                plan, cls = batch.cls_plan, (batch.cls_rows, batch.sequence_bounds)
            own = ops.layer(i - 1)
            arguments = (x, plan, key.at(i * _SITES) if key else None, cls, own)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, *arguments)
            else:
                x = layer(*arguments)
        return x

    def layer_groups(self) -> list[list[Parameter]]:
        """Return all parameters, in order: the embeddings', then each layer's, the pooler's with
        the last."""
        groups = [list(self.embeddings.parameters())]
        groups += [list(layer.parameters()) for layer in self.layers]
        groups[-1] += [] if self.pooler is None else list(self.pooler.parameters())
        return groups

    def last_trained_layer(self) -> int:
        """Return the index in `layer_groups` of the last layer that is trained; 0 if none is."""
        trained = [i for i, layer in enumerate(self.layers, start=1)
                   if any(p.requires_grad for p in layer.parameters())]  # fmt: skip
        return trained[-1] if trained else 0

    def reinitialise(self, count: int, seed: int) -> None:
        """Draw the last layers and the pooler anew, as they were before any training.

        *Source:* Zhang et al. 2021, Revisiting Few-sample BERT Fine-tuning, section 4.2.

        Args:
            count: of layers.
            seed: of the draw; torch's own generator is left as it is.

        Raises:
            ValueError: if there are fewer layers.
        """
        if count > len(self.layers):
            raise ValueError(f"the encoder has {len(self.layers)} layers, got {count}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = BertEncoder(self.config, self.pooler is not None)
        for own, new in zip(self.layers[-count:], fresh.layers[-count:], strict=True):
            own.load_state_dict(new.state_dict())
        if self.pooler is not None and fresh.pooler is not None:
            self.pooler.load_state_dict(fresh.pooler.state_dict())

    def set_dropout(self, p: float) -> None:
        """Set both of the encoder's dropout rates."""
        self.config = replace(self.config, hidden_dropout_prob=p, attention_probs_dropout_prob=p)
        self.embeddings.p = p
        for layer in self.layers:
            layer.p = layer.attention_p = p

    def pool(self, cls: Tensor) -> Tensor:
        """Apply BERT's pooler to the first tokens' states [B, H]."""
        if self.pooler is None:
            raise ValueError("this encoder has no pooler")
        pooled: Tensor = self.pooler(cls)
        return pooled.tanh()

    @torch.no_grad()
    def encode_ids(self, sequences: list[list[int]]) -> list[Tensor]:
        """Encode sequences of token ids, special tokens included, all of token type 0.

        Args:
            sequences: the ids, as in [[101, 7592, 102], ...].

        Returns:
            A float32 tensor [length, hidden] for each, in the order given.

        Raises:
            ValueError: for a sequence that is empty or too long, or an id out of the vocabulary.
        """
        if not sequences:
            return []
        longest, vocabulary = self.config.max_position_embeddings, self.config.vocab_size
        for i, ids in enumerate(sequences):
            if not 0 < len(ids) <= longest:
                raise ValueError(f"sequence {i} has {len(ids)} tokens; allowed: 1 to {longest}")
            if not 0 <= min(ids) <= max(ids) < vocabulary:
                raise ValueError(f"sequence {i} holds an id out of 0 to {vocabulary - 1}")
        packed = pack([[TokenSequence(np.array(ids), first=len(ids)) for ids in sequences]])
        device = self.embeddings.word.device
        return list(self(packed.to(device)).float().split(list(packed.lengths)))
