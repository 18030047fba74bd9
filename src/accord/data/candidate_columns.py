"""Which columns of a file are a text's choices, or a query's candidates and their grades."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.data.columns import Column, Role, id_column, named_column, tag_columns
from accord.data.examples import BadRow, TaskReader
from accord.data.labels import MOST_SLIPS, is_number
from accord.data.plan import TaskPlan
from accord.data.rows import WORDY, Row
from accord.data.values import Scalar, list_of
from accord.kinds import get_kind

_BESIDE = (
    "premise", "question", "query", "ctx", "context", "prompt", "goal", "stem", "sentence", "text",
)  # fmt: skip
_CHOICES = ("choices", "options", "endings", "answers", "candidates", "alternatives")
_SERIES = (
    "", "choice", "option", "answer", "ending", "candidate", "alternative", "opt", "op", "sol",
    "solution",
)  # fmt: skip
_ANSWERS = (
    "answer", "label", "correct", "correct_answer", "answer_key", "answerkey", "gold", "gold_label",
    "target", "correct_option", "cop", "solution", "y",
)  # fmt: skip
_FORMS = ("index", "number", "letter", "text")
_CANDIDATES = (
    "candidate", "passage", "document", "doc", "response", "answer", "result", "product", "item",
    "title", "sentence", "text",
)  # fmt: skip
_SURE_GRADES = ("grade", "relevance", "rel", "gain", "judgment", "judgement")
_GRADES = (*_SURE_GRADES, "label", "score", "rating", "target", "y")
_QUERY_IDS = ("qid", "query_id", "queryid", "question_id", "questionid", "topic_id", "search_id")


@dataclass(frozen=True)
class CandidateTask:
    """A task of rows with candidates, as columns suggest it.

    Attributes:
        kind: of task.
        role: which columns are its texts, label and id, and why.
        options: keys of its kind alone.
        sure: whether it can be nothing else.
    """

    kind: str
    role: Role
    options: Mapping[str, str] = field(default_factory=dict)
    sure: bool = True

    @property
    def hint(self) -> str:
        """What it is and how a config says so."""
        keys = {"kind": self.kind, **self.options, "id": self.role.id}
        keys_given = ", ".join(f'{key} = "{value}"' for key, value in keys.items() if value)
        return f"a {self.role.reasons[0]}: {keys_given}"


def find_candidates(columns: Sequence[Column], rows: Sequence[Row]) -> CandidateTask | None:
    """Look for a text with choices and an answer, or a query with graded candidates.

    Names of columns say what may be one, and rows what is: nine in ten have to be rows of that
    kind.

    Args:
        columns: of a file.
        rows: a sample of it, readable ones alone.
    """
    return _graded_lists(columns, rows) or _answered(columns, rows) or _graded_rows(columns, rows)


def _answered(columns: Sequence[Column], rows: Sequence[Row]) -> CandidateTask | None:
    for choices in _choice_columns(columns, rows):
        rest = [column for column in columns if column.name not in choices]
        for label in filter(None, (named_column(rest, (name,)) for name in _ANSWERS)):
            text = _text([column for column in rest if column.name != label])
            forms = _answer_forms((text, *choices), label, rows) if text else []
            if text and forms:
                many = f"a list of them in '{choices[0]}'" if len(choices) == 1 else (
                    f"one each in {_quoted(choices)}"
                )  # fmt: skip
                reasons = [
                    f"multiple-choice: a text, '{text}', with choices, {many}",
                    f"label '{label}', which names one of the row's choices by {' or '.join(forms)}"
                    + "; set 'answer' to which it is" * (len(forms) > 1),
                ]
                role = Role((text, *choices), label, id_column(rest), reasons)
                options = {"answer": forms[0]} if len(forms) == 1 else {}
                return CandidateTask("multiple-choice", role, options)
    return None


def _choice_columns(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the column of lists of choices, or several of one choice each, that names suggest."""
    for column in columns:
        if column.name.lower() in _CHOICES:
            every = {json.dumps(found) for found in _lists(rows, column.name)}
            if len(every) > 1:  # the same choices in each row are classes
                yield (column.name,)
    series: dict[tuple[str, bool], dict[int, str]] = defaultdict(dict)
    for column in columns:
        parts = re.fullmatch(r"(.*?)[ _.-]?([a-z]|\d{1,2})", column.name.lower())
        if parts and parts[1] in _SERIES and column.sizes is None:
            place, counted = parts[2], parts[2].isdigit()
            if counted <= bool(parts[1]):  # "1" and "2" alone are no choices' names
                number = int(place) if counted else ord(place) - ord("a")
                series[parts[1], counted][number] = column.name
    for (_, counted), places in series.items():
        first, last = min(places), max(places)
        names = tuple(places[place] for place in sorted(places))
        whole = last - first == len(places) - 1 and first in (0, int(counted))
        flags = {value.lower() for row in rows for value in _cells(row, names)}
        if len(names) > 1 and whole and not flags <= {"", "0", "1", "true", "false"}:
            yield names


def _answer_forms(text: tuple[str, ...], label: str, rows: Sequence[Row]) -> list[str]:
    """Return what a label may say of its row's choices, by what most rows' labels can be."""
    shares = {
        form: _share_of_rows(rows, "multiple-choice", text, label, answer=form) for form in _FORMS
    }
    best = max(shares.values())
    return [form for form, share in shares.items() if share == best >= 1 - MOST_SLIPS]


