"""Rows of one candidate each, as rows of a query and lists of its candidates and their grades."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from accord.data.plan import TaskPlan
from accord.data.rows import Row


@dataclass
class _Query:
    """A query's first row, the cells of its rows by column, and those rows that have no grade."""

    first: Row
    cells: dict[str, list[str]] = field(default_factory=dict)
    ungraded: list[Row] = field(default_factory=list)

    def rows(self, is_missing: Mapping[str, Callable[[str], bool]]) -> Iterator[Row]:
        if not self.cells:
            yield self.first
            return
        for row in self.ungraded:
            names = "', '".join(is_missing)
            what = f"'{names}' is missing, and other candidates of the query have a grade"
            yield replace(row, values=None, fault=what)
        none = {name for name, of in is_missing.items() if all(map(of, self.cells[name]))}
        lists = {name: cells for name, cells in self.cells.items() if name not in none}
        values = {**(self.first.values or {}), **dict.fromkeys(lists, "[]")}
        yield replace(self.first, values=values, lists=lists)


def gathered(
    rows: Iterator[Row],
    plan: TaskPlan,
    labels: Sequence[str],
    checks: Mapping[str, Callable[[str, str], object]],
    is_missing: Mapping[str, Callable[[str], bool]] = MappingProxyType({}),
) -> Iterator[Row]:
    """Yield a row for each query, in the order of their first rows, which need not be neighbours.

    All of them are held in memory. A row that can't be used is yielded where it stands. A query
    without any grade has the cell that says so in place of lists.

    Args:
        rows: of a query's text, a candidate and, where labels are read, its grades.
        plan: `id` is the column of what tells queries.
        labels: columns of grades.
        checks: of these, raise a ValueError where a grade is none; none where no labels are read,
            and an empty text is one too.
        is_missing: of columns of grades, whether a cell says that there is none.
    """
    queries: dict[str, _Query] = {}
    text, *others = plan.text
    for row in rows:
        ungraded = bool(checks and is_missing and row.values) and all(
            of((row.values or {})[name]) for name, of in is_missing.items()
        )
        fault = row.fault or _fault(row, plan, {} if ungraded else checks)
        if row.values is None or fault:
            yield replace(row, values=None, fault=fault)
            continue
        query = queries.setdefault(row.values[plan.id or ""].strip(), _Query(row))
        line = query.first.line
        if row.values[text].strip() != (query.first.values or {})[text].strip():
            what = f"'{text}' is another text than in line {line}, of the same '{plan.id}'"
            yield replace(row, values=None, fault=what)
            continue
        if ungraded:
            query.ungraded.append(row)
            continue
        for name in (*others, *labels):
            query.cells.setdefault(name, []).append(row.values[name].strip())
    for query in queries.values():
        yield from query.rows(is_missing)


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
