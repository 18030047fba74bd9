"""Rows of one candidate each, as rows of a query and lists of its candidates and their grades."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accord.data.plan import TaskPlan
from accord.data.rows import Row


@dataclass
class _Query:
    """A query's first row, and the cells of all its rows by column."""

    first: Row
    cells: dict[str, list[str]] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        values = {**(self.first.values or {}), **dict.fromkeys(self.cells, "[]")}
        return replace(self.first, values=values, lists=self.cells)


def gathered(
    rows: Iterator[Row],
    plan: TaskPlan,
    labels: Sequence[str],
    checks: Mapping[str, Callable[[str, str], object]],
) -> Iterator[Row]:
    """Yield a row for each query, in the order of their first rows, which need not be neighbours.

    All of them are held in memory. A row that can't be used is yielded where it stands.

    Args:
        rows: of a query's text, a candidate and, where labels are read, its grades.
        plan: `id` is the column of what tells queries.
        labels: columns of grades.
        checks: of these, raise a ValueError where a grade is none; none where no labels are read,
            and an empty text is one too.
    """
    queries: dict[str, _Query] = {}
    text, *others = plan.text
    for row in rows:
        fault = row.fault or _fault(row, plan, checks)
        if row.values is None or fault:
            yield replace(row, values=None, fault=fault)
            continue
        query = queries.setdefault(row.values[plan.id or ""].strip(), _Query(row))
        line = query.first.line
        if row.values[text].strip() != (query.first.values or {})[text].strip():
            what = f"'{text}' is another text than in line {line}, of the same '{plan.id}'"
            yield replace(row, values=None, fault=what)
            continue
        for name in (*others, *labels):
            query.cells.setdefault(name, []).append(row.values[name].strip())
    yield from (query.row for query in queries.values())


def _fault(
    row: Row, plan: TaskPlan, checks: Mapping[str, Callable[[str, str], object]]
) -> str | None:
    values = row.values or {}
    for name in (plan.id or "", *plan.text):
        if name in row.absent:
            return f"key '{name}' is missing"
        if name in row.lists:
            return f"'{name}' holds a list; rows = \"candidates\" takes one candidate per row"
        if not values[name].strip() and (checks or name == plan.id):
            return f"'{name}' is empty"
    try:
        for name, check in checks.items():
            check(values[name].strip(), name)
    except ValueError as error:
        return str(error)
    return None
