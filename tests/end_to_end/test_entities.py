"""Tasks that label words, from their files to entities with their place in the text."""

import csv
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import projects
import pytest

import accord
from accord.config.file import parse_config
from accord.data.checking import check_data
from accord.plan.making import plan_run
from accord.training.run import Run

TYPES = {"good": projects.GOOD, "bad": projects.BAD}
Entities = list[tuple[str, int, int]]


def sentence(rng: random.Random) -> tuple[list[str], Entities]:
    """Words of which runs of good and of bad ones are entities: two of each begin one, and the
    others go on, so that a word alone decides its tag."""
    words: list[str] = []
    entities: Entities = []
    for _ in range(rng.randint(1, 3)):
        words += rng.sample(projects.PLAIN, rng.randint(1, 2))
        kind, length = rng.choice([*TYPES]), rng.randint(1, 2)
        entities.append((kind, len(words), len(words) + length))
        begin, go_on = TYPES[kind][:2], TYPES[kind][2:]
        words += [rng.choice(begin), *rng.choices(go_on, k=length - 1)]
    return words, entities


def tags_of(words: list[str], entities: Entities) -> list[str]:
    tags = ["O"] * len(words)
    for kind, start, stop in entities:
        tags[start:stop] = [f"B-{kind}"] + [f"I-{kind}"] * (stop - start - 1)
    return tags


