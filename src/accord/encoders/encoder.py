"""An encoder of any family: embeddings, blocks, pooler. What other rooms know of encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from accord.encoders.blocks import PLAIN, SITES, Block, BlockHooks, BlockList
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.kernels.attention import AttentionPlan
from accord.kernels.dropout import DropoutKey, DropoutStream
from accord.pertask.modules import Linear, checkpoint


@dataclass(frozen=True)
class EncoderConfig:
    """The sizes and constants of an encoder, by Hugging Face's names; a family adds its own."""

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

    model_type: ClassVar[str]

    def new_encoder(self, pooler: bool = True) -> Encoder:
        """Return an encoder of these sizes as it is before any training, drawn by torch."""
        raise NotImplementedError


C = TypeVar("C", bound=EncoderConfig)


class Embeddings(nn.Module):
    """What makes the first block's input.

    Attributes:
        word: the table of words, [V, H].
        p: dropout of the input.
    """

    word: Parameter
    p: float

    def forward(self, ids: Sequence[Tensor], key: DropoutKey | None) -> Tensor:
        """Return the first block's input [n, H] of token, position and type ids, [n] each."""
        raise NotImplementedError


class EncoderHooks:
    """What acts on an encoder's parts as they are applied: nothing, here."""

    def embed(self, embeddings: Embeddings, batch: PackedBatch, key: DropoutKey | None) -> Tensor:
        """Return the first block's input, [N, H]."""
        x: Tensor = embeddings(batch.ids, key)
        return x

    def block(self, number: int) -> BlockHooks:
        """Return what acts on a block's, counted from 0."""
        return PLAIN


class Shifted(EncoderHooks):
    """As given, with something added to the first block's input.

    Args:
        hooks: as given.
        shift: what is added, [N, H].
    """

    def __init__(self, hooks: EncoderHooks, shift: Tensor) -> None:
        self.hooks, self.shift = hooks, shift

    def embed(self, embeddings: Embeddings, batch: PackedBatch, key: DropoutKey | None) -> Tensor:
        """Return the first block's input, shifted."""
        return self.hooks.embed(embeddings, batch, key) + self.shift

    def block(self, number: int) -> BlockHooks:
        """Return what acts on a block's, as given."""
        return self.hooks.block(number)


NO_HOOKS = EncoderHooks()


