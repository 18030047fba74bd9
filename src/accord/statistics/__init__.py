"""Comparing two sets of runs on the same rows: estimate, interval, verdict (docs/statistics.md).

found = difference("accuracy", labels, Side(seeds, ours), Side(seeds, theirs))
verdicts([found], margin=0.01)[0].word
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accord.statistics.crossed import (
        Difference,
        Side,
        against_constant,
        difference,
        mean_difference,
    )
    from accord.statistics.interval import rows_interval
    from accord.statistics.multiplicity import holm
    from accord.statistics.planning import detectable, rows_needed, seeds_needed
    from accord.statistics.verdict import Verdict, verdicts

_HOMES = {
    "crossed": ("Difference", "Side", "against_constant", "difference", "mean_difference"),
    "interval": ("rows_interval",),
    "multiplicity": ("holm",),
    "planning": ("detectable", "rows_needed", "seeds_needed"),
    "verdict": ("Verdict", "verdicts"),
}
__all__ = [
    "Difference", "Side", "Verdict", "against_constant", "detectable", "difference", "holm",
    "mean_difference", "rows_interval", "rows_needed", "seeds_needed", "verdicts",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"accord.statistics.{home}"), name)
    from accord.errors import nearest

    hint = "" if name.startswith("__") else nearest(name, __all__)
    raise AttributeError(f"module 'accord.statistics' has no attribute '{name}'{hint}")


def __dir__() -> list[str]:
    return sorted(__all__)
