"""What has to be known beside a comparison: on which rows it judges, after how much training, by
what choice, and how many comparisons were corrected together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from accord.comparison.group import Group, metric_columns
from accord.comparison.sharing import SharingVerdict
from accord.report.comparison.wording import count
from accord.report.exposure import exposure_notes
from accord.statistics.crossed import Difference


def group_notes(groups: Sequence[Group]) -> list[str]:
    """Return what has to be known of some groups' figures: how far choosing flatters them, whose
    settings the same rows chose, and who was judged by other rows."""
    gap = gap_note(groups)
    return [*([gap] if gap else []), *tuned_notes(groups), *rows_notes(groups)]


def sharing_cautions(verdicts: Sequence[SharingVerdict]) -> list[str]:
    """Return where a task alone and in a shared model differ by more than sharing, and whose runs
    are not all of the same seeds."""
    differing: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for each in verdicts:
        if each.differing:
            differing.setdefault((each.together.name, each.differing), []).append(each.task)
    unpaired = (pairing_note(each.together, each.alone) for each in verdicts)
    return [
        *exposure_notes(verdicts),
        *(f"{', '.join(tasks)}: alone and in {name} also differ in {', '.join(keys)}."
          for (name, keys), tasks in differing.items()),
        *filter(None, unpaired),
    ]  # fmt: skip


def pairing_note(one: Group, other: Group) -> str | None:
    """Say how many runs of two groups share a seed; None where all do."""
    shared, most = len(set(one.seeds) & set(other.seeds)), max(len(one.runs), len(other.runs))
    if shared == most:
        return None
    runs = f"{one.name} has {count(len(one.runs), 'run')}, {other.name} has {len(other.runs)}"
    pairs = "no two" if not shared else f"{count(shared, 'pair')}"
    return f"Seeds: {runs}; {pairs} of the same seed. All of them count."


def judged_note(groups: Sequence[Group]) -> str:
    """Say which rows each task's figures are of."""
    rows: dict[str, list[str]] = {}
    for task, _ in metric_columns(groups):
        seen = [run.results["heldout"][task] for group in groups if task in group.tasks
                for run in group.runs]  # fmt: skip
        for on in dict.fromkeys(each["on"] for each in seen):
            most = max(each["rows"] for each in seen if each["on"] == on)
            rows.setdefault(on, []).append(f"{task} {most:,}")
    said = "; ".join(f"{_ROWS[on]} ({', '.join(tasks)} rows)" for on, tasks in rows.items())
    return f"All figures are of held-out rows: {said}."


_ROWS = {
    "test": "the labelled test files",
    "dev, cross-fitted": "dev, each half judged by the epoch that the other half chose",
}


def gap_note(groups: Sequence[Group]) -> str | None:
    """Say by how much figures would be too good on the rows that chose the epochs."""
    gaps = [(statistics.fmean(group.gap(task) for task in group.tasks), group) for group in groups]
    if all(round(100 * gap, 1) == 0 for gap, _ in gaps):
        return None
    said = "; ".join(f"{group.name} {100 * gap:+.1f}" for gap, group in gaps)
    return (
        "Selection gap: by so many points a group would look better on the same dev rows that chose"
        f" its epochs, the mean of its tasks: {said}."
    )


def tuned_notes(groups: Sequence[Group]) -> list[str]:
    """Say which groups' settings were chosen on rows that they are judged by."""
    notes = []
    for group in groups:
        chosen = group.runs[0].config.selection
        judged = {run.results["heldout"][task]["on"] for run in group.runs for task in group.tasks}
        if chosen is not None and judged - {"test"}:
            notes.append(
                f"CHOSEN ON THESE ROWS: the settings of {group.name} are the best of"
                f" {chosen.candidates} that {chosen.by} tried on these dev rows, so its figures"
                " are too good; a labelled test file would judge it fairly."
            )
    return notes


def rows_notes(groups: Sequence[Group]) -> list[str]:
    """Return which groups were judged by other rows than others, a line a task."""
    notes = []
    for task, _ in metric_columns(groups):
        contents: dict[str, list[str]] = {}
        for group in groups:
            if task in group.tasks:
                contents.setdefault(group.runs[0].heldout_content(task), []).append(group.name)
        if len(contents) > 1:
            sides = " / ".join(", ".join(names) for names in contents.values())
            notes.append(f"{task}: figures of different rows, not to be compared: {sides}.")
    return notes


def correction_note(differences: Sequence[Difference]) -> str:
    """Say what the intervals of a table hold, and over how many comparisons they are corrected."""
    known = [each for each in differences if each.seeds_known]
    alone = (
        "One run each: intervals are over the rows alone, at 95 %, and leave out how much another"
        " seed would change; a verdict takes two runs of each."
    )
    if not known:
        return alone
    number = "one comparison"
    if len(known) > 1:
        number = f"{len(known)} comparisons, corrected together by Holm's method"
    said = (
        f"Intervals are over seeds and rows, for {number}, at 5 %: a difference is shown where its"
        " interval leaves out 0."
    )
    if min(min(len(each.ours), len(each.theirs)) for each in known) == 2:
        said += " Two runs of a side make them very wide; a third narrows them most."
    return said if len(known) == len(differences) else f"{said} {alone}"
