"""What a person is told of tasks that read the same rows: their cost, and overlaps said once."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from accord.config.file import parse_config
from accord.data import checking
from accord.data.checking import check_data
from accord.data.datasets import read_data
from accord.encoders.pretrained import save_encoder
from accord.plan.making import plan_run
from accord.plan.sources import same_rows
from accord.training.lines import headline
from accord.training.setup import prepare

NAMES = ("mood", "topic", "tone")


@pytest.fixture
def made(tiny_tokenizer, tiny_encoder, tmp_path: Path, monkeypatch):
    """Write random labelled rows, of which dev repeats some; plan three tasks on them."""
    save_encoder(tiny_encoder(max_position_embeddings=32), tmp_path / "tiny")
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))

    def make(seed: int, other: str = "", **keys):
        rng = random.Random(seed)

        def row(text=None):
            text = text or " ".join(rng.choices("abcdefgh", k=rng.randint(2, 9)))
            return [text, *(rng.choice(["x", "y", ""]) for _ in NAMES)]

        train = [
            *([text, "x", "y", "x"] for text in ("a b", "c d")),
            *([text, "y", "x", "y"] for text in ("b c", "d e")),
            *(row() for _ in range(30)),
        ]
        dev = [["h g h g h g h g h g h", "x", "x", "y"], ["e d", "y", "y", "x"]]
        dev += [row(), row(rng.choice(train)[0]), row(rng.choice(train)[0]), row()]
        files = {}
        for name, rows in (("train", train), ("dev", dev), ("other", [*train[:3], *dev])):
            files[name] = tmp_path / f"{name}{seed}.tsv"
            lines = ["\t".join(["text", *NAMES]), *map("\t".join, rows)]
            files[name].write_text("\n".join(lines) + "\n")
        tasks = {
            name: {
                "kind": "classification", "text": "text", "label": name, "unlabelled": "skip",
                "train": str(files["other" if name == other else "train"]),
                "dev": str(files["dev"]), **keys.get(name, {}),
            }
            for name in NAMES
        }  # fmt: skip
        plan = plan_run(parse_config({"encoder": {"path": str(tmp_path / "tiny")}, "tasks": tasks}))
        return plan.only, train, dev

    def checked(seed: int, **keys):
        plan, *rows = make(seed, **keys)
        return check_data(plan.data, tmp_path / "tiny", same_rows(plan.data)), plan, *rows

    checked.plan, checked.encoder = make, tmp_path / "tiny"
    return checked


def tokens(row):
    return len(row[0].split()) + 2


def test_what_packing_rows_once_saves(made):
    for seed in range(4):
        report, plan, train, _ = made(seed)
        each = [[row for row in train if row[1 + i]] for i in range(3)]
        once = [row for row in train if any(row[1:])]
        (source,) = report.sources
        assert source.tasks == [list(NAMES)]
        assert source.rows == len(once)
        assert source.tokens == source.tokens_packed == sum(map(tokens, once))
        assert source.tokens_apart == sum(tokens(row) for rows in each for row in rows)
        times = f"{source.tokens_apart / source.tokens:.2f}"
        assert str(source) == (
            f"mood, topic, tone: one file, its {len(once)} training rows are packed once for all"
            f" (apart = true: {times} times the tokens)"
        )
        assert report.to_json()["sources"][0]["tokens_apart"] == source.tokens_apart
    assert headline(prepare(plan))[1] == (
        f"mood, topic, tone: one source of {len(once)} rows, packed once"
    )


def test_what_packing_tasks_apart_costs(made):
    report, _, train, _ = made(9, topic={"apart": True})
    (source,) = report.sources
    assert source.tasks == [["mood", "tone"], ["topic"]]
    rows = [[row for row in train if row[1] or row[3]], [row for row in train if row[2]]]
    assert source.tokens_packed == sum(tokens(row) for some in rows for row in some)
    assert f"packed apart for mood+tone and topic ({source.tokens_packed / source.tokens:.2f}" in (
        str(source)
    )
    assert made(9, other="topic")[0].sources[0].tasks == [["mood", "tone"]]


def test_an_overlap_within_a_source_is_said_once(made):
    for seed in range(4):
        report, _, train, dev = made(seed)
        texts = {row[0] for row in train if any(row[1:])}
        both = sum(row[0] in texts for row in dev if any(row[1:]))
        said = [line for line in report.warnings if "too good" in line]
        assert len(said) == (both > 0)
        assert all(f": {both} of" in line and "its training rows" in line for line in said)
        assert len(report.overlaps) == 9
        pairs = {(one["dev_task"], one["train_task"]) for one in report.to_json()["overlaps"]}
        assert pairs == {(a, b) for a in NAMES for b in NAMES}


def test_an_overlap_with_another_file_is_not_lost(made):
    report, *_ = made(2, other="tone")
    said = [line for line in report.warnings if "too good" in line]
    assert any("'mood+topic' stand in the training rows of 'tone'" in line for line in said)
    assert any("'tone' stand in its training rows" in line for line in said)
    named = [(one.dev_task, one.train_task) for one in report.source_overlaps]
    assert sorted(named) == sorted(
        (a, b) for a in ("mood+topic", "tone") for b in ("mood+topic", "tone")
    )
    assert json.dumps(report.to_json())


def test_each_stage_says_what_its_packing_costs(made, monkeypatch):
    """A stage may pack apart what another packs once, and train some of the tasks alone."""
    read = []
    monkeypatch.setattr(checking, "read_data", lambda *a: read.append(a) or read_data(*a))
    plan, train, _ = made.plan(5)
    data = plan.data
    stages = {
        "stage 1": data,
        "stage 2": replace(data, shared=()),
        "stage 3": replace(data, tasks={name: data.tasks[name] for name in NAMES[:2]}, shared=()),
        "stage 4": replace(data, tasks={"mood": data.tasks["mood"]}, shared=()),
    }
    report = check_data(data, made.encoder, same_rows(data), stages)
    assert len(read) == 1  # where rows are shared they are not read once more
    each = [sum(tokens(row) for row in train if row[1 + i]) for i in range(3)]
    once, both = (sum(tokens(row) for row in train if any(row[1 : 1 + tasks])) for tasks in (3, 2))
    assert [(one.stage, one.tokens, one.tokens_packed) for one in report.sources] == [
        ("stage 1", once, once), ("stage 2", once, sum(each)), ("stage 3", both, sum(each[:2])),
    ]  # fmt: skip
    assert str(report.sources[2]).startswith("stage 3: mood, topic: one file, its ")
    assert f"apart for mood and topic ({sum(each[:2]) / both:.2f} times" in str(report.sources[2])
