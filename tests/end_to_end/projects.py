"""A tiny encoder, three tiny tasks, and what a run of them leaves."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from accord.data.tokenizing import load_tokenizer
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.pretrained import save_encoder
from accord.model.saved import DESCRIPTION, FORMAT
from accord.tasks import Task

GOOD, BAD = ["bright", "fine", "lovely", "warm"], ["dull", "grim", "poor", "stale"]
PLAIN = ["the", "a", "film", "meal", "road", "song", "with", "under", "old", "new", "very"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

TASKS: dict[str, dict[str, Any]] = {
    "mood": {
        "kind": "classification", "train": "mood-train.csv", "dev": "mood-dev.csv",
        "test": "mood-test.csv", "text": "text", "label": "mood", "id": "id",
        "labels": ["neg", "mixed", "pos"],
    },
    "same": {
        "kind": "pair-classification", "train": "same-train.tsv", "dev": "same-dev.tsv",
        "text": ["first", "second"], "label": "is_same", "id": "id", "labels": [0, 1],
        "encoding": "separate", "pooling": "mean",
    },
    "near": {
        "kind": "pair-regression", "train": "near-train.csv", "dev": "near-dev.csv",
        "test": "near-test.csv", "text": ["s1", "s2"], "label": "score", "id": "id",
        "range": [0, 5], "pooling": "pooler",
    },
}  # fmt: skip
PATIENCE = 600
"""Seconds that a test waits for a process at most: no test depends on how busy a machine is."""
TIMINGS = ("seconds", "tokens_per_second", "train_seconds", "peak_memory_bytes")

STAGES = """
[[stages]]
tasks = ["mood"]

[[stages]]
name = "pairs"
tasks = ["same", "near"]
training = { epochs = 2, gradients = "pcgrad" }
"""
LOST = (
    "warning: the model will hold same, near; mood's head is dropped after stage 1"
    " ([memory] method = 'none' keeps it)"
)

Table = dict[str, Any]


def describe_model(folder: Path, tasks: Sequence[Task], layers: int = 6) -> None:
    """Write what says of a model which tasks it has and how many layers, and no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {**task.to_json(), "input": {"text": ["a", "b"][: task.texts], "label": "c"}}
        for task in tasks
    ]
    table = {"format": FORMAT, "max_length": 16, "tasks": entries}
    (folder / DESCRIPTION).write_text(json.dumps(table))
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))


