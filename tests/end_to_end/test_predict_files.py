"""A file's rows predicted: whose ids, which rows, in what order, into which kind of output."""

import csv
import io
import json
import random
import tracemalloc

import pyarrow.parquet
import pytest

import accord
from accord.errors import DataError, UsageError
from accord.evaluation import predict_file as predicting
from accord.evaluation.answerable import Source
from accord.evaluation.output import Output
from accord.evaluation.predict import Answered
from accord.evaluation.predict_file import predict_file

WORDS = ["bright", "film", "grim", "road", "the", "warm", "stale", "lovely"]


@pytest.fixture(scope="session")
def model(finished):
    return accord.load(finished)


@pytest.fixture
def predicted(model, tmp_path):
    """Predict the texts of 'mood' in a file: (content, name, target, form, **source)."""

    def call(content, name="in.csv", target="out.jsonl", form=None, **source):
        path = tmp_path / name
        path.write_text(content)
        output = Output.at(tmp_path / target, form, force=True)
        predict_file(model, ["mood"], Source(path, **source), output)
        return (tmp_path / target).read_bytes()

    return call


def records(data, form="jsonl"):
    if form == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode())))
    return [json.loads(line) for line in data.splitlines()]


def drawn(count, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(count)]


def test_columns_and_ids_are_the_file_s(predicted):
    """The model was trained by a column 'id'; here files have it, or have another."""
    texts, odd = drawn(6), ["1", "2", "3", "5", "8", "13"]
    named = "id,row,text\n" + "".join(f"{i},r{i},{t}\n" for i, t in zip(odd, texts, strict=True))
    other = named.replace("id,row", "guid,row")
    for form in ("jsonl", "csv", "parquet"):
        answers = records(predicted(other, target=f"out.{form}"), form)
        assert [[own["guid"], own["row"], own["text"]] for own in answers] == [
            [key, f"r{key}", text] for key, text in zip(odd, texts, strict=True)
        ]
        assert [*answers[0]] == ["guid", "row", "text", "mood"]
    course = {"target": "out.txt", "form": "cs224n"}
    for content, key, wanted in ((named, None, odd), (other, "guid", odd),
                                 (named, "row", [f"r{i}" for i in odd])):  # fmt: skip
        lines = predicted(content, **course, id=key).decode().splitlines()[1:]
        assert [line.split(" , ")[0] for line in lines] == wanted
    with pytest.raises(DataError, match="no column 'gid'; did you mean 'guid'"):
        predicted(other, **course, id="gid")
    with pytest.raises(UsageError, match="--id is for --format cs224n: other formats have all"):
        predicted(other, id="guid")


def test_lists_of_words_and_sentences_are_predicted_as_their_texts(predicted, model):
    texts = drawn(7, seed=4)
    expected = model.predict("mood", texts)
    listed = "\n".join(json.dumps({"text": text.split()}) for text in texts)
    assert [own["mood"] for own in records(predicted(listed, "in.jsonl"))] == expected
    whole = json.dumps([{"text": text.split()} for text in texts], indent=1)
    assert [own["mood"] for own in records(predicted(whole, "in.json"))] == expected
    sentences = "\n".join(text.replace(" ", "\n") + "\n" for text in texts)
    answers = records(predicted(sentences, "in.conll", text=("tokens",)))
    assert [own["mood"] for own in answers] == expected


def test_every_window_keeps_the_order(predicted, model, monkeypatch):
    """Windows of rows and of characters, however they fall."""
    texts = drawn(23, seed=1)
    expected = model.predict("mood", texts)
    content = "text\n" + "".join(f"{text}\n" for text in texts)
    for rows, characters in ((1, 10**6), (4, 10**6), (10**6, 100), (7, 300), (23, 10**6)):
        monkeypatch.setattr(predicting, "CHUNK_ROWS", rows)
        monkeypatch.setattr(predicting, "_WINDOW_CHARACTERS", characters)
        answers = records(predicted(content))
        assert [own["mood"] for own in answers] == expected
        table = records(predicted(content, target="out.csv"), "csv")
        assert [own["mood"] for own in table] == expected
        whole = json.loads(predicted(content, target="out.json"))
        assert [own["mood"] for own in whole] == expected


