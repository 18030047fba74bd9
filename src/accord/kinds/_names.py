"""How the config spells a kind whose rows hold pairs of texts."""

from __future__ import annotations

PAIR = "pair-"


def spelt(name: str, texts: int) -> str:
    """Return how the config spells a kind whose rows have this number of texts.

    Example:
        >>> spelt("regression", 1), spelt("regression", 2)
        ('regression', 'pair-regression')
    """
    return name if texts == 1 else PAIR + name


def texts_of(name: str) -> int:
    """Return the texts of a row, 1 or 2, by its kind's name in the config."""
    return 2 if name.startswith(PAIR) else 1
