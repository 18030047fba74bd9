"""What choosing among trials on dev is worth on rows that did not choose.

Choosing is part of the method, so it is repeated: trial and epoch are chosen by one half of dev and
evaluated on the other, both ways (`accord.evaluation.heldout`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from accord.errors import RunFolderError
from accord.evaluation.choosing import first_best
from accord.evaluation.inference import task_metric
from accord.evaluation.scores import TaskScores, crossfitted, read_scores
from accord.metrics import Score, overall_score
from accord.runs.folder import RunFolder
from accord.runs.results import read_results
from accord.tasks import Task

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BY = "accord tune"
ON: Literal["dev"] = "dev"
RUNS, HALF_SCORES = "runs", "half_scores"  # attributes of a trial


@dataclass(frozen=True)
class Selection:
    """The choice of a study's best trial, as the rows that chose it evaluate it and as others do.

    Attributes:
        candidates: trials that it was chosen among, those pruned too.
        dev: its score on all of dev, correlations within halves as in `crossfit`; the mean over
            seeds.
        crossfit: the score of what is chosen on one half of dev, on the other.
        trials: numbers of the trials that half 0 and half 1 choose.
        note: why there is no cross-fitted score; empty where there is.
    """

    candidates: int
    dev: float | None = None
    crossfit: float | None = None
    trials: tuple[int, int] | None = None
    note: str = ""

    @property
    def gap(self) -> float | None:
        """By how much the score on the rows that chose is too good."""
        return None if self.dev is None or self.crossfit is None else self.dev - self.crossfit

    def record(self) -> dict[str, Any]:
        """Return it as a study's record holds it."""
        return {"by": BY, "on": ON, **asdict(self), "gap": self.gap}

    @property
    def line(self) -> str:
        """It in one line, for reports."""
        if self.crossfit is None:
            return f"chosen by dev among {self.candidates} trials; not cross-fitted: {self.note}"
        return (
            f"chosen by dev among {self.candidates} trials; cross-fitted (trial and epoch chosen by"
            f" one half of dev, evaluated on the other) {self.crossfit:z.4f}: the score is too good"
            f" by about {self.gap:z.4f}"
        )


@dataclass(frozen=True)
class _Run:
    """A trial's run: the tasks by which it is evaluated, and its scores of their dev rows."""

    kind: Score
    tasks: Mapping[str, Task]
    scores: Mapping[str, TaskScores]

    @classmethod
    def read(cls, folder: Path) -> _Run:
        run = RunFolder(folder)
        tasks = [Task.from_json(entry) for entry in run.read_json("resolved.json")["tasks"]]
        kind: Score = read_results(folder)["score_kind"]
        return cls(kind, {task.name: task for task in tasks}, read_scores(folder))

    def half_score(self, half: int) -> float:
        """Return the score, on one half of dev, of what was chosen on it."""
        values = {}
        for name, task in self.tasks.items():
            scores, rows = self.scores[name], self.scores[name].halves == half
            if rows.any():
                values[name] = task_metric(
                    task, scores.labels[rows].numpy(), scores.chosen[half][rows]
                )
        return overall_score(self.kind, values, self._metrics) if values else 0.0

    def score(self, logits: Mapping[str, Tensor]) -> float:
        """Return the score of logits of all dev rows by the rule of cross-fitted figures."""
        values = {}
        for name, task in self.tasks.items():
            scores = self.scores[name]
            values[name] = task_metric(
                task, scores.labels.numpy(), logits[name], scores.halves.numpy()
            )
        return overall_score(self.kind, values, self._metrics)

    def crossfit(self, other: _Run) -> float:
        """Return the score of what this run's half 0 chose on half 1, and of what the other run's
        half 1 chose on half 0."""
        return self.score({
            name: crossfitted(score.chosen[0], other.scores[name].chosen[1], score.halves)
            for name, score in self.scores.items()
        })  # fmt: skip

    def same_rows(self, other: _Run) -> bool:
        """Whether another run's dev rows are these, in the same halves."""
        return self.scores.keys() == other.scores.keys() and all(
            torch.equal(score.halves, other.scores[name].halves)
            and torch.equal(score.labels, other.scores[name].labels)
            for name, score in self.scores.items()
        )

    @property
    def _metrics(self) -> dict[str, str]:
        return {name: task.metric for name, task in self.tasks.items()}


def half_scores(folder: Path) -> list[float]:
    """Return a run's score on either half of dev, of what was chosen on it; none without labels.

    Raises:
        RunFolderError: if its scores can't be read.
    """
    run = _Run.read(folder)
    return [run.half_score(half) for half in (0, 1)] if run.tasks else []


def estimate_selection(trials: Sequence[FrozenTrial], best: int, folder: Path) -> Selection:
    """Evaluate the choice of a study's best trial.

    Args:
        trials: of the study.
        best: number of the best one.
        folder: of the trials' runs.
    """
    counted = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")
               and "repeats" not in trial.user_attrs]  # fmt: skip
    done = [trial for trial in counted if trial.state.name == "COMPLETE"]
    if not all(trial.user_attrs.get(HALF_SCORES) for trial in done):
        note = "some trials have no scores of labelled dev rows by halves"
        return Selection(len(counted), note=note)
    chosen = [done[first_best([trial.user_attrs[HALF_SCORES][half] for trial in done])]
              for half in (0, 1)]  # fmt: skip
    try:
        parts = [_runs_of(folder, trial) for trial in (*chosen, trials[best])]
    except RunFolderError as error:
        return Selection(len(counted), note=str(error))
    if not all(run.same_rows(parts[0][0]) for part in parts for run in part):
        note = "trials have other dev rows, or other tokens and so other halves"
        return Selection(len(counted), note=note)
    return Selection(
        candidates=len(counted),
        dev=statistics.fmean(
            run.score({name: part.chosen[2] for name, part in run.scores.items()})
            for run in parts[2]
        ),
        crossfit=statistics.fmean(map(_Run.crossfit, parts[0], parts[1])),
        trials=(chosen[0].number, chosen[1].number),
    )


def _runs_of(folder: Path, trial: FrozenTrial) -> list[_Run]:
    """Return a trial's runs, one per seed."""
    return [_Run.read(folder / name) for name in trial.user_attrs[RUNS]]
