"""Weights that the config names: scalarisation, which can be tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from accord.balancing._registry import Signals, State, rule
from accord.methods import Circumstances


def leaves_enough(options: Mapping[str, Any], run: Circumstances) -> Iterator[str]:
    """Say why the weights leave nothing to train, or nothing to combine."""
    weights = options["weights"] or {}
    counted = [names for names in run.weighed if any(weights.get(name) != 0 for name in names)]
    if not counted:
        yield "methods.fixed.weights: all are 0, and so nothing would be trained"
    elif len(counted) == 1 and len(run.weighed) > 1 and run.combining:
        yield (
            f"training.gradients: '{run.combining}' combines several tasks' gradients;"
            f" methods.fixed.weights leaves '{'+'.join(counted[0])}' alone"
        )


@rule(
    "fixed",
    paper="Kurin et al. 2022, In Defense of the Unitary Scalarization; Xin et al. 2022",
    use="With weights from `accord tune`: what any other method has to beat.",
    laws=("permutation", "sum_is_tasks", "loss_scale", "starts_equal", "constant"),
    example=([1.0, 3.0], [1.0, 1.0]),
    needs=(),
    requires=leaves_enough,
)
def fixed(
    signals: Signals,
    state: State,
    generator: torch.Generator,
    *,
    weights: Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None,
) -> tuple[Tensor, State]:
    """Weight each task by its own number; 1 where none is given.

    A task of weight 0 is evaluated, but not trained on: neither its head nor what is shared learns
    from it, and a gradient method combines the others as if it weren't there.

    Of tasks that read the same rows (a source) each weight multiplies the task's loss within the
    source's, and the source itself counts 1.

    Args:
        signals: of a step; names the tasks.
        state: empty.
        generator: not used.
        weights: by task.

    Example:
        >>> signals = Signals.of(losses=[1.0, 1.0], names=("sst", "sts"))
        >>> fixed(signals, {}, torch.Generator(), weights={"sts": 2.5})[0].tolist()
        [1.0, 2.5]
    """
    shares = [float((weights or {}).get(name, 1.0)) for name in signals.names]
    return torch.tensor(shares, dtype=torch.float64), state