class Encoder(nn.Module):
    """An encoder of packed batches. A family's is made of its own embeddings and blocks.

    Args:
        config: its sizes.
        embeddings: make the first block's input.
        blocks: one after the other.
        pooler: W and b of tanh(W x_first + b); None has none.
        norm: of the last block's output; None has none.
    """

    def __init__(
        self, config: EncoderConfig, embeddings: Embeddings, blocks: Sequence[Block],
        pooler: Linear | None, norm: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.embeddings = embeddings
        self.layers = BlockList(blocks)
        self.norm = norm
        self.pooler = pooler

    @property
    def word_table(self) -> Parameter:
        """The word embeddings, [V, H]."""
        return self.embeddings.word

    def forward(
        self,
        batch: PackedBatch,
        key: DropoutKey | None = None,
        cls_only: bool = False,
        hooks: EncoderHooks = NO_HOOKS,
    ) -> Tensor:
        """Encode a packed batch.

        Args:
            batch: N tokens of B sequences.
            key: names the dropout masks; None is evaluation.
            cls_only: compute the last block for each sequence's first token alone.
            hooks: act on the encoder's parts.

        Returns:
            The last hidden states [N, H], or [B, H] of the first tokens.
        """
        x = self.embed(batch, key, hooks)
        for number in range(len(self.layers)):
            x = self.layer(number, x, batch, key, cls_only, hooks)
        return self.finish(x, batch, cls_only)

    def embed(
        self, batch: PackedBatch, key: DropoutKey | None = None, hooks: EncoderHooks = NO_HOOKS
    ) -> Tensor:
        """Return the first layer's input, [N, H]; arguments as `forward`."""
        with batch.token_bounds.applied():
            return hooks.embed(self.embeddings, batch, key.at(0) if key else None)

    def layer(
        self, number: int, x: Tensor, batch: PackedBatch, key: DropoutKey | None = None,
        cls_only: bool = False, hooks: EncoderHooks = NO_HOOKS,
    ) -> Tensor:  # fmt: skip
        """Apply a layer.

        Args:
            number: counted from 0.
            x: its input, [N, H].
            batch: that x is of.
            key, cls_only, hooks: as `forward`.

        Returns:
            [N, H]; of the last layer [B, H] where only first tokens are wanted.
        """
        block, plan, first = self.layers[number], batch.plan, None
        if cls_only and number + 1 == len(self.layers):
            plan, first = batch.cls_plan, (batch.cls_rows, batch.sequence_bounds)
        place = key.at((number + 1) * SITES) if key else None
        arguments = (x, plan, place, first, hooks.block(number))
        with batch.token_bounds.applied():
            if self.gradient_checkpointing and torch.is_grad_enabled():
                return recomputed(block, *arguments)
            encoded: Tensor = block(*arguments)
            return encoded

    def finish(self, x: Tensor, batch: PackedBatch, cls_only: bool = False) -> Tensor:
        """Return the last hidden states of what the last layer gives, [N, H] or [B, H]."""
        if self.norm is None:
            return x
        with (batch.sequence_bounds if cls_only else batch.token_bounds).applied():
            normed: Tensor = self.norm(x)
            return normed

    def layer_groups(self) -> list[list[Parameter]]:
        """Return all parameters, in order: the embeddings', then each layer's, with the last those
        of what follows it."""
        groups = [list(self.embeddings.parameters())]
        groups += [list(layer.parameters()) for layer in self.layers]
        groups[-1] += [p for block in self._after_blocks() for p in block.parameters()]
        return groups

    def last_trained_layer(self) -> int:
        """Return the index in `layer_groups` of the last layer that is trained; 0 if none is."""
        trained = [i for i, layer in enumerate(self.layers, start=1)
                   if any(p.requires_grad for p in layer.parameters())]  # fmt: skip
        return trained[-1] if trained else 0

    def reinitialise(self, count: int, seed: int) -> None:
        """Reinitialise the last layers and what follows them, as before any training.

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
            fresh = self.config.new_encoder(self.pooler is not None)
        for layer, new in zip(self.layers[-count:], fresh.layers[-count:], strict=True):
            layer.load_state_dict(new.state_dict())
        for module, new in zip(self._after_blocks(), fresh._after_blocks(), strict=True):
            module.load_state_dict(new.state_dict())

    def _after_blocks(self) -> list[nn.Module]:
        return [module for module in (self.norm, self.pooler) if module is not None]

    def set_dropout(self, p: float) -> None:
        """Set both of the encoder's dropout rates."""
        self.config = with_dropout(self.config, p)
        self.embeddings.p = p
        for layer in self.layers:
            layer.p = layer.attention.p = p

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
        device = self.word_table.device
        return list(self(packed.to(device)).float().split(list(packed.lengths)))


def recomputed(
    block: nn.Module, x: Tensor, plan: AttentionPlan, key: DropoutKey | None, *more: Any
) -> Tensor:
    """Apply a block, which is applied again as gradients are taken back, with the same masks.

    Args:
        block: a layer.
        x: its input, [N, H].
        plan: of its attention.
        key: names its masks, or the stream that they are drawn from.
        more: that it takes.
    """
    if not isinstance(key, DropoutStream):
        return checkpoint(block, x, plan, key, *more)
    kept = key.kept()

    def apply(x: Tensor) -> Tensor:
        kept.begin_again()
        y: Tensor = block(x, plan, kept, *more)
        return y

    return checkpoint(apply, x)


def with_dropout(config: C, p: float) -> C:
    """Return a config with both dropout rates at p."""
    return replace(config, hidden_dropout_prob=p, attention_probs_dropout_prob=p)
