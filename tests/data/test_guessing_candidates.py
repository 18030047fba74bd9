"""Guessed from columns: a text with choices, a query with graded candidates, and neither."""

import csv
import json
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.config.file import parse_config
from accord.data.examples import Example, read_examples
from accord.data.files import files_of
from accord.data.guessing import GuessedTask, guess_tasks
from accord.data.resolving import resolve_task
from accord.errors import ConfigError
from accord.plan.tasks import task_plan
from accord.recipes.starter import starter_config

WORDS = "the old road leads over a hill to some town by sea with few trees".split()  # noqa: SIM905
Row = dict[str, Any]


def sentence(rng: random.Random, least: int = 3) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(least, 9)))


def write(path: Path, rows: list[Row]) -> Path:
    """Write rows as JSON lines, or as a table with lists as JSON in its cells."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            lists = {name: json.dumps(v) for name, v in row.items() if isinstance(v, list)}
            writer.writerow({**row, **lists})
    return path


def guessed(path: Path, rows: list[Row]) -> GuessedTask:
    (task,) = guess_tasks([write(path, rows)])
    return task


def targets(task: GuessedTask, folder: Path) -> list[Any]:
    """What the config that `accord init` writes reads of the training file."""
    text = starter_config([task], "encoder", folder / "elsewhere")
    (section,) = parse_config(tomllib.loads(text)).tasks.values()
    plan = task_plan(section)
    assert plan.train is not None
    read = read_examples(files_of(plan, plan.train), plan, resolve_task("t", plan), labelled=True)
    return [example.label for example in read if isinstance(example, Example)]


def answers(rng: random.Random, form: str, counts: list[int]) -> list[tuple[Any, int]]:
    """Labels that name choices, of which there are so many a row, and which; every place is
    named."""
    made = []
    for i, count in enumerate(counts):
        place = 0 if i % 5 == 0 else count - 1 if i % 5 == 1 else rng.randrange(count)
        label = {"index": place, "number": place + 1, "letter": "ABCDEFGH"[place], "text": None}
        made.append((label[form], place))
    return made


NAMES = [
    ("premise", ["choice1", "choice2"]), ("sentence", ["option1", "option2"]),
    ("ctx", ["ending0", "ending1", "ending2", "ending3"]), ("goal", ["sol1", "sol2"]),
    ("question", ["A", "B", "C", "D"]), ("Question", ["optionA", "optionB", "optionC"]),
    ("question", ["opa", "opb", "opc", "opd"]), ("stem", ["Answer 1", "Answer 2", "Answer 3"]),
]  # fmt: skip


@pytest.mark.parametrize("form", ["index", "number", "letter", "text"])
@pytest.mark.parametrize(("text", "names"), NAMES, ids=[names[0] for _, names in NAMES])
def test_a_column_for_each_choice(tmp_path, text, names, form):
    rng = random.Random(f"{text} {form}")
    rows, places = [], []
    label_column = rng.choice(["label", "answer", "Correct"])
    for label, place in answers(rng, form, [len(names)] * 60):
        choices = [f"{sentence(rng, 1)} {i}" for i in range(len(names))]
        cells = dict(zip(names, choices, strict=True))
        said = choices[place] if form == "text" else label
        rows.append({"id": f"q{len(rows)}", text: sentence(rng), **cells, "more": sentence(rng),
                     label_column: said})  # fmt: skip
        places.append(place)
    task = guessed(tmp_path / "quiz.csv", rows)
    assert (task.kind, task.text) == ("multiple-choice", (text, *names))
    assert (task.label, task.id, task.options) == (label_column, "id", {"answer": form})
    assert "left 'more'" in task.reasons
    assert targets(task, tmp_path) == places


@pytest.mark.parametrize("form", ["index", "number", "letter", "text"])
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_list_of_choices(tmp_path, ending, form):
    rng = random.Random(f"{ending} {form}")
    counts = [rng.randint(2, 6) for _ in range(80)]
    column = rng.choice(["choices", "options", "endings", "candidates"])
    rows, places = [], []
    for (label, place), count in zip(answers(rng, form, counts), counts, strict=True):
        choices = [f"{sentence(rng, 1)} {i}" for i in range(count)]
        said = choices[place] if form == "text" else label
        rows.append({"question": sentence(rng), column: choices, "answer": said})
        places.append(place)
    task = guessed(tmp_path / f"quiz.{ending}", rows)
    assert (task.kind, task.text) == ("multiple-choice", ("question", column))
    assert (task.label, task.options) == ("answer", {"answer": form})
    assert targets(task, tmp_path) == places


def test_places_that_may_be_counted_from_0_or_1_are_asked_for(tmp_path):
    rng = random.Random(0)
    rows = [{"question": sentence(rng), "choices": [sentence(rng) for _ in range(4)],
             "label": rng.randint(1, 3)} for _ in range(40)]  # fmt: skip
    task = guessed(tmp_path / "quiz.jsonl", rows)
    assert (task.kind, task.options) == ("multiple-choice", {})
    assert task.reasons[1] == (
        "label 'label', which names one of the row's choices by index or number; set 'answer' to"
        " which it is"
    )
    with pytest.raises(ConfigError, match="answer: is missing"):
        targets(task, tmp_path)


def graded(rng: random.Random, queries: int) -> list[tuple[str, list[str], list[float]]]:
    made = []
    for i in range(queries):
        count = rng.randint(2, 7)
        grades = [rng.choice([0, 1, 2, 0.5]) for _ in range(count)]
        grades[:2] = [0, 1]
        made.append((f"{sentence(rng)} {i}", [sentence(rng, 5) for _ in range(count)], grades))
    return made


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize("names", [("query", "passages", "grades"), ("q", "docs", "label")])
def test_lists_of_candidates_and_of_their_grades(tmp_path, ending, names):
    made = graded(random.Random(str(names)), 40)
    rows = [dict(zip(names, row, strict=True)) for row in made]
    task = guessed(tmp_path / f"search.{ending}", rows)
    assert (task.kind, task.text, task.label) == ("ranking", names[:2], names[2])
    assert targets(task, tmp_path) == [grades for _, _, grades in made]


def in_rows(rng: random.Random, names: tuple[str, str, str], number: str | None) -> list[Row]:
    rows = []
    for i, (query, candidates, grades) in enumerate(graded(rng, 40)):
        of = {number: f"k{i}"} if number else {}
        for candidate, grade in zip(candidates, grades, strict=True):
            rows.append({**of, **dict(zip(names, (query, candidate, grade), strict=True))})
    rng.shuffle(rows)
    return rows


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (("query", "passage", "label"), "qid"), (("Question", "Sentence", "Label"), "QuestionID"),
        (("query", "document", "grade"), None), (("search", "product", "score"), "query_id"),
        (("question", "answer", "relevance"), None),
    ],
)  # fmt: skip
def test_a_row_for_each_candidate(tmp_path, names, number):
    rows = in_rows(random.Random(str(names)), names, number)
    task = guessed(tmp_path / "search.csv", rows)
    assert (task.kind, task.text, task.label) == ("ranking", names[:2], names[2])
    assert (task.id, task.options) == (number or names[0], {"rows": "candidates"})
    read = targets(task, tmp_path)
    wanted = {key: [float(row[names[2]]) for row in rows if row[task.id] == key]
              for key in dict.fromkeys(row[task.id] for row in rows)}  # fmt: skip
    assert read == list(wanted.values())


def test_a_bad_row_among_many_changes_no_guess(tmp_path):
    """`accord check` names it."""
    rng = random.Random(0)
    quiz = [{"question": sentence(rng), "choices": [sentence(rng) for _ in range(3)],
             "answer": i % 3} for i in range(30)]  # fmt: skip
    lists = [dict(zip(("query", "docs", "grades"), row, strict=True)) for row in graded(rng, 30)]
    flat = in_rows(rng, ("query", "passage", "grade"), "qid")
    for made, kind, slips in (
        (quiz, "multiple-choice", [{"choices": ["a"]}, {"choices": None}, {"answer": 7},
                                   {"answer": "x y"}, {"answer": None}, {"answer": 0.5}]),
        (lists, "ranking", [{"docs": ["a"]}, {"docs": None}, {"grades": [1]}, {"grades": None}]),
        (flat, "ranking", [{"query": "another"}, {"grade": "good"}, {"grade": -1}, {"grade": ""},
                           {"passage": ""}]),
    ):  # fmt: skip
        for slip in slips:
            where = rng.randrange(len(made))
            rows = [*made[:where], made[where] | slip, *made[where + 1 :]]
            ending = "csv" if made is flat else "jsonl"
            assert guessed(tmp_path / f"d.{ending}", rows).kind == kind, slip
    for row in lists:
        row["grades"] = [grade > 0.5 for grade in row["grades"]]
    assert guessed(tmp_path / "d.jsonl", lists).kind == "ranking"


def test_pairs_that_may_be_a_ranking_stay_pairs_and_it_is_said(tmp_path):
    rows = in_rows(random.Random(1), ("query", "passage", "label"), None)
    for row in rows:
        row["label"] = int(row["label"] >= 1)
    task = guessed(tmp_path / "search.csv", rows)
    assert (task.kind, task.text) == ("pair-classification", ("query", "passage"))
    assert task.reasons[-1] == (
        "perhaps a ranking of 'passage' for each 'query', of which several rows have the same"
        ' \'query\': kind = "ranking", rows = "candidates", id = "query"'
    )


def plain(rng: random.Random, i: int) -> Row:
    return {"text": sentence(rng), "label": rng.choice("ab")}


def flags(rng: random.Random, i: int) -> Row:
    return {"text": sentence(rng), "a": rng.randint(0, 1), "b": rng.randint(0, 1),
            "label": rng.randint(0, 1)}  # fmt: skip


def pair(rng: random.Random, i: int) -> Row:
    return {"id": i, "sentence1": sentence(rng), "sentence2": sentence(rng),
            "label": rng.randint(0, 1)}  # fmt: skip


def same_choices(rng: random.Random, i: int) -> Row:
    return {"text": sentence(rng), "choices": ["up", "down"], "label": rng.choice(["up", "down"])}


def tagged(rng: random.Random, i: int) -> Row:
    words = rng.choices(WORDS, k=5)
    return {"text": " ".join(words), "tokens": words, "pos": [len(word) for word in words]}


def scored_labels(rng: random.Random, i: int) -> Row:
    names = rng.sample(["joy", "fear", "rage"], rng.randint(1, 3))
    return {"text": sentence(rng), "labels": names, "scores": [rng.random() for _ in names]}


def pair_of_ids(rng: random.Random, i: int) -> Row:
    return {"qid": i, "question1": sentence(rng), "question2": sentence(rng),
            "is_duplicate": rng.randint(0, 1)}  # fmt: skip


def answered_by_none(rng: random.Random, i: int) -> Row:
    return {"question": sentence(rng), "choice1": sentence(rng), "choice2": sentence(rng),
            "label": rng.randint(0, 9)}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (plain, "classification"), (flags, "classification"), (pair, "pair-classification"),
        (same_choices, "classification"), (tagged, "token-classification"),
        (scored_labels, "multi-label"), (pair_of_ids, "pair-classification"),
        (answered_by_none, None),
    ],
)  # fmt: skip
def test_what_has_no_candidates_is_guessed_as_without_them(
    tmp_path: Path, make: Callable[[random.Random, int], Row], kind: str | None
) -> None:
    rng = random.Random(0)
    tasks = guess_tasks([write(tmp_path / "d.jsonl", [make(rng, i) for i in range(60)])])
    assert all(task.kind not in ("multiple-choice", "ranking") for task in tasks)
    assert kind is None or tasks[0].kind == kind
    assert not any("perhaps a" in reason for task in tasks for reason in task.reasons)
