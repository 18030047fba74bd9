"""Rows with candidates: what is wrong with some, and what labels say of choices."""

import random
import re
from pathlib import Path

import pytest
from candidates import config, rows_of, write_csv, write_files, write_lines

from accord.config.file import parse_config
from accord.data.checking import check_data
from accord.data.examples import BadRow, read_examples
from accord.data.files import files_of
from accord.data.resolving import resolve_task
from accord.errors import ConfigError, DataError
from accord.kinds import task_section
from accord.plan.making import plan_run
from accord.plan.tasks import task_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("candidates"))


PICK = {"q": "the film", "options": ["fine", "dull"], "label": 0}
RANK = {"q": "the film", "docs": ["fine", "dull"], "grades": [1, 0], "qid": "a"}
BAD = [
    ("pick", PICK | {"options": ["fine"]}, "'options' holds 1 choice: at least 2 needed"),
    ("pick", PICK | {"options": []}, "'options' holds no choices: at least 2 needed"),
    ("pick", PICK | {"options": "fine"}, "'options' holds a text, not a list of choices"),
    ("pick", PICK | {"options": ["fine", " "]}, r"'options\[1\]' is empty"),
    ("pick", PICK | {"options": ["fine", None]}, r"'options\[1\]' is empty"),
    ("pick", PICK | {"options": ["fine", {"a": 1}]}, r"'options\[1\]' holds .*, not a text"),
    ("pick", PICK | {"options": None}, "'options' is empty"),
    ("pick", PICK | {"label": 2}, "label: '2' is none of the 2 choices, 0 to 1"),
    ("pick", PICK | {"label": -1}, "label: '-1' stands for a hidden label"),
    ("pick", PICK | {"label": [0]}, "'label' holds a list, not one label"),
    ("pick", PICK | {"q": ""}, "'q' is empty"),
    ("pick", PICK | {"q": ["a"]}, "'q' holds a list, not a text"),
    (
        "pick",
        PICK | {"options": ["1", "0"], "label": 0},
        "label: '0' is one choice's place and another's",
    ),
    ("rank", RANK | {"grades": [1]}, "'grades' holds 1 grade, but 'docs' 2 candidates"),
    ("rank", RANK | {"grades": [1, -1]}, r"grades\[1\]: -1 is below 0"),
    ("rank", RANK | {"grades": [1, None]}, r"'grades\[1\]' is empty: no grade"),
    ("rank", RANK | {"grades": [1, "good"]}, r"grades\[1\]: good is not a number"),
    ("rank", RANK | {"grades": [1e39, 0]}, r"grades\[0\]: 1e\+39 is above 1e\+30"),
    ("rank", RANK | {"grades": [[1], 0]}, r"grades\[0\]: \[1\] is not a number"),
    ("rank", RANK | {"grades": 1}, "'grades' holds one grade, not a list of them"),
    ("rank", RANK | {"docs": []}, "'docs' holds no candidates: at least 1 needed"),
    ("rank", RANK | {"docs": ["fine", ""]}, r"'docs\[1\]' is empty"),
    (
        "flat",
        {"qid": "q0", "q": "another text", "doc": "x", "grade": "1"},
        "'q' is another text than in line",
    ),
    ("flat", {"qid": "", "q": "the film", "doc": "x", "grade": "1"}, "'qid' is empty"),
    ("flat", {"qid": "q0", "q": "", "doc": "x", "grade": "1"}, "'q' is empty"),
    ("flat", {"qid": "z", "q": "the", "doc": "", "grade": "1"}, "'doc' is empty"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": "good"}, "grade: good is not a number"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": "-2"}, "grade: -2 is below 0"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": ""}, "'grade' is empty: no grade"),
]


