"""CoNLL files, written as many programs write them, are read as the sentences that they hold."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from accord.data import conll, guessing
from accord.data.files import DataFiles
from accord.data.guessing import guess_tasks
from accord.data.reading import FilesReader, Row
from accord.errors import DataError
from accord.recipes.starter import starter_config

ASSISTANT = Path(__file__).parents[3] / "shared" / "data" / "assistant"
SHARED = sorted(ASSISTANT.glob("entities-*.conll")) if ASSISTANT.is_dir() else []

WORD = st.sampled_from(
    ["#", "##", "a", "#tag", "-", "=", '"', "é", "情", "\u00a0", "\u2028x", "\x85"]
)
TAG = st.sampled_from(["O", "B-x", "I-x", "#", "_"])


@st.composite
def sentences(draw, columns: int, spaced: bool = False) -> list[list[list[str]]]:
    """Sentences of words with their columns; words hold spaces where tabs separate columns."""
    word = WORD | st.just("New York") if spaced else WORD
    columns_of = st.tuples(word, *[TAG] * (columns - 1)).map(list)
    return draw(st.lists(st.lists(columns_of, min_size=1, max_size=4), min_size=1, max_size=5))


@st.composite
def files(draw) -> tuple[bytes, list[list[list[str]]], list[int]]:
    """A file's bytes, its sentences, and the line in which each begins."""
    columns, tabs = draw(st.integers(1, 4)), draw(st.booleans())
    wanted = draw(sentences(columns, tabs and columns > 1))
    assume(tabs or any(word[0] != "#" for sentence in wanted for word in sentence))
    separator = (
        "\t" if tabs else draw(st.sampled_from([" ", "   ", " \t"][: 3 if columns < 2 else 2]))
    )
    notes = st.sampled_from(["# sent_id = x-1", "# text = a b c d e f", "# newdoc id here x y z"])
    between = st.lists(
        st.sampled_from(["", "  ", "-DOCSTART- -X- O O", "-DOCSTART-\tO"]), min_size=1, max_size=3
    )
    lines, starts = draw(between) if draw(st.booleans()) else [], []
    for sentence in wanted:
        lines += draw(st.lists(notes, max_size=2))
        starts.append(len(lines) + 1)
        lines += [separator.join(word) + draw(st.sampled_from(["", " "])) for word in sentence]
        lines += draw(between)
    if draw(st.booleans()):
        while lines[-1] == "":
            lines.pop()
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    text = ends.join(lines) + draw(st.sampled_from(["", ends]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return text.encode(encoding), wanted, starts


def rows_of(path: Path, **keys) -> list[Row]:
    reader = FilesReader(DataFiles((path,), **keys))
    return list(reader.rows(reader.columns))


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.sampled_from(["f.conll", "f.iob", "f.BIO", "f.iob2.gz"]))
def test_sentences_come_back(tmp_path, made, name):
    content, wanted, starts = made
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    rows = rows_of(path)
    assert [(row.line, row.fault) for row in rows] == [(line, None) for line in starts]
    width = len(wanted[0][0])
    names = ["tokens", *map(str, range(2, width)), "tags"][: max(width, 2) - (width == 1)]
    for row, sentence in zip(rows, wanted, strict=True):
        columns = dict(zip(names, map(list, zip(*sentence, strict=True)), strict=True))
        assert row.lists == columns
        assert {name: json.loads(text) for name, text in row.values.items()} == columns


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (["a O", "b", "c O", "", "d O"], {2: "1 column where most lines have 2"}),
        (["a", "b O", "", "c O", "d O"], {1: "1 column where most lines have 2"}),
        (["a\tO", "b\tX\tO", "", "c\tO"], {2: "3 columns where most lines have 2"}),
        (["a\tO", "b O", "", "c\tO"], {2: "1 column where most lines have 2"}),
        (["a\tX\tO", "\tX\tO", "", "b\t\tO"], {2: "column 1 is empty", 4: "column 2 is empty"}),
        (["a", "b c", "", "# d", "e"], {2: "2 columns where most lines have 1"}),
        (["a\tO", "b\0\tO", "", "c\tO"], {2: "holds a NUL byte"}),
    ],
)
def test_a_line_that_can_t_be_read_is_named(tmp_path, lines, faults):
    rows = rows_of(write(tmp_path / "f.conll", *lines))
    assert {row.line: row.fault for row in rows if row.fault} == faults
    assert sum(row.fault is None for row in rows) == lines.count("") + 1 - len(faults)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["# a = b", "#\tO", "# b c", "x\tO"], ["#", "x"]),
        (["# sent_id = 1", "# NN X O", "x NN X O"], ["#", "x"]),
        (["# text = a", "#", "#a"], ["#", "#a"]),
        (["#", "#"], ["#", "#"]),
    ],
)  # fmt: skip
def test_a_hash_is_a_comment_or_a_word(tmp_path, lines, words):
    (row,) = rows_of(write(tmp_path / "f.conll", *lines))
    assert row.lists["tokens"] == words


