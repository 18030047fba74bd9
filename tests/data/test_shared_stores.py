"""Tasks that label the rows of one file: one store, in which each has all of its own."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

from accord.config.file import parse_config
from accord.data import store
from accord.data.batches import step_batch
from accord.data.datasets import read_data
from accord.data.sources import shared_rows, sources_of
from accord.plan.making import plan_run

KINDS = {"mood": "classification", "score": "regression", "topics": "multi-label"}
SIZES = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "max_position_embeddings": 32, "type_vocab_size": 2,
}  # fmt: skip


@pytest.fixture
def encoder(tiny_tokenizer, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tiny"
    sizes = {**SIZES, "vocab_size": tiny_tokenizer.get_vocab_size(), "model_type": "bert"}
    (folder / "config.json").write_text(json.dumps(sizes))
    return folder


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


def read(encoder, path, names=KINDS, **keys):
    tasks = {
        name: {
            "kind": KINDS[name], "train": str(path), "text": "text", "label": name, "id": "id",
            "dev": str(path), "unlabelled": "skip", **keys,
        }
        for name in names
    }  # fmt: skip
    said: list[str] = []
    plan = plan_run(parse_config({"encoder": {"path": str(encoder)}, "tasks": tasks}))
    return read_data(plan.data, encoder, said.append), said


@pytest.mark.parametrize("keys", [{}, {"limit": 40}, {"on_bad_row": "skip"}])
def test_each_task_has_what_a_store_of_its_own_has(encoder, tmp_path, keys):
    path = write(tmp_path / "a.csv", 2_500, 1, bad=0.05 if "on_bad_row" in keys else 0.0)
    together, said = read(encoder, path, **keys)
    assert len({part.store.key for part in together.train}) == 1
    for i, name in enumerate(KINDS):
        alone, alone_said = read(encoder, path, [name], **keys)
        assert set(alone_said) <= set(said)
        for split in ("train", "dev"):
            ours, theirs = getattr(together, split)[i], getattr(alone, split)[0]
            assert ours.content == theirs.content
            np.testing.assert_array_equal(ours.labels, theirs.labels)
            names = [
                [part.store.row_name(row) for row in part.rows.tolist()] for part in (ours, theirs)
            ]
            assert names[0] == names[1]
            segments = [
                [part.store.segment(row, 0).tolist() for row in part.rows.tolist()]
                for part in (ours, theirs)
            ]
            assert segments[0] == segments[1]


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
