"""The differences that an experiment's file asks for, next to those of its reference figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from accord.comparison.against import Contrast
from accord.comparison.contrast_page import contrast_table
from accord.comparison.differences import RowsDiffer, task_difference
from accord.comparison.notes import correction_note
from accord.experiments.rows import Row
from accord.experiments.spec import ContrastSpec, Experiment, labels_of
from accord.report.figures import DifferenceRow, differences
from accord.report.page import Figure, Table
from accord.statistics.verdict import verdicts

AGREEMENTS = {
    "agrees": "have the {}'s sign",
    "disagrees": "the other one",
    "not shown here": "are within chance here",
    "cannot tell": "have too few runs to tell",
}
"""How a verdict goes with a difference of the reference, and how a count of them reads."""


@dataclass(frozen=True)
class Planned(Contrast):
    """A contrast that an experiment's file asks for.

    Attributes:
        reference: the same difference of the reference figures; None where they have none.
    """

    reference: float | None = None

    @property
    def agreement(self) -> str | None:
        """Of `AGREEMENTS`: whether the verdict has the sign of the reference; None without one."""
        if self.reference is None:
            return None
        if self.verdict.kind in ("one run each", "learnt nothing"):
            return "cannot tell"
        if self.verdict.kind not in ("better", "worse"):
            return "not shown here"
        same = (self.verdict.kind == "better") == (self.reference > 0)
        return "agrees" if same else "disagrees"


def planned(experiment: Experiment, rows: Mapping[str, Row]) -> tuple[list[Planned], list[str]]:
    """Return an experiment's contrasts that have runs on both sides, corrected together, and a line
    for each whose sides were not evaluated on the same rows."""
    pairs, refused = [], []
    for each, task, other in _sides(experiment, rows):
        ours, theirs = (rows[label].groups[task] for label in (each.of, other))
        try:
            compared = task_difference(task, ours, theirs)
        except RowsDiffer as error:
            refused.append(f"{task}: {each.label}: not compared: {error}.")
            continue
        reference = _reference(experiment, task, each.of, other)
        pairs.append((ours, theirs, compared, each.label, reference))
    evaluated = verdicts(
        [pair.difference for _, _, pair, *_ in pairs],
        learnt=[pair.learnt for _, _, pair, *_ in pairs],
    )
    contrasts = [
        Planned(ours, theirs, pair.task, pair.difference, verdict, pair.learnt, label, reference)
        for (ours, theirs, pair, label, reference), verdict in zip(pairs, evaluated, strict=True)
    ]
    return contrasts, refused


def _sides(
    experiment: Experiment, rows: Mapping[str, Row]
) -> Iterator[tuple[ContrastSpec, str, str]]:
    """Yield each contrast with a task on which both sides have runs, and the row it is against."""
    for each in experiment.spec.contrasts:
        for task in rows[each.of].groups:
            for other in labels_of(each.against):
                if task in rows[other].groups:
                    yield each, task, other


def _reference(experiment: Experiment, task: str, of: str, against: str) -> float | None:
    """Return the difference of the first figures that the reference has for two rows."""
    ours, theirs = (experiment.reference.get(label, {}).get(task) for label in (of, against))
    return ours[0] - theirs[0] if ours and theirs else None


def contrast_items(experiment: Experiment, contrasts: Sequence[Planned]) -> list[Table | Figure]:
    """Return the table and the figure of an experiment's contrasts."""
    name = f"{experiment.name}-differences"
    note = correction_note([each.difference for each in contrasts])
    note = f"On held-out rows, not on those that chose the epochs. {note}"
    table = contrast_table(contrasts, note, first="contrast")
    rows = [
        DifferenceRow.of(f"{each.task}: {each.label}", each.difference.value, each.verdict)
        for each in contrasts
    ]
    return [
        _with_reference(replace(table, name=name), experiment, contrasts),
        differences(name, "Differences, in metric points", rows),
    ]


def _with_reference(table: Table, experiment: Experiment, contrasts: Sequence[Planned]) -> Table:
    """Put the reference's differences and whether they agree into a table of contrasts."""
    reference = experiment.spec.reference
    if reference is None:
        return table
    rows = [
        [*row[:3], each.agreement or f"the {reference.name} has none", *row[3:],
         "–" if each.reference is None else f"{each.reference:+z.3f}"]
        for row, each in zip(table.rows, contrasts, strict=True)
    ]  # fmt: skip
    columns = [*table.columns[:3], f"as in the {reference.name}?", *table.columns[3:],
               reference.name]  # fmt: skip
    return replace(table, columns=columns, rows=rows, left=table.left + 1)


def agreement_note(experiment: Experiment, contrasts: Sequence[Planned]) -> list[str]:
    """Count how often the verdicts have the sign of the reference; nothing without one."""
    if experiment.spec.reference is None:
        return []
    name, known = experiment.spec.reference.name, [each.agreement for each in contrasts]
    counts = [f"{known.count(word)} {phrase.format(name)}" for word, phrase in AGREEMENTS.items()]
    number = len(known) - known.count(None)
    if not number:
        return [f"The {name} has no figures for these."]
    return [
        f"Of {number} differences that the {name} has too, {', '.join(counts[:-1])}, and"
        f" {counts[-1]}."
    ]