def spans_of(words: list[str], entities: Entities) -> list[dict]:
    begins = [sum(len(word) + 1 for word in words[:i]) for i in range(len(words))]
    return [
        {"start": begins[start], "end": begins[stop - 1] + len(words[stop - 1]), "label": kind}
        for kind, start, stop in entities
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("entities"), random.Random(0)
    projects.write_encoder(folder / "encoder")
    for split, rows in (("train", 100), ("dev", 24)):
        made = [sentence(rng) for _ in range(rows)]
        blocks = ["\n".join(map("\t".join, zip(words, tags_of(words, of), strict=True)))
                  for words, of in made]  # fmt: skip
        (folder / f"words-{split}.conll").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
        lines = [json.dumps({"text": " ".join(words), "tags": spans_of(words, of)})
                 for words, of in made]  # fmt: skip
        (folder / f"spans-{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def config(folder: Path, **changes: dict) -> dict:
    tasks = {
        name: {"kind": "token-classification", "label": "tags", "text": text, "pooling": pooling,
               "train": str(folder / f"{name}-train.{ending}"),
               "dev": str(folder / f"{name}-dev.{ending}")}
        for name, text, pooling, ending in (
            ("words", "tokens", "first", "conll"), ("spans", "text", "mean", "jsonl"),
        )
    }  # fmt: skip
    training = {"epochs": 4, "batch_size": 12, "lr": 3e-3, "gradients": "pcgrad"}
    given = {"encoder": {"path": str(folder / "encoder")}, "tasks": tasks, "training": training}
    for section, table in changes.items():
        given.setdefault(section, {}).update(table)
    return given


def trained(folder: Path, out: Path, **changes: dict) -> Run:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        return accord.train(config(folder, **changes), out=out, quiet=True)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return trained(folder, folder / "run", training={"epochs": 10, "lr": 1e-2, "head_lr": 0.1})


def read(file: Path) -> list[dict]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_entities_are_learnt_from_either_form_of_file(run: Run) -> None:
    best = max(run.results["epochs"], key=lambda record: record["sum"])
    assert best["metrics"]["words"] > 0.9
    assert best["metrics"]["spans"] > 0.9
    figures = run.results["heldout"]["words"]["by_class"]["crossfit"]["classes"]
    assert set(figures) == set(TYPES)
    assert run.results["heldout"]["words"]["constant"] < 0.2


@pytest.mark.quick("sharing")
@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"regularisers": ["r-drop", "smart"], "micro_batch_tokens": 80}},
        {
            "encoder": {"mode": "frozen"},
            "training": {"regularisers": ["r-drop"], "gradients": "sum"},
        },
        {"sharing": {"schemes": ["lora", "task-norm"]}, "averaging": {"method": "ema"}},
        {"averaging": {"method": "soup"}, "training": {"precision": "bfloat16"}},
    ],
    ids=["regularisers", "frozen", "sharing", "soup"],
)
def test_they_are_trained_in_every_way(folder: Path, tmp_path: Path, changes: dict) -> None:
    few = {"epochs": 2, "steps_per_epoch": 2}
    given = {**changes, "training": {**few, **changes.get("training", {})}}
    run = trained(folder, tmp_path / "run", **given)
    model = accord.load(run.folder)
    for name, ending in (("words", "conll"), ("spans", "jsonl")):
        expected = run.results["figures"][name]
        figures = model.evaluate_file(name, folder / f"{name}-dev.{ending}").figures
        if changes.get("training", {}).get("precision") != "bfloat16":
            assert figures == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, killed_and_resumed: Callable
) -> None:
    monkeypatch.setenv("ACCORD_CACHE", str(folder / "cache"))
    changes = {
        "training": {"epochs": 2, "steps_per_epoch": 4}, "checkpoint": {"every_steps": 2},
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        killed, whole = killed_and_resumed(lambda out: trained(folder, out, **changes), 5)
    assert projects.outcome_of(killed) == projects.outcome_of(whole)


def test_predicted_entities_are_those_of_the_predicted_tags(
    run: Run, folder: Path, accord_cli, tmp_path: Path
) -> None:
    said = {}
    for ending in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        answer = accord_cli(
            "predict", run.folder, "--task", "spans", "--input", folder / "spans-dev.jsonl",
            "--output", out, "--suffix", ".said",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        said[ending] = out
    from pyarrow.parquet import read_table

    rows = [json.loads(line) for line in said["jsonl"].read_text(encoding="utf-8").splitlines()]
    assert read_table(said["parquet"]).to_pylist() == rows
    cells = read(said["csv"])
    for key in ("spans.said", "spans.said.entities"):
        assert [json.loads(row[key]) for row in cells] == [row[key] for row in rows]
    lines = (folder / "spans-dev.jsonl").read_text(encoding="utf-8").splitlines()
    given = [json.loads(line) for line in lines]
    of_run = read(run.folder / "predictions" / "spans-dev.csv")
    in_run = [row["prediction"] for row in of_run]
    for row, record in zip(of_run, rows, strict=True):
        assert row["text"] == record["text"]
        assert json.loads(row["entities"]) == record["spans.said.entities"]
    details = accord.load(run.folder).details("spans", [row["text"] for row in given])
    right = 0
    for row, source, tags, detail in zip(rows, given, in_run, details, strict=True):
        assert " ".join(row["spans.said"]) == tags
        assert detail["prediction"] == row["spans.said"]
        spans = [
            {key: one[key] for key in ("start", "end", "label")}
            for one in row["spans.said.entities"]
        ]
        words, entities = source["text"].split(), []
        for i, tag in enumerate(row["spans.said"]):
            if tag.startswith("B-"):
                entities.append([tag[2:], i, i + 1])
            elif tag != "O":
                entities[-1][2] += 1
        assert spans == spans_of(words, entities)
        for one in row["spans.said.entities"]:
            assert source["text"][one["start"] : one["end"]] == one["text"]
        right += spans == source["tags"]
    assert right > 0.8 * len(rows)


def test_a_run_s_own_file_quotes_lists_of_words(run: Run) -> None:
    listed = read(run.folder / "predictions" / "words-dev.csv")
    assert sum(len(json.loads(row["entities"])) for row in listed) > len(listed)
    for row in listed:  # offsets are of words, where a text is a list of them
        for one in json.loads(row["entities"]):
            words = json.loads(row["text"])[one["start"] : one["end"]]
            assert " ".join(words) == one["text"]
            assert row["prediction"].split()[one["start"]] == f"B-{one['label']}"


def test_words_that_are_cut_off_are_counted_and_answered_o(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCORD_CACHE", str(folder / "cache"))
    plan = plan_run(parse_config(config(folder, encoder={"max_length": 6}))).only
    checked = [str(warning) for warning in check_data(plan.data, folder / "encoder").warnings]
    blocks = (folder / "words-train.conll").read_text(encoding="utf-8").strip().split("\n\n")
    cut = sum(max(0, len(block.split("\n")) - 4) for block in blocks)
    (line,) = [text for text in checked if "words are cut off" in text and "tasks.words" in text]
    assert f"{cut:,} (train)" in line
    model = accord.load(run.folder)
    words = [*projects.PLAIN[:3], "\u200b", *projects.GOOD[:1] * 60]
    with (
        pytest.warns(UserWarning, match="words cut off, .* answered 'O'"),
        pytest.warns(UserWarning, match="1 of 1 rows are cut"),
    ):
        (tags,) = model.predict("words", [words])
    assert len(tags) == len(words)
    assert tags[3] == "O"
