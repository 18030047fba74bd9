"""Twenty slow, half or broken connections: others are answered meanwhile, and all is freed."""

import errno
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from client import Client, sent, until

from accord.serving.connections import Connection
from accord.serving.faults import teller
from accord.serving.requests import Limits

SECONDS = 1.0
FILES = Path("/proc/self/fd")
GOOD = json.dumps({"texts": ["a good b"]}).encode()
WHOLE = sent(GOOD)
HEAD, HALF = WHOLE[: -len(GOOD)], WHOLE[:-5]
MANY = sent(json.dumps({"texts": ["a good paris"] * 256, "probabilities": True}).encode())
CHUNKS = sent(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
Broken = Callable[[socket.socket], object]


def silent(*parts: bytes) -> Broken:
    """Send these, and then nothing until the service ends it."""

    def connection(it: socket.socket) -> None:
        for part in parts:
            it.sendall(part)
        rest(it)

    return connection


def crumbs(first: bytes, then: bytes) -> Broken:
    """Send the first at once, and the rest byte by byte."""

    def connection(it: socket.socket) -> None:
        it.sendall(first)
        for byte in then * 1000:
            it.sendall(bytes([byte]))
            time.sleep(0.05)

    return connection


def closed(part: bytes) -> Broken:
    """Send a part, and close."""
    return lambda it: it.sendall(part)


def reset(part: bytes) -> Broken:
    """Send a part, and reset the connection."""

    def connection(it: socket.socket) -> None:
        it.sendall(part)
        it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return connection


def half_closed(part: bytes) -> Broken:
    """Send a part, say that there is no more, and wait."""

    def connection(it: socket.socket) -> None:
        it.sendall(part)
        it.shutdown(socket.SHUT_WR)
        rest(it)

    return connection


def reset_in_an_answer(it: socket.socket) -> None:
    it.sendall(MANY)
    it.recv(10)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deaf(it: socket.socket) -> None:
    """Ask for as much as nobody's buffers hold, and never read."""
    with suppress(TimeoutError):
        for _ in range(300):
            it.sendall(MANY)


def crumbling_reader(it: socket.socket) -> None:
    """Ask for much, and read a byte at a time."""
    it.settimeout(0.05)
    pending = MANY * 300
    while True:
        with suppress(TimeoutError):
            pending = pending[it.send(pending) :]
        with suppress(TimeoutError):
            assert it.recv(1), "the service ended it"


def rest(it: socket.socket) -> None:
    while it.recv(65536):
        pass


BROKEN: dict[str, Broken] = {
    "silence": silent(),
    "a line end": silent(b"\r\n"),
    "half a request line": silent(b"POST /v1/an"),
    "half a head": silent(HEAD[:-10]),
    "a head without its body": silent(HEAD),
    "half a body": silent(HALF),
    "half a chunk": silent(CHUNKS, b"20\r\n{"),
    "chunks without end": crumbs(CHUNKS, b"1\r\n \r\n"),
    "a head byte by byte": crumbs(b"", HEAD),
    "a body byte by byte": crumbs(HEAD.replace(b": 23", b": 9999"), b" "),
    "headers without end": crumbs(HEAD[:-2], b"a: b\r\n"),
    "a whole one, and half of the next": silent(WHOLE, HALF),
    "closed before its body": closed(HEAD),
    "closed in its body": closed(HALF),
    "closed before its answer": closed(WHOLE),
    "several at once, then closed": closed(WHOLE * 20),
    "reset in its body": reset(HALF),
    "reset before its answer": reset(MANY),
    "reset in its answer": reset_in_an_answer,
    "half closed in its body": half_closed(HALF),
    "a broken chunk, then silence": silent(CHUNKS, b"xyz\r\n"),
    "what is refused unread, then silence": silent(HEAD.replace(b": 23", b": 99999999")),
    "TLS, then silence": silent(bytes.fromhex("16030100c8010000c40303")),
}
UNREAD: dict[str, Broken] = {
    "answers that nobody reads": deaf, "answers read byte by byte": crumbling_reader,
}  # fmt: skip


def break_off(client: Client, broken: Broken) -> None:
    with client.connected() as connection, suppress(OSError, AssertionError):
        broken(connection)


def all_is_freed(client: Client) -> bool:
    service, state = client.service, client.server.server_state
    held = state.connections, state.tasks, service.batcher
    return not any(map(len, held)) and service.measures.open._value.get() == 0


def held_off(client: Client, *broken: Broken) -> None:
    """Let connections break side by side, ask meanwhile, and see that nothing is left of them."""
    threads = [threading.Thread(target=break_off, args=(client, each)) for each in broken]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert client.ask("POST", "/v1/answer", GOOD).status == 200
        time.sleep(0.05)
    until(lambda: all_is_freed(client))
    assert client.ask("POST", "/v1/answer", GOOD).status == 200


@pytest.mark.parametrize("broken", BROKEN.values(), ids=[*BROKEN])
@pytest.mark.slow
def test_it_disturbs_nobody_and_is_freed(serve, broken):
    held_off(serve(limits=Limits(seconds=SECONDS)), broken)


def test_all_together_disturb_nobody_and_are_freed(serve):
    held_off(serve(limits=Limits(seconds=SECONDS)), *BROKEN.values())


@pytest.mark.parametrize("broken", UNREAD.values(), ids=[*UNREAD])
@pytest.mark.slow
def test_answers_that_are_not_taken_hold_nothing(serve, broken):
    held_off(serve(limits=Limits(seconds=SECONDS)), broken)


@pytest.mark.slow
@pytest.mark.skipif(not FILES.exists(), reason="only Linux lists a process's files there")
def test_a_hundred_leave_no_file_open(serve):
    client = serve(limits=Limits(seconds=SECONDS))
    held_off(client, *BROKEN.values())
    before = len([*FILES.iterdir()])
    held_off(client, *[*BROKEN.values()] * 5)
    until(lambda: len([*FILES.iterdir()]) <= before)  # the last one's is closed in a moment


class Buffer:
    """Stands in for a transport that has so many bytes to send at each look."""

    def __init__(self, *sizes: int) -> None:
        self.sizes, self.aborted = [*sizes], False

    def get_write_buffer_size(self) -> int:
        return self.sizes.pop(0)

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(("sizes", "aborted"), [
    ([100_000, 83_000, 60_000, 30_000, 10_000, 0], False), ([0, 0], False), ([5_000, 5_000], True),
    ([100_000, 99_000], True), ([100_000, 100_000], True), ([100_000, 83_000, 82_999], True),
])  # fmt: skip
def test_an_answer_has_to_be_taken_at_some_speed(sizes, aborted):
    connection = Connection.__new__(Connection)
    connection.transport = buffer = Buffer(*sizes[1:])

    class Loop:
        def call_later(self, seconds, function, left):
            function(left)

    connection.loop = Loop()
    connection._abandon(sizes[0])
    assert (buffer.aborted, buffer.sizes) == (aborted, [])


def test_of_too_many_connections_the_one_goes_that_has_waited_longest(serve):
    client = serve(limits=Limits(seconds=60.0), most=2)
    first = client.connected()
    first.sendall(HALF)  # a byte more does not make it younger
    until(lambda: len(client.server.server_state.connections) == 1)
    second = client.connected()
    until(lambda: len(client.server.server_state.connections) == 2)
    first.sendall(b" ")
    assert client.ask("GET", "/health").status == 200
    assert first.recv(1) == b""
    second.sendall(WHOLE)
    assert second.recv(100).startswith(b"HTTP/1.1 200")
    first.close()
    second.close()


def test_many_that_come_at_once_make_room_for_each_other(serve):
    client = serve(limits=Limits(seconds=60.0), most=10)
    state = client.server.server_state
    with ExitStack() as silent:
        for _ in range(50):
            silent.enter_context(client.connected())
        until(lambda: len(state.connections) == 10)
        assert client.ask("GET", "/health").status == 200
        until(lambda: len(state.connections) <= 10)


def test_where_all_connections_are_being_answered_another_is_told_so(serve):
    client, held = serve(limits=Limits(seconds=60.0), most=1), threading.Event()
    predictor = client.service.models.get("first").predictor
    plain = predictor.records

    def slow(*arguments):
        held.wait(30)
        return plain(*arguments)

    predictor.records = slow
    with client.connected() as busy:
        busy.sendall(WHOLE)
        until(lambda: client.service.measures.open._value.get() == 1)
        told = client.raw()
        held.set()
        assert busy.recv(100).startswith(b"HTTP/1.1 200")
    assert told.startswith(b"HTTP/1.1 503")
    assert told.endswith(b'{"error": "1 connections are open; ask again later"}\n')


def test_faults_of_no_request_are_lines_and_each_now_and_then():
    lines, now = [], [0.0]
    tell = teller(lines.append, lambda: now[0])
    for seconds in (0.0, 1.0, 9.0, 11.0):
        now[0] = seconds
        tell(None, {"exception": OSError(errno.EMFILE, "Too many open files")})
        tell(None, {"exception": ValueError("somebody's text")})
    files = "no further connections for a moment: as many files are open as may be"
    assert lines == [files, "a fault outside of any request: ValueError"] * 2
