"""Projected attention layers: a small attention of each task's own beside every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from accord.encoders.blocks import Block
from accord.encoders.encoder import EncoderConfig
from accord.kernels.attention import AttentionPlan, attend
from accord.sharing._registry import Part, Rows, scheme


class PalPart(Part):
    """Each task's projected attention beside one layer.

    Args:
        parts: each task's modules.
        heads: of the attention.
    """

    def __init__(self, parts: Sequence[nn.Module], heads: int) -> None:
        super().__init__(parts)
        self.heads = heads

    def parallel(self, x: Tensor, plan: AttentionPlan, rows: Rows) -> Tensor:
        """Return V_D attention(V_E x)."""

        def apply(name: str, values: Tensor, here: bool = False) -> Tensor:
            slices = rows.here if here else rows.tokens
            return self.by_task(slices, values, lambda module, part: module[name](part))  # type: ignore[index]

        z = apply("encode", x)
        key_value = apply("key_value", z)
        query = apply("query", z if rows.first is None else z.index_select(0, rows.first), True)
        return apply("decode", attend(query, key_value, plan, self.heads), True)


@scheme(
    "pal",
    paper="Stickland & Murray 2019, BERT and PALs, section 3.1",
    use="For many tasks at 1.7 % of BERT-base each, where attention should differ by task.",
    cost="a thin attention beside each layer",
)
def pal(
    layers: Sequence[Block],
    config: EncoderConfig,
    tasks: int,
    *,
    size: Annotated[int, Field(ge=1)] = 204,
    heads: Annotated[int, Field(ge=1)] = 12,
) -> list[Part]:
    """Give each task LN(FFN(a) + a + V_D attention(V_E h)), h the layer's input.

    V_E and V_D are each task's own and the same for all layers; the attention is each layer's, has
    no output projection and no dropout. V_D starts at 0, so the output is unchanged to the bit.

    *Source:* Stickland & Murray 2019, section 3.1; 204 makes 1.13 times BERT-base for 8 tasks.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
        size: of the projected space, a multiple of `heads`; no wider than the layer.
        heads: of the attention.
    """
    hidden, std = config.hidden_size, config.initializer_range
    if size > hidden:
        raise ValueError(f"size {size} is wider than the encoder's {hidden}")
    if size % heads:
        raise ValueError(f"size {size} is no multiple of heads {heads}")
    outer = [
        {"encode": _linear(hidden, size, std), "decode": _linear(size, hidden, 0.0)}
        for _ in range(tasks)
    ]
    return [
        PalPart(
            [
                nn.ModuleDict({
                    **module,
                    "query": _linear(size, size, std, bias=True),
                    "key_value": _linear(size, 2 * size, std, bias=True),
                })
                for module in outer
            ],
            heads,
        )
        for _ in layers
    ]  # fmt: skip


def _linear(inputs: int, outputs: int, std: float, bias: bool = False) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(linear.weight, std=std) if std else nn.init.zeros_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
