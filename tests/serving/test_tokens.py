"""How many tokens a text has is what the encoder reads, for every kind of task."""

from collections.abc import Iterator

import pytest
from every_kind import CASES, LONGEST, saved
from kind_cases import Case

import accord
from accord.evaluation.predict import Predictor
from accord.evaluation.texts import TextReader, checked, forms
from accord.serving.tokens import sequence_tokens

ROWS = {
    "a text": ["a", "a good, b paris-c ", ""],
    "a pair of texts": [["a", "b c"], ["good bad", ""]],
    "a list of words": [["a", "good", "b-c"], ["paris"]],
    "a text and its candidates": [["a b", ["c", "d e", "good"]], ["a", ["b", ""]]],
}


@pytest.fixture(scope="module")
def model(tiny_encoder, tmp_path_factory) -> Predictor:
    return accord.load(saved(tmp_path_factory.mktemp("kinds"), tiny_encoder))


def asked(case: Case) -> Iterator[list[object]]:
    for form in forms(case.task):
        yield ROWS[form]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.task.name)
def test_they_are_those_that_a_task_reads(model, case):
    task = model.task(case.task.name)
    reader = TextReader(model.tokenizer, model.assembler)
    for rows in asked(case):
        read = reader.read(task, [checked(row, task, 0) for row in rows]).examples
        assert sequence_tokens(model, rows, [task.name]) == [
            [len(one.input_ids) for one in each] for each in read
        ]


def test_what_is_cut_is_counted_whole(model):
    assert sequence_tokens(model, ["a " * 100], ["mood"]) == [[102]]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_answers_say_how_many_and_metrics_how_many_were_read(serve):
    client = serve()
    rows = ["a good b", "", ["a b", "good"], "a " * 100]
    reply = client.answer(rows).value
    assert reply["tokens"] == [5, 2, 6, 102]
    (described,) = client.ask("GET", "/v1/models").value["models"]
    assert described["longest_tokens"] == LONGEST
    assert 'accord_tokens_total{model="first"} 61.0' in client.ask("GET", "/metrics").value