def write_encoder(
    folder: Path,
    *,
    pooler: bool = True,
    seed: int = 0,
    type_vocab_size: int = 2,
    layers: int = 1,
) -> Path:
    """Write an encoder of random weights."""
    words = [*SPECIAL, *GOOD, *BAD, *PLAIN, *"abcdefghijklmnopqrstuvwxyz"]
    encoder = BertEncoder(
        BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=32,
            type_vocab_size=type_vocab_size,
        ),
        pooler,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.1 * noise if "norm.weight" in name else 0.3 * noise)
    save_encoder(encoder, folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    load_tokenizer(folder).save(str(folder / "tokenizer.json"))
    return folder


def shapes_of(model: Path) -> dict[str, torch.Size]:
    """The names and shapes of a folder's weights: a folder with an encoder's opens as one does."""
    return {name: value.shape for name, value in load_file(model / "model.safetensors").items()}


def _text(rng: random.Random, words: list[str]) -> str:
    return " ".join(rng.choice([*PLAIN, *words]) for _ in range(rng.randint(1, 9)))


def _mood(rng: random.Random, count: int) -> Iterator[list[str]]:
    for i in range(count):
        label, words = [("neg", BAD), ("mixed", PLAIN), ("pos", GOOD)][i % 3]
        yield [f"m{i}", f"{_text(rng, words)} {rng.choice(words)}", label]


def _pairs(rng: random.Random, count: int, labels: list[str]) -> Iterator[list[str]]:
    for i in range(count):
        first = _text(rng, GOOD)
        second = first if i % 2 else _text(rng, BAD)
        yield [f"p{i}", first, second, labels[i % len(labels)]]


def _write(file: Path, header: list[str], rows: Iterator[list[str]], separator: str) -> None:
    lines = [separator.join(row) for row in (header, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_data(folder: Path) -> None:
    rng = random.Random(5)
    mood, near = ["id", "text", "mood"], ["id", "s1", "s2", "score"]
    scores = ["0.5", "4.5", "1.25", "5"]
    for split, count in (("train", 22), ("dev", 9)):
        _write(folder / f"mood-{split}.csv", mood, _mood(rng, count), ",")
        rows = _pairs(rng, count - 8 if split == "train" else 8, ["0", "1"])
        _write(folder / f"same-{split}.tsv", ["id", "first", "second", "is_same"], rows, "\t")
        rows = _pairs(rng, count - 13 if split == "train" else 7, scores)
        _write(folder / f"near-{split}.csv", near, rows, ",")
    rows = (row[:2] for row in _mood(rng, 12))
    _write(folder / "mood-test.csv", mood[:2], rows, ",")
    rows = (row[:3] for row in _pairs(rng, 6, scores))
    _write(folder / "near-test.csv", near[:3], rows, ",")


def _table(encoder: Path, tasks: Mapping[str, Table]) -> Table:
    return {
        "encoder": {"path": str(encoder)},
        "training": {
            "epochs": 2, "batch_size": 4, "threads": 1, "device": "cpu", "lr": 1e-3, "seed": 3,
        },
        "checkpoint": {"keep": 9},
        "tasks": {name: dict(task) for name, task in tasks.items()},
    }  # fmt: skip


def _changed(table: Table, changes: Mapping[str, Any]) -> Table:
    for key, value in changes.items():
        *path, last = key.split(".")
        section = table
        for part in path:
            section = section.setdefault(part, {})
        if value is None:
            section.pop(last, None)
        else:
            section[last] = value
    return table


def _toml(table: Table, prefix: str = "") -> str:
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    if prefix:
        lines.insert(0, f"[{prefix}]")
    sections = (
        _toml(value, f"{prefix}.{key}" if prefix else key)
        for key, value in table.items()
        if isinstance(value, dict)
    )
    return "\n".join([*lines, *sections]) + "\n"


def write_project(
    folder: Path,
    encoder: Path,
    changes: Mapping[str, Any] | None = None,
    tasks: tuple[str, ...] = (),
) -> Path:
    """Write data files and accord.toml; return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_data(folder)
    chosen = {name: TASKS[name] for name in tasks or TASKS}
    table = _changed(_table(encoder, chosen), changes or {})
    (folder / "accord.toml").write_text(_toml(table), encoding="utf-8")
    return folder / "accord.toml"


def _without_timings(record: Table) -> Table:
    return {key: value for key, value in record.items() if key not in TIMINGS}


def outcome_of(run: Path) -> Table:
    """All that a run leaves for its user, without timings: equal if two runs were the same."""
    files = [file for part in ("model", "predictions") for file in sorted((run / part).iterdir())]
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {
        **{str(file.relative_to(run)): file.read_bytes() for file in files},
        "scores.safetensors": (run / "scores.safetensors").read_bytes(),
        "metrics.jsonl": [_without_timings(json.loads(line)) for line in lines],
        "results.json": _without_timings(json.loads((run / "results.json").read_text())),
    }


def folder_of(run: Path) -> Table:
    """All that a finished run's folder holds, timings and logs apart, whatever a kill may leave.

    Checkpoints that were set aside as damaged stay there for their user.
    """
    paths = {
        str(path.relative_to(run)): path for path in sorted(run.rglob("*"))
        if not any(part.startswith("damaged-") for part in path.parts)
    }  # fmt: skip
    status = json.loads((run / "status.json").read_text())
    return {
        **outcome_of(run),
        "paths": [*paths],
        "status.json": {key: status[key] for key in ("state", "step", "steps")},
        **{
            name: path.read_bytes() for name, path in paths.items()
            if name in ("config.toml", "resolved.json", ".lock")
            or (name.startswith("checkpoints/") and path.suffix == ".safetensors")
        },
        **{
            name: _without_timings(json.loads(path.read_text())) for name, path in paths.items()
            if path.name == "progress.json"
        },
    }  # fmt: skip
