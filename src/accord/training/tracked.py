"""A run's figures, told to the trackers that its config names while its steps are taken."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.tracking import Place, Trackers
from accord.training.lines import warn
from accord.training.setup import Setup
from accord.untrusted import read_json

IDENTITIES = "tracking.json"


@contextlib.contextmanager
def tracked(setup: Setup, run: RunFolder, console: Console, step: int) -> Iterator[Trackers]:
    """Tell each line of `metrics.jsonl` to the trackers meanwhile; `done` is to be set in the end.

    Args:
        setup: of the run.
        run: its folder, in which `tracking.json` holds by what trackers know the run.
        console: where it is said that one fails.
        step: after which the run begins or goes on.
    """
    plan = setup.plan.track
    known, turn = _identities(run), threading.Lock()

    def keep(name: str, identity: str) -> None:
        with turn:  # each tracker has a thread
            known[name] = identity
            run.write_json(IDENTITIES, known)

    place = Place(run.path, plan.project, plan.name or run.path.name, setup.plan.given, step=step)
    trackers = Trackers(
        plan.to, place, dict(known), plan.every_steps, lambda line: warn(run, console, line), keep
    )
    run.listeners.append(trackers.tell)
    try:
        yield trackers
    finally:
        run.listeners.remove(trackers.tell)
        trackers.end()


def _identities(run: RunFolder) -> dict[str, str]:
    try:
        known = read_json(run.path / IDENTITIES)
    except (OSError, ValueError):
        return {}  # it is shown as a new one there
    if not isinstance(known, dict):
        return {}
    return {str(name): str(identity) for name, identity in known.items()}
