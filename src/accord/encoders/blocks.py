"""Transformer blocks over packed rows, given their attention, feed-forward network and norms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from accord.kernels import dense
from accord.kernels.attention import AttentionPlan, attend
from accord.kernels.dropout import DropoutKey, dropout_add
from accord.pertask.bounds import TaskBounds
from accord.pertask.modules import LayerNorm, Linear

_NAMES = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
    "silu": "silu", "swish": "silu", "tanh": "tanh",
}  # fmt: skip
"""What kernels call them."""
ACTIVATIONS = {name: dense.ACTIVATIONS[kernel] for name, kernel in _NAMES.items()}

SITES = 1024  # dropout sites reserved for a block: an attention draws one a bucket


class BlockHooks:
    """What acts on a block's parts as they are applied: nothing, here.

    Parts are named as `Block.dense_layers` and `Block.norms` name them.
    """

    def of_first(self) -> BlockHooks:
        """Return the same for activations of each sequence's first token alone."""
        return self

    def dense(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        """Apply a dense layer."""
        y: Tensor = layer(x)
        return y

    def norm(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        """Apply a norm."""
        y: Tensor = layer(x)
        return y

    def after(self, half: str, x: Tensor) -> Tensor:
        """Change what the attention or the feed-forward `half` gives, before it is added."""
        return x

    def parallel(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        """Add to the sum that the block ends with, before a norm that follows it.

        Args:
            x: the block's input, [N, H].
            added: the sum so far, [N, H] or [B, H].
            plan: of the attention.
        """
        return added


PLAIN = BlockHooks()


class Attention(nn.Module):
    """Multi-head attention within each sequence, and its output layer.

    Args:
        hidden: H, a multiple of `heads`.
        heads: of the attention.
        p: dropout of its probabilities.
        std: of the weights at first.
        bias: whether dense layers have one.
    """

    def __init__(self, hidden: int, heads: int, p: float, std: float, bias: bool = True) -> None:
        super().__init__()
        self.heads, self.p = heads, p
        self.query = Linear(hidden, hidden, bias, std)
        self.key_value = Linear(hidden, 2 * hidden, bias, std)
        self.output = Linear(hidden, hidden, bias, std)

    def dense_layers(self) -> dict[str, Linear]:
        """Return the dense layers by the names that hooks know."""
        return {
            "query": self.query, "key_value": self.key_value, "attention_output": self.output
        }  # fmt: skip

    def keys(self, x: Tensor, hooks: BlockHooks) -> Tensor:
        """Return keys and values [N, 2H] of all tokens [N, H]."""
        return hooks.dense("key_value", self.key_value, x)

    def forward(
        self, x: Tensor, key_value: Tensor, plan: AttentionPlan, key: DropoutKey | None,
        hooks: BlockHooks,
    ) -> Tensor:  # fmt: skip
        """Attend from x, [n, H] -> [n, H]."""
        query = hooks.dense("query", self.query, x)
        attended = attend(query, key_value, plan, self.heads, self.p, key)
        return hooks.dense("attention_output", self.output, attended)


class FeedForward(nn.Module):
    """W_2 f(W_1 x).

    Args:
        hidden: H.
        inner: its inner size.
        activation: f, of `ACTIVATIONS`.
        std: of the weights at first.
        bias: whether dense layers have one.
    """

    def __init__(
        self, hidden: int, inner: int, activation: str, std: float, bias: bool = True
    ) -> None:
        super().__init__()
        self.intermediate = Linear(hidden, inner, bias, std)
        self.output = Linear(inner, hidden, bias, std)
        self.activation, self.activation_name = ACTIVATIONS[activation], _NAMES[activation]

    def dense_layers(self) -> dict[str, Linear]:
        """Return the dense layers by the names that hooks know."""
        return {"intermediate": self.intermediate, "output": self.output}

    def forward(self, x: Tensor, hooks: BlockHooks) -> Tensor:
        """[n, H] -> [n, H]."""
        if hooks is PLAIN and type(self.intermediate) is Linear:
            inner = self.intermediate.activated(x, self.activation, self.activation_name)
        else:
            inner = self.activation(hooks.dense("intermediate", self.intermediate, x))
        return hooks.dense("output", self.output, inner)


class Block(nn.Module):
    """Attention, then a feed-forward network, each added to its input.

    Args:
        attention: as `Attention`.
        feed_forward: as `FeedForward`.
        attention_norm: normalises the first sum; its terms' input where `pre_norm`.
        output_norm: the second.
        p: dropout of what is added.
        pre_norm: whether norms stand before attention and feed-forward network, not after sums.
    """

    def __init__(
        self, attention: Attention, feed_forward: FeedForward, attention_norm: nn.Module,
        output_norm: nn.Module, p: float, *, pre_norm: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.attention, self.attention_norm = attention, attention_norm
        self.feed_forward, self.output_norm = feed_forward, output_norm
        self.p, self.pre_norm = p, pre_norm

    def dense_layers(self) -> Mapping[str, Linear]:
        """Return the dense layers by the names that hooks know."""
        return {**self.attention.dense_layers(), **self.feed_forward.dense_layers()}

    def norms(self) -> Mapping[str, nn.Module]:
        """Return the norms by the names that hooks know."""
        return {"attention_norm": self.attention_norm, "output_norm": self.output_norm}

    def forward(
        self,
        x: Tensor,
        plan: AttentionPlan,
        key: DropoutKey | None,
        first: tuple[Tensor, TaskBounds] | None = None,
        hooks: BlockHooks = PLAIN,
    ) -> Tensor:
        """Run the block.

        Args:
            x: [N, H].
            plan: how attention runs; from first tokens alone where `first` is given.
            key: names the dropout masks; None is evaluation.
            first: the rows of x wanted and whose they are, to compute no others.
            hooks: act on its parts.

        Returns:
            [N, H], or [B, H] where `first` is given.
        """
        normed = hooks.norm("attention_norm", self.attention_norm, x) if self.pre_norm else x
        key_value = self.attention.keys(normed, hooks)
        if first is None:
            return self._after_keys(x, x, normed, key_value, plan, key, hooks)
        rows, bounds = first
        with bounds.applied():
            query = x.index_select(0, rows)
            normed = normed.index_select(0, rows) if self.pre_norm else query
            return self._after_keys(x, query, normed, key_value, plan, key, hooks.of_first())

    def _after_keys(
        self, source: Tensor, x: Tensor, normed: Tensor, key_value: Tensor, plan: AttentionPlan,
        key: DropoutKey | None, hooks: BlockHooks,
    ) -> Tensor:  # fmt: skip
        """Run the block for the rows x of its input `source`."""
        places = [None if key is None else key.at(key.site + i) for i in range(3)]
        norms = self.attention_norm, self.output_norm
        if hooks is PLAIN and not self.pre_norm and all(type(norm) is LayerNorm for norm in norms):
            return self._each_sum_normed(x, key_value, plan, places)

        def normalise(name: str, x: Tensor) -> Tensor:
            return hooks.norm(name, self.norms()[name], x)

        out = hooks.after("attention", self.attention(normed, key_value, plan, places[2], hooks))
        x = dropout_add(out, x, self.p, places[0])
        x = x if self.pre_norm else normalise("attention_norm", x)
        inner = normalise("output_norm", x) if self.pre_norm else x
        out = hooks.after("feed_forward", self.feed_forward(inner, hooks))
        x = hooks.parallel(source, dropout_add(out, x, self.p, places[1]), plan)
        return x if self.pre_norm else normalise("output_norm", x)

    def _each_sum_normed(
        self, x: Tensor, key_value: Tensor, plan: AttentionPlan,
        places: Sequence[DropoutKey | None],
    ) -> Tensor:  # fmt: skip
        """Run it where nothing stands between a sum and its norm, which a GPU does in one pass."""
        attention_norm, output_norm = self.attention_norm, self.output_norm
        assert isinstance(attention_norm, LayerNorm)
        assert isinstance(output_norm, LayerNorm)
        out = self.attention(x, key_value, plan, places[2], PLAIN)
        x, inner = attention_norm.of_sum(out, x, self.p, places[0], rounds=True)
        out = self.feed_forward(inner, PLAIN)
        return output_norm.of_sum(out, x, self.p, places[1])[0]


class BlockList(nn.ModuleList):
    """A list of blocks that says what it holds."""

    def __iter__(self) -> Iterator[Block]:
        return super().__iter__()  # type: ignore[return-value]
