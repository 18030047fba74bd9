"""Tags and spans as files have them, what is wrong with some, and what a training file says."""

import json
import random
import string
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planned import planned
from tagged import KIND, TYPES, WORDS, drawn_codes

from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import files_of
from accord.data.resolving import resolve_task
from accord.errors import ConfigError
from accord.kinds import labelled_kind
from accord.kinds._entities import scheme_of, tags_of, tags_of_types
from accord.kinds._spans import Span, codes_of_spans, word_places
from accord.kinds.token_classification import TokenTask


def drawn_sentences(seed: int, rows: int = 12) -> list[tuple[list[str], list[int]]]:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 9) for _ in range(rows)]
    return [(rng.choices(WORDS, k=size), drawn_codes(rng, size)) for size in sizes]


def names(codes: list[int], scheme: str = "bio") -> list[str]:
    labels = tags_of_types(TYPES, scheme)
    return [labels[tag] for tag in tags_of(np.array(codes), scheme)]


def spans_of(words: list[str], codes: list[int]) -> list[dict[str, object]]:
    """The spans of the words' text, in which one space stands between words."""
    spans: list[dict[str, object]] = []
    at = 0
    for word, code in zip(words, codes, strict=True):
        if code % 2:
            spans.append({"start": at, "end": at + len(word), "label": TYPES[code // 2]})
        elif code:
            spans[-1]["end"] = at + len(word)
        at += len(word) + 1
    return spans


def read(path: Path, **keys: object) -> tuple[TokenTask, list[Example | BadRow]]:
    plan = planned(kind=KIND, train=str(path), **{"text": "tokens", "label": "tags", **keys})
    task = resolve_task("t", plan)
    rows = list(read_examples(files_of(plan, str(path)), plan, task, labelled=True))
    return task, rows  # type: ignore[return-value]


def written(folder: Path, form: str, sentences: list[tuple[list[str], list[int]]]) -> Path:
    """Write sentences as a form of file has them."""
    path = folder / f"data.{form.split('-', maxsplit=1)[0]}"
    rows = [{"tokens": words, "tags": names(codes)} for words, codes in sentences]
    if form == "jsonl-spans":
        rows = [
            {"tokens": " ".join(words), "tags": spans_of(words, codes)}
            for words, codes in sentences
        ]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "conll":
        lines = ["\n".join(map("\t".join, zip(*row.values(), strict=True))) for row in rows]
        path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    elif form == "tsv":
        lines = ["\t".join(" ".join(cell) for cell in row.values()) for row in rows]
        path.write_text("\n".join(["tokens\ttags", *lines]) + "\n", encoding="utf-8")
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["jsonl", "jsonl-spans", "parquet", "conll", "tsv"])
def test_every_form_of_file_says_the_same_entities(form: str, tmp_path: Path) -> None:
    for seed in range(4):
        sentences = [(["Ada", "York"], [3, 1]), *drawn_sentences(seed)]
        task, rows = read(written(tmp_path, form, sentences), quoting="none")
        assert task.labels == tags_of_types(TYPES, "bio")
        assert [row.label for row in rows] == [codes for _, codes in sentences]
        assert [row.words[0] for row in rows] == [tuple(words) for words, _ in sentences]


def test_other_schemes_say_the_same_entities(tmp_path: Path) -> None:
    sentences = drawn_sentences(7, rows=40)
    path = tmp_path / "data.jsonl"
    rows = [{"tokens": words, "tags": names(codes, "iobes")} for words, codes in sentences]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task, read_rows = read(path)
    assert (task.scheme, task.types) == ("iobes", TYPES)
    assert [row.label for row in read_rows] == [codes for _, codes in sentences]
    wanted = labelled_kind(task).target_form(task).array([codes for _, codes in sentences])
    answers = labelled_kind(task).answers(task, wanted)
    assert answers == [row["tags"] for row in rows]


@pytest.mark.parametrize("scheme", ["bio", "iobes"])
def test_tags_that_break_the_scheme_are_bad_rows_unless_repaired(
    scheme: str, tmp_path: Path
) -> None:
    """Repaired they are what the script of CoNLL-2000 reads; sound ones are never refused."""
    rng, labels = random.Random(0), tags_of_types(TYPES, scheme)
    sentences = [rng.choices(labels, k=rng.randint(1, 6)) for _ in range(120)]
    path = tmp_path / "data.jsonl"
    rows = [{"tokens": ["w"] * len(tags), "tags": tags} for tags in sentences]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    keys = {"labels": list(labels), "scheme": scheme}
    _, strict = read(path, **keys)
    _, repaired = read(path, repair=True, **keys)
    refused = 0
    for tags, row, mended in zip(sentences, strict, repaired, strict=True):
        sound = names(mended.label, scheme)
        if sound == tags:
            assert row.label == mended.label
            continue
        refused += 1
        i = next(i for i, (one, other) in enumerate(zip(sound, tags, strict=True)) if one != other)
        assert f"word {i + 1} 'w' has tag '{tags[i]}'" in row.reason
        assert f"scheme '{scheme}' has '{sound[i]}' (repair = true would read that)" in row.reason
    assert 20 < refused < 120


BAD = {
    "fewer tags": ({"tokens": ["a", "b"], "tags": ["O"]}, "'tags' holds 1 tag for 2 words"),
    "no tags": ({"tokens": ["a"], "tags": []}, "'tags' holds 0 tags for 1 word"),
    "marks": (
        {"tokens": "don't go", "tags": "O O"},
        "'tags' holds 2 tags for 4 words (words = \"spaces\" takes what spaces divide)",
    ),
    "an unknown tag": (
        {"tokens": ["Ada"], "tags": ["B-whom"]}, "unknown tag 'B-whom' of word 1 'Ada'; did you",
    ),
    "numbers for a span": (
        {"tokens": "Ada saw", "tags": [[0, 3, "who"]]},
        "'tags' holds [0, 3, \"who\"], which is not a tag, nor a span",
    ),
    "a span beside a tag": (
        {"tokens": "Ada saw", "tags": ["O", {"start": 0, "end": 3, "label": "who"}]},
        "which is not a tag, nor a span",
    ),
    "no tag": ({"tokens": ["Ada"], "tags": [None]}, "'tags' holds null, which is not a tag"),
    "spans of a list": (
        {"tokens": ["a"], "tags": [{"start": 0, "end": 1, "label": "who"}]},
        "'tags' holds spans of a text, but 'tokens' a list",
    ),
    "an unknown type": (
        {"tokens": "Ada", "tags": [{"start": 0, "end": 3, "label": "Who"}]},
        "unknown label 'Who' of a span; did you mean 'who'",
    ),
    "half a span": (
        {"tokens": "Ada", "tags": [{"start": 0, "label": "who"}]},
        "where a span has whole numbers 'start' and 'end', and a 'label'",
    ),
    "no number": (
        {"tokens": "Ada", "tags": [{"start": 0, "end": "x", "label": "who"}]},
        "where a span has whole numbers",
    ),
    "a split word": (
        {"tokens": "in York", "tags": [{"start": 3, "end": 5, "label": "place"}]},
        "span 3-5 'Yo' (place) splits the word 'York'",
    ),
    "an empty span": (
        {"tokens": "in York", "tags": [{"start": 3, "end": 3, "label": "place"}]},
        "span 3-3 '' (place) holds no word",
    ),
    "a span of a space": (
        {"tokens": "in York", "tags": [{"start": 2, "end": 3, "label": "place"}]},
        "span 2-3 ' ' (place) holds no word",
    ),
    "a span outside": (
        {"tokens": "in York", "tags": [{"start": 3, "end": 9, "label": "place"}]},
        "span 3-9 'York' (place) lies outside the text of 7 characters",
    ),
    "a span turned round": (
        {"tokens": "in York", "tags": [{"start": 7, "end": 3, "label": "place"}]},
        "span 7-3 '' (place) ends before it begins",
    ),
    "spans that overlap": (
        {"tokens": "New York", "tags": [{"start": 0, "end": 8, "label": "place"},
                                        {"start": 4, "end": 8, "label": "who"}]},
        "span 4-8 'York' (who) overlaps span 0-8 'New York' (place)",
    ),
    "no label": ({"tokens": ["a"], "tags": None}, "no label"),
    "no words": ({"tokens": [], "tags": []}, "'tokens' is empty"),
}  # fmt: skip


def test_a_bad_row_is_one_line_that_names_word_and_span(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    good = {"tokens": ["Ada"], "tags": ["B-who"]}
    rows = [row for bad, _ in BAD.values() for row in (bad, good)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    _, seen = read(path, labels=list(tags_of_types(TYPES, "bio")))
    for i, (what, (_, words)) in enumerate(BAD.items()):
        bad, beside = seen[2 * i], seen[2 * i + 1]
        assert isinstance(bad, BadRow), what
        assert words in bad.reason, what
        assert str(bad).startswith(f"{path}:{2 * i + 1}: ")
        assert "\n" not in str(bad)
        assert beside.label == [3]


def test_spans_of_random_texts_are_their_words(tmp_path: Path) -> None:
    """Whatever the white space; and moved by one character a span is refused or is another."""
    rng = random.Random(3)
    spaces = (" ", "  ", "\t", "\n", "\u00a0", "")
    for _ in range(200):
        text = "".join(
            rng.choice(spaces) + "".join(rng.choices(string.ascii_letters + "é1,'-(", k=3))
            for _ in range(rng.randint(1, 8))
        )
        places = word_places(text, "marks")
        assert "".join("".join(text.split())) == "".join(text[i:j] for i, j in places)
        codes, spans = drawn_codes(rng, len(places)), []
        for i, code in enumerate(codes):
            if code % 2:
                stop = i + 1
                while stop < len(codes) and codes[stop] == code + 1:
                    stop += 1
                spans.append((places[i][0], places[stop - 1][1], TYPES[code // 2]))
        rng.shuffle(spans)

        assert codes_of_spans(text, places, [Span(*span) for span in spans], TYPES) == codes


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["O", "B-x", "I-x"], "bio"), (["B-x"], "bio"), (["O", "I-x"], "bio"),
        (["O", "B-x", "S-x"], "iobes"), (["O", "B", "I"], "bio"), (["O", "S", "E"], "iobes"),
        (["NN", "VB"], "plain"), (["O", "PER", "LOC"], "plain"), (["0", "1"], "plain"),
        (["O", "B-x", "I-x", "odd"], "bio"), (["O", "B-x", "L-x", "U-x"], None),
        (["O", "B-x", "M-x"], None),
    ],
)  # fmt: skip
def test_the_scheme_is_that_of_most_tags(tags: list[str], scheme: str | None) -> None:
    assert scheme_of(tags) == scheme


def rows_of_tags(path: Path, *sentences: list[str]) -> Path:
    rows = [{"tokens": ["w"] * len(tags), "tags": tags} for tags in sentences]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_what_the_training_file_cannot_say_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for sentences, keys, words in (
        ([["O", "U-x"], ["B-x", "L-x"]], {}, "tags like 'L-x' mark entities by no scheme"),
        ([["O"], ["O", "O"]], {"scheme": "bio"}, "no tag of scheme 'bio' marks an entity: O"),
        ([["NN"], ["NN"]], {}, "the one tag is 'NN'"),
        ([["NN", "VB"]], {"metric": "entity_f1"}, "scheme 'plain' is evaluated by word_accuracy"),
        ([["O", "B-x"]], {"metric": "word_macro_f1"}, "scheme 'bio' is evaluated by entity_f1"),
        ([[]], {}, "holds no tag"),
    ):
        with pytest.raises(ConfigError) as caught:
            read(rows_of_tags(path, *sentences), **keys)
        assert words in str(caught.value)
        assert str(caught.value).startswith("tasks.t.")
    task, (first, odd) = read(rows_of_tags(path, ["O", "B-x", "I-x"], ["b_x"]))
    assert task.labels == ("O", "B-x", "I-x")
    assert isinstance(odd, BadRow)
    assert "unknown tag 'b_x'" in odd.reason
    assert first.label == [0, 1, 2]


def test_a_slip_in_few_rows_changes_no_scheme_and_is_a_bad_row(tmp_path: Path) -> None:
    """Whatever it is: tags in lower case, without a type, or of no form, however many kinds."""
    rng = random.Random(0)
    for slips in (["o", "b-x", "i-x"], ["B", "I"], ["b_x", "PER", "LOC", "x"], ["S"], ["b-y"] * 2,
                  ["S-x"], ["E-x"], ["X-x"], ["L-y"]):  # fmt: skip
        good = [["O", "B-x", "I-x"] for _ in range(12)]
        where = rng.randrange(13)
        task, rows = read(rows_of_tags(tmp_path / "t.jsonl", *good[:where], slips, *good[where:]))
        assert (task.scheme, task.labels) == ("bio", ("O", "B-x", "I-x"))
        assert [i for i, row in enumerate(rows) if isinstance(row, BadRow)] == [where]
        assert f"unknown tag '{slips[0]}' of word 1" in rows[where].reason
        sound = [["O", "S-x", "B-x", "E-x"] for _ in range(12)]
        if slips[0] not in ("S", "S-x", "E-x"):
            task, rows = read(rows_of_tags(tmp_path / "i.jsonl", *sound, slips))
            assert (task.scheme, task.types) == ("iobes", ("x",))
            assert [i for i, row in enumerate(rows) if isinstance(row, BadRow)] == [12]
        # Where the config names the tags, these are they.
        task, _ = read(tmp_path / "t.jsonl", labels=["O", "B-x", "B"])
        assert task.labels == ("O", "B-x", "I-x", "B", "I")


def test_labels_may_name_types_of_spans_and_of_tags_whose_scheme_is_told(tmp_path: Path) -> None:
    path, labels = tmp_path / "t.jsonl", ["y", "O", "x"]
    wanted = ("O", "B-y", "I-y", "B-x", "I-x")
    spans = [[], [{"start": 0, "end": 3, "label": "x"}], [{"start": 0, "end": 3, "label": "z"}]]
    rows = [{"tokens": "Ada saw", "tags": of} for of in spans]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert 'scheme = "bio" takes labels for their types' in read(path, labels=labels)[1][1].reason
    task, (_, good, bad) = read(path, labels=labels, scheme="bio")
    assert (task.scheme, task.labels, good.label) == ("bio", wanted, [3, 0])
    assert "unknown label 'z' of a span" in bad.reason
    assert read(path, labels=[*wanted])[0] == task
    rows_of_tags(path, ["B-y", "O"], ["B-x", "I-x"])
    assert read(path, labels=labels, scheme="bio")[0].labels == wanted
    assert read(path, labels=["x", "y"], scheme="iobes")[0].labels[:4] == ("O", "B-x", "I-x", "E-x")
    assert read(path, labels=labels)[0].scheme == "plain"  # as parts of speech are


def test_what_names_no_tag_and_no_type_is_a_bad_row_and_no_class(tmp_path: Path) -> None:
    path, good = tmp_path / "t.jsonl", {"start": 0, "end": 3, "label": "who"}
    for bad in (good | {"label": ""}, good | {"label": None}, {"start": 0, "end": 3}):
        rows = [{"tokens": "Ada", "tags": [span]} for span in (good, bad)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        task, (first, second) = read(path)
        assert task.labels == ("O", "B-who", "I-who")
        assert first.label == [1]
        assert isinstance(second, BadRow)
    for empty in ("", " ", None):
        task, (*_, last) = read(rows_of_tags(path, ["O", "B-x", "I-x"], [empty]))
        assert task.labels == ("O", "B-x", "I-x")
        assert isinstance(last, BadRow)
        with pytest.raises(ConfigError, match="tags like 'L-x' mark entities by no scheme"):
            read(rows_of_tags(path, ["O", "U-x", "B-x", "L-x"], [empty]))


def test_an_empty_list_beside_a_text_has_no_entity_but_lacks_plain_tags(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"tokens": "Ada saw", "tags": []}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read(path, labels=["O", "B-who"])[1][0].label == [0, 0]
    (row,) = read(path, labels=["NN", "VB"])[1]
    assert "'tags' holds 0 tags for 2 words" in row.reason


def test_a_type_has_all_tags_of_its_scheme_whoever_names_them(tmp_path: Path) -> None:
    path = rows_of_tags(tmp_path / "t.jsonl", ["B-y", "O"], ["B-x", "I-x"])
    assert read(path)[0].labels == ("O", "B-x", "I-x", "B-y", "I-y")
    assert read(path, labels=["O", "B-y", "B-x"])[0].labels == ("O", "B-y", "I-y", "B-x", "I-x")
