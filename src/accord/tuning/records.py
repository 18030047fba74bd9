"""What a study leaves for its user: its trials as a table, and the best config."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.config.file import dump_config
from accord.config.sections import Config, SelectionConfig
from accord.durable import write_atomic
from accord.tuning.selection import BY, ON, Selection
from accord.tuning.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEST, TRIALS, SELECTION = "best.toml", "trials.csv", "selection.json"
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

    def line(self, ranked: Sequence[TrialRecord]) -> str:
        """Return its line of progress, with the best trial so far."""
        if self.state == "failed":
            return f"trial {self.number} failed: {self.error}"
        how = "pruned at" if self.state == "pruned" else "score"
        again = "" if self.repeats is None else f" as trial {self.repeats}"
        best = f"best {ranked[0].score:z.4f}, trial {ranked[0].number}"
        return f"{how} {self.score:z.4f}{again} ({best}): {shown(self.settings)}"


def records(study: optuna.Study) -> list[TrialRecord]:
    """Return all trials of a study that ended, in their order."""
    return [
        _record(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()
    ]


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


def counted(trials: Sequence[TrialRecord]) -> int:
    """Return how many of some trials count: those that are done or pruned."""
    return sum(trial.state != "failed" for trial in trials)


def ranking(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return those that are done, the best first; of equal ones the earlier first."""
    return sorted(
        (trial for trial in trials if trial.state == "done"), key=lambda trial: -(trial.score or 0)
    )


def shown(settings: Mapping[str, object]) -> str:
    """Return settings in one line.

    Example:
        >>> shown({"training.lr": 0.000123456, "training.gradients": "sum"})
        'training.lr=0.0001235 training.gradients=sum'
    """
    return " ".join(f"{key}={short(value)}" for key, value in settings.items())


def short(value: object) -> str:
    """Return a value with four digits if it has more."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_outcome(
    out: Path, space: Space, trials: Sequence[TrialRecord], selection: Selection
) -> None:
    """Write `trials.csv`, and once a trial is done `best.toml` and `selection.json`."""
    keys = [dimension.key for dimension in space.dimensions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "score", "seconds", *keys])
    for trial in trials:
        values = [trial.settings.get(key) for key in keys]
        writer.writerow([trial.number, trial.state, trial.score, trial.seconds, *values])
    write_atomic(out / TRIALS, text.getvalue())
    for best in ranking(trials)[:1]:
        config = _selected(space.config(best.settings, f"trial {best.number}"), selection)
        lines = (
            f"accord tune: trial {best.number}, dev score {best.score:z.4f}",
            " ".join(selection.line.split()),
        )
        note = "".join(f"# {line}\n" for line in lines)
        write_atomic(out / BEST, note + dump_config(config))
        record = {"trial": best.number, "score": best.score, **selection.record()}
        write_atomic(out / SELECTION, json.dumps(record, indent=2) + "\n")


def _selected(config: Config, selection: Selection) -> Config:
    """Return a config that says that it was chosen; a choice among earlier ones counts as well."""
    before = 0 if config.selection is None else config.selection.candidates
    recorded = SelectionConfig(by=BY, candidates=before + selection.candidates, on=ON)
    return config.model_copy(update={"selection": recorded})
