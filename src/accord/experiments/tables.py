"""The paper's tables, its figures beside ours, and what differs from what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accord.comparison.differences import TaskDifference, task_difference
from accord.comparison.group import Group, plus_minus
from accord.comparison.notes import correction_note
from accord.comparison.words import interval_words
from accord.experiments.paper import (
    NAMES,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TASKS,
    TITLES,
    Row,
    Subset,
)
from accord.experiments.plan import subsets
from accord.experiments.results import Results
from accord.grids.cells import Settings
from accord.report.page import Table
from accord.statistics.verdict import Verdict, verdicts

_METHODS = {
    "finish-largest": "Method 2 (finish largest dataset)",
    "finish-smallest": "Method 3 (finish smallest dataset)",
    "proportional": "Method 1 (proportional; the paper tried it only briefly)",
}
_MODES = {"frozen": "Pretrain", "finetune": "Fine-tune"}


@dataclass(frozen=True)
class Pair:
    """Two groups to be compared on one task, and what the paper has for them.

    Attributes:
        label: what is compared.
        task: on which.
        compared: the one minus the other.
        paper: the paper's difference, or None where it has none.
    """

    label: str
    task: str
    compared: TaskDifference
    paper: float | None = None


@dataclass(frozen=True)
class Contrast(Pair):
    """Two groups that were compared.

    Attributes:
        verdict: after the correction over all contrasts of the experiment.
    """

    verdict: Verdict = field(kw_only=True)

    @property
    def agreement(self) -> str:
        """Whether our verdict has the paper's sign."""
        if self.paper is None:
            return "the paper has none"
        if self.verdict.kind in ("one run each", "learnt nothing"):
            return "cannot tell"
        if self.verdict.kind not in ("better", "worse"):
            return "not shown here"
        ours = self.verdict.kind == "better"
        return "agrees" if ours == (self.paper > 0) else "disagrees"


def evaluated(pairs: Iterable[Pair]) -> list[Contrast]:
    """Return an experiment's contrasts, corrected together."""
    rows = list(pairs)
    found = verdicts(
        [row.compared.difference for row in rows], learnt=[row.compared.learnt for row in rows]
    )
    return [
        Contrast(row.label, row.task, row.compared, row.paper, verdict=verdict)
        for row, verdict in zip(rows, found, strict=True)
    ]


def name_of(tasks: Sequence[str]) -> str:
    """Say which tasks, as the paper does."""
    return " + ".join(NAMES[task] for task in tasks)


def value(group: Group | None, task: str) -> str:
    """Say a group's dev metric by the paper's rule, at the epoch that the same rows chose: mean and
    standard deviation over seeds."""
    if group is None or task not in group.tasks:
        return "–"
    return plus_minus(group.dev_mean(task), group.dev_spread(task))


def paper_table(
    name: str, title: str, rows: Sequence[tuple[str, Group | None, Mapping[str, Row]]],
    tasks: Sequence[str] = TASKS, note: str = "",
) -> Table:  # fmt: skip
    """Return a table in the paper's layout, the paper's own values beside ours.

    Args:
        name: of its files.
        title: as the paper has it.
        rows: label, our runs, and the paper's rows for them by the table that they stand in.
        tasks: its columns.
        note: below it.
    """
    columns = ["", "runs"]
    for task in tasks:
        columns += [TITLES[task], "paper"]
    body = []
    for label, group, papers in rows:
        cells = [label, str(len(group.runs)) if group else "0"]
        for task in tasks:
            printed = [f"{row[task]:z.3f}" for row in papers.values() if task in row]
            cells += [value(group, task), " / ".join(dict.fromkeys(printed)) or "–"]
        body.append(cells)
    return Table(name, title, columns, body, left=1, note=note)


def table_1(results: Results) -> Table:
    """Frozen against fine-tuned, each task alone."""
    body = []
    for mode, label in _MODES.items():
        groups = {task: results.alone(task, mode) for task in TASKS}
        runs = sorted({len(own.runs) if own else 0 for own in groups.values()})
        cells = [label, " to ".join(str(own) for own in {runs[0]: 0, runs[-1]: 0})]
        for task, group in groups.items():
            cells += [value(group, task), f"{TABLE_1[mode][task]:z.3f}"]
        body.append(cells)
    columns = ["", "runs"] + [part for task in TASKS for part in (TITLES[task], "paper")]
    return Table("table-1", "Table 1: pretrain against fine-tune", columns, body)


def table_2(results: Results) -> Table:
    """The batching methods."""
    rows = [
        (label, results.together(batching=method), {"2": TABLE_2.get(method, {})})
        for method, label in _METHODS.items()
    ]
    return paper_table(
        "table-2", "Table 2: batching multiple datasets", rows,
        note="All rows have the paper's exposure: the methods show different numbers of examples of"
        " each task, which the ledger counts, so their differences are of exposure too.",
    )  # fmt: skip


def table_3(results: Results) -> Table:
    """Every subset of the tasks."""
    rows = []
    for tasks in subsets():
        group = results.alone_capped(tasks[0]) if len(tasks) == 1 else results.together(tasks)
        papers = {"3": TABLE_3[tasks], "4": TABLE_4.get((tasks, "sum"), {})}
        rows.append((name_of(tasks), group, papers))
    table = paper_table(
        "table-3", "Table 3: number of tasks fine-tuned together", rows,
        note="Every run has as many steps per epoch as the smallest of the three tasks fills, alone"
        " and together, and so each row has the paper's exposure and equal numbers of examples of a"
        " task. Where the paper's tables 3 and 4 print two values for one run, both stand here.",
    )  # fmt: skip
    seconds = [f"{group.seconds_per_epoch:.1f}" if group else "–" for _, group, _ in rows]
    return replace(
        table,
        columns=[*table.columns, "seconds per epoch"],
        rows=[[*row, own] for row, own in zip(table.rows, seconds, strict=True)],
    )


