"""A report on data as lines and tables: rows, labels, lengths, what was skipped, overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from accord.kinds import kind_of, labelled_kind
from accord.kinds._classes import loss_words
from accord.showing import Part, Table

if TYPE_CHECKING:
    from accord.data.checking import CheckReport, SplitReport, TaskReport
    from accord.tasks import Task

_SHOWN_BAD_ROWS = 10
_SHOWN_LABELS = 12


def check_parts(report: CheckReport) -> Iterator[Part]:
    """Yield a report's lines and tables, without its warnings."""
    yield f"encoder {report.encoder}, at most {report.max_length} tokens per sequence"
    for task in report.tasks:
        yield from ("", _heading(task))
        yield _splits(task)
        yield from _skipped(task)
    yield from report.notes
    if report.sources:
        yield from ("", *map(str, report.sources))
    yield ""
    yield from _overlaps(report)


def _heading(report: TaskReport) -> str:

    task, most = report.task, _SHOWN_LABELS
    if not task.labelled:
        return f"{task.name}: {task.kind}, {task.metric}"
    target = labelled_kind(task).described(task, most)
    source = " (from the training file)" if report.taken_from_data else ""
    encoding = f", {task.encoding} encoding" if task.texts > 1 else ""
    learnt = f"{loss_words(task, most)}, {task.metric_name}"
    return f"{task.name}: {task.kind}{encoding}, {target}{source}, {learnt}"


def _splits(report: TaskReport) -> Table:
    table = Table(
        ("split", "rows", "skipped", "tokens 50 %", "90 %", "99 %", "most", "cut", "duplicates",
         kind_of(report.task).summary_head),
        text_last=True,
    )  # fmt: skip
    for split in report.splits:
        tokens = split.tokens
        numbers = (
            split.rows, len(split.skipped), tokens.median, tokens.p90, tokens.p99, tokens.max,
            split.truncated, split.duplicates.normalised,
        )  # fmt: skip
        summary = "; ".join(filter(None, (_targets(split), _candidates(report.task, split))))
        table.rows.append((_name(split), *(f"{number:,}" for number in numbers), summary))
    return table


def _name(split: SplitReport) -> str:
    return split.split if split.share is None else f"{split.split} ({split.share:.0%} of train)"


def _targets(split: SplitReport) -> str:
    if split.labels is not None:
        shown = [f"{label}: {count:,}" for label, count in split.labels.items()][:_SHOWN_LABELS]
        return ", ".join(shown) + ", …" * (len(split.labels) > _SHOWN_LABELS)
    if split.targets is not None:
        return f"{split.targets.min:g}, {split.targets.mean:.3g}, {split.targets.max:g}"
    if split.split == "test":
        return "(not used)" if split.unused else "(none)"
    return ""


def _candidates(task: Task, split: SplitReport) -> str:
    """Say how many candidates the rows have; nothing where they have none."""

    if split.candidates is None:
        return ""
    fewest, most = split.candidates
    numbers = f"{fewest} to {most}" if fewest < most else f"{most}"
    return f"{numbers} {kind_of(task).candidate}s a {kind_of(task).row_called[0]}"


def _skipped(report: TaskReport) -> Iterator[str]:
    for split in report.splits:
        for bad in split.skipped[:_SHOWN_BAD_ROWS]:
            yield f"skipped {bad}"
        if len(split.skipped) > _SHOWN_BAD_ROWS:
            more = len(split.skipped) - _SHOWN_BAD_ROWS
            yield f"skipped {more:,} more of {split.path}"


def _overlaps(report: CheckReport) -> Iterator[Part]:
    overlaps = [
        one for one in report.source_overlaps if one.texts.normalised or one.examples.normalised
    ]
    if not overlaps:
        yield "No dev text stands in a training file."
        return
    yield "Dev rows that stand in training data (as spelt / blind to case and spaces):"
    table = Table(("dev of", "train of", "dev rows", "whole example", "any text"), left=2)
    for one in overlaps:
        table.rows.append((
            one.dev_task, one.train_task, f"{one.dev_rows:,}",
            f"{one.examples.exact:,} / {one.examples.normalised:,}",
            f"{one.texts.exact:,} / {one.texts.normalised:,}",
        ))  # fmt: skip
    yield table
