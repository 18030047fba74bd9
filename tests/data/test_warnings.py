"""Warnings about data: counted anew from the texts, by generated files."""

import csv
import random
import string

import pytest

from accord.config.file import parse_config
from accord.data.datasets import read_data
from accord.data.warnings import LEAST_DEV_ROWS, data_warnings, refuse_all
from accord.errors import UsageError
from accord.plan.making import plan_run

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def read(config, encoder):
    return read_data(plan_run(config).data, encoder, lambda text: None)


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    from accord.encoders.families.bert import BertConfig, BertEncoder
    from accord.encoders.pretrained import save_encoder

    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path / "encoder"
    save_encoder(BertEncoder(config), folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture
def lines(encoder, tmp_path):
    """Warn of tasks: {name: {split: rows of text columns and a label}}, settings -> lines."""

    def call(max_length=None, **tasks):
        sections = {}
        for name, splits in tasks.items():
            texts = len(splits["train"][0]) - 1
            columns = [f"text{i}" for i in range(texts)]
            kind = "classification" if texts == 1 else "pair-classification"
            sections[name] = {"kind": kind, "text": columns if texts > 1 else columns[0]}
            for split, rows in splits.items():
                path = tmp_path / f"{name}-{split}.csv"
                with path.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([[*columns, "label"], *rows])
                sections[name][split] = str(path)
        section = {"path": str(encoder)} | ({"max_length": max_length} if max_length else {})
        config = parse_config({"encoder": section, "tasks": sections})
        return list(
            map(
                str,
                data_warnings(read(config, encoder).facts),
            )
        )

    return call


def texts(rng, rows, words=8):
    """Texts that differ, of known words."""
    made = {}
    while len(made) < rows:
        made[" ".join(rng.choice(WORDS) for _ in range(words))] = None
    return list(made)


def labelled(some, classes=2):
    return [[text, f"c{i % classes}"] for i, text in enumerate(some)]


def other_spelling(rng, text):
    spelt = "".join(rng.choice((str.upper, str.lower))(letter) for letter in text)
    return spelt.replace(" ", rng.choice(["  ", " \t", "\n"])) + rng.choice(["", " "])


def only(actual, part):
    return [line for line in actual if part in line]


def test_nothing_is_said_of_sound_data(lines):
    every = texts(random.Random(0), 100)
    assert lines(a={"train": labelled(every[:60]), "dev": labelled(every[60:])}) == []


@pytest.mark.parametrize("seed", range(3))
def test_texts_in_train_and_dev(lines, seed):
    rng = random.Random(seed)
    every, count = texts(rng, 100), rng.randint(1, 15)
    copies = [other_spelling(rng, text) for text in rng.sample(every[:60], count)]
    actual = lines(a={"train": labelled(every[:60]), "dev": labelled(every[60:] + copies)})
    (line,) = only(actual, "dev rows of 'a'")
    assert f"a-dev.csv: {count} of {40 + count} dev rows of 'a' stand in its training rows" in line


def test_what_is_said_of_a_file_is_said_once_whoever_reads_it(encoder, tmp_path):
    every = texts(random.Random(5), 90)
    rows = [[each, f"c{i % 2}", f"d{i % 3}"] for i, each in enumerate(every)]
    rows[7][0] = rows[7][0].replace(" ", "\n\n", 1)
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "one", "other"], *rows, []])
    ours = {"kind": "classification", "train": str(path), "text": "text"}
    config = parse_config({
        "encoder": {"path": str(encoder)},
        "tasks": {
            "a": {**ours, "label": "one"}, "b": {**ours, "label": "other"},
            "mlm": {"kind": "masked-lm", "train": str(path), "text": "text"},
        },
    })  # fmt: skip
    actual = map(str, data_warnings(read(config, encoder).facts))
    (line,) = only(actual, "below the header")
    assert line.startswith(
        f"{path}: 93 lines below the header are 90 rows: 1 of them blank, a quote"
    )
    assert "lines 9 to 11 one row; right where texts hold line ends; quoting =" in line


