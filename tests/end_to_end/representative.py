"""Of many like cases a few are quick tests; the others are slow ones, of the same assertions."""

from collections.abc import Container, Mapping
from typing import Any

import pytest


def slow_but(quick: Container[str], cases: Mapping[str, Any]) -> list[Any]:
    """Return the cases as parameters named by their keys, slow unless their name is given."""
    return [
        pytest.param(case, id=name, marks=() if name in quick else pytest.mark.slow)
        for name, case in cases.items()
    ]
