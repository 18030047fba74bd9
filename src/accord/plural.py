"""Numbers with their nouns."""

from __future__ import annotations


def count(number: float, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not one.

    Example:
        >>> count(1, "run"), count(1200, "example")
        ('1 run', '1,200 examples')
    """
    return f"{number:,.0f} {noun}{'' if round(number) == 1 else 's'}"
