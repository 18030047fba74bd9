"""Tags and spans as files have them, the words that a model sees, and entities with offsets."""

import json
import random
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from planned import planned

from accord.config.file import parse_config
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import files_of
from accord.data.resolving import resolve_task
from accord.encoders.units import Units
from accord.errors import ConfigError
from accord.kinds import labelled_kind, task_section
from accord.kinds._entities import entities_of, scheme_of, tags_of, tags_of_types
from accord.kinds._spans import Span, codes_of_spans, word_places
from accord.kinds.token_classification import TokenTask

TYPES = ("place", "who")
WORDS = ("Ada", "Zoë", "saw", "New", "York", "北", "don", "'", "t", ",", "12", "é")
KIND = "token-classification"


def task_of(scheme: str = "bio", **more: object) -> TokenTask:
    labels = tags_of_types(TYPES, scheme) if scheme != "plain" else ("NN", "O", "VB")
    metric = "word_accuracy" if scheme == "plain" else "entity_f1"
    return TokenTask("t", KIND, "cross_entropy", metric, labels=labels, scheme=scheme,
                     pooling="first", **more)  # type: ignore[arg-type]  # fmt: skip


def drawn_codes(rng: random.Random, words: int) -> list[int]:
    """Entities of random lengths, some of them neighbours."""
    codes: list[int] = []
    while len(codes) < words:
        kind, length = rng.choice([None, None, 0, 1]), rng.randint(1, 3)
        codes += [0] * length if kind is None else [2 * kind + 1] + [2 * kind + 2] * (length - 1)
    return codes[:words]


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
    "fewer tags": ({"tokens": ["a", "b"], "tags": ["O"]}, "'tags' holds 1 tags for 2 words"),
    "no tags": ({"tokens": ["a"], "tags": []}, "'tags' holds 0 tags for 1 words"),
    "marks": (
        {"tokens": "don't go", "tags": "O O"},
        "'tags' holds 2 tags for 4 words (words = \"spaces\" takes what spaces divide)",
    ),
    "an unknown tag": (
        {"tokens": ["Ada"], "tags": ["B-whom"]}, "unknown tag 'B-whom' of word 1 'Ada'; did you",
    ),
    "no tag": ({"tokens": ["Ada"], "tags": [None]}, "'tags' holds null, which is no tag"),
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
        "lies outside the text",
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


def test_a_section_says_what_does_not_go_together() -> None:
    for keys, words in (
        ({"head": "cosine"}, "head: 'cosine' needs"),
        ({"loss": "mse"}, "loss: kind 'token-classification' takes 'cross_entropy', got 'mse'"),
        ({"metric": "accuracy"}, "metric: kind 'token-classification' is evaluated by entity_f1"),
        ({"targets": "popart"}, "targets: 'popart' is for regression"),
        ({"positive": "O"}, "positive: is for classification"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"encoding": "separate"}, "encoding: 'separate' is for pairs"),
        ({"text": ["a", "b"]}, "text: kind 'token-classification' takes one column, got 2"),
        ({"repair": True, "scheme": "plain"}, "repair: is for tags of entities"),
        ({"labels": ["O"]}, "labels: takes two or more different names"),
        ({"pooling": "cls"}, "pooling"),
        ({"scheme": "bilou"}, "scheme"),
    ):
        with pytest.raises(ValueError, match=words.split(":", maxsplit=1)[0]) as caught:
            task_section(kind=KIND, **{"text": "t", **keys})
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="pair-token-classification"):
        parse_config({"encoder": {"path": "e"},
                      "tasks": {"t": {"kind": f"pair-{KIND}", "text": "t"}}})  # fmt: skip


def units(sizes: list[int], seen: list[list[int]]) -> Units:
    """Units of rows of so many words, of which only some have a vector."""
    example = [i for i, places in enumerate(seen) for _ in places]
    place = [i for places in seen for i in places]
    return Units(torch.tensor(example), torch.tensor(place), torch.tensor(sizes))


@pytest.mark.parametrize("scheme", ["bio", "iobes", "plain"])
def test_words_that_the_model_does_not_see_are_answered_o_and_not_learnt(scheme: str) -> None:
    task, generator = task_of(scheme), torch.Generator().manual_seed(0)
    kind, tags = labelled_kind(task), len(task.labels)
    sizes, seen = [4, 1, 3, 2], [[0, 2, 3], [0], [], [1]]
    vectors = torch.randn(sum(map(len, seen)), tags, generator=generator, requires_grad=True)
    logits = kind.arranged(task, vectors, units(sizes, seen))
    assert logits.shape == (4, 4, tags)
    assert not kind.failed(logits.detach()).any()
    rows = [[0] * size for size in sizes]
    codes = kind.target_form(task).array(rows)
    wanted = kind.targets(task, torch.from_numpy(codes))
    losses, at = kind.loss(task, logits, wanted), 0
    for row, places in enumerate(seen):
        of_row = vectors[at : at + len(places)]
        at += len(places)
        expected = -of_row.log_softmax(1)[:, 0].mean() if places else torch.zeros(())
        torch.testing.assert_close(losses[row], expected)
    (gradient,) = torch.autograd.grad(losses.sum(), [vectors])
    assert bool(gradient.isfinite().all())
    answers = kind.answers(task, kind.decode(task, logits.detach()).numpy())
    assert [len(answer) for answer in answers] == sizes
    for answer, places in zip(answers, seen, strict=True):
        unseen = set(range(len(answer))) - set(places)
        assert all(answer[i] == "O" for i in unseen)
    shares = kind.probabilities(task, logits.detach())
    assert shares[2, 1, task.labels.index("O")] == 1.0
    together = kind.mean_logits(task, [logits.detach(), logits.detach() + 0.0])
    torch.testing.assert_close(kind.probabilities(task, together), shares, atol=1e-6, rtol=0)
    other = kind.arranged(
        task, vectors.detach() + 1.5 * torch.randn(vectors.shape), units(sizes, seen)
    )
    apart = kind.divergence(task, logits.detach(), other)
    assert bool(apart.isfinite().all())
    assert apart[2] == 0
    assert bool((apart[[0, 1, 3]] > 0).all())


