"""One cell: start its run, resume it, or find it done. A function of a plain dict."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accord.config.file import dump_config, parse_config
from accord.config.sections import Config
from accord.errors import AccordError, BusyError, ConfigError, Pruned, RunFolderError, Stopped
from accord.plan.making import plan_run
from accord.plan.recorded import recorded_config
from accord.plan.unused import effective
from accord.runs.estimate import duration
from accord.runs.folder import STATUS, RunFolder
from accord.training.edits import differences

if TYPE_CHECKING:
    from accord.training.loop import Watch
    from accord.training.run import Run

State = Literal["found", "done", "stopped", "pruned", "busy", "failed"]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended.

    Attributes:
        name: of its run folder.
        state: 'found' if it was done before, 'done' if it is now, 'stopped' by a signal, 'pruned'
            by whoever watched it, 'busy' if another process has it, or 'failed'.
        seconds: that it took this time, set-up and evaluation included.
        metrics: each task's dev metric, once it is done.
        error: why it failed or stopped, one line.
        refused: whether it failed by its config, as it will again.
    """

    name: str
    state: State
    seconds: float = 0.0
    metrics: dict[str, float] | None = None
    error: str | None = None
    refused: bool = False

    @property
    def line(self) -> str:
        """It in one line."""
        text = f"{self.name}: {self.state}"
        if self.metrics and self.state == "done":
            shown = " ".join(f"{task} {value:z.3f}" for task, value in self.metrics.items())
            return f"{text} in {duration(self.seconds)}, {shown}"
        return f"{text}: {self.error}" if self.error else text


def run_cell(cell: Mapping[str, Any], watch: Watch | None = None) -> dict[str, Any]:
    """Run one cell.

    Takes and returns nothing but plain values, so that another process or machine can call it.

    Args:
        cell: `folder` of the run, `config` as a nested mapping with absolute paths, `quiet`, and
            `force` where a run that was stopped is to go on though something changed.
        watch: may give the run up between two epochs; for this process alone.

    Returns:
        The fields of a `CellResult`. No error is raised: what goes wrong is the cell's result.
    """
    folder, started = Path(cell["folder"]), time.perf_counter()
    state: State = "failed"
    metrics, error, refused = None, None, False
    try:
        config, force = parse_config(cell["config"]), bool(cell.get("force", False))
        was_done, metrics = _run(folder, config, bool(cell["quiet"]), watch, force=force)
        state = "found" if was_done else "done"
    except (Stopped, KeyboardInterrupt) as raised:
        state, error = "stopped", str(raised) or "interrupted"
    except Pruned as raised:
        state, error = "pruned", str(raised)
    except BusyError as raised:
        state, error = "busy", str(raised)
    except AccordError as raised:
        error, refused = str(raised), isinstance(raised, ConfigError)
    except Exception as raised:  # one cell's fault is no reason to lose the others
        error = f"a bug in Accord: {type(raised).__name__}: {raised}; see its log.txt"
    seconds = round(time.perf_counter() - started, 3)
    line = None if error is None else " ".join(error.split())
    return asdict(CellResult(folder.name, state, seconds, metrics, line, refused))


def _run(
    folder: Path, config: Config, quiet: bool, watch: Watch | None, *, force: bool
) -> tuple[bool, dict[str, float]]:
    """Return whether the run was done before, and its metrics."""
    if (folder / STATUS).exists():
        check_same(folder, config)
        from accord.training.stages.run import resume

        was_done = RunFolder.open(folder).state() == "done"
        run = resume(folder, quiet=quiet or was_done, watch=watch, force=force)
        return was_done, _slimmed(run)

    from accord.training.stages.run import start

    done = start(plan_run(config), folder, source=dump_config(config), quiet=quiet, watch=watch)
    return False, _slimmed(done)


def _slimmed(run: Run) -> dict[str, float]:
    """Drop the checkpoints of a run that is done, and return its metrics.

    They are several times the model's size, nothing goes on from them any more, and a grid of some
    dozen cells would fill a disk with them.
    """
    for checkpoint in run.folder.glob("**/checkpoints/step-*"):
        shutil.rmtree(checkpoint)
    metrics: dict[str, float] = run.results["metrics"]
    return metrics


def check_same(folder: Path, config: Config) -> None:
    """Check that a run folder, if there is one, holds a run of this config.

    Raises:
        RunFolderError: with what differs.
    """
    if not (folder / STATUS).exists():
        return
    changed = differences(effective(recorded_config(RunFolder.open(folder))), effective(config))
    if changed:
        raise RunFolderError(
            f"{folder}: holds a run of another config ({'; '.join(changed)});"
            " another --out starts anew"
        )
