"""Projected attention layers: a small attention of each task's own beside every layer."""

from __future__ import annotations

from torch import nn


class Projections(nn.Module):
    """A task's encoder V_E and decoder V_D, shared by all its layers: H -> size -> H.

    V_D starts at 0, so nothing changes to the bit.

    *Source:* Stickland & Murray 2019, BERT and PALs, section 3.1: no biases.

    Args:
        hidden: H.
        size: of the projected space; 204 in the paper.
        std: of the first weights of V_E.
    """

    def __init__(self, hidden: int, size: int, std: float) -> None:
        super().__init__()
        if size > hidden:
            raise ValueError(f"a projection of {size} is wider than the layer of {hidden}")
        self.encode = nn.Linear(hidden, size, bias=False)
        self.decode = nn.Linear(size, hidden, bias=False)
        nn.init.normal_(self.encode.weight, std=std)
        nn.init.zeros_(self.decode.weight)


class ProjectedAttention(nn.Module):
    """A task's own multi-head attention of one layer, in the projected space.

    *Source:* Stickland & Murray 2019, section 3.1: there is no output projection, as V_D follows.

    Args:
        size: of the space.
        std: of the first weights.
    """

    def __init__(self, size: int, std: float) -> None:
        super().__init__()
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        for linear in (self.query, self.key_value):
            nn.init.normal_(linear.weight, std=std)
            nn.init.zeros_(linear.bias)
