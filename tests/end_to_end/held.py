"""Workers whose cells wait before a step, so that what a test does meets all of them on the way.

`before(step)` is code for a command that is started with workers; it runs in the command's process,
and what the workers start with is then `serve` of this module.
"""

import os
import time
from pathlib import Path
from typing import Any

from accord.grids import workers
from accord.runs.signals import StopSignals
from accord.training.step import Learner

STEP, GO = "HELD_BEFORE_STEP", "HELD_UNTIL"

_serve = workers._serve


def before(step: int, go: Path) -> str:
    """Return code that holds cells before a step, counted from 1, until a signal or the file."""
    return f"""
import os, sys
os.environ[{STEP!r}], os.environ[{GO!r}] = "{step}", {str(go)!r}
sys.path.insert(0, {str(Path(__file__).parent)!r})
import held
held.workers._serve = held.serve
"""


def serve(*arguments: Any) -> None:
    """Serve as a worker whose cells are held."""
    last, go = int(os.environ[STEP]) - 1, Path(os.environ[GO])
    take_step, remember, came = Learner.step, StopSignals._remember, []

    def note(self: StopSignals, *rest: Any) -> None:
        came.append(True)
        remember(self, *rest)

    def held(self: Learner, step: int, *rest: Any) -> Any:
        while step >= last and not came and not go.exists():
            time.sleep(0.005)
        return take_step(self, step, *rest)

    StopSignals._remember, Learner.step = note, held  # type: ignore[method-assign]
    _serve(*arguments)