def test_bytes_of_another_encoding_and_endless_sentences(tmp_path, monkeypatch):
    path = tmp_path / "f.conll"
    path.write_bytes("a\tO\n\nStrasbürg\tO\n".encode("cp1252"))
    assert [(row.line, row.fault) for row in rows_of(path)] == [
        (1, None), (3, 'not valid UTF-8 (perhaps file_encoding = "cp1252")'),
    ]  # fmt: skip
    assert [row.lists["tokens"] for row in rows_of(path, encoding="cp1252")] == [
        ["a"],
        ["Strasbürg"],
    ]
    monkeypatch.setattr(conll, "SENTENCE_CHARACTERS", 30)
    rows = rows_of(write(path, *["word\tO"] * 9, "", "word\tO"))
    assert [row.line for row in rows] == [6, 11]
    assert rows[0].fault == "a sentence of more than 30 characters (no empty lines?)"


@pytest.mark.parametrize("lines", [["# a = b"], ["-DOCSTART- O", "", "# x ="], [" "], []])
def test_a_file_without_a_word_is_refused(tmp_path, lines):
    path = write(tmp_path / "f.conll", *lines)
    with pytest.raises(DataError, match=r"the file is empty|no word"):
        rows_of(path)


def test_columns_that_are_not_there(tmp_path):
    path = write(tmp_path / "f.conll", "a NN O")
    with pytest.raises(DataError) as caught:
        list(FilesReader(DataFiles((path,))).rows(["tokens", "tag"]))
    assert str(caught.value) == f"{path}: no column 'tag'; did you mean 'tags'?"
    with pytest.raises(DataError, match="no column 'tags'"):
        list(FilesReader(DataFiles((write(path, "a", "b"),))).rows(["tags"]))


@pytest.mark.skipif(not SHARED, reason="needs ../shared/data/assistant")
def test_real_files():
    counts = {"train": (3394, 62730), "dev": (1009, 15733), "test": (1287, 23394)}
    for path in SHARED:
        rows = rows_of(path)
        assert not any(row.fault for row in rows)
        split = path.stem.split("-")[1]
        assert (len(rows), sum(len(row.lists["tokens"]) for row in rows)) == counts[split]
        assert all(len(row.lists.get("tags", row.lists["tokens"])) == len(row.lists["tokens"])
                   for row in rows)  # fmt: skip


def listed(folder: Path, suffix: str) -> Path:
    """Sentences with a tag for each word and a class; of Parquet the tags are coded."""
    rows = [
        {"id": i, "tokens": ["see", "Oslo", "now"][: 2 + i % 2], "intent": ["go", "stay"][i % 2],
         "tags": ["O", "B-x", "O"][: 2 + i % 2], "vector": [0.5, 1.5]}
        for i in range(8)
    ]  # fmt: skip
    path = folder / f"train.{suffix}"
    if suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
        return path
    for row in rows:
        row["tags"] = [["O", "B-x"].index(tag) for tag in row["tags"]]
    feature = {"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "Sequence"}
    table = pa.Table.from_pylist(rows)
    info = json.dumps({"info": {"features": {"tags": feature}}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), path)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_columns_of_lists_are_guessed(tmp_path, suffix, monkeypatch):
    path = listed(tmp_path, suffix)
    assert rows_of(path)[1].lists["tags"] == ["O", "B-x", "O"]
    monkeypatch.setattr(guessing, "is_kind", lambda name: True)
    tasks = {task.label: task for task in guess_tasks([path])}
    assert (tasks["intent"].kind, tasks["intent"].text) == ("classification", ("tokens",))
    assert (tasks["tags"].kind, tasks["tags"].text) == ("token-classification", ("tokens",))
    assert tasks.keys() == {"intent", "tags"}
    reasons = [reason for task in tasks.values() for reason in task.reasons]
    assert "left 'vector': it holds lists" in reasons
    monkeypatch.setattr(guessing, "is_kind", lambda name: "-" not in name)
    (task,) = guess_tasks([path])
    assert (task.label, task.kind) == ("intent", "classification")
    assert "left 'tags': it holds lists" in task.reasons


def test_several_labels_of_a_text_are_guessed(tmp_path, monkeypatch):
    rows = [{"text": f"text number {i}", "labels": ["a", "b"][: i % 3]} for i in range(9)]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(guessing, "is_kind", lambda name: True)
    (task,) = guess_tasks([path])
    assert (task.kind, task.text, task.label) == ("multi-label", ("text",), "labels")
    assert (task.labels, task.range) == ((), None)
    assert "range" not in starter_config([task], "encoder", tmp_path)


def test_conll_files_are_guessed(tmp_path, monkeypatch):
    path = write(tmp_path / "train.conll", "See NN O", "Oslo NP B-x", "", "Now NN O")
    monkeypatch.setattr(guessing, "is_kind", lambda name: False)
    with pytest.raises(DataError, match="column 'tags' holds lists"):
        guess_tasks([path])
    monkeypatch.setattr(guessing, "is_kind", lambda name: True)
    tasks = {task.label: task for task in guess_tasks([tmp_path])}
    assert {(task.kind, task.text) for task in tasks.values()} == {
        ("token-classification", ("tokens",))
    }
    assert tasks.keys() == {"tags", "2"}
