"""Files of three tasks whose rows have candidates, and a config of them."""

import csv
import json
import random
from pathlib import Path

import projects

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


def write_files(folder: Path) -> Path:
    """Write files of all three tasks, and an encoder."""
    rng = random.Random(0)
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


def rows_of(file: Path) -> list[dict]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
