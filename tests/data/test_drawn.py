"""Tasks that read the same texts: no dev text of one is trained on by any, alone or together."""

import csv
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from accord.config.file import parse_config
from accord.data.checking import check_data
from accord.data.datasets import read_data
from accord.data.halves import content_halves, row_contents
from accord.data.splits import FEW
from accord.data.warnings import data_warnings
from accord.encoders.pretrained import resolve_encoder_folder
from accord.errors import ConfigError, DataError
from accord.plan.making import plan_run


def check_config(config):
    plan = plan_run(config)
    encoder = plan.only.encoder
    return check_data(plan.data, resolve_encoder_folder(encoder.path, encoder.revision))


COLUMNS = {"tone": "classification", "topic": "classification", "urgency": "regression"}


def word(number: int) -> str:
    """A text that no other number has."""
    return " ".join("abcdefghij"[int(digit)] for digit in f"{number:04d}")


def spelt(text: str, rng: random.Random) -> str:
    """A text in another case, with other white space."""
    return rng.choice([text, text.upper(), f" {text.replace(' ', '  ')} "])


def write_table(path: Path, texts: int, rng: random.Random, copies: float = 0.3) -> Path:
    """Write a table of distinct texts, some of them copied, with three label columns of blanks."""
    rows = []
    for i in range(texts):
        text = f"{word(i)} good"
        for _ in range(1 + (rng.random() < copies)):
            labels = [rng.choice("pn"), rng.choice("aaabbc"), f"{rng.random():.2f}"]
            labels = [label if rng.random() < 0.7 else "" for label in labels]
            rows.append([spelt(text, rng), *labels, f"u{rng.randrange(texts // 4)}"])
    rng.shuffle(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", *COLUMNS, "user"], *rows])
    return path


def table_config(encoder, path, names=COLUMNS, share=0.2, training=None, **keys):
    tasks = {
        name: {
            "kind": COLUMNS[name], "train": str(path), "text": "text", "label": name,
            "on_bad_row": "skip", **keys,
        }
        for name in names
    }  # fmt: skip
    training = {"dev_share": share, **(training or {})}
    return parse_config({"encoder": {"path": str(encoder)}, "tasks": tasks, "training": training})


def read(config, encoder):
    said = []
    return read_data(plan_run(config).data, encoder, said.append), said


def values(path: Path, part, column: str = "text") -> list[str]:
    """A column of a split's rows, from the file itself."""
    with path.open(newline="") as file:
        cells = [row[column] for row in csv.DictReader(file)]
    return [" ".join(cells[line - 2].lower().split()) for line in part.store.lines[part.rows]]


@pytest.mark.quick("None-24", "user-60")
@pytest.mark.parametrize("texts", [24, 60, 150])
@pytest.mark.parametrize("group", [None, "user"])
def test_no_task_trains_on_a_dev_text_of_any(encoder, tmp_path, texts, group):
    rng = random.Random(texts)
    for i in range(3):
        path = write_table(tmp_path / f"{i}.csv", texts, rng)
        config = table_config(encoder, path, **({"group": group} if group else {}))
        data, _ = read(config, encoder)
        told_by = group or "text"
        dev = {value for part in data.dev for value in values(path, part, told_by)}
        for part, evaluated in zip(data.train, data.dev, strict=True):
            assert not dev & set(values(path, part, told_by))
            assert len(part) > len(evaluated) > 0
        report = check_config(config)
        counts = [(split.split, split.rows) for task in report.tasks for split in task.splits]
        assert counts == [
            (split, len(part))
            for pair in zip(data.train, data.dev, strict=True)
            for split, part in zip(("train", "dev"), pair, strict=True)
        ]
        if group is None:
            assert not any(one.texts.normalised for one in report.overlaps)


def test_a_task_is_evaluated_on_the_same_rows_alone_and_in_any_company(encoder, tmp_path):
    path = write_table(tmp_path / "t.csv", 80, random.Random(1))
    together, _ = read(table_config(encoder, path), encoder)
    for name, split in zip(COLUMNS, together.dev, strict=True):
        config = table_config(encoder, path, [name], training={"seed": 7}, unlabelled="skip")
        alone, _ = read(config, encoder)
        lines = [part.store.lines[part.rows].tolist() for part in (alone.dev[0], split)]
        assert lines[0] == lines[1]
        contents = alone.contents()
        assert contents.items() <= together.contents().items()


def test_rows_that_are_left_out_are_said_by_training_and_by_check(encoder, tmp_path):
    path = write_table(tmp_path / "t.csv", 60, random.Random(3))
    config = table_config(encoder, path)
    data, said = read(config, encoder)
    assert any(data.left_out.values())
    notes = [note for note in check_config(config).notes if "are left out" in note]
    expected = [
        f"{name}: {count} of {count + len(part)} training rows are left out: they hold dev texts of"
        for (name, count), part in zip(data.left_out.items(), data.train, strict=True) if count
    ]  # fmt: skip
    assert len(notes) == len(expected)
    for start, note in zip(expected, notes, strict=True):
        assert note.startswith(start)
        assert note in said
    sizes = [len(train) + len(dev) for train, dev in zip(data.train, data.dev, strict=True)]
    for name, size, part in zip(COLUMNS, sizes, data.dev, strict=True):
        rows = size + data.left_out[name]
        start = f"{name}: no dev file; {len(part)} of {rows} rows of"
        assert any(line.startswith(start) for line in said)


def test_files_with_the_same_texts_agree_and_so_do_those_that_name_a_dev_file(encoder, tmp_path):
    rng = random.Random(4)
    names = [word(i) for i in range(200)]
    for name in ("one", "other", "third"):
        some = [f"{spelt(text, rng)},{rng.choice('ab')}" for text in rng.sample(names, 150)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *some]) + "\n")
    keys = {"kind": "classification", "text": "text", "label": "label"}
    tasks = {name: {**keys, "train": str(tmp_path / f"{name}.csv")} for name in ("one", "other")}
    files = {"train": str(tmp_path / "third.csv"), "dev": str(tmp_path / "one.csv")}
    config = {"encoder": {"path": str(encoder)}, "tasks": {**tasks, "third": {**keys, **files}}}
    words = {"kind": "masked-lm", "train": str(tmp_path / "third.csv"), "text": "text"}
    config["tasks"]["words"] = words
    data, _ = read(parse_config(config), encoder)
    *drawn, named, masked = data.dev
    dev = {text for part, name in zip(drawn, ("one", "other"), strict=True)
           for text in values(tmp_path / f"{name}.csv", part)}  # fmt: skip
    for part, name in zip(data.train[:3], ("one", "other", "third"), strict=True):
        assert not dev & set(values(tmp_path / f"{name}.csv", part))
    assert len(named) == 150  # a dev file is used as it is
    for other in (*drawn, masked):
        hashes = other.store.normalised_hashes[other.rows]
        for part in data.train:
            assert not np.isin(hashes, part.store.normalised_hashes[part.rows]).any()


