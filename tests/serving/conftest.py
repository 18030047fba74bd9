"""A service on a free port of this machine."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from client import Client

from accord.encoders.families.bert import BertEncoder
from accord.kinds.token_classification import TokenTask
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model
from accord.serving.app import Service, make_app
from accord.serving.backends import Backend
from accord.serving.connections import patient
from accord.serving.models import Models
from accord.tasks import Task

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", "good", "bad", "paris"]
MOOD = Task("mood", "classification", "cross_entropy", "accuracy", labels=("bad", "good"))
GRADE = Task("grade", "regression", "mse", "pearson", range=(0.0, 5.0))
SAME = Task("same", "pair-classification", "binary_cross_entropy", "accuracy", labels=("no", "yes"))
PLACES = TokenTask(
    "places", "token-classification", "cross_entropy", "entity_f1",
    labels=("O", "B-place", "I-place"), pooling="first", scheme="bio",
)  # fmt: skip
TASKS = (MOOD, GRADE, SAME, PLACES)


Save = Callable[..., Path]


def saving(folder: Path, tiny_encoder: Callable[..., BertEncoder]) -> Save:
    """Return what saves a model of some tasks: (name, seed, tasks) -> its folder."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    def make(name: str, seed: int = 0, tasks: Sequence[Task] = TASKS) -> Path:
        torch.manual_seed(seed)
        model = MultitaskModel(tiny_encoder(seed), tasks).eval()
        with torch.no_grad():
            for parameter in model.heads.parameters():
                parameter.copy_(torch.randn_like(parameter))
        columns = {task.name: InputFormat(("x", "y")[: task.texts]) for task in tasks}
        save_model(model, folder / name, columns, 48, folder)
        return folder / name

    return make


@contextmanager
def serving(save: Save) -> Iterator[Callable[..., Client]]:
    """Serve models for a while: (folders by name, backend, **settings) -> a client."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []
    failures: list[Exception] = []

    def start(
        folders: dict[str, Path] | None = None, most: int = 500,
        backend: Backend | None = None, **settings: Any,
    ) -> Client:  # fmt: skip
        service = Service(Models(folders or {"first": save("first")}, backend), **settings)
        client = Client(0)
        config = uvicorn.Config(
            make_app(service, failures.append), host="127.0.0.1", port=0, ws="none",
            http=patient(service.limits.seconds, most), log_config=None, access_log=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        client.port = server.servers[0].sockets[0].getsockname()[1]
        client.service, client.failures, client.server = service, failures, server
        running.append((server, thread))
        return client

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []


@pytest.fixture
def save(tmp_path: Path, tiny_encoder: Callable[..., BertEncoder]) -> Save:
    """Save a model of some tasks: (name, seed, tasks) -> its folder."""
    return saving(tmp_path, tiny_encoder)


@pytest.fixture
def serve(save: Save) -> Iterator[Callable[..., Client]]:
    """Serve models until the test ends: (folders by name, backend, **settings) -> a client."""
    with serving(save) as start:
        yield start


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Callable[..., BertEncoder]
) -> Iterator[Client]:
    """A service for all tests of a file."""
    with serving(saving(tmp_path_factory.mktemp("shared"), tiny_encoder)) as start:
        yield start()


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    """Draw texts: (count, seed)."""

    def draw(count: int, seed: int = 0) -> list[str]:
        rng = np.random.default_rng(seed)
        words = ["a", "b", "good", "bad", "paris", "?"]
        return [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]

    return draw
