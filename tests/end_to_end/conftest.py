"""A tiny encoder, three tiny tasks, and the ways to run them: in this process or in another."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from accord import training
from accord.bert import BertConfig, BertEncoder
from accord.cli import main
from accord.config import load_config
from accord.data.tokenizing import load_tokenizer
from accord.pretrained import save_encoder
from accord.signals import StopSignals
from accord.step import Learner

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
TIMINGS = ("seconds", "tokens_per_second", "train_seconds", "peak_memory_bytes")

Table = dict[str, Any]
Project = Callable[..., Path]


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' token stores stay out of the user's cache."""
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def _write_encoder(
    folder: Path, *, pooler: bool = True, seed: int = 0, type_vocab_size: int = 2
) -> Path:
    words = [*SPECIAL, *GOOD, *BAD, *PLAIN, *"abcdefghijklmnopqrstuvwxyz"]
    encoder = BertEncoder(
        BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=2,
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


@pytest.fixture(scope="session")
def write_encoder() -> Callable[..., Path]:
    """Write an encoder of random weights: (folder, pooler=True, seed=0, ...)."""
    return _write_encoder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


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
            "epochs": 3, "batch_size": 4, "threads": 1, "device": "cpu", "lr": 1e-3, "seed": 3,
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
            del section[last]
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


@pytest.fixture(scope="session")
def make_project(encoder_folder: Path) -> Project:
    """Write a folder with data files and accord.toml: (folder, {"training.epochs": 1, …})."""

    def make(
        folder: Path, changes: Mapping[str, Any] | None = None, tasks: tuple[str, ...] = ()
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        _write_data(folder)
        chosen = {name: TASKS[name] for name in tasks or TASKS}
        table = _changed(_table(encoder_folder, chosen), changes or {})
        (folder / "accord.toml").write_text(_toml(table), encoding="utf-8")
        return folder / "accord.toml"

    return make


@pytest.fixture
def project(make_project: Project, tmp_path: Path) -> Project:
    """Write the test's own project and return its accord.toml: ({"training.epochs": 1, …})."""

    def make(changes: Mapping[str, Any] | None = None, tasks: tuple[str, ...] = ()) -> Path:
        return make_project(tmp_path / "project", changes, tasks)

    return make


@pytest.fixture
def train() -> Callable[..., Path]:
    """Train a config to the end and return the run's folder: (config file, run folder)."""

    def call(config: Path, out: Path) -> Path:
        source = config.read_text(encoding="utf-8")
        return training.start_run(load_config(config), out, source=source, quiet=True).folder

    return call


@pytest.fixture(scope="session")
def finished(make_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that tests read and do not change; its project is the folder beside it."""
    folder = tmp_path_factory.mktemp("finished")
    config = make_project(folder / "project", {"score": "cs224n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        source = config.read_text(encoding="utf-8")
        training.start_run(load_config(config), folder / "run", source=source, quiet=True)
    return folder / "run"


@pytest.fixture
def accord_cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run a command in this process."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["accord", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capfd.readouterr()
        return Answer(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture
def start_accord() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process of its own: (arguments, before=code that runs first).

    What still runs after the test is killed.
    """
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: object, before: str = "", **options: Any) -> subprocess.Popen[str]:
        program = ["-c", f"{before}\nfrom accord.cli import main\nmain()"]
        process = subprocess.Popen(
            [sys.executable, *(program if before else ["-m", "accord"]), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **options,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def wait_for_steps() -> Callable[..., None]:
    """Wait until a process has recorded so many steps: (process, run, steps)."""

    def wait(process: subprocess.Popen[str], run: Path, steps: int) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            metrics = run / "metrics.jsonl"
            if metrics.exists() and metrics.read_bytes().count(b'"kind": "step"') >= steps:
                return
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        raise AssertionError(f"no {steps} steps within a minute")

    return wait


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let SIGTERM come once, as a run in this process takes the given step, counted from 1."""
    entered: list[StopSignals] = []
    wanted: list[int] = []
    take_step = Learner.step

    class Recorded(StopSignals):
        def __enter__(self) -> "Recorded":
            entered.append(self)
            return super().__enter__()

    def step(self: Learner, step: int, *rest: Any) -> Any:
        if step + 1 in wanted:
            wanted.remove(step + 1)
            entered[-1]._remember(signal.SIGTERM, None)
        return take_step(self, step, *rest)

    def arrange(last: int) -> None:
        wanted.append(last)
        monkeypatch.setattr(training, "StopSignals", Recorded)
        monkeypatch.setattr(Learner, "step", step)

    return arrange


def _without_timings(record: Table) -> Table:
    return {key: value for key, value in record.items() if key not in TIMINGS}


def _outcome(run: Path) -> Table:
    files = [file for part in ("model", "predictions") for file in sorted((run / part).iterdir())]
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {
        **{str(file.relative_to(run)): file.read_bytes() for file in files},
        "metrics.jsonl": [_without_timings(json.loads(line)) for line in lines],
        "results.json": _without_timings(json.loads((run / "results.json").read_text())),
    }


@pytest.fixture(scope="session")
def outcome() -> Callable[[Path], Table]:
    """All that a run leaves for its user, without timings: equal if two runs were the same."""
    return _outcome


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], dict[str, bytes | None]]:
    """Every file and folder below a folder, with its content."""

    def call(folder: Path) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return call


@pytest.fixture(scope="session")
def metrics() -> Callable[..., list[Table]]:
    """The lines of a run's metrics.jsonl of one kind: (run, "step" or "dev")."""

    def call(run: Path, kind: str = "step") -> list[Table]:
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    return call
