"""Tasks that label the rows of one file: one store, in which each has all of its own."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

from accord.config.file import parse_config
from accord.data import store, store_writer
from accord.data.batches import step_batch
from accord.data.datasets import read_data
from accord.data.sources import shared_rows, sources_of
from accord.plan.making import plan_run

KINDS = {"mood": "classification", "score": "regression", "topics": "multi-label"}


def write(path: Path, rows: int, seed: int, bad: float = 0.0) -> Path:
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", *KINDS])
        for i in range(rows):
            text = " ".join(
                rng.choices(["good", "film", "bad", "a", "b", "c"], k=rng.randint(1, 9))
            )
            labels = [rng.choice(["up", "down"]), f"{rng.random():.3f}", rng.choice("xyz")]
            labels[1] = "much" if rng.random() < bad else labels[1]
            writer.writerow([i, text] + [each if rng.random() < 0.7 else "" for each in labels])
    return path


def read(encoder, path, names=KINDS, kinds=KINDS, own=None, **keys):
    tasks = {
        name: {
            "kind": kinds[name], "train": str(path), "text": "text", "label": name, "id": "id",
            "dev": str(path), "unlabelled": "skip", **keys, **(own or {}).get(name, {}),
        }
        for name in names
    }  # fmt: skip
    said: list[str] = []
    plan = plan_run(parse_config({"encoder": {"path": str(encoder)}, "tasks": tasks}))
    return read_data(plan.data, encoder, said.append), said


@pytest.mark.quick("keys0")
@pytest.mark.parametrize("keys", [{}, {"limit": 40}, {"on_bad_row": "skip"}])
def test_each_task_has_what_a_store_of_its_own_has(encoder, tmp_path, keys):
    path = write(tmp_path / "a.csv", 2_500, 1, bad=0.05 if "on_bad_row" in keys else 0.0)
    together, said = read(encoder, path, **keys)
    assert len({part.store.key for part in together.train}) == 1
    for i, name in enumerate(KINDS):
        alone, alone_said = read(encoder, path, [name], **keys)
        assert set(alone_said) <= set(said)
        assert [*parts_of(together, i)] == [*parts_of(alone, 0)]


def parts_of(data, number):
    """All that a store has of a task's rows, split by split."""
    for split in (data.train, data.dev):
        part = split[number]
        segments = [part.store.segment(row, 0).tolist() for row in part.rows.tolist()]
        names = [part.store.row_name(row) for row in part.rows.tolist()]
        yield part.content, part.labels.tolist(), segments, names


@pytest.mark.quick("order1")
@pytest.mark.parametrize("order", [("tags", "intent"), ("intent", "tags")])
def test_words_are_there_where_they_have_no_tags(encoder, tmp_path, monkeypatch, order):
    """Rows without tags, or with bad ones, stay another task's, whole batches of them too."""
    kinds = {"tags": "token-classification", "intent": "classification"}
    for seed in range(6):
        monkeypatch.setattr(store_writer, "_BATCH_ROWS", 1 + seed)
        rng = random.Random(seed)
        rows = []
        for i in range(40):
            words = rng.choices(["a", "goods", "x-y", "b"], k=rng.randint(1, 5))
            tags = [rng.choice(["O", "B-x"]) for _ in words]
            tags = rng.choice([None, tags[1:], tags]) if 4 < i < 30 else tags
            text = " ".join(words) if seed % 2 else words
            rows.append({"id": i, "text": text, "tags": tags, "intent": rng.choice(["p", "q", ""])})
        path = tmp_path / f"{seed}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        options = {"on_bad_row": "skip", "kinds": kinds}
        if seed % 2:
            options["own"] = {"tags": {"words": "spaces"}}
        together, said = read(encoder, path, order, **options)
        assert len({part.store.key for part in together.train}) == 1
        for number, name in enumerate(order):
            alone, alone_said = read(encoder, path, [name], **options)
            assert [*parts_of(together, number)] == [*parts_of(alone, 0)]
            assert set(alone_said) <= set(said)
        (source,) = sources_of(together.train, shared_rows(together.train))
        examples = source.examples(together.assembler, np.arange(len(source)))
        counts = [len(words_of(row)) for row in rows if row["intent"] or is_tagged(row)]
        assert [len(sequence.spans) for (sequence,) in examples] == counts


def words_of(row):
    return row["text"].split() if isinstance(row["text"], str) else row["text"]


def is_tagged(row):
    if row["tags"] == [] and isinstance(row["text"], str):
        return True  # no spans
    return row["tags"] is not None and len(row["tags"]) == len(words_of(row))


def test_a_file_of_several_tasks_is_read_and_tokenised_once(encoder, tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", 60, 2)
    tokenised = []
    write_store = store.write_store

    def counted(*arguments, **options):
        tokenised.append(len(options["targets"]))
        write_store(*arguments, **options)

    monkeypatch.setattr(store, "write_store", counted)
    data, _ = read(encoder, path)
    assert tokenised == [3]
    read(encoder, path)
    assert tokenised == [3]  # found again
    (source,) = sources_of(data.train, shared_rows(data.train))
    assert source.name == "mood+score+topics"
    batch = step_batch([np.arange(len(source))], [source], data.assembler, _cpu())
    (packed,) = (micro.inputs for micro in batch.passes)
    assert len(packed.lengths) == len(source)
    assert [len(rows) for rows in batch.rows] == [len(part) for part in data.train]


def test_apart_each_task_has_a_store_of_its_own(encoder, tmp_path):
    path = write(tmp_path / "a.csv", 60, 3)
    data, _ = read(encoder, path, apart=True)
    assert shared_rows(data.train) == [[0], [1], [2]]


def test_a_label_that_can_t_be_used_names_its_line(encoder, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,mood,score,topics\n0,a,up,1,x\n1,b,down,2,y\n2,c,up,much,z\n")
    with pytest.raises(Exception, match=r"a.csv:4: score: 'much' is not a number"):
        read(encoder, path)
    data, said = read(encoder, path.with_name(path.name), on_bad_row="skip")
    assert any("score: 1 row of" in line for line in said)
    assert [len(part) for part in data.train] == [3, 2, 3]  # the row stays the others'


def _cpu():
    import torch

    return torch.device("cpu")
