"""Files with a candidate per row and blanks in their columns of grades."""

import csv
import random
from pathlib import Path

import pytest

from accord.config.file import parse_config
from accord.data.examples import BadRow, Example, Unlabelled, read_examples
from accord.data.files import files_of
from accord.data.heldout_test import read_test_labels
from accord.data.resolving import resolve_task
from accord.plan.tasks import task_plan

GRADES = ("0", "1", "2")


def written(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "q", "d", "g"), *rows])


def plan_of(path: Path, encoder: Path, **keys: object):
    section = {"kind": "ranking", "train": str(path), "text": ["q", "d"], "label": "g", "id": "id",
               "rows": "candidates", **keys}  # fmt: skip
    config = parse_config({"encoder": {"path": str(encoder)}, "tasks": {"t": section}})
    return task_plan(config.labelled["t"])


@pytest.mark.parametrize("blank", ["", "-1"])
def test_queries_without_any_grade_are_left_out_and_counted(tmp_path, encoder, blank) -> None:
    """Others keep the candidates that have a grade; each that has none is a bad row of its line."""
    for seed in range(10):
        rng, rows = random.Random(seed), []
        grades = {
            str(query): rng.choice([
                [blank] * rng.randint(1, 3), ["0", *rng.choices((*GRADES, blank), k=3), "2"],
            ])
            for query in range(12)
        }  # fmt: skip
        for query, of in grades.items():
            rows += [(query, f"query {query}", f"text {i}", grade) for i, grade in enumerate(of)]
        order = rng.sample(range(len(rows)), len(rows)) if seed % 2 else [*range(len(rows))]
        rows = [rows[i] for i in order]
        path = tmp_path / f"{blank}{seed}.csv"
        written(path, rows)
        plan = plan_of(path, encoder, missing=[blank])
        task = resolve_task("t", plan)
        read = [*read_examples(files_of(plan, str(path)), plan, task, labelled=True)]
        graded = {query for query, of in grades.items() if {*of} != {blank}}
        assert sum(isinstance(row, Unlabelled) for row in read) == len(grades) - len(graded)
        examples = {row.id: row for row in read if isinstance(row, Example)}
        assert examples.keys() == graded
        for query, example in examples.items():
            wanted = [(text, float(g)) for of, _, text, g in rows if of == query and g != blank]
            assert [*zip(example.texts[1:], example.label, strict=True)] == wanted
        bad = {
            2 + i for i, (query, *_, grade) in enumerate(rows) if grade == blank and query in graded
        }
        assert {row.line for row in read if isinstance(row, BadRow)} == bad
        assert len(read) == len(grades) + len(bad)
        labels = read_test_labels(files_of(plan, str(path)), plan, task)
        assert bool(labels.reason) == bool(bad)
        if not bad:
            assert len(labels.rows) == len(graded)


def test_without_missing_a_blank_grade_is_a_bad_row(tmp_path, encoder) -> None:
    path = tmp_path / "a.csv"
    written(path, [("1", "x", "a", "0"), ("1", "x", "b", "1"), ("2", "y", "a", "")])
    plan = plan_of(path, encoder)
    read = read_examples(files_of(plan, str(path)), plan, resolve_task("t", plan), labelled=True)
    assert {type(row): row.line for row in read} == {BadRow: 4, Example: 2}
