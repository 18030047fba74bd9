"""Tasks whose rows have candidates, from their files to their predictions and what is wrong."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import projects
import pytest

import accord
from accord.config.file import load_config
from accord.plan.making import plan_run
from accord.training.setup import prepare

WORDS = [*projects.GOOD, *projects.BAD, *projects.PLAIN]
TABLES = {
    "pick": {"kind": "multiple-choice", "text": ["q", "options"]},
    "rank": {"kind": "ranking", "text": ["q", "docs"], "label": "grades", "id": "qid"},
    "flat": {
        "kind": "ranking", "text": ["q", "doc"], "label": "grade", "id": "qid",
        "rows": "candidates", "loss": "pairwise", "metric": "mrr",
    },
}  # fmt: skip


def picks(rows: int, rng: random.Random) -> list[dict]:
    """The right choice has a good word, the others have a bad one."""
    made = []
    for _ in range(rows):
        options = [rng.choice(projects.BAD) for _ in range(rng.randint(1, 4))]
        label = rng.randint(0, len(options))
        options.insert(label, rng.choice(projects.GOOD))
        made.append({"q": " ".join(rng.sample(projects.PLAIN, 3)), "options": options})
        made[-1]["label"] = label
    return made


def queries(rows: int, rng: random.Random) -> list[dict]:
    """A candidate's grade is how many good words it has; some queries have equal ones."""
    made = []
    for number in range(rows):
        grades = [rng.randint(0, 2) for _ in range(rng.randint(1, 5))]
        docs = [
            " ".join([*rng.sample(projects.GOOD, g), *rng.sample(projects.BAD, 2 - g)])
            for g in grades
        ]
        made.append({"q": " ".join(rng.sample(projects.PLAIN, 3)), "docs": docs})
        made[-1] |= {"grades": grades, "qid": f"q{number}"}
    return made


def flat(rows: list[dict], rng: random.Random) -> list[dict]:
    """A row for each candidate, in any order."""
    made = [
        {"qid": row["qid"], "q": row["q"], "doc": doc, "grade": grade}
        for row in rows
        for doc, grade in zip(row["docs"], row["grades"], strict=True)
    ]
    rng.shuffle(made)
    return made


def write_lines(file: Path, rows: list[dict]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_csv(file: Path, rows: list[dict]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all three tasks, beside an encoder."""
    folder, rng = tmp_path_factory.mktemp("candidates"), random.Random(0)
    projects.write_encoder(folder / "encoder")
    for split, rows in (("train", 40), ("dev", 24)):
        ranked = queries(rows, rng)
        write_lines(folder / f"pick-{split}.jsonl", picks(rows, rng))
        write_lines(folder / f"rank-{split}.jsonl", ranked)
        write_csv(folder / f"flat-{split}.csv", flat(ranked, rng))
    return folder


def config(folder: Path, **training: object) -> dict:
    """A config of all three."""
    ending = {"pick": "jsonl", "rank": "jsonl", "flat": "csv"}
    tasks = {
        name: {**table, "train": str(folder / f"{name}-train.{ending[name]}"),
               "dev": str(folder / f"{name}-dev.{ending[name]}")}
        for name, table in TABLES.items()
    }  # fmt: skip
    settings = {"epochs": 2, "batch_size": 6, "steps_per_epoch": 4, "lr": 1e-3, **training}
    return {"encoder": {"path": str(folder / "encoder")}, "tasks": tasks, "training": settings}


def trained(folder: Path, out: Path, changes: dict | None = None, **training: object):
    given = config(folder, **training)
    for section, table in (changes or {}).items():
        given.setdefault(section, {}).update(table)
    with pytest.warns(accord.errors.AccordWarning) if False else _quiet():
        return accord.train(given, out=out, quiet=True)


def _quiet():
    import warnings

    return warnings.catch_warnings(action="ignore")


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return [
            trained(folder, folder / f"run{seed}", seed=seed, gradients="upgrad") for seed in (0, 1)
        ]


def rows_of(file: Path) -> list[dict]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_of_candidates_is_what_lists_of_them_are(folder, runs):
    """Rows of one id are one query, wherever they stand, and are predicted as a list is."""
    setup = prepare(plan_run(load_config(runs[0].folder / "config.toml")).only)
    rank, flat = (
        next(part for part in setup.data.train if part.task.name == name)
        for name in ("rank", "flat")
    )

    def content(part):
        rows = []
        for row in range(len(part.store)):
            docs = [tuple(part.store.segment(row, 1 + i)) for i in range(part.texts(row) - 1)]
            grades = part.store.labels[np.array([row])][0, : len(docs)].tolist()
            rows.append((tuple(part.store.segment(row, 0)), tuple(sorted(zip(docs, grades)))))
        return sorted(rows)

    assert content(rank) == content(flat)
    assert rank.store.left_out == flat.store.left_out != {}


def test_every_run_says_what_its_model_says(folder, runs):
    model = accord.load(runs[0].folder)
    for name, dev in (("pick", "pick-dev.jsonl"), ("rank", "rank-dev.jsonl")):
        rows = rows_of(folder / dev)
        texts = [(row["q"], row["options" if name == "pick" else "docs"]) for row in rows]
        answers = dict(zip((row.get("qid", i) for i, row in enumerate(rows, 1)),
                           model.predict(name, texts), strict=True))  # fmt: skip
        for said in rows_of(runs[0].folder / "predictions" / f"{name}-dev.csv"):
            answer = answers[
                said["qid"] if "qid" in said else said.get("id", int(said.get("line", 0)))
            ]
            if name == "pick":
                assert said["prediction"] == answer
                shares = json.loads(said["probabilities"])
                assert sum(shares) == pytest.approx(1, abs=1e-5)
                assert int(answer) == int(np.argmax(shares))
            else:
                assert json.loads(said["prediction"]) == pytest.approx(answer, abs=1e-4)
                order = json.loads(said["order"])
                assert order == sorted(range(len(answer)), key=lambda i: -answer[i])
