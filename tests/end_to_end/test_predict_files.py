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
from accord.evaluation import file_rows
from accord.evaluation.answer_columns import Naming
from accord.evaluation.answerable import Source
from accord.evaluation.output import Output
from accord.evaluation.predict_file import predict_file
from accord.evaluation.task_groups import Answered

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


@pytest.mark.slow
def test_every_window_keeps_the_order(predicted, model, monkeypatch):
    """Windows of rows and of characters, however they fall."""
    texts = drawn(23, seed=1)
    expected = model.predict("mood", texts)
    content = "text\n" + "".join(f"{text}\n" for text in texts)
    for rows, characters in ((1, 10**6), (4, 10**6), (10**6, 100), (7, 300), (23, 10**6)):
        monkeypatch.setattr(file_rows, "CHUNK_ROWS", rows)
        monkeypatch.setattr(file_rows, "_WINDOW_CHARACTERS", characters)
        answers = records(predicted(content))
        assert [own["mood"] for own in answers] == expected
        table = records(predicted(content, target="out.csv"), "csv")
        assert [own["mood"] for own in table] == expected
        whole = json.loads(predicted(content, target="out.json"))
        assert [own["mood"] for own in whole] == expected


def test_a_row_that_can_t_be_read_keeps_its_place(predicted, monkeypatch, tmp_path):
    """Bad rows anywhere, whole windows of them included."""
    monkeypatch.setattr(file_rows, "CHUNK_ROWS", 3)
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


MANY = "text,first,second,s1\na film,grim,road,x\nthe road,a film,a film,y\n"


def test_every_task_is_answered_whose_columns_are_there(model, tmp_path, monkeypatch):
    """Tasks of the same texts in one pass; each answer as if asked alone."""
    (tmp_path / "in.csv").write_text(MANY)
    calls, read = [], type(model).read
    monkeypatch.setattr(type(model), "read", lambda *given: calls.append(given[1]) or read(*given))

    def call(tasks, **source):
        calls.clear()
        output = Output.at(tmp_path / "out.jsonl", None, force=True)
        done = predict_file(model, tasks, Source(tmp_path / "in.csv", **source), output)
        return done.tasks, records((tmp_path / "out.jsonl").read_bytes())

    pairs = [("grim", "road"), ("a film", "a film")]
    with pytest.warns(UserWarning, match="^task 'near' is not answered: no column 's2'; allowed"):
        tasks, rows = call(None)
    assert (tasks, calls) == (("mood", "same"), [["mood"], ["same"]])
    assert [[*row] for row in rows] == [["text", "first", "second", "s1", "mood", "same"]] * 2
    assert [row["mood"] for row in rows] == model.predict("mood", ["a film", "the road"])
    assert [row["same"] for row in rows] == model.predict("same", pairs)
    tasks, rows = call(None, text=("first", "second"))
    assert (tasks, calls) == (("mood", "same", "near"), [["mood"], ["same", "near"]])
    assert [row["near"] for row in rows] == pytest.approx(model.predict("near", pairs), abs=1e-5)
    assert call(["same"])[0] == ("same",)
    for named, why in (
        (["mood", "near"], r"in\.csv: lacks columns of tasks: near: no column 's2'"),
        (["near"], r"in\.csv: no column 's2'; allowed: text"),
        (["mod"], "no task 'mod'; did you mean 'mood'"),
    ):
        with pytest.raises(UsageError, match=why):
            call(named)
    with pytest.raises(UsageError, match="task 'mood' takes one text column, got 3"):
        call(None, text=("first", "second", "s1"))


def test_a_column_that_is_there_is_never_overwritten(model, tmp_path):
    """In the header, in a late JSON object, of probabilities, of errors."""
    late = "".join(json.dumps({"text": "a film"}) + "\n" for _ in range(150))
    cases = {
        "a.csv": ("text,mood\na film,pos\n", "mood", {}),
        "b.jsonl": (late + '{"text": "x", "mood": 1}\n', "mood", {}),
        "c.csv": ("text,mood.pos\na film,pos\n", r"mood\.pos", {"probabilities": True}),
        "d.csv": ("text,error\na film,pos\n", "error", {}),
    }
    for name, (content, column, naming) in cases.items():
        source = Source(tmp_path / name, skip_bad_rows=column == "error")
        source.path.write_text(content)
        output = Output.at(tmp_path / "out.jsonl", None, force=True)
        why = f"has a column '{column}' already, .*--suffix .predicted would name it"
        with pytest.raises(UsageError, match=why):
            predict_file(model, ["mood"], source, output, naming=Naming(**naming))
        assert not output.path.exists()
        predict_file(model, ["mood"], source, output, naming=Naming(suffix=".said", **naming))
        first = records(output.path.read_bytes())[0]
        assert {"text", "mood.said"} <= {*first}
        output.path.unlink()


