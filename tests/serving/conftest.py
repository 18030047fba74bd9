"""A service on a free port of this machine, and a client that speaks to it by plain sockets."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import uvicorn

from accord.encoders.families.bert import BertEncoder
from accord.kinds.token_classification import TokenTask
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model
from accord.serving.app import Service, make_app
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


class Reply(NamedTuple):
    """What a service answered."""

    status: int
    value: Any
    headers: dict[str, str]


class Client:
    """Asks a service; each request by a connection of its own."""

    service: Service
    failures: list[Exception]

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, raw, {**kind, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        value = json.loads(content) if is_json else content.decode()
        if is_json:
            assert content.endswith(b"\n")
            assert content.count(b"\n") == 1  # one line
        return Reply(response.status, value, dict(response.headers.items()))

    def answer(self, texts: Sequence[object], **more: object) -> Reply:
        return self.ask("POST", "/v1/answer", {"texts": texts, **more})

    def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send bytes, and return all that comes back until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received


@pytest.fixture
def save(tmp_path: Path, tiny_encoder: Callable[..., BertEncoder]) -> Callable[..., Path]:
    """Save a model of some tasks: (name, seed, tasks) -> its folder."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    def make(name: str, seed: int = 0, tasks: Sequence[Task] = TASKS) -> Path:
        torch.manual_seed(seed)
        model = MultitaskModel(tiny_encoder(seed), tasks).eval()
        with torch.no_grad():
            for parameter in model.heads.parameters():
                parameter.copy_(torch.randn_like(parameter))
        columns = {task.name: InputFormat(("x", "y")[: task.texts]) for task in tasks}
        save_model(model, tmp_path / name, columns, 48, tmp_path)
        return tmp_path / name

    return make


@pytest.fixture
def serve(save: Callable[..., Path]) -> Iterator[Callable[..., Client]]:
    """Serve models until the test ends: (folders by name, **settings) -> a client."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(folders: dict[str, Path] | None = None, **settings: Any) -> Client:
        service = Service(Models(folders or {"first": save("first")}), **settings)
        client = Client(0)
        config = uvicorn.Config(
            make_app(service, failures.append), host="127.0.0.1", port=0, ws="none",
            http=patient(service.limits.seconds), log_config=None, access_log=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        client.port = server.servers[0].sockets[0].getsockname()[1]
        client.service, client.failures = service, failures
        running.append((server, thread))
        return client

    failures: list[Exception] = []
    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    """Draw texts: (count, seed)."""

    def draw(count: int, seed: int = 0) -> list[str]:
        rng = np.random.default_rng(seed)
        words = ["a", "b", "good", "bad", "paris", "?"]
        return [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]

    return draw
