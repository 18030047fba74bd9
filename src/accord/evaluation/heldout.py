"""Figures of held-out rows: no choice of the model that predicts a row has seen that row.

Where the test rows have labels they are held out. Else dev is cross-fitted: what is chosen on one
half of its rows predicts the other half, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.errors import RunFolderError

ON_TEST, ON_DEV = "test", "dev, cross-fitted"


def require_heldout(folder: Path, results: Mapping[str, Any]) -> None:
    """Check that a finished run has held-out figures.

    Raises:
        RunFolderError: if it was made before there were any.
    """
    if results.get("heldout") is None:
        raise RunFolderError(
            f"{folder}: has no held-out figures: it was made by an earlier version; run it again"
        )
