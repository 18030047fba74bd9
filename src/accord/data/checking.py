"""A report on a configuration's data, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.data.check_parts import check_parts
from accord.data.datasets import Data, read_data
from accord.data.examples import BadRow
from accord.data.overlap import Counts, Overlap, count_duplicates
from accord.data.plan import DataPlan
from accord.data.row_files import RowFiles
from accord.data.sources import Source
from accord.data.warnings import Split, data_warnings, overlaps, source_overlaps
from accord.kinds import kind_of, labelled_kind
from accord.showing import Part, Shown
from accord.tasks import Task


@dataclass(frozen=True)
class Quantiles:
    """Sequence lengths in tokens, special tokens included, before truncation."""

    min: int
    median: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True)
class TargetSummary:
    """The targets of a regression, in the task's units."""

    min: float
    mean: float
    max: float


@dataclass(frozen=True)
class SplitReport:
    """One split of one task; the path of texts of other tasks names these.

    `candidates` are the fewest and the most of a row, None of a kind whose rows have none;
    `labels` is None except for labelled classification, `targets` except for labelled regression;
    `share` is set where dev is a share of the training file. Of a test file they are of the rows
    for evaluation; `unused` says why its labels are not used, where they aren't.
    """

    split: str
    path: str
    share: float | None
    rows: int
    skipped: list[BadRow]
    labels: dict[str, int] | None
    targets: TargetSummary | None
    tokens: Quantiles
    truncated: int
    duplicates: Counts
    unused: str = ""
    candidates: tuple[int, int] | None = None


@dataclass(frozen=True)
class TaskReport:
    """One task as it was resolved, and its splits.

    `taken_from_data` names what the config left open and the training file settled.
    """

    task: Task
    taken_from_data: list[str]
    splits: list[SplitReport]


@dataclass(frozen=True)
class SourceReport:
    """Tasks that label the same rows, and what packing these takes.

    `tasks` are together where they are packed once. `rows` and `tokens` are of the training rows
    that any of them labels, `tokens_apart` those of the tasks' rows one task after the other;
    `tokens_packed` is what they take as the run packs them, each row once. `stage` is the label of
    the stage that does; empty without stages.
    """

    tasks: list[list[str]]
    rows: int
    tokens: int
    tokens_apart: int
    tokens_packed: int
    stage: str = ""

    def __str__(self) -> str:
        names = [name for together in self.tasks for name in together]
        stage = f"{self.stage}: " if self.stage else ""
        packing = f"{stage}{', '.join(names)}: one file, its {self.rows:,} training rows are packed"
        if len(self.tasks) == 1:
            times, all_of = self.tokens_apart / self.tokens, "both" if len(names) == 2 else "all"
            return f"{packing} once for {all_of} (apart = true: {times:.2f} times the tokens)"
        units = " and ".join("+".join(together) for together in self.tasks)
        times = self.tokens_packed / self.tokens
        return f"{packing} apart for {units} ({times:.2f} times the tokens of packing them once)"