def table_4(results: Results) -> Table:
    """With and without gradient surgery."""
    rows = []
    for tasks in _shared():
        for method, label in (("sum", ""), ("pcgrad", " (w/ GS)")):
            papers = {"4": TABLE_4.get((tasks, method), {})}
            if method == "sum":
                papers["3"] = TABLE_3[tasks]
            rows.append((name_of(tasks) + label, results.together(tasks, gradients=method), papers))
    return paper_table("table-4", "Table 4: gradient surgery", rows)


def _shared() -> list[Subset]:
    return [tasks for tasks in subsets() if len(tasks) > 1]


def table_cfimdb(results: Results) -> Table:
    """The single-task classifier on both sentiment sets."""
    tasks = ("sst", "cfimdb")
    body = []
    for mode, label in _MODES.items():
        groups = {task: results.alone(task, mode) for task in tasks}
        runs = max(len(own.runs) if own else 0 for own in groups.values())
        body.append([label, str(runs), *(value(own, task) for task, own in groups.items())])
    columns = ["", "runs", *(TITLES[task] for task in tasks)]
    return Table("cfimdb", "The single-task classifier on SST and CFIMDB", columns, body)


def contrasts_1(results: Results) -> Iterator[Pair]:
    """Fine-tuned minus frozen."""
    for task in TASKS:
        paper = TABLE_1["finetune"][task] - TABLE_1["frozen"][task]
        yield from _contrast(
            "fine-tune − pretrain", task, results.alone(task), results.alone(task, "frozen"), paper
        )


def contrasts_2(results: Results) -> Iterator[Pair]:
    """Methods 2 and 1 minus method 3."""
    smallest = results.together()
    for method, label in (("finish-largest", "method 2 − 3"), ("proportional", "method 1 − 3")):
        for task in TASKS:
            paper = (
                TABLE_2[method][task] - TABLE_2["finish-smallest"][task]
                if method in TABLE_2 else None
            )  # fmt: skip
            yield from _contrast(label, task, results.together(batching=method), smallest, paper)


def contrasts_3(results: Results) -> Iterator[Pair]:
    """Shared minus alone."""
    for tasks in _shared():
        for task in tasks:
            paper = TABLE_3[tasks][task] - TABLE_3[(task,)][task]
            yield from _contrast(
                f"{name_of(tasks)} − alone", task, results.together(tasks),
                results.alone_capped(task), paper,
            )  # fmt: skip


def contrasts_4(results: Results) -> Iterator[Pair]:
    """With minus without gradient surgery."""
    for tasks in _shared():
        for task in tasks:
            with_surgery = TABLE_4.get((tasks, "pcgrad"), {}).get(task)
            paper = None if with_surgery is None else with_surgery - TABLE_4[(tasks, "sum")][task]
            yield from _contrast(
                f"{name_of(tasks)}: surgery − none", task,
                results.together(tasks, gradients="pcgrad"), results.together(tasks), paper,
            )  # fmt: skip


def contrasts_pairs(results: Results) -> Iterator[Pair]:
    """Other ways to encode pairs and to pool, minus each text alone with CLS pooling."""
    base = results.together()
    for label, changes in PAIRS.items():
        if changes:
            group = results.pick(TASKS, batching="finish-smallest", gradients="sum", **changes)
            for task in TASKS:
                yield from _contrast(f"{label} − separate, cls", task, group, base, None)


def table_pairs(results: Results) -> Table:
    """Pairs as one sequence or each text alone, by pooling."""
    body = []
    for label, changes in PAIRS.items():
        group = results.pick(TASKS, batching="finish-smallest", gradients="sum", **changes)
        runs = str(len(group.runs)) if group else "0"
        body.append([label, runs, *(value(group, task) for task in TASKS)])
    columns = ["", "runs", *(TITLES[task] for task in TASKS)]
    return Table("pairs", "How pairs are encoded and pooled", columns, body)


PAIRS: dict[str, Settings] = {
    "separate, cls": {},
    "separate, mean": {"pooling": "mean"},
    "joint, cls": {"pairs": "joint"},
    "joint, mean": {"pairs": "joint", "pooling": "mean"},
}


def contrasts_cfimdb(results: Results) -> Iterator[Pair]:
    """Fine-tuned minus frozen."""
    for task in ("sst", "cfimdb"):
        yield from _contrast(
            "fine-tune − pretrain", task, results.alone(task), results.alone(task, "frozen"), None
        )


def _contrast(
    label: str, task: str, ours: Group | None, theirs: Group | None, paper: float | None
) -> Iterator[Pair]:
    if ours is not None and theirs is not None:
        yield Pair(label, task, task_difference(task, ours, theirs), paper)


def contrast_table(name: str, title: str, contrasts: Sequence[Contrast]) -> Table:
    """Return differences with their intervals, verdicts, and whether the paper agrees."""
    rows = []
    for each in contrasts:
        difference = each.compared.difference
        rows.append([
            each.label, NAMES[each.task], each.verdict.word, each.agreement,
            f"{len(difference.ours)} and {len(difference.theirs)}",
            f"{difference.value:+z.3f}", interval_words(each.verdict),
            "–" if each.paper is None else f"{each.paper:+z.3f}",
        ])  # fmt: skip
    columns = [
        "difference", "task", "verdict", "as in the paper?", "runs", "ours", "interval", "paper",
    ]  # fmt: skip
    note = "On held-out rows, not on those that chose the epochs. " + correction_note(
        [each.compared.difference for each in contrasts]
    )
    return Table(name, title, columns, rows, left=4, note=note)
