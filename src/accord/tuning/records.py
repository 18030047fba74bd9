"""What a study leaves for its user: its trials as a table, and the best config."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.config.file import dump_config
from accord.durable import write_whole
from accord.tuning.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEST, TRIALS = "best.toml", "trials.csv"
_STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class TrialRecord:
    """A trial that ended.

    Attributes:
        number: its own, counted from 0.
        state: 'done', 'pruned' or 'failed'.
        score: on dev, of the best epoch, the mean over seeds; of a pruned trial's first seed, as
            far as it came; None of a failed one.
        seconds: that its runs took, set-up and evaluation included.
        settings: the searched keys' values; lists as JSON text.
        error: why it failed, one line.
        repeats: the earlier trial of the same runs, of which nothing was run again.
    """

    number: int
    state: str
    score: float | None
    seconds: float
    settings: dict[str, Any]
    error: str | None = None
    repeats: int | None = None


def records(study: optuna.Study) -> list[TrialRecord]:
    """Return all trials of a study that ended, in their order."""
    return [_record(own) for own in study.get_trials(deepcopy=False) if own.state.is_finished()]


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state.name],
        score=None if trial.values is None else trial.values[0],
        seconds=round(attributes.get("seconds", 0.0), 3),
        settings=dict(trial.params),
        error=attributes.get("error"),
        repeats=attributes.get("repeats"),
    )


def ranking(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return those that are done, the best first; of equal ones the earlier first."""
    return sorted((own for own in trials if own.state == "done"), key=lambda own: -(own.score or 0))


def write_outcome(out: Path, space: Space, trials: Sequence[TrialRecord]) -> None:
    """Write `trials.csv`, and once a trial is done `best.toml`."""
    keys = [own.key for own in space.dimensions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "score", "seconds", *keys])
    for own in trials:
        values = [own.settings.get(key) for key in keys]
        writer.writerow([own.number, own.state, own.score, own.seconds, *values])
    write_whole(out / TRIALS, text.getvalue())
    for best in ranking(trials)[:1]:
        config = space.config(best.settings, f"trial {best.number}")
        note = f"# accord tune: trial {best.number}, dev score {best.score:.4f}\n"
        write_whole(out / BEST, note + dump_config(config))