def test_pairs_stay_whole_in_either_order(encoder, tmp_path):
    rng, rows = random.Random(5), []
    for i in range(100):
        one, other = word(i), word(rng.randrange(100))
        label = rng.choice("yn")
        rows += [f"{one},{other},{label}", f"{other.upper()},{one},{label}"]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["a,b,label", *rows]) + "\n")
    task = {"kind": "pair-classification", "train": str(path), "text": ["a", "b"]}
    config = parse_config({"encoder": {"path": str(encoder)}, "tasks": {"same": task}})
    data, _ = read(config, encoder)
    sides = [
        {frozenset(pair) for pair in zip(values(path, part, "a"), values(path, part, "b"),
                                         strict=True)}
        for part in (data.train[0], data.dev[0])
    ]  # fmt: skip
    assert not sides[0] & sides[1]


def test_a_row_without_a_group_goes_by_its_text(encoder, tmp_path):
    rows = [f"{word(i % 50)},{'ab'[i % 2]},{'u' if i % 5 else ''}" for i in range(100)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["text,label,user", *rows]) + "\n")
    task = {"kind": "classification", "train": str(path), "text": "text", "group": "user"}
    config = parse_config({"encoder": {"path": str(encoder)}, "tasks": {"t": task}})
    data, _ = read(config, encoder)
    users = Counter(values(path, data.train[0], "user"))
    assert users["u"] == 80
    assert not set(values(path, data.dev[0])) & {
        text for text, user in zip(values(path, data.train[0]), values(path, data.train[0], "user"),
                                   strict=True) if not user
    }  # fmt: skip


def test_small_files_have_a_few_dev_rows_of_each_class_or_say_why_not(encoder, tmp_path):
    for rows, rare in ((20, 8), (40, 2), (60, 1), (30, 12)):
        labels = ["rare"] * rare + ["often"] * (rows - rare)
        lines = [f"{word(i)},{label}" for i, label in enumerate(labels)]
        path = tmp_path / f"{rows}.csv"
        path.write_text("\n".join(["text,label", *lines]) + "\n")
        task = {"kind": "classification", "train": str(path), "text": "text"}
        config = parse_config({"encoder": {"path": str(encoder)}, "tasks": {"t": task}})
        data, _ = read(config, encoder)
        count = Counter(values(path, data.dev[0], "label"))
        assert count["rare"] >= min(FEW, rare // 4)
        assert count["often"] >= FEW
        lacking = f"fewer than 3 dev rows of class 'rare' ({count['rare']} of {rare})"
        for warnings in (map(str, data_warnings(data.facts)), check_config(config).warnings):
            assert any(lacking in line for line in warnings) == (rare < 12)


def test_a_file_of_one_group_can_not_be_split(encoder, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label,user\n" + "".join(f"{c},{c},u\n" for c in "abab"))
    keys = {"kind": "classification", "train": str(path), "text": "text"}
    for changes, message in (
        ({"group": "user"}, "4 usable rows with one text or one 'user' can't be split"),
        ({"limit": 1}, "1 usable row with one text can't be split"),
        ({"group": "users"}, "no column 'users'; did you mean 'user'?"),
    ):
        table = {"encoder": {"path": str(encoder)}, "tasks": {"t": {**keys, **changes}}}
        for reading in (lambda each: read(each, encoder), check_config):
            with pytest.raises(DataError, match=message.replace("?", r"\?")):
                reading(parse_config(table))
    with pytest.raises(ConfigError, match="group: says which rows of train may be dev"):
        parse_config({"encoder": {"path": "x"}, "tasks": {
            "t": {**keys, "group": "user", "dev": str(path)}}})  # fmt: skip


def test_the_halves_of_a_drawn_dev_split_are_of_one_size(encoder, tmp_path):
    path = write_table(tmp_path / "t.csv", 4_000, random.Random(6))
    data, _ = read(table_config(encoder, path, ["tone"], 0.3), encoder)
    dev = data.dev[0]
    halves = content_halves(row_contents(dev.store, dev.rows), dev.labels)
    texts = dict(zip(values(path, dev), halves.tolist(), strict=True))
    assert abs(np.mean(list(texts.values())) - 0.5) < 4 * 0.5 / np.sqrt(len(texts))
