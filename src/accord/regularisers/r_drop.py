"""R-Drop: two passes under different dropout masks should agree."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from accord.regularisers._registry import ByTask, Passes, regulariser


@regulariser(
    "r-drop",
    paper="Liang et al. 2021, R-Drop: Regularized Dropout for Neural Networks",
    use="For small data sets, where a second pass over each example is cheap.",
    cost="a step's passes twice",
    work=lambda options: 1.0,
    by_dropout=True,
)
def r_drop(
    passes: Passes, *, alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
) -> ByTask:
    """Make each example's loss ½ (l₁ + l₂) + α ½ (KL(p₁‖p₂) + KL(p₂‖p₁)) of two passes.

    Regressions, and all outputs under MSE, have α (y₁ − y₂)² in the last term's place, in the units
    of their loss. Both passes go into one backward pass.

    *Source:* Liang et al. 2021, section 2. We differ in taking the mean of both losses where
    they take the sum, so that learning rates keep their meaning: our α is half of theirs, and the
    default is their 1.

    Args:
        passes: the plain pass, and how to take another.
        alpha: α, at least 0.
    """
    second = passes.ask(passes.key.again())
    pairs = zip(passes.losses(passes.logits), passes.losses(second), strict=True)
    apart = passes.divergences(passes.logits, second)
    return [
        (two - one) / 2 + alpha / directions * divergence
        for (one, two), directions, divergence in zip(pairs, passes.directions, apart, strict=True)
    ]
