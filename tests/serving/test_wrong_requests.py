"""Each of sixty wrong requests is told what is wrong, and the next is served."""

import json
import re
from typing import NamedTuple

import pytest
from wrong_requests import GOOD, JSON, WRONG, headed, post, request

from accord.serving.requests import Limits


class Said(NamedTuple):
    """An answer as it came."""

    status: int
    head: str
    error: str


def parsed(received: bytes) -> Said:
    """Take an answer apart: it has to be the only one, and one line."""
    head, _, content = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, received[:200]
    assert len(content) == int(length.group(1)), received[:400]
    assert content.endswith(b"\n")
    assert content.decode().splitlines() == [content.decode()[:-1]]
    value = json.loads(content)
    assert list(value) == ["error"]
    return Said(int(head.split()[1]), head.decode("latin-1"), value["error"])


@pytest.mark.parametrize("wrong", WRONG.values(), ids=[*WRONG])
def test_it_is_told_what_is_wrong(shared, wrong):
    sent, status, piece = wrong
    said = parsed(shared.raw(sent, end=True))
    assert (said.status, piece in said.error) == (status, True), said
    assert "Traceback" not in said.error
    assert shared.answer(["a good b"]).status == 200
    assert shared.failures == []


def test_there_are_sixty():
    assert len(WRONG) >= 60


def test_http_1_0_is_answered_and_closed(shared):
    received = shared.raw(b"GET /health HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b'{"status":"alive"}\n')


def test_a_body_may_wait_until_it_is_asked_for(shared):
    head = headed("expect: 100-continue", f"content-length: {len(GOOD)}", "connection: close",
                  body=b"")  # fmt: skip
    received = shared.raw(head, GOOD, pause=0.05)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in received


EARLY = {
    "401": ("Bearer wrong", JSON, 1 << 10),
    "413": ("Bearer secret", JSON, 1 << 20),
    "415": ("Bearer secret", "content-type: text/plain", 1 << 10),
    "404": ("Bearer secret", JSON, 1 << 10),
}


@pytest.mark.parametrize("expects", [False, True], ids=["sent", "expected"])
@pytest.mark.parametrize("status", EARLY)
def test_what_is_refused_unread_is_no_next_request(serve, status, expects):
    """Its body looks like a request: whoever took it for one would answer twice."""
    token, kind, size = EARLY[status]
    client = serve(token="secret", limits=Limits(body_bytes=1 << 16))
    hidden = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    body = hidden * (size // len(hidden))
    path = "/v1/nothing" if status == "404" else "/v1/answer"
    more = ["expect: 100-continue"] if expects else []
    head = request(f"POST {path} HTTP/1.1", f"authorization: {token}", kind,
                   f"content-length: {len(body)}", *more)  # fmt: skip
    received = client.raw(head, body, pause=0.01)  # all of it is taken: nobody's pipe breaks
    said = parsed(received)
    assert said.status == int(status)
    assert "connection: close" in said.head
    assert b"100 Continue" not in received
    assert client.ask("GET", "/health").status == 200


def test_a_refusal_of_a_body_that_was_read_keeps_the_connection(shared):
    wrong = post(b"[]")
    last = post(GOOD, "/v1/answer", "connection: close")
    received = shared.raw(wrong + last)
    assert received.startswith(b"HTTP/1.1 422")
    assert received.count(b"HTTP/1.1 200 OK") == 1


HOSTS = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8000", "127.0.0.2", "[::1]:8000",
         "accord.example", "Accord.Example:443"]  # fmt: skip
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
           "192.168.0.5", "", "[", "user@localhost"]  # fmt: skip


def test_a_name_that_leads_here_from_elsewhere_is_refused(serve):
    client = serve(hosts=frozenset({"accord.example"}))
    for host in HOSTS:
        assert client.ask("GET", "/v1/models", headers={"host": host}).status == 200, host
    for host in FOREIGN:
        for path in ("/", "/v1/models", "/nothing"):
            reply = client.ask("GET", path, headers={"host": host})
            assert reply.status == 421, host
            assert reply.value["error"].endswith(
                "allowed: localhost, and names that --allow-host gives"
            )
    assert client.raw(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert (
        'accord_requests_total{path="other",status="421"} 24.0'
        in client.ask("GET", "/metrics").value
    )
