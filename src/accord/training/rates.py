"""At which rate each parameter of a model learns."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch.nn import Parameter

from accord.model.multitask import MultitaskModel
from accord.optim.averaging import trained

Named = list[tuple[str, Parameter]]


def rated_parameters(
    model: MultitaskModel, lr: float, part_lr: float, head_lr: float, layer_decay: float = 1.0
) -> list[tuple[Named, float]]:
    """Return the parameters that are trained, by rate: shared and copied ones, parts, heads.

    A head that came with the encoder learns at the encoder's rate.

    With a layer decay d, layer l of L learns at lr · d^(L − l), the embeddings at lr · d^L, and the
    pooler as the last layer. Each task's copies of layers go with the layers that they replace.

    *Source:* Howard & Ruder 2018, ULMFiT, section 3.2, discriminative fine-tuning.

    Args:
        model: whose parameters.
        lr: of the last shared layer.
        part_lr: of new parts of the tasks' own.
        head_lr: of heads.
        layer_decay: d, in (0, 1].
    """
    copies, parts = model.named_parts()
    copies, parts = trained(copies), trained(parts)
    shared = trained(model.encoder.named_parameters(prefix="encoder"))
    heads: Named = []
    pretrained: Named = []
    for name, head in model.task_heads().items():
        (pretrained if head.pretrained else heads).extend(
            trained(head.named_parameters(prefix=f"heads.{name}"))
        )
    rated = [([*shared, *copies, *pretrained], lr)]
    if layer_decay != 1:
        layers = by_depth([*shared, *copies, *pretrained], len(model.encoder.layers))
        rated = [(layer, lr * layer_decay**depth) for depth, layer in enumerate(layers)]
    return [*rated, (parts, part_lr), (heads, head_lr)]


def by_depth(named: Iterable[tuple[str, Parameter]], count: int) -> list[Named]:
    """Group parameters by how many layers stand above theirs: the last layer's first.

    Args:
        named: shared parameters, and tasks' copies of them.
        count: of the encoder's layers; the embeddings stand below them all.
    """
    groups: list[Named] = [[] for _ in range(count + 1)]
    for name, parameter in named:
        groups[_depth(name, count)].append((name, parameter))
    return groups


def _depth(name: str, count: int) -> int:
    """Return how many layers stand above a parameter's; `count` for the embeddings'."""
    if "embeddings." in name:
        return count
    number = re.search(r"(?:encoder\.layers|parts\.schemes\.[\w-]+)\.(\d+)\.", name)
    return 0 if number is None else count - 1 - int(number[1])
