"""Notes and cautions on a comparison: on which rows it evaluates, after how much training, by
what choice, and how many comparisons were corrected together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from accord.comparison.contents import content_notes
from accord.comparison.exposure import exposure_notes
from accord.comparison.group import Group, metric_columns
from accord.comparison.sharing import SharingVerdict
from accord.plural import count
from accord.statistics.crossed import Difference

if TYPE_CHECKING:
    from accord.comparison.family import Comparison


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return the notes on some groups and on the effect of sharing; none without groups."""
    groups = comparison.groups
    if not groups:
        return []
    return [
        evaluation_note(groups), *sharing_cautions(comparison.sharing), *comparison.refused,
        *group_notes(groups),
    ]  # fmt: skip


def group_notes(groups: Sequence[Group]) -> list[str]:
    """Return the notes on some groups' figures: how far selection flatters them, whose
    settings or first stages the same rows chose, and who was evaluated on other rows."""
    gap = gap_note(groups)
    return [
        *([gap] if gap else []), *tuned_notes(groups), *stage_notes(groups),
        *stopped_notes(groups), *rows_notes(groups),
        *content_notes(groups), *few_rows_notes(groups),
    ]  # fmt: skip


def few_rows_notes(groups: Sequence[Group]) -> list[str]:
    """Return the runs' notes on tasks with too few dev rows to cross-fit, each once."""
    wording = {
        f"{task}: {note}."
        for group in groups for run in group.runs
        for task, entry in run.results["heldout"].items() if (note := entry.get("note"))
    }  # fmt: skip
    return sorted(wording)


def stage_notes(groups: Sequence[Group]) -> list[str]:
    """Say which groups' last stage began from a model that dev rows had chosen before."""
    return [
        f"CHOSEN ON THESE ROWS in part: each stage of {group.name} began from the model that all"
        " dev rows of the stage before it had chosen, so figures of earlier stages' tasks are too"
        " good by what that choice gained; a labelled test file has no such part."
        for group in groups
        if len(group.runs[0].config.stages) > 1 and _rows_of(group) - {"test"}
    ]


def stopped_notes(groups: Sequence[Group]) -> list[str]:
    """Say which groups' runs were ended by the dev rows that they are evaluated by."""
    return [
        f"CHOSEN ON THESE ROWS in part: all dev rows ended runs of {group.name} early, and either"
        " half of them chose among the epochs until then, so its figures are too good by what"
        " stopping there gained; a labelled test file has no such part."
        for group in groups
        if any(run.stopped_early for run in group.runs) and _rows_of(group) - {"test"}
    ]


def exploratory_note(groups: Sequence[Group]) -> str | None:
    """Say that the best of several groups of the same tasks was found on these very runs; the last
    of the groups is what they are compared with. None where there is no choice among them."""
    *others, baseline = groups
    if len(others) < 2:
        return None
    best = max(others, key=lambda group: group.average[0])
    if best.average[0] <= baseline.average[0]:
        return None
    return _exploratory(best, len(groups), baseline.name)


def best_shared_note(verdicts: Sequence[SharingVerdict]) -> list[str]:
    """Say that the best of several shared models of the same tasks was found on these runs."""
    by_tasks: dict[tuple[str, ...], dict[str, Group]] = {}
    for each in verdicts:
        tasks = tuple(sorted(each.together.tasks))
        by_tasks.setdefault(tasks, {})[each.together.name] = each.together
    return [
        _exploratory(max(models.values(), key=lambda group: group.average[0]), len(models),
                     "the single tasks")
        for models in by_tasks.values() if len(models) > 1
    ]  # fmt: skip


def _exploratory(best: Group, count: int, baseline: str) -> str:
    return (
        f"Exploratory: {best.name} is the best of {count} groups on these very runs, so its lead is"
        f" too large on average. Runs of other seeds, of this group and of {baseline}, would"
        " confirm it."
    )


def _rows_of(group: Group) -> set[str]:
    """Return by which rows a group's runs are evaluated: 'test', 'dev, cross-fitted'."""
    return {run.results["heldout"][task]["on"] for run in group.runs for task in group.tasks}


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
        *dict.fromkeys(filter(None, unpaired)),
        *best_shared_note(verdicts),
    ]  # fmt: skip


def pairing_note(one: Group, other: Group) -> str | None:
    """Say how many runs of two groups share a seed; None where all do."""
    shared, most = len(set(one.seeds) & set(other.seeds)), max(len(one.runs), len(other.runs))
    if shared == most:
        return None
    runs = f"{one.name} has {count(len(one.runs), 'run')}, {other.name} has {len(other.runs)}"
    pairs = "no two" if not shared else f"{count(shared, 'pair')}"
    return f"Seeds: {runs}; {pairs} of the same seed. All of them count."


def evaluation_note(groups: Sequence[Group]) -> str:
    """Say which rows each task's figures are of."""
    rows: dict[str, list[str]] = {}
    for task, _ in metric_columns(groups):
        seen = [run.results["heldout"][task] for group in groups if task in group.tasks
                for run in group.runs]  # fmt: skip
        for on in dict.fromkeys(each["on"] for each in seen):
            most = max(each["rows"] for each in seen if each["on"] == on)
            rows.setdefault(on, []).append(f"{task} {most:,}")
    wording = "; ".join(f"{_ROWS[on]} ({', '.join(tasks)} rows)" for on, tasks in rows.items())
    return f"All figures are of held-out rows: {wording}."


_ROWS = {
    "test": "the labelled test files",
    "dev, cross-fitted": "dev, each half scored with the epoch that the other half chose",
}


def gap_note(groups: Sequence[Group]) -> str | None:
    """Say by how much figures would be too good on the rows that chose the epochs."""
    gaps = [(statistics.fmean(group.gap(task) for task in group.tasks), group) for group in groups]
    if all(round(100 * gap, 1) == 0 for gap, _ in gaps):
        return None
    wording = "; ".join(f"{group.name} {100 * gap:+z.1f}" for gap, group in gaps)
    return (
        "Selection gap: how many points better each group would look on the dev rows that chose its"
        f" epochs, averaged over its tasks: {wording}."
    )


def tuned_notes(groups: Sequence[Group]) -> list[str]:
    """Say which groups' settings were chosen on rows that they are evaluated by."""
    notes = []
    for group in groups:
        chosen = group.selection
        if chosen is not None and _rows_of(group) - {"test"}:
            notes.append(
                f"CHOSEN ON THESE ROWS: the settings of {group.name} are the best of"
                f" {chosen.candidates} that {chosen.by} tried on these dev rows, so its figures"
                " are too good; a labelled test file would give fair ones."
            )
    return notes


def rows_notes(groups: Sequence[Group]) -> list[str]:
    """Return one line for each task on which groups were evaluated on different rows."""
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
    wording = (
        f"Intervals are over seeds and rows, for {number}, at 5 %: a difference is shown where its"
        " interval leaves out 0."
    )
    if min(min(len(each.ours), len(each.theirs)) for each in known) == 2:
        wording += " Two runs of a side make them very wide; a third narrows them most."
    return wording if len(known) == len(differences) else f"{wording} {alone}"
