"""The service, the command line and Python answer alike, to every kind of task."""

import json

import pytest
from click.testing import CliRunner
from every_kind import CASES, rows_of, saved

import accord
from accord.cli.predict import predict
from accord.evaluation.texts import forms

ROWS, REQUEST = 500, 50
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of words without a token


@pytest.fixture(scope="module")
def folder(tiny_encoder, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("kinds"), tiny_encoder)


def by_command(folder, task, columns, rows, tmp_path):
    """Answer rows by `accord predict`; return what it wrote, a dict for each row."""
    whole = [[row] if len(columns) == 1 else row for row in rows]
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in whole]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = [folder, "--task", task, "--input", source, "--output", target, "--probabilities",
                 "--suffix", ".said", "--force", "--quiet"]  # fmt: skip
    result = CliRunner().invoke(predict, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k.startswith(f"{task}.")} for row in written]


def as_command_writes(said, task):
    """What Python said of a row, by the columns that the command writes."""
    columns = {f"{task}.said": said.get("prediction", said["answer"])}  # a choice by its text
    shares = said.get("probabilities", {})
    named = shares.items() if isinstance(shares, dict) else [("probabilities", shares)]
    columns |= {f"{task}.said.{name}": value for name, value in named}
    more = {k: v for k, v in said.items() if k not in ("answer", "prediction", "probabilities")}
    return columns | {f"{task}.said.{name}": value for name, value in more.items()}


def close(value):
    """The same but for the last bits of its numbers."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-5)
    if isinstance(value, list):
        return [close(each) for each in value]
    return {k: close(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.task.name)
def test_server_command_and_python_say_the_same(serve, folder, tmp_path, case):
    client, model, name = serve({"kinds": folder}), accord.load(folder), case.task.name
    for form in forms(case.task):
        rows = rows_of(form, ROWS)
        python = [said[name] for said in model.records(rows, [name], probabilities=True)]
        served = [
            said[name]
            for start in range(0, ROWS, REQUEST)
            for said in client.answer(
                rows[start : start + REQUEST], tasks=[name], probabilities=True
            ).value["answers"]
        ]
        assert len(served) == len(python) == ROWS
        assert served == close(python)
        written = by_command(folder, name, case.columns, rows, tmp_path)
        assert written == [close(as_command_writes(said, name)) for said in python]
