"""Verdicts on differences: a kind for each, with an interval that agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from accord.errors import UsageError
from accord.statistics.crossed import Difference
from accord.statistics.multiplicity import ALPHA, Step, holm

Kind = Literal[
    "better", "worse", "as good", "no difference shown", "learnt nothing", "one run each",
    "identical",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one difference, ours minus theirs.

    Attributes:
        kind: what a report picks its mark by.
        word: as it is written: the kind, with the margin in points where it is 'as good'.
        low: lower end of the interval to show.
        high: upper end.
        level: of that interval.
        p_adjusted: Holm's, over all differences with a p; None where there is none.
        explanation: a sentence on what the kind rests on.
    """

    kind: Kind
    word: str
    low: float
    high: float
    level: float
    p_adjusted: float | None
    explanation: str


def verdicts(
    differences: Sequence[Difference], alpha: float = ALPHA, margin: float | None = None,
    learnt: Sequence[bool] | None = None,
) -> list[Verdict]:  # fmt: skip
    """Return the verdicts of a family of differences, corrected for one another by Holm.

    - one run each: a side has one run, so that the variance over seeds is not known. No verdict,
      and no part in the family; the interval is over rows alone, at level 1 − α.
    - learnt nothing: neither side is shown to be better than the best constant prediction.
    - identical: every run predicts the same on both sides.
    - as good: the interval of Bonferroni's level 1 − α / m lies within ±margin, whether it holds 0
      or not: a difference that is shown but doesn't matter is not one to act on.
    - better, worse: the shown interval leaves 0 out.
    - no difference shown: all else.

    Args:
        differences: the family: all that are shown together.
        alpha: the chance of any false 'better' or 'worse', in (0, 1); likewise of 'as good'.
        margin: the difference that does not matter, on the metric's scale, above 0.
        learnt: for each, whether either side beats the best constant
            (`accord.statistics.crossed.against_constant`); default yes.

    Raises:
        UsageError: a margin or α out of range, or `learnt` of another length.

    Example:
        >>> found = Difference(0.02, 1e-5, 1e-5, 0.0, 4, 999, (0, 1), (0, 1), (0.9, 0.9),
        ...                    (0.88, 0.88), 1000)
        >>> verdicts([found])[0].word
        'better'
    """
    if margin is not None and not margin > 0:
        raise UsageError(f"the margin should be above 0, got {margin}")
    if learnt is not None and len(learnt) != len(differences):
        raise UsageError(f"'learnt' is of {len(learnt)} differences, not of {len(differences)}")
    tested = [i for i, difference in enumerate(differences) if difference.seeds_known]
    steps = dict(zip(tested, holm([differences[i].p for i in tested], alpha), strict=True))
    widest = 1 - alpha / max(1, len(tested))  # Bonferroni's: all such intervals cover at once
    return [
        _verdict(difference, steps.get(i), (1 - alpha, widest), margin, learnt is None or learnt[i])
        for i, difference in enumerate(differences)
    ]


def _verdict(
    difference: Difference, step: Step | None, levels: tuple[float, float], margin: float | None,
    learnt: bool,
) -> Verdict:  # fmt: skip
    single, widest = levels
    kind = _kind(difference, step, widest, margin, learnt)
    level = single if step is None else widest if kind == "as good" else step.level
    low, high = difference.interval(level)
    word = str(kind)
    if kind == "as good" and margin is not None:
        word = f"as good, within {_points(margin)}"
    p = None if step is None else step.p
    return Verdict(kind, word, low, high, level, p, _explanation(kind, difference, level, margin))


def _kind(
    difference: Difference, step: Step | None, widest: float, margin: float | None, learnt: bool
) -> Kind:
    if step is None:
        return "one run each"
    if not learnt:  # such as the same class every time
        return "learnt nothing"
    if difference.degenerate == "identical predictions":
        return "identical"
    low, high = difference.interval(widest)
    if margin is not None and -margin < low and high < margin:
        return "as good"
    if step.rejected:
        return "better" if difference.value > 0 else "worse"
    return "no difference shown"


def _explanation(kind: Kind, difference: Difference, level: float, margin: float | None) -> str:
    interval = f"the {100 * level:.4g} % interval over seeds and rows"
    if difference.degenerate == "constant difference" and kind not in (
        "learnt nothing",
        "one run each",
    ):
        return "every run and every row differs by the same, so there is no standard error"
    return {
        "identical": "every run predicts the same on both sides",
        "one run each": "a side has one run, so how much seeds matter is not known; "
        f"the {100 * level:.4g} % interval is over rows alone",
        "learnt nothing": "neither side is shown to be better than the best constant prediction",
        "better": f"{interval} is above 0",
        "worse": f"{interval} is below 0",
        "as good": f"{interval} lies within ±{_points(margin or 0.0)}",
        "no difference shown": f"{interval} holds 0",
    }[kind]


def _points(margin: float) -> str:
    count = f"{100 * margin:.3g}"
    return f"{count} point" if count == "1" else f"{count} points"