def test_texts_in_another_task_s_training_rows(lines):
    rng = random.Random(4)
    every = texts(rng, 200)
    pairs = list(zip(every[100:150], every[150:], strict=True))
    (line,) = lines(
        a={"train": labelled(every[:60]), "dev": labelled(every[60:100])},
        b={
            "train": [[*pair, f"c{i % 2}"] for i, pair in enumerate(pairs[:20])],
            # Either text in the other task's training rows counts: it has one text a row.
            "dev": [[*pair, f"c{i % 2}"] for i, pair in enumerate(
                [*pairs[20:], (every[0], every[199]), (every[198], every[1]), every[2:4]]
            )],
        },
    )  # fmt: skip
    assert "b-dev.csv: 3 of 33 dev rows of 'b' stand in the training rows of 'a' too" in line


def test_a_pair_counts_as_a_whole_and_in_either_order(lines):
    rng = random.Random(5)
    every = texts(rng, 120)
    train = [[a, b, "c0"] for a, b in zip(every[:30], every[30:60], strict=True)]
    train[0][-1] = "c1"
    fresh = [[a, b, "c0"] for a, b in zip(every[60:90], every[90:], strict=True)]
    shared = [[train[i][0], fresh[i][1], "c0"] for i in range(5)]  # a question asked elsewhere
    assert lines(a={"train": train, "dev": fresh + shared}) == []
    turned = [[b.upper(), a, label] for a, b, label in train[:4]]
    (line,) = lines(a={"train": train, "dev": fresh + turned})
    assert "4 of 34 dev rows" in line


def test_few_dev_rows(lines):
    every = texts(random.Random(6), 100)
    for rows in (1, 3, LEAST_DEV_ROWS - 1, LEAST_DEV_ROWS):
        actual = lines(a={"train": labelled(every[:60]), "dev": labelled(every[60 : 60 + rows])})
        assert len(actual) == (rows < LEAST_DEV_ROWS)
        assert all(f"{rows} dev row" in line and "more rows" in line for line in actual)
    (line,) = lines(a={"train": labelled(every[:30])})
    assert "6 dev rows of 'a'" in line  # three of each class
    assert "training.dev_share" in line


def test_as_many_classes_as_rows(lines):
    every, dev = texts(random.Random(7), 100), texts(random.Random(8), 30)
    for classes, rows in ((20, 20), (11, 20), (10, 20), (2, 20)):
        actual = lines(a={
            "train": labelled(every[:rows], classes),
            "dev": labelled(dev, 2),
        })  # fmt: skip
        assert [f"{classes} classes in {rows} training rows" in line for line in actual] == (
            [True] if 2 * classes > rows else []
        )


def test_unknown_words_are_warned_of_from_their_share_on(lines):
    rng = random.Random(9)
    every = texts(rng, 100, words=10)
    foreign = ["映画はとても良かった", "😀😀", "Ünïcode", "zebra"]
    for share in (0, 3, 6, 60):
        dev = [text.split() for text in every[60:]]
        places = rng.sample([(i, j) for i in range(40) for j in range(10)], 4 * share)
        for i, j in places:
            dev[i][j] = rng.choice(foreign[1:])
        actual = lines(a={"train": labelled(every[:60]), "dev": labelled(map(" ".join, dev))})
        assert len(actual) == (share > 5)
        assert all(f"0.0 % (train), {share}.0 % (dev)" in line for line in actual)
    (line,) = only(lines(a={"train": labelled([foreign[0] + c for c in string.ascii_letters])}),
                   "[UNK]")  # fmt: skip
    assert "100.0 % (train), 100.0 % (dev)" in line


def test_texts_that_are_cut(lines):
    every = texts(random.Random(10), 120, words=40)
    short = [" ".join(text.split()[:8]) for text in every]
    for longer in (0, 1, 5, 100):
        rows = every[:longer] + short[longer:100]
        tasks = {"a": {"train": labelled(rows), "dev": labelled(short[100:])}}
        actual = only(lines(16, **tasks), "are cut")
        assert len(actual) == (longer > 1)
        for line in actual:
            assert f"{longer}.0 % (train), 0.0 % (dev) of rows are cut to 16 tokens" in line
            assert "the longest has 42; encoder.max_length may be up to 64" in line
        assert only(lines(**tasks), "are cut") == []


def test_strict_refuses_any():
    said = []
    refuse_all([], said.append)
    with pytest.raises(UsageError, match=r"^--strict: a$"):
        refuse_all(["a"], said.append)
    with pytest.raises(UsageError, match=r"^--strict: b \(1 of 2 warnings\)$"):
        refuse_all(["b", "c"], said.append)
    assert said == ["warning: a", "warning: b", "warning: c"]