def test_members_that_see_unlike_words_are_averaged_where_one_sees() -> None:
    task = task_of()
    kind, tags = labelled_kind(task), len(task.labels)
    one = kind.arranged(task, torch.randn(2, tags), units([2], [[0, 1]]))
    other = kind.arranged(task, torch.randn(1, tags), units([2], [[0]]))
    together = kind.mean_logits(task, [one, other])
    wanted = (kind.probabilities(task, one) + kind.probabilities(task, other)) / 2
    torch.testing.assert_close(kind.probabilities(task, together), wanted, atol=1e-6, rtol=0)
    assert not kind.failed(together).any()


def test_entities_have_their_place_in_the_text_as_it_was_given() -> None:
    rng, task = random.Random(1), task_of()
    kind, tags = labelled_kind(task), len(task.labels)
    for seed in range(30):
        text = "  " * (seed % 3) + rng.choice([" ", "\n", ""]).join(rng.choices(WORDS, k=6)) + "! "
        places = word_places(text, task.words)
        codes = drawn_codes(rng, len(places))
        sure = 9.0 * torch.nn.functional.one_hot(torch.tensor([codes]), tags).float()
        words = [text[start:stop] for start, stop in places]
        for given in (text, words):
            (entities,) = kind.details(task, sure, [given])["entities"]
            again = [(one["start"], one["end"], one["label"]) for one in entities]
            assert len(again) == sum(code % 2 for code in codes)
            for one in entities:
                shown = given[one["start"] : one["end"]]
                assert one["text"] == (shown if isinstance(given, str) else " ".join(shown))
                assert 0.9 < one["probability"] <= 1
            if given is text:
                spans = [Span(*place) for place in again]
                assert codes_of_spans(text, places, spans, TYPES) == codes
    assert kind.details(task, sure, None) == {}


def test_tags_with_spaces_in_their_names_survive_a_table() -> None:
    for name in ("movie name", "movie\u00a0name", "movie\u2003name", "a\tb"):
        labels = tags_of_types([name, "who"], "bio")
        task = TokenTask("t", KIND, "cross_entropy", "entity_f1", labels=labels, scheme="bio",
                         pooling="first")  # fmt: skip
        kind, codes = labelled_kind(task), [[1, 2, 0], [3], [0, 0, 0, 0]]
        values = kind.target_form(task).array(codes)
        cells = [kind.cell(task, answer) for answer in kind.answers(task, values)]
        np.testing.assert_array_equal(kind.read_answers(task, cells), values)


def test_figures_of_types_are_those_of_the_sets_of_entities() -> None:
    """An entity of the same words and another type is taken for that type; others for none."""
    for seed in range(20):
        rng, task = random.Random(seed), task_of(("bio", "iobes")[seed % 2])
        kind, sizes = labelled_kind(task), [rng.randint(1, 9) for _ in range(12)]
        form = kind.target_form(task)
        true, said = ([drawn_codes(rng, size) for size in sizes] for _ in range(2))
        said = [rng.choice(pair) for pair in zip(true, said, strict=True)]
        each = kind.by_class(task, form.array(true), form.array(said).astype(float))
        wanted, told = (
            {(i, *entity) for i, row in enumerate(of) for entity in entities_of(np.array(row))}
            for of in (true, said)
        )
        for number, name in enumerate(TYPES):
            ours, theirs = ({e for e in of if e[1] == number} for of in (told, wanted))
            right = len(ours & theirs)
            row = each.to_json()["classes"][name]
            assert row["support"] == len(theirs)
            assert row["precision"] == pytest.approx(right / max(len(ours), 1))
            assert row["recall"] == pytest.approx(right / max(len(theirs), 1))
        there, answered = ({(i, a, b): TYPES[number] for i, number, a, b in of}
                           for of in (wanted, told))  # fmt: skip
        pairs = Counter(
            (there.get(at, "(no entity)"), answered.get(at, "(no entity)"))
            for at in there | answered
        )
        table = each.to_json()["confusion"]
        assert {(one, other): n for one, row in table.items() for other, n in row.items()} == pairs


def test_smoothing_is_of_each_word_and_of_training_alone() -> None:
    task, plain = task_of(label_smoothing=0.3), task_of()
    kind, codes = labelled_kind(task), torch.tensor([[1, 2, 0], [3, -1, -1]])
    logits = torch.randn(2, 3, len(task.labels), generator=torch.Generator().manual_seed(0))
    logits[1, 1:] = float("-inf")
    wanted = kind.targets(task, codes)
    assert torch.equal(kind.loss(task, logits, wanted), kind.loss(plain, logits, wanted))
    smooth = torch.nn.functional.cross_entropy(
        logits[0], codes[0], reduction="none", label_smoothing=0.3
    )
    torch.testing.assert_close(kind.training_loss(task, logits, wanted)[0], smooth.mean())
