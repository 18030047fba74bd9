"""Rows with more or fewer texts than others, words with their tokens, and lists of targets."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accord.data import store_writer
from accord.data.checking import _split_report
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import DataFiles
from accord.data.halves import row_contents
from accord.data.heldout_test import FileLabels, heldout_test, read_test_labels
from accord.data.labels import LabelParser
from accord.data.loader import Assembler, TaskData
from accord.data.overlap import count_duplicates, example_hashes, find_overlap
from accord.data.plan import DataPlan, TaskPlan
from accord.data.store import TokenStore, open_store
from accord.data.texts import TextSource, TextStore
from accord.data.tokenizing import encode_texts, encode_words, special_ids
from accord.data.warnings import Facts, Split, data_warnings
from accord.kinds import LabelledKind, TargetForm, _registry
from accord.tasks import Task

quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
TAGS = ["O", "B-x", "I-x"]


class _Lists(LabelParser):
    """Takes a list of tags, or of numbers."""

    def of_row(self, values: Any, lists: Any = ()) -> list[float]:
        if self.column not in lists:
            return []
        return [TAGS.index(each) if each in TAGS else float(each) for each in lists[self.column]]

    def target(self, label: str) -> Any:
        raise NotImplementedError


class Tags(LabelledKind[Task]):
    """A tag for each word."""

    name = "tags"
    units = "words"
    form: ClassVar = TargetForm("<i2", ragged=True)

    def parser(self, plan: TaskPlan, task: Task) -> LabelParser:
        return _Lists(plan, among_values=False)

    def target_form(self, task: Task) -> TargetForm:
        return self.form

    def summary(self, task: Task, targets: Any) -> dict:
        return {}


class Grades(Tags):
    """A grade for each candidate, which stand in a column of lists beside the query."""

    name = "grades"
    units = "rows"
    varying = True
    form: ClassVar = TargetForm("<f4", ragged=True)

    def text_cells(self, plan: TaskPlan, values: Any, lists: Any) -> Iterator[tuple[str, Any]]:
        query, candidates = plan.text
        yield query, values[query]
        yield from ((candidates, each) for each in lists[candidates])

    def layout_of(self, task: Task, texts: int) -> tuple[tuple[int, ...], ...]:
        return tuple((0, candidate) for candidate in range(1, texts))


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(_registry._by_name())
    for kind in (Tags, Grades):
        monkeypatch.setattr(kind, "__abstractmethods__", frozenset())
        known[kind.name] = kind()
    monkeypatch.setattr(_registry, "_by_name", lambda: known)


PLANS = {
    "tags": TaskPlan("tags", ("tokens",), label="y", label_columns=("y",), missing=frozenset()),
    "grades": TaskPlan("grades", ("q", "c"), label="y", label_columns=("y",)),
}
TASKS = {name: Task("t", name, "cross_entropy", "accuracy") for name in PLANS}

WORD = st.sampled_from(["a", "b", "goods", "good", "Good", "x-y", "é", "\u200b", "[SEP]", "b c"])
SENTENCE = st.lists(WORD, min_size=1, max_size=4).filter(lambda words: " ".join(words).strip())
TEXT = st.sampled_from(["a", "b", "A", "good  a", "c d e", "goods", "a b"])
QUERY = st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=4))


def write(path: Path, rows: list[dict]) -> DataFiles:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return DataFiles((path,))


def opened(files: DataFiles, kind: str, tokenizer: Any, **keys: Any) -> TokenStore:
    cache = files.paths[0].parent / "cache"
    given = {"labelled": True, "cache": cache, **keys}
    return open_store(files, PLANS[kind], TASKS[kind], tokenizer, **given)


def pieces_of(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def grades(rows: list[tuple[str, list[str]]]) -> list[dict]:
    return [{"q": q, "c": c, "y": [i / 2 for i in range(len(c))]} for q, c in rows]


def grades_data(path: Path, rows: list[tuple[str, list[str]]], tokenizer: Any) -> TaskData:
    store = opened(write(path, grades(rows)), "grades", tokenizer)
    return TaskData(TASKS["grades"], store, np.arange(len(store)))


@quick
@given(st.lists(SENTENCE, min_size=1, max_size=6), st.data())
def test_words_have_the_tokens_that_they_have_alone(tiny_tokenizer, tmp_path, rows, data):
    tags = [[data.draw(st.sampled_from(TAGS)) for _ in words] for words in rows]
    listed = [{"tokens": words, "y": tag} for words, tag in zip(rows, tags, strict=True)]
    for files in (write(tmp_path / "f.jsonl", listed), conll(tmp_path / "f.conll", rows, tags)):
        plan = PLANS["tags"]
        if files.paths[0].suffix == ".conll":
            plan = TaskPlan("tags", ("tokens",), label="tags", label_columns=("tags",))
        store = open_store(
            files, plan, TASKS["tags"], tiny_tokenizer, labelled=True, cache=tmp_path / "cache"
        )
        assert store.text_counts.tolist() == [1] * len(rows)
        for row, words in enumerate(rows):
            alone = [pieces_of(tiny_tokenizer, word) for word in words]
            assert store.word_pieces(row, 0).tolist() == [*map(len, alone)]
            assert store.segment(row, 0).tolist() == [*chain(*alone)]
            assert store.segment(row, 0).tolist() == pieces_of(tiny_tokenizer, " ".join(words))
            assert store.labels[np.array([row])].tolist() == [[*map(TAGS.index, tags[row])]]
        every = store.labels[np.arange(len(rows))]
        most = max(map(len, rows))
        assert every.dtype == np.int16
        assert every.tolist() == [
            [*map(TAGS.index, tag), *[-1] * (most - len(tag))] for tag in tags
        ]


def conll(path: Path, rows: list[list[str]], tags: list[list[str]]) -> DataFiles:
    lines = [
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tag_of, strict=True))
        for words, tag_of in zip(rows, tags, strict=True)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return DataFiles((path,))


@quick
@given(st.lists(SENTENCE, min_size=1, max_size=4), st.integers(0, 12))
def test_words_behind_the_characters_that_are_read_have_no_tokens(tiny_tokenizer, rows, most):
    tokens, pieces = encode_words(tiny_tokenizer, rows, most)
    assert len(pieces) == sum(map(len, rows))
    cut = encode_texts(tiny_tokenizer, [" ".join(words) for words in rows], most)
    if not any("[" in word for words in rows for word in words):  # cut, it is no special token
        assert tokens.tolist() == np.concatenate(cut).tolist()
    assert pieces.sum() == len(tokens)


def test_words_of_a_text_in_one_piece_and_rows_without_any(tiny_tokenizer, tmp_path):
    rows = [{"tokens": "good  a\u00a0b"}, {"tokens": []}, {"tokens": [""]}, {"tokens": None}]
    files = write(tmp_path / "f.jsonl", [{**row, "y": ["O"]} for row in rows])
    read = list(read_examples(files, PLANS["tags"], TASKS["tags"], labelled=True))
    assert read[0].words == (("good", "a", "b"),)
    assert [row.reason for row in read[1:]] == ["'tokens' is empty"] * 3
    read = list(read_examples(files, PLANS["tags"], TASKS["tags"], labelled=False))
    assert [row.words for row in read if isinstance(row, Example)] == [
        (("good", "a", "b"),), ((),), (("",),), ((),),
    ]  # fmt: skip
    store = opened(files, "tags", tiny_tokenizer, labelled=False)
    assert [store.word_pieces(row, 0).tolist() for row in range(4)] == [[1, 1, 1], [], [0], []]
    assert store.lengths.tolist() == [[3], [0], [0], [0]]


def test_kinds_that_read_rows_otherwise_have_stores_of_their_own(tiny_tokenizer, tmp_path):
    files = write(tmp_path / "f.jsonl", [{"tokens": ["x-y", "goods"], "y": ["O", "O"]}])
    opened(files, "tags", tiny_tokenizer, labelled=False)
    plan = TaskPlan("classification", ("tokens",))
    task = Task("t", "classification", "cross_entropy", "accuracy", labels=("a", "b"))
    plain = open_store(files, plan, task, tiny_tokenizer, labelled=False, cache=tmp_path / "cache")
    assert len([*(tmp_path / "cache").iterdir()]) == 2
    with pytest.raises(KeyError):
        plain.word_pieces(0, 0)


@quick
@given(st.lists(QUERY, min_size=1, max_size=7))
def test_rows_of_any_number_of_texts(tiny_tokenizer, tmp_path, rows):
    every = [[query, *candidates] for query, candidates in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_writer, "_BATCH_ROWS", 2)
        data = grades_data(tmp_path / "f.jsonl", rows, tiny_tokenizer)
    store, most = data.store, max(map(len, every))
    assert store.text_counts.tolist() == [*map(len, every)]
    good = tiny_tokenizer.token_to_id("good")
    for row, texts in enumerate(every):
        tokens = [pieces_of(tiny_tokenizer, text) for text in texts]
        behind = [0] * (most - len(texts))
        assert [store.segment(row, i).tolist() for i in range(len(texts))] == tokens
        assert store.lengths[row].tolist() == [*map(len, tokens), *behind]
        assert store.count(good)[row].tolist() == [*(t.count(good) for t in tokens), *behind]
        wanted = [i / 2 for i in range(len(texts) - 1)]
        assert store.labels[np.array([row])].tolist() == [wanted]
    padded = data.labels
    assert padded.shape == (len(rows), most - 1)
    assert np.isnan(padded).sum() == sum(most - len(texts) for texts in every)


@quick
@given(st.lists(QUERY, min_size=1, max_size=6))
def test_lengths_are_those_of_the_sequences(tiny_tokenizer, tmp_path, rows):
    data = grades_data(tmp_path / "f.jsonl", rows, tiny_tokenizer)
    assembler = Assembler(special_ids(tiny_tokenizer), 6)
    found = assembler.sequence_lengths(data)
    uncut = Split("train", "f", data, assembler.special.framing).lengths
    for row, (query, candidates) in enumerate(rows):
        joined = [len(tiny_tokenizer.encode(query, candidate).ids) for candidate in candidates]
        behind = [0] * (found.shape[1] - len(joined))
        assert uncut[row].tolist() == [*joined, *behind]
        assert found[row].tolist() == [*(min(6, length) for length in joined), *behind]
        assert assembler.lengths(data)[row] == sum(min(6, length) for length in joined)
    sequences = assembler.sequences(data, np.arange(len(rows)))
    assert [len(one.input_ids) for one in sequences] == found[found > 0].tolist()


def normal(text: str) -> str:
    return " ".join(text.casefold().split())


@quick
@given(st.lists(QUERY, min_size=1, max_size=8), st.lists(QUERY, min_size=1, max_size=8))
def test_overlaps_count_whole_rows_whatever_their_sizes(tiny_tokenizer, tmp_path, train, dev):
    parts = [
        grades_data(tmp_path / f"{name}.jsonl", rows, tiny_tokenizer)
        for name, rows in (("train", train), ("dev", dev))
    ]
    found = find_overlap(*parts)
    for counted, form in (("exact", str), ("normalised", normal)):
        wholes, texts = [
            [[tuple(sorted(map(form, [q, *c]))) for q, c in rows] for rows in (train, dev)],
            [[{*map(form, [q, *c])} for q, c in rows] for rows in (train, dev)],
        ]
        assert getattr(found.examples, counted) == sum(one in wholes[0] for one in wholes[1])
        known = set().union(*texts[0])
        assert getattr(found.texts, counted) == sum(bool(one & known) for one in texts[1])
        duplicates = len(wholes[0]) - len(set(wholes[0]))
        assert getattr(count_duplicates(parts[0]), counted) == duplicates
    hashes = example_hashes(parts[0].store.normalised_hashes)
    assert len(set(hashes.tolist())) == len({tuple(sorted(map(normal, [q, *c]))) for q, c in train})
    contents = row_contents(parts[0].store, parts[0].rows)
    tokens = [str([pieces_of(tiny_tokenizer, text) for text in [q, *c]]) for q, c in train]
    assert len(set(contents)) == len(set(tokens))


def facts(splits: dict[str, TaskData], tokenizer: Any, most: int) -> Facts:
    framing, unknown = special_ids(tokenizer).framing, tokenizer.token_to_id("[UNK]")
    named = [Split(name, f"{name}.jsonl", part, framing) for name, part in splits.items()]
    return Facts(named, most, 16, unknown)


def test_what_check_says_of_such_rows(tiny_tokenizer, tmp_path):
    train = [("a", ["b", "c d e f"]), ("b", ["a"]), ("a", ["b"]), ("c", ["d", "e", "7"])]
    dev = [("B", ["A"]), ("e", ["f", "g"]), ("c", ["d"])]
    splits = {
        name: grades_data(tmp_path / f"{name}.jsonl", rows, tiny_tokenizer)
        for name, rows in (("train", train), ("dev", dev))
    }
    seen = facts(splits, tiny_tokenizer, 7)
    lines = [str(warning) for warning in data_warnings(seen)]
    start = "dev.jsonl: 1 of 3 dev rows of 't' stand in its training rows too"
    assert any(line.startswith(start) for line in lines)
    assert any("[UNK]" in line and "7.1 % (train), 0.0 % (dev)" in line for line in lines)
    assert any("25.0 % (train), 0.0 % (dev) of rows are cut to 7" in line for line in lines)
    report = _split_report(seen.splits[0], DataPlan({}), 7)
    assert (report.rows, report.truncated) == (4, 1)
    assert (report.tokens.min, report.tokens.median, report.tokens.max) == (5, 5, 8)
    assert report.duplicates.exact == 1  # the third row is the second, in another order


def test_all_texts_of_rows_are_texts_to_learn_from(tiny_tokenizer, tmp_path):
    data = grades_data(tmp_path / "f.jsonl", [("a", ["b c"]), ("d", ["e", "f", "g h"])],
                       tiny_tokenizer)  # fmt: skip
    store = TextStore([TextSource("s", data.store, data.rows)], "words")
    assert store.lengths.ravel().tolist() == [1, 2, 1, 1, 1, 2]
    assert [store.row_name(row) for row in (0, 5)] == ["s:line 1:1", "s:line 2:4"]


def test_a_candidate_that_is_no_text_is_a_bad_row(tmp_path):
    rows = [{"q": "a", "c": ["b", None]}, {"q": "a", "c": ["b", 3]}, {"q": "a", "c": ["b", " "]}]
    files = write(tmp_path / "f.jsonl", [{**row, "y": [0, 1]} for row in rows])
    bad, number, empty = read_examples(files, PLANS["grades"], TASKS["grades"], labelled=True)
    assert isinstance(bad, BadRow)
    assert bad.reason == "'c' holds null, not a text"
    assert number.texts == ("a", "b", "3")
    assert empty.reason == "'c' is empty"


def test_lists_of_a_test_file_s_targets(tiny_tokenizer, tmp_path):
    rows = [{"tokens": ["a"], "y": ["O"]}, {"tokens": ["b", "c"], "y": ["O", "B-x"]},
            {"tokens": ["d"], "y": ["O"]}]  # fmt: skip
    files = write(tmp_path / "f.jsonl", rows)
    labels = read_test_labels(files, PLANS["tags"], TASKS["tags"])
    assert labels.targets.tolist() == [[0, -1], [0, 1], [0, -1]]
    part = TaskData(TASKS["tags"], opened(files, "tags", tiny_tokenizer), np.arange(3))
    dev = TaskData(TASKS["tags"], part.store, np.array([2]))
    found = heldout_test(labels, part, dev, dev)
    assert (found.rows.tolist(), found.labels.tolist()) == ([0, 1], [[0, -1], [0, 1]])
    alike = [{"tokens": ["a", "b"], "y": ["O", "O"]}, rows[0]]
    files = write(tmp_path / "f.jsonl", alike)
    reason = read_test_labels(files, PLANS["tags"], TASKS["tags"]).reason
    assert reason == """all labels of every row are alike, as in '["O", "O"]'"""
    split = TaskData(TASKS["tags"], opened(files, "tags", tiny_tokenizer), np.arange(2))
    train = TaskData(TASKS["tags"], part.store, np.arange(0))
    every = FileLabels(np.arange(2), np.array([[0, 0], [0, -1]]))
    assert heldout_test(every, split, train, train).reason
