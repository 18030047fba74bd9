"""Regularisers of fine-tuning, one per file: what is added to each example's loss.

    regulariser(passes, **options) -> the term of each example, [n] for each present task

A term comes of further passes over the same examples: with other dropout masks, from an input that
was moved a little, or by averaged weights. It is part of its task's loss from then on, so one
backward pass still gives every task's gradient, and balancing rules see it too.
"""

from __future__ import annotations

from accord.regularisers._registry import REGULARISERS, Passes, Regulariser

__all__ = ["REGULARISERS", "Passes", "Regulariser", "get_regulariser", "regulariser_names"]


def regulariser_names() -> list[str]:
    """Return the names of all regularisers, without importing any."""
    return REGULARISERS.names()


def get_regulariser(name: str) -> Regulariser:
    """Return a regulariser by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    return REGULARISERS.get(name)
