"""How long answers to all tasks take: which rows are asked of which models, and what is made of it.

Nothing is timed: the clock counts what is asked, a second for each task and row.
"""

import json
import random
import re
import shutil
import warnings

import pytest
from candidates import config, write_files, write_lines
from projects import GOOD, PLAIN

import accord
from accord.errors import UsageError
from accord.evaluation import answer_seconds
from accord.evaluation.answer_seconds import ROUNDS, WARM_UP, measure_answers
from accord.evaluation.predict import Predictor
from accord.model.layers_computed import layers_of_folder
from accord.publishing.card import card
from accord.publishing.known import know


@pytest.fixture
def asked(monkeypatch):
    """All calls of `answer`: folder, tasks, rows; and a clock that they move."""
    calls = []
    answer = Predictor.answer

    def recorded(model, rows, tasks):
        calls.append((model.folder, tuple(tasks), list(rows)))
        return answer(model, rows, tasks)

    monkeypatch.setattr(Predictor, "answer", recorded)
    return calls, lambda: float(sum(len(tasks) * len(rows) for _, tasks, rows in calls))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A run of tasks of texts, of words and of candidates, among them words that stand in lists."""
    folder = write_files(tmp_path_factory.mktemp("mixed"))
    rng = random.Random(1)
    for split in ("train", "dev"):
        rows = [rng.choices(GOOD + PLAIN, k=rng.randint(1, 6)) for _ in range(150)]
        write_lines(folder / f"words-{split}.jsonl", [
            {"words": row, "tags": ["B-good" if word in GOOD else "O" for word in row],
             "mood": "ab"[row[0] in GOOD]} for row in rows
        ])  # fmt: skip
    given = config(folder, epochs=1, steps_per_epoch=2)
    for name, kind in (("tags", "token-classification"), ("mood", "classification")):
        files = {split: str(folder / f"words-{split}.jsonl") for split in ("train", "dev")}
        given["tasks"][name] = {"kind": kind, "text": "words", "label": name, **files}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        return accord.train(given, out=folder / "run", quiet=True).folder / "model"


def test_every_kind_of_input_is_answered_together_and_task_by_task(finished, mixed, asked):
    calls, clock = asked
    for model in (finished / "model", mixed):
        calls.clear()
        inputs = layers_of_folder(model).inputs
        measured = measure_answers(model, inputs, clock=clock)
        assert [each.input for each in measured.inputs] == [each.input for each in inputs]
        sides = [*(each.tasks for each in inputs), *((t,) for each in inputs for t in each.tasks)]
        rows_of = {}
        for side, start in zip(sides, range(0, len(calls), ROUNDS + 1), strict=True):
            (_, _, warm), *timed = calls[start : start + ROUNDS + 1]
            assert {tasks for _, tasks, _ in calls[start : start + ROUNDS + 1]} == {side}
            rows_of[side] = timed[0][2]
            assert all(rows == rows_of[side] for _, _, rows in timed)
            assert warm == rows_of[side][:WARM_UP]
        for each in measured.inputs:
            assert 0 < each.rows <= answer_seconds.TEXTS
            assert each.together == each.alone == 1000 * len(each.tasks)
            # the same rows for each task alone as for all together
            assert all(rows_of[task,] == rows_of[each.tasks] for task in each.tasks)
            assert len(rows_of[each.tasks]) == each.rows == len({*rows_of[each.tasks]})
        shown = measured.to_json()
        assert shown["together"] == sum(each["together"] for each in shown["inputs"].values())


def test_as_many_texts_as_there_are_up_to_a_hundred(mixed, asked):
    """150 rows of dev are too many, and the candidates' files have fewer."""
    measured = measure_answers(mixed, layers_of_folder(mixed).inputs, clock=asked[1])
    rows = {each.input: each.rows for each in measured.inputs}
    assert rows["text"] == 100
    assert 0 < rows["text with a candidate"] < 100


def test_a_comparison_asks_the_tasks_models(compared, asked, accord_cli):
    calls, _ = asked
    out, config = compared
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--json")
    assert "measuring how long answers take: mood+near, and its tasks alone" in answer.err
    (measured,) = json.loads(answer.out)["answering"].values()
    assert {each: one["tasks"] for each, one in measured["inputs"].items()} == {
        "text": ["mood"], "pair": ["near"],
    }  # fmt: skip
    for side in ("together", "alone"):
        figures = [each[side] for each in measured["inputs"].values()]
        assert min(figures) > 0
        assert measured[side] == pytest.approx(sum(figures))
    by_folder = {}
    for folder, tasks, _ in calls:
        by_folder.setdefault(folder.parent.name, set()).update(tasks)
    first = json.loads(answer.out)["groups"]
    expected = {group["runs"][0].rpartition("/")[2]: {*group["metrics"]} for group in first}
    assert by_folder == expected
    report = (out / "report.md").read_text()
    assert "seconds per 1,000 texts" in report
    assert re.search(
        r"per 1,000 texts \(mood\) \S+ s in one pass and \S+ s by the tasks alone", report
    )
    shown = accord_cli("compare", *(run for group in first for run in group["runs"])).out
    assert "answers to all tasks, measured now on this machine: per 1,000 texts (mood)" in shown


def test_where_dev_files_are_gone_it_says_so(compared, copied, tmp_path, accord_cli, asked):
    shutil.copytree(compared[0] / "cells", tmp_path / "cells")
    for run in (tmp_path / "cells").iterdir():
        resolved = run / "resolved.json"
        resolved.write_text(resolved.read_text().replace("mood-dev.csv", "gone.csv"))
    answer = accord_cli("compare", *(tmp_path / "cells").iterdir())
    assert answer.code == 0, answer.err
    (line,) = [line for line in answer.err.splitlines() if "can't be measured" in line]
    assert "gone.csv" in line
    assert "seconds per 1,000" not in answer.out
    resolved = copied / "resolved.json"
    assert know(copied).answering is not None
    resolved.write_text(resolved.read_text().replace("mood-dev.csv", "gone.csv"))
    known = know(copied)
    assert known.answering is None
    assert "How long answers take was not measured" in card(known)
    bare = shutil.copytree(copied / "model", tmp_path / "bare")
    with pytest.raises(UsageError, match="lies in no run folder"):
        measure_answers(bare, known.layers.inputs)
    assert "How long" not in card(know(bare))