def _graded_lists(columns: Sequence[Column], rows: Sequence[Row]) -> CandidateTask | None:
    tags = tag_columns(columns)
    lists = {
        column.name: found
        for column in columns
        if column.name not in {*tags, *tags.values()}
        and len(found := _lists(rows, column.name)) >= (1 - MOST_SLIPS) * len(rows)
    }
    numbers = {name for name, found in lists.items() if _all_numbers(found)}
    for candidates, grades in ((one, other) for one in lists for other in numbers):
        rest = [column for column in columns if column.name not in (candidates, grades)]
        text = _text(rest)
        if candidates in numbers or text is None or not _like_texts(candidates, lists[candidates]):
            continue
        share = _share_of_rows(rows, "ranking", (text, candidates), grades, rows="queries")
        if share >= 1 - MOST_SLIPS:
            reason = f"ranking: a query, '{text}', with lists of candidates, '{candidates}', and of"
            reasons = [f"{reason} as many grades, '{grades}'"]
            role = Role((text, candidates), grades, id_column(rest), reasons)
            return CandidateTask("ranking", role)
    return None


def _graded_rows(columns: Sequence[Column], rows: Sequence[Row]) -> CandidateTask | None:
    """Return the ranking of rows of one candidate each; not a sure one where no column is named as
    a query's id, nor as a grade."""
    plain = [column for column in columns if column.sizes is None]
    texts = [column for column in plain if not column.numeric]
    grades = [column for column in plain if _mostly(map(_is_grade, _cells_of(rows, column.name)))]
    grade = named_column(grades, _GRADES)
    by = named_column(plain, _QUERY_IDS) or named_column(texts, ("query", "question"))
    if grade is None or by is None or next(c for c in plain if c.name == by).distinct > 0.5:
        return None
    queries: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        queries[(row.values or {})[by].strip()].append(row)
    told = [column for column in texts if column.name.lower() not in _QUERY_IDS]
    alike = [column for column in told if _alike(queries, column.name)]
    others = [column for column in told if column not in alike]
    query, candidate = _text(alike), named_column(others, _CANDIDATES) or _longest(others)
    differ = any(len({*_cells_of(of, grade)}) > 1 for of in queries.values())
    if query is None or candidate is None or not differ:
        return None
    sure = by.lower() in _QUERY_IDS or grade.lower() in _SURE_GRADES
    reasons = [
        f"ranking of '{candidate}' for each '{query}', of which several rows have the same '{by}'",
        f"label '{grade}', a grade of each",
    ]
    return CandidateTask(
        "ranking", Role((query, candidate), grade, by, reasons), {"rows": "candidates"}, sure
    )


def _share_of_rows(
    sample: Sequence[Row], name: str, text: tuple[str, ...], label: str, **options: str
) -> float:
    """Return which share of the rows that have a label a task of a kind could use."""
    kind: Any = get_kind(name)
    plan = TaskPlan(name, text, label=label, label_columns=(label,), options=options)
    reader = TaskReader.of(plan, kind.resolve("", plan, None), labelled=True, divides=None)
    items = [reader.item(row, Path()) for row in sample if (row.values or {})[label].strip()]
    return sum(not isinstance(item, BadRow) for item in items) / max(1, len(items))


def _text(columns: Sequence[Column]) -> str | None:
    """Return the column of the text that candidates stand beside."""
    plain = [column for column in columns if not column.numeric and column.sizes is None]
    return named_column(plain, _BESIDE) or _longest(plain)


def _longest(columns: Sequence[Column]) -> str | None:
    wordy = [column for column in columns if column.wordy]
    return max(wordy, key=lambda column: column.words).name if wordy else None


def _lists(rows: Sequence[Row], column: str) -> list[Sequence[Any]]:
    """Return the lists that some rows' cells are, or hold as JSON."""
    lists = []
    for row in rows:
        try:
            found = list_of(row.lists.get(column, (row.values or {})[column]), column)
        except ValueError:
            continue
        if found is not None:
            lists.append(found)
    return lists


def _all_numbers(lists: Sequence[Sequence[Any]]) -> bool:
    every = [each for one in lists for each in one]
    return bool(every) and all(
        isinstance(each, Scalar) and (is_number(each) or each in ("true", "false"))
        for each in every
    )


def _like_texts(name: str, lists: Sequence[Sequence[Any]]) -> bool:
    """Whether lists look like those of candidates, not of labels with a number each."""
    every = [str(each) for one in lists for each in one]
    words = sum(len(each.split()) for each in every) / max(1, len(every))
    return words >= WORDY or name.lower().rstrip("s") in _CANDIDATES


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [(row.values or {})[name].strip() for name in names]


def _cells_of(rows: Sequence[Row], name: str) -> list[str]:
    return [cell for row in rows for cell in _cells(row, [name])]


def _alike(queries: Mapping[str, Sequence[Row]], name: str) -> bool:
    return _mostly(len({*_cells_of(rows, name)}) == 1 for rows in queries.values())


def _is_grade(cell: str) -> bool:
    return is_number(cell) and float(cell) >= 0


def _mostly(facts: Iterable[bool]) -> bool:
    every = [*facts]
    return sum(every) >= (1 - MOST_SLIPS) * len(every)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
