"""Shares that are worth most to all tasks within a budget, as repeated rows are worth less."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from accord.sampling._registry import Budget, EpochShape, mixture, rule

_HALVINGS = 100


@rule(
    "fair-exposure",
    paper="Accord's own; returns of repeated data after Muennighoff et al. 2023, and"
    " proportional fairness after Kelly 1997",
    use="Where sizes differ widely and the budget is fixed: it lies between uniform and"
    " proportional by itself, as the budget allows.",
    example=(([100, 100], 8), (13, [8, 8])),
    needs=("sizes", "budget"),
)
def fair_exposure(
    sizes: Sequence[int],
    budget: Budget,
    *,
    passes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0,
) -> EpochShape:
    """Maximise Σ_i log E_i(n_i) over the examples n_i of each task, Σ n_i = the run's budget.

    n examples drawn from N rows are worth E(n) = N r (1 − e^(−n/(N r))) fresh ones: nearly n at
    first, and never more than r passes' worth. The logarithm is proportional fairness: no task can
    gain a per cent of its worth without the others' losing more than that. Where the derivatives
    of all log E_i are λ,

        n_i = N_i r log(1 + 1/(λ N_i r)),

    and λ is what makes their sum the budget. A budget far below the tasks' sizes gives equal
    shares (`uniform`), one far above them gives N_i's (`by-size`); between them a small task is
    repeated only as often as the logarithm allows.

    *Source:* our own answer to the question that BERT Mastery leaves open in its section 6.

    Args:
        sizes: rows of each task.
        budget: of the run: all its epochs count.
        passes: r, how many passes over its rows a task profits from.

    Example:
        >>> shape = fair_exposure([1000, 10_000], Budget(32, epochs=10))
        >>> [round(share, 1) for share in shape.shares]
        [10.5, 53.5]
    """
    wanted = float(budget.examples(sizes))
    worth = np.array(sizes, dtype=np.float64) * passes

    def examples(u: float) -> np.ndarray:  # n_i, with u = −log λ, as λ itself may underflow
        return np.asarray(worth * np.logaddexp(0.0, u - np.log(worth)))

    low = math.log(wanted / len(sizes))  # each n_i ≤ 1/λ
    high = float((np.log(worth) + wanted / worth).min())  # one task's n_i alone is the budget
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if examples(middle).sum() > wanted else (middle, high)
    return mixture(sizes, budget, examples(low).tolist())