@pytest.mark.parametrize(("name", "row", "words"), BAD, ids=[words for _, _, words in BAD])
def test_a_bad_row_is_one_line_and_can_be_skipped(folder, tmp_path, name, row, words):
    file = folder / f"{name}-train.{'csv' if name == 'flat' else 'jsonl'}"
    rows = rows_of(file)
    bad = tmp_path / file.name
    (write_csv if name == "flat" else write_lines)(bad, [*rows, row])
    given = config(folder)
    given["tasks"] = {name: given["tasks"][name] | {"train": str(bad)}}
    line = len(rows) + (2 if name == "flat" else 1)
    with pytest.raises(DataError, match=f"{re.escape(bad.name)}:{line}: {words}") as caught:
        check_data(plan_run(parse_config(given)).only.data, folder / "encoder")
    assert "\n" not in str(caught.value)
    given["tasks"][name]["on_bad_row"] = "skip"
    report = check_data(plan_run(parse_config(given)).only.data, folder / "encoder")
    (train, _) = report.tasks[0].splits
    assert len(train.skipped) == 1
    assert train.rows == check_data(
        plan_run(parse_config(config(folder))).only.data, folder / "encoder"
    ).tasks[["pick", "rank", "flat"].index(name)].splits[0].rows  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"encoding": "separate"}, "encoding: kind '{}' reads each"),
        ({"head": "cosine", "encoding": "separate"}, "encoding: kind '{}' reads each"),
        ({"targets": "popart"}, "targets: 'popart' is for regression"),
        ({"labels": ["a", "b"]}, "labels: is for classification"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"metric": "pearson"}, "metric: kind '{}' is evaluated by"),
        ({"text": "q"}, "text: kind '{}' takes a column"),
        ({"text": ["q", "q"]}, "text: names a column twice: q, q"),
        ({"loss": "mse"}, "loss: .*"),
    ],
)
def test_keys_of_other_kinds_are_refused(folder, keys, words):
    for name in ("pick", "rank"):
        given = config(folder)
        given["tasks"][name] |= keys
        with pytest.raises(ConfigError, match=words.format(given["tasks"][name]["kind"])):
            parse_config(given)
    with pytest.raises(ConfigError, match="pair-ranking"):
        parse_config({"encoder": {"path": "e"}, "tasks": {"t": {"kind": "pair-ranking"}}})


def test_a_table_of_candidates_needs_an_id(folder):
    given = config(folder)
    del given["tasks"]["flat"]["id"]
    with pytest.raises(ConfigError, match="id: is missing: rows = 'candidates' takes the column"):
        parse_config(given)


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        ([0, 1, 1, 0], "index"), (["A", "b", "A", "B"], "letter"),
        (["fine", "dull", "x y", "fine"], "text"), ([1, 2, 1, 2], None), ([True, False], "text"),
    ],
)  # fmt: skip
def test_what_labels_say_is_found_or_asked_for(folder, tmp_path, labels, answer):
    rows = [PICK | {"options": ["fine", "dull", "x y", "true", "false"], "label": label}
            for label in labels]  # fmt: skip
    file = write_lines(tmp_path / "train.jsonl", rows)
    section = {"kind": "multiple-choice", "train": str(file), "text": ["q", "options"]}
    plan = task_plan(task_section(**section))
    if answer is None:
        with pytest.raises(ConfigError, match=r"answer: is missing: .*'index'.*'number'.*'text'"):
            resolve_task("t", plan)
    else:
        assert resolve_task("t", plan).answer == answer


@pytest.mark.parametrize("answer", ["index", "letter", "text"])
def test_a_slip_in_few_labels_changes_not_what_they_say(tmp_path, answer):
    """Its row is refused, with its line, and no other."""
    rng = random.Random(answer)
    texts = {"index": "7", "letter": "B", "text": "a dull song"}
    slips = [*(texts[other] for other in texts if other != answer), 1.5, True, 10**12, "(A)", "٣"]
    for slip in slips:
        rows = []
        for i in range(30):
            options = [f"a film {i} {place}" for place in range(4)]
            place = 0 if i < 3 else rng.randrange(4)
            label = {"index": place, "letter": "ABCD"[place], "text": options[place]}[answer]
            rows.append({"q": "the film", "options": options, "label": label})
        where = rng.randrange(31)
        rows.insert(where, {"q": "the film", "options": ["fine", "dull"], "label": slip})
        file = write_lines(tmp_path / "train.jsonl", rows)
        keys = {"train": str(file), "text": ["q", "options"], "kind": "multiple-choice"}
        plan = task_plan(task_section(**keys))
        task = resolve_task("t", plan)
        assert task.answer == answer
        read = [*read_examples(files_of(plan, plan.train), plan, task, labelled=True)]
        assert [row.line for row in read if isinstance(row, BadRow)] == [where + 1]


def test_a_column_for_each_choice_is_a_list_of_them(folder, tmp_path):
    rows = [
        {"q": "the film", "a": "fine", "b": "dull song", "c": "[x", "label": label}
        for label in ("0", "2")
    ]
    file = write_csv(tmp_path / "train.csv", rows)
    section = {"kind": "multiple-choice", "train": str(file), "text": ["q", "a", "b", "c"]}
    plan = task_plan(task_section(**section))
    task = resolve_task("t", plan)
    read = list(read_examples(files_of(plan, str(file)), plan, task, labelled=True))
    assert [(one.texts, one.label) for one in read] == [
        (("the film", "fine", "dull song", "[x"), 0), (("the film", "fine", "dull song", "[x"), 2),
    ]  # fmt: skip
