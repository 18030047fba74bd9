"""A run that was killed between two steps, and resumed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.training.run import resume_run
from accord.training.step import Learner


def kill_and_resume(
    train_to: Callable[[Path], object], folder: Path, last: int
) -> tuple[Path, Path]:
    """Train, and resume the run as it was after a step: return both, below a folder.

    A copy of the run from between two steps is what `kill -9` would have left, so that one
    training is enough.
    """
    killed, whole = folder / "killed", folder / "whole"
    take_step = Learner.step

    def step(self: Learner, step: int, *rest: Any) -> Any:
        if step == last:
            shutil.copytree(whole, killed)
        return take_step(self, step, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", step)
        train_to(whole)
    assert [*(killed / "checkpoints").glob("step-*")]
    assert not (killed / "results.json").exists()
    assert resume_run(killed, quiet=True).folder == killed
    return killed, whole