def test_columns_of_any_names_are_carried_over(model, tmp_path):
    """Several of one name, none at all; which a table of texts alone can hold."""
    (tmp_path / "in.csv").write_text("text,,a b,\na film,1,x,2\n")
    for ending in ("csv", "tsv"):
        output = Output.at(tmp_path / f"out.{ending}", None, force=False)
        predict_file(model, ["mood"], Source(tmp_path / "in.csv"), output)
        lines = output.path.read_text().replace("\t", ",").splitlines()
        assert lines[0] == "text,,a b,,mood"
        assert lines[1].startswith("a film,1,x,2,")
    for ending in ("json", "jsonl", "parquet"):
        output = Output.at(tmp_path / f"out.{ending}", None, force=False)
        with pytest.raises(UsageError, match=f"two columns '', which {ending} can't hold"):
            predict_file(model, ["mood"], Source(tmp_path / "in.csv"), output)
        assert not output.path.exists()


def test_files_with_other_columns_are_read_as_one(model, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "1.jsonl").write_text('{"text": "a film", "n": 1}\n')
    (tmp_path / "all" / "2.jsonl").write_text('{"k": "x", "text": "grim", "n": 2.5}\n')
    for ending in ("csv", "jsonl", "parquet"):
        output = Output.at(tmp_path / f"out.{ending}", None, force=False)
        predict_file(model, ["mood"], Source(tmp_path / "all"), output)
        rows = records(output.path.read_bytes(), ending)
        assert [row.pop("mood") for row in rows] == model.predict("mood", ["a film", "grim"])
        said = [[row.get(name) for name in ("text", "n", "k")] for row in rows]
        wanted = [["a film", 1, None], ["grim", 2.5, "x"]]
        text = [["a film", "1", ""], ["grim", "2.5", "x"]]
        assert said == (text if ending == "csv" else wanted)


def test_half_characters_and_infinite_numbers_of_other_columns(model, tmp_path):
    """What no file in UTF-8 can hold is one clear line; what JSON can spell is carried over."""
    path, output = tmp_path / "in.jsonl", Output.at(tmp_path / "out.jsonl", None, force=True)
    path.write_text('{"text": "a", "x": 1e999, "y": [1.50, true, null], "z": {"é": "=1"}}\n')
    predict_file(model, ["mood"], Source(path), output)
    assert output.path.read_text(encoding="utf-8").startswith(
        '{"text": "a", "x": 1e999, "y": [1.50, true, null], "z": {"é": "=1"}, "mood": "'
    )
    for value in ('"\\ud800"', '["\\ud800"]'):
        path.write_text('{"text": "a", "x": ' + value + "}\n")
        with pytest.raises(DataError, match=r"in\.jsonl:1: 'x' holds half a character"):
            predict_file(model, ["mood"], Source(path), output)


def test_the_output_evaluates_as_perfect(finished, accord_cli, tmp_path):
    """Its columns as the task's: what was answered is what is answered again."""
    (tmp_path / "in.csv").write_text("id,text\n" + "".join(f"{i},{t}\n" for i, t in
                                                         enumerate(drawn(20, seed=7))))  # fmt: skip
    for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        call = ["--task", "mood", "--input", tmp_path / "in.csv", "--output", out, "--quiet"]
        assert accord_cli("predict", finished, *call).code == 0
        answer = accord_cli("evaluate", finished, "--task", "mood", "--input", out, "--json")
        assert answer.code == 0, answer.err
        assert '"accuracy": 1.0' in answer.out


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model, tmp_path, monkeypatch):
    """What Python holds at most, for five times as many rows: less than their texts take."""
    monkeypatch.setattr(file_rows, "CHUNK_ROWS", 64)
    monkeypatch.setattr(type(model), "answered", _zeros)
    peaks = []
    for count in (64, 1_000, 5_000):  # the first time, more is imported
        rows = {"id": range(count), "text": [f"a film {i}" for i in range(count)]}
        path, typed = tmp_path / f"{count}.csv", tmp_path / f"{count}.parquet"
        path.write_text("id,text\n" + "".join(f"{i},a film {i}\n" for i in range(count)))
        pyarrow.parquet.write_table(pyarrow.table(rows), typed)
        for source, ending in ((path, "csv"), (path, "json"), (path, "parquet"), (typed, "json")):
            output = Output.at(tmp_path / f"out.{ending}", None, force=True)
            tracemalloc.start()
            assert predict_file(model, ["mood"], Source(source), output).rows == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    less, more = peaks[4:8], peaks[8:]
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