def test_a_row_that_can_t_be_read_keeps_its_place(predicted, monkeypatch, tmp_path):
    """Bad rows anywhere, whole windows of them included."""
    monkeypatch.setattr(predicting, "CHUNK_ROWS", 3)
    rng, texts = random.Random(2), drawn(30, seed=2)
    for share in (0.1, 0.9):
        bad = {i for i in range(30) if rng.random() < share} | {0, 29}
        content = "id,text\n" + "".join(
            f"{i},{text},too many\n" if i in bad else f"{i},{text}\n"
            for i, text in enumerate(texts)
        )
        with pytest.raises(DataError, match=r"in\.csv:2: 3 columns .*--on-bad-row skip"):
            predicted(content)
        for form in ("jsonl", "csv", "parquet"):
            with pytest.warns(UserWarning, match=f"{len(bad)} of 30 rows can't be read .*csv:2"):
                data = predicted(content, target=f"out.{form}", skip_bad_rows=True)
            answers = records(data, form)
            assert len(answers) == 30
            for i, own in enumerate(answers):
                if i in bad:
                    assert not own["id"]
                    assert not own["mood"]
                    assert own["error"] == f"line {i + 2}: 3 columns where the header has 2"
                else:
                    assert own["id"] == str(i)
                    assert own["mood"] in ("neg", "mixed", "pos")
                    assert not own["error"]
    with pytest.raises(DataError, match=r"has no rows to use; the first: .*in\.csv:2"):
        predicted("id,text\n1,2,3\n", skip_bad_rows=True)


def test_the_course_s_format_needs_ids_and_answers(predicted):
    with pytest.raises(UsageError, match="format cs224n needs ids; --id COLUMN"):
        predicted("text\na film\n", target="out.txt", form="cs224n")
    with pytest.raises(UsageError, match="format cs224n needs an answer for every row"):
        predicted("id,text\n1,a film\n", target="out.txt", form="cs224n", skip_bad_rows=True)
    written = predicted("id,text\nx,a film\n", target="out.txt", form="cs224n")
    head, line = written.decode().splitlines()
    assert head == "id \t Predicted_Sentiment "
    assert line.startswith("x , ")


def test_nothing_is_written_for_a_bad_row_at_the_end(predicted, tmp_path):
    with pytest.raises(DataError, match=r"in\.csv:102: 3 columns"):
        predicted("id,text\n" + "1,a film\n" * 100 + "1,2,3\n")
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model, tmp_path, monkeypatch):
    """What Python holds at most, for five times as many rows: less than their texts take."""
    monkeypatch.setattr(predicting, "CHUNK_ROWS", 64)
    monkeypatch.setattr(type(model), "answered", _zeros)
    peaks = []
    for count in (64, 1_000, 5_000):  # the first time, more is imported
        path = tmp_path / f"{count}.csv"
        path.write_text("id,text\n" + "".join(f"{i},a film {i}\n" for i in range(count)))
        for ending in ("csv", "json", "parquet"):
            output = Output.at(tmp_path / f"out.{ending}", None, force=True)
            tracemalloc.start()
            assert predict_file(model, ["mood"], Source(path), output).rows == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    less, more = peaks[3:6], peaks[6:]
    assert all(b < 1.25 * a + 20_000 for a, b in zip(less, more, strict=True)), peaks


def _zeros(model, tasks, texts):
    import torch

    return {task: Answered(torch.zeros(len(texts), 3), 0, 0, texts) for task in tasks}


def test_the_command_line(finished, accord_cli, tmp_path):
    (tmp_path / "in.csv").write_text("key,text\n7,a film\n9,grim,road\n")
    predict = ["predict", finished, "--task", "mood", "--input", tmp_path / "in.csv", "--output"]
    with pytest.warns(UserWarning, match="1 of 2 rows can't be read and get no answer"):
        answer = accord_cli(*predict, "-", "--probabilities", "--on-bad-row", "skip", "--quiet")
    assert (answer.code, answer.err) == (0, "")
    head, first, second = csv.reader(io.StringIO(answer.out))
    assert head == ["key", "text", "mood", "mood.neg", "mood.mixed", "mood.pos", "error"]
    assert (*first[:2], first[-1]) == ("7", "a film", "")
    assert second == [*[""] * 6, "line 3: 3 columns where the header has 2"]
    (tmp_path / "in.csv").write_text("key,text\n7,a film\n")
    answer = accord_cli(*predict, tmp_path / "out.tsv")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"1 row with answers of task 'mood' in {tmp_path / 'out.tsv'}\n"
    before = (tmp_path / "out.tsv").read_bytes()
    for target, why in (
        (tmp_path / "out.tsv", "out.tsv: already exists; --force"),
        (tmp_path / "out.xlsx", "ending is no format; allowed: .csv"),
        (finished / "out.csv", "whose files are the model's own"),
        (tmp_path / "in.csv", "in.csv: already exists"),
    ):
        answer = accord_cli(*predict, target)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert why in answer.err
    assert "is the input too" in accord_cli(*predict, tmp_path / "in.csv", "--force").err
    assert {file.name for file in tmp_path.iterdir()} == {"in.csv", "out.tsv"}
    assert (tmp_path / "out.tsv").read_bytes() == before