@dataclass(frozen=True, repr=False)
class CheckReport(Shown):
    """What `accord check` found; `overlaps` are of each two tasks, `source_overlaps` of sources,
    in which tasks that share their rows are one."""

    encoder: str
    max_length: int
    tasks: list[TaskReport] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    source_overlaps: list[Overlap] = field(default_factory=list)
    sources: list[SourceReport] = field(default_factory=list)

    def shown(self) -> Iterator[Part]:
        """Yield what `accord check` prints."""
        yield from check_parts(self)
        yield from (f"warning: {line}" for line in self.warnings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        # By way of a text, so that paths and tuples come out as JSON's own types.
        report: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return report


def named_report(report: CheckReport, rows: RowFiles) -> CheckReport:
    """Return a report that names rows in memory by their keys, not by their files."""

    def split(of: SplitReport) -> SplitReport:
        skipped = [
            replace(bad, path=path, line=line)
            for bad in of.skipped
            for path, line in (rows.line_of(bad.path, bad.line),)
        ]
        return replace(of, path=rows.named(of.path), skipped=skipped)

    return replace(
        report,
        tasks=[replace(task, splits=[*map(split, task.splits)]) for task in report.tasks],
        notes=[*map(rows.named, report.notes)],
        warnings=[*map(rows.named, report.warnings)],
    )


def check_data(
    plan: DataPlan,
    encoder: Path,
    same_rows: Sequence[tuple[str, ...]] = (),
    stages: Mapping[str, DataPlan] | None = None,
) -> CheckReport:
    """Read every file of a run's tasks, and report on it.

    Args:
        plan: names the files.
        encoder: the folder whose tokenizer is used.
        alike: names of tasks that read the same rows, whether or not the plan shares them.
        stages: each stage's plan, by its label; None without stages.

    Raises:
        ConfigError: labels, range, loss or lengths don't go together.
        DataError: a file, a column, or under `on_bad_row = "stop"` a row can't be used.
    """
    notes = list[str]()
    data = read_data(plan, encoder, notes.append)
    tasks = []
    for task in data.tasks:
        splits = [_split_report(split, plan, data.facts.max_length)
                  for split in data.facts.splits if split.task is task]  # fmt: skip
        open_keys = (
            labelled_kind(task).inferred_keys(plan.tasks[task.name]) if task.labelled else []
        )
        tasks.append(TaskReport(task, open_keys, splits))
    return CheckReport(
        str(encoder), data.facts.max_length, tasks, overlaps(data.facts), notes,
        [str(warning) for warning in data_warnings(data.facts)], source_overlaps(data.facts),
        _source_reports(data, plan, encoder, same_rows, stages or {"": plan}),
    )  # fmt: skip


def _source_reports(
    data: Data,
    plan: DataPlan,
    encoder: Path,
    same_rows: Sequence[tuple[str, ...]],
    stages: Mapping[str, DataPlan],
) -> list[SourceReport]:
    """Count what packing the same rows takes: once, for each task, and as each stage has it."""
    if tuple(same_rows) != plan.shared:  # which rows of two stores are the same isn't known
        data = read_data(replace(plan, shared=tuple(same_rows)), encoder, lambda text: None)
    parts = {part.task.name: part for part in data.train}

    def source(names: Sequence[str]) -> Source:
        return Source.of(range(len(names)), [parts[name] for name in names])

    def tokens(names: Sequence[str]) -> int:
        return int(source(names).lengths(data.assembler).sum())

    reports = []
    for (stage, packed), every in product(stages.items(), same_rows):
        names = [name for name in every if name in packed.tasks and name not in packed.finished]
        if len(names) < 2:
            continue
        together = [names_of for names_of in packed.sources if set(names_of) <= set(names)]
        reports.append(SourceReport(
            [list(names_of) for names_of in together],
            rows=len(source(names)),
            tokens=tokens(names),
            tokens_apart=sum(tokens([name]) for name in names),
            tokens_packed=sum(map(tokens, together)),
            stage=stage,
        ))  # fmt: skip
    return reports


def _split_report(split: Split, plan: DataPlan, max_length: int) -> SplitReport:
    lengths = split.lengths
    evaluated = split.heldout is not None and len(split.heldout.rows) > 0
    labels = split.labels if split.task.labelled and split.name != "test" else None
    if split.heldout is not None and evaluated:
        labels = split.heldout.labels
    summary = {} if labels is None else labelled_kind(split.task).summary(split.task, labels)
    return SplitReport(
        split=split.name,
        path=split.path or f"texts of {', '.join(plan.texts_from[split.task.name])}",
        share=split.share if split.path else None,
        rows=len(lengths),
        skipped=[] if split.share is not None else split.part.store.skipped,
        labels=summary.get("labels"),
        targets=TargetSummary(**summary["targets"]) if "targets" in summary else None,
        tokens=_quantiles(lengths[lengths > 0]),
        truncated=int((lengths > max_length).any(axis=1).sum()),
        duplicates=count_duplicates(split.part),
        unused=split.heldout.reason if split.heldout is not None else "",
        candidates=_candidates(split),
    )


def _candidates(split: Split) -> tuple[int, int] | None:
    if not kind_of(split.task).varying:
        return None
    counts = split.part.store.text_counts[split.part.rows] - 1
    return int(counts.min()), int(counts.max())


def _quantiles(lengths: npt.NDArray[np.int64]) -> Quantiles:
    values = np.quantile(lengths[lengths > 0], [0, 0.5, 0.9, 0.99, 1], method="inverted_cdf")
    return Quantiles(*(int(value) for value in values))
