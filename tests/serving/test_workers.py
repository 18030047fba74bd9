"""Several processes that answer at one address: what their supervisor tells them, and that it
replaces those that die."""

import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from client import Process, until

from accord.errors import UsageError
from accord.serving.addresses import listen, listening
from accord.serving.exchange import Exchange
from accord.serving.messages import Exchanged, Loaded, Order


class Fake:
    """Keeps what a worker is told."""

    def __init__(self):
        self.told = []

    def send(self, message):
        self.told.append(message)


@pytest.fixture
def workers():
    return [Fake(), Fake()]


@pytest.fixture
def said():
    return []


def reloading(said, workers, *asked):
    """An exchange that workers were told to load for."""
    exchange = Exchange(said.append)
    exchange.begun({"a": "old"})
    for asker in asked or [()]:
        exchange.ask(*asker)
    exchange.advance(workers)
    assert [worker.told for worker in workers] == [[Order.LOAD]] * len(workers)
    return exchange


def test_all_exchange_once_all_have_loaded_and_whoever_asked_is_told(workers, said):
    first, second = workers
    exchange = reloading(said, workers, (second, 7), ())
    exchange.loaded(first, Loaded({"a": "new"}))
    exchange.advance(workers)
    assert first.told == [Order.LOAD]  # the second may fail still
    exchange.ask(first, 1)  # a folder may have changed since: it waits for the next time
    exchange.loaded(second, Loaded({"a": "new"}))
    exchange.advance(workers)
    exchange.done(first)
    exchange.advance(workers)
    assert said == []
    exchange.done(second)
    exchange.advance(workers)
    assert said == ["loaded anew: a"]
    assert second.told == [Order.LOAD, Order.EXCHANGE, Exchanged((7,), ("a",))]
    exchange.advance(workers)
    assert first.told == [Order.LOAD, Order.EXCHANGE, Order.LOAD]


@pytest.mark.parametrize(
    ("loaded", "error"),
    [
        (Loaded({}, "no such file"), "no such file"),
        (Loaded({"a": "newer"}), "a folder changed while it was loaded; load it again"),
    ],
)
def test_where_one_cannot_none_exchanges(workers, said, loaded, error):
    first, second = workers
    exchange = reloading(said, workers, (first, 3))
    exchange.loaded(first, Loaded({"a": "new"}))
    exchange.loaded(second, loaded)
    exchange.advance(workers)
    assert said == [f"nothing was exchanged: {error}"]
    assert first.told == [Order.LOAD, Order.FORGET, Exchanged((3,), error=error)]
    assert second.told == [Order.LOAD, Order.FORGET]


def test_a_worker_that_dies_is_not_waited_for(workers, said):
    first, second = workers
    exchange = reloading(said, workers, (second, 3))
    exchange.loaded(first, Loaded({"a": "new"}))
    exchange.gone(second)
    exchange.advance([first])
    assert first.told == [Order.LOAD, Order.EXCHANGE]
    exchange.gone(first)
    third = Fake()
    exchange.advance([third])
    assert said == ["loaded anew: a"]


def test_when_all_die_it_is_said(workers, said):
    exchange = reloading(said, workers)
    for worker in workers:
        exchange.gone(worker)
    exchange.advance([])
    assert said == []
    exchange.advance([Fake()])
    assert said == ["nothing was exchanged: all workers died meanwhile"]


def test_a_worker_that_begins_with_another_model_makes_all_load_it(workers, said):
    exchange = Exchange(said.append)
    exchange.begun({"a": "old"})
    exchange.begun({"a": "old"})
    exchange.advance(workers)
    assert workers[0].told == []
    exchange.begun({"a": "new"})
    exchange.advance(workers)
    assert workers[0].told == [Order.LOAD]


def test_a_host_of_several_addresses_has_one_port():
    sockets = listen("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
        port = sockets[0].getsockname()[1]
        assert f"http://127.0.0.1:{port}" in listening(sockets)
        # Else asyncio leaves Nagle's algorithm on, and answers wait for the client's ACK.
        assert {each.proto for each in sockets} == {socket.IPPROTO_TCP}
        with pytest.raises(UsageError, match=rf"can't listen at localhost:{port}"):
            listen("localhost", port)
    finally:
        for each in sockets:
            each.close()


@pytest.mark.slow
def test_a_worker_that_dies_loses_its_own_requests_alone(save):
    process = Process(save("first"), "--workers", 2, "--reload")
    client, ended, answered, lost = process.client, threading.Event(), [], []

    def ask():
        while not ended.is_set():
            try:
                answered.append(client.answer(["a good b"]).status)
            except OSError as error:
                lost.append(error)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(ask)
        until(lambda: len(answered) > 50)
        os.kill(children(process.process.pid)[0], signal.SIGKILL)
        process.line(r"worker \d was ended by SIGKILL; another is started now")
        before = len(answered)
        until(lambda: len(answered) > before + 50)  # the other one goes on
        until(lambda: len(children(process.process.pid)) == 2)
        ended.set()
    assert {*answered} == {200}
    assert len(lost) <= 4  # as many as were asked at once
    counted = client.ask("GET", "/metrics").value
    assert "accord_worker_deaths_total 1.0" in counted
    assert "accord_open 1.0" in counted  # this one: the dead one's are gone
    found = re.search(r'requests_total{path="/v1/answer",status="200"} (\d+)', counted)
    assert len(answered) <= int(found[1]) <= len(answered) + len(lost)
    process.end()
    assert process.process.returncode == 0


@pytest.mark.slow
def test_all_workers_exchange_models_by_a_request_or_a_signal(save):
    process = Process(save("first"), "--workers", 2, "--reload")
    client = process.client
    old = client.answer(["a good b"]).value["hash"]

    def hashes():
        return {client.answer(["a good b"]).value["hash"] for _ in range(30)}

    save("first", 5)
    assert client.ask("POST", "/v1/reload").value == {"reloaded": ["first"]}
    process.line("loaded anew: first")
    (new,) = hashes()
    assert new != old
    folder = save("first", 6)
    process.process.send_signal(signal.SIGHUP)
    process.line("loaded anew: first")
    (newest,) = hashes()
    assert newest not in (old, new)

    (folder / "model.safetensors").write_bytes(b"")
    reply = client.ask("POST", "/v1/reload")
    assert (reply.status, reply.value["error"][:23]) == (409, "nothing was exchanged: ")
    assert hashes() == {newest}
    process.end()
    assert process.process.returncode == 0


@pytest.mark.slow
def test_what_cannot_begin_is_said_and_nothing_is_left(save):
    folder = save("first")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(AssertionError, match="exit status 1"):
        Process(folder, "--workers", 2)


@pytest.mark.slow
def test_workers_end_with_their_supervisor(save):
    process = Process(save("first"), "--workers", 2)
    workers = children(process.process.pid)
    process.process.kill()
    process.process.communicate()
    until(lambda: not any(alive(pid) for pid in workers))


def children(pid: int) -> list[int]:
    """The workers of a supervisor: not the process that looks after their semaphores."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [each for each in found if "spawn_main" in command(each)]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
