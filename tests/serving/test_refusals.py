"""Wrong requests: a status and one line of JSON each, and the next request is answered."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import sent, until

from accord.serving.requests import Limits

GOOD = {"texts": ["a good b"]}
DEEP = b'{"texts": ' + b"[" * 5000 + b"]" * 5000 + b"}"
BODIES = [
    (b"", 400, "the body is empty"),
    (b"   ", 400, "the body is empty"),
    (b"{", 400, "the body is not JSON: line 1, column 2"),
    (b"\xff\xfe", 400, "the body is not UTF-8: byte 0"),
    (b'{"texts": [NaN]}', 400, "NaN is no number there"),
    (b'{"texts": ["a"], "x": -Infinity}', 400, "-Infinity is no number there"),
    (b'{"texts": ["a"], "x": ' + b"9" * 6000 + b"}", 400, "the body is not JSON"),
    (DEEP, 400, "nested"),
    (b"[]", 422, "the body should be an object with 'texts', got a list"),
    (b"null", 422, "the body should be an object with 'texts', got null"),
    (b"{}", 422, "'texts' is missing"),
    (b'{"texts": "a"}', 422, "'texts' should be a list, got a string"),
    (b'{"texts": {"a": 1}}', 422, "'texts' should be a list, got an object"),
    (b'{"texts": [1]}', 422, "text 0: should be a string or a list, got a number"),
    (b'{"texts": ["a", null]}', 422, "text 1: should be a string or a list, got null"),
    (b'{"texts": ["a", true]}', 422, "text 1: should be a string or a list, got true or false"),
    (b'{"texts": [["a", 1]]}', 422, "text 0: should hold strings, got a number"),
    (b'{"texts": [["a", [1]]]}', 422, "text 0: should hold strings, got a number"),
    (b'{"texts": [[["a"], "b"]]}', 422, "text 0: should hold strings, got a list"),
    (b'{"texts": ["a", ["\\ud800", "b"]]}', 422, "text 1: holds a lone surrogate"),
    (b'{"texts": ["\\ud800"]}', 422, "text 0: holds a lone surrogate"),
    (b'{"text": ["a"]}', 422, "unknown key 'text'; did you mean 'texts'?"),
    (b'{"texts": ["a"], "probability": true}', 422, "did you mean 'probabilities'?"),
    (b'{"texts": ["a"], "probabilities": 1}', 422, "should be true or false, got a number"),
    (b'{"texts": ["a"], "tasks": "mood"}', 422, "'tasks' should be a list of names"),
    (b'{"texts": ["a"], "tasks": [1]}', 422, "'tasks' should be a list of names"),
    (b'{"texts": ["a"], "tasks": []}', 422, "'tasks' is empty"),
    (b'{"texts": ["a"], "tasks": ["mod"]}', 422, "no task 'mod'; did you mean 'mood'?"),
    (b'{"texts": ["a"], "tasks": ["same"]}', 422, "text 0: the tasks asked take a pair of texts"),
    (b'{"texts": ["a", ["b", "c"]], "tasks": ["mood"]}', 422, "text 1: the tasks asked take a"),
    (b'{"texts": ["a"], "tasks": ["mood", "same"]}', 422, "task 'same' takes a pair of texts"),
    (b'{"texts": ["a"], "model": "frist"}', 404, "no model 'frist'; did you mean 'first'?"),
    (b'{"texts": ["a"], "\\ud800": 1}', 422, "unknown key"),
    (b'{"texts": ["a"], "tasks": ["' + b"m" * 300 + b'"]}', 422, "of 200 characters"),
    (b'{"texts": ["a"], "model": "' + b"m" * 300 + b'"}', 404, "no name has 300 characters"),
    (json.dumps({"texts": [[""] * 100_001]}).encode(), 413, "100,001 characters; at most"),
    (json.dumps({"texts": [["a" * 1000, ["b"] * 100]]}).encode(), 413, "100,100 characters"),
    (b'{"texts": ["a"], "model": 3}', 422, "'model' should be a name, got a number"),
    (json.dumps({"texts": ["a"] * 257}).encode(), 413, "257 texts; at most 256 are allowed"),
    (json.dumps({"texts": ["a" * 100_001]}).encode(), 413, "100,001 characters; at most 100,000"),
]  # fmt: skip


def test_bodies_that_say_what_is_wrong(serve):
    client = serve()
    expected = client.ask("POST", "/v1/answer", GOOD)
    for body, status, message in BODIES:
        reply = client.ask("POST", "/v1/answer", body, {"content-type": "application/json"})
        assert reply.status == status, body[:60]
        assert list(reply.value) == ["error"], body[:60]
        assert message in reply.value["error"], body[:60]
        assert client.ask("POST", "/v1/answer", GOOD).value == expected.value


def test_paths_methods_and_kinds_of_body(serve):
    client = serve()
    cases = [
        ("GET", "/v1/answer", None, {}, 405, "GET is not allowed there; allowed: POST"),
        ("DELETE", "/v1/models", None, {}, 405, "allowed: GET"),
        ("GET", "/v1/anwser", None, {}, 404, "no path '/v1/anwser'"),
        ("GET", "/health/", None, {"host": "elsewhere.example"}, 404, "no path '/health/'"),
        ("POST", "/v1/answer", b"{}", {"content-type": ""}, 415, "allowed: content-type"),
        ("POST", "/v1/answer/mod", GOOD, {}, 422, "no task 'mod'; did you mean 'mood'?"),
        ("POST", "/v1/answer/mood", {**GOOD, "tasks": ["mood"]}, {}, 422, "the path names the"),
        ("POST", "/v1/answer/same", GOOD, {}, 422, "text 0: the tasks asked take a pair"),
        ("POST", "/v1/answer", b"texts=a", {"content-type": "application/x-www-form-urlencoded"},
         415, "allowed: content-type: application/json"),
        ("POST", "/v1/answer", b"x" * ((1 << 20) + 1), {"content-type": "application/json"},
         413, "at most 1,048,576 are allowed"),
        ("POST", "/v1/reload", None, {}, 403, "takes no reloads"),
    ]  # fmt: skip
    for method, path, body, headers, status, message in cases:
        reply = client.ask(method, path, body, headers)
        assert (reply.status, message in reply.value["error"]) == (status, True), (path, reply)
    assert client.ask("GET", "/v1/answer").headers["allow"] == "POST"
    counted = client.ask("GET", "/metrics").value
    assert 'accord_requests_total{path="/v1/answer",status="413"} 1.0' in counted
    assert 'accord_requests_total{path="other",status="404"} 2.0' in counted
    json_kind = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.ask("POST", "/v1/answer", json.dumps(GOOD).encode(), json_kind).status == 200


def test_a_body_in_pieces_is_no_way_around_its_limit(serve):
    client = serve(limits=Limits(body_bytes=1000))
    head = sent(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    pieces = [b"190\r\n" + b" " * 400 + b"\r\n"] * 4
    reply = client.raw(head, *pieces, b"0\r\n\r\n", b"GET /health HTTP/1.1\r\nhost: a\r\n"
                       b"connection: close\r\n\r\n", pause=0.02)  # fmt: skip
    assert reply.startswith(b"HTTP/1.1 413")
    assert b'{"error":"a body of more than 1,000 bytes"}\n' in reply


def test_what_is_no_http_and_what_comes_too_slowly(serve):
    client = serve(limits=Limits(seconds=0.3))
    refused = client.raw(b"\x16\x03\x01 hello\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400")
    assert (
        b'{"error": "this is no HTTP request that can be read: illegal request line"}\n' in refused
    )
    line, head = (
        b"POST /v1/answer HTTP/1.1\r\n",
        b"host: a\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n",
    )
    for begun in ([line], [line, head], [line, head, b'{"texts"']):
        start = time.monotonic()
        late = client.raw(*begun)
        assert late.startswith(b"HTTP/1.1 408"), begun
        assert late.endswith(b'{"error": "the request was not there after 0.3 s"}\n')
        assert 0.2 < time.monotonic() - start < 10
    assert client.raw() == b""  # nothing was asked
    assert client.ask("POST", "/v1/answer", GOOD).status == 200


def test_who_hangs_up_disturbs_nobody(serve):
    client = serve()
    body = json.dumps(GOOD).encode()
    whole = sent(body)
    for part in (b"", whole[:10], whole[: -len(body)], whole[:-5], whole):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(part)
        assert client.ask("POST", "/v1/answer", GOOD).status == 200


def test_who_hangs_up_while_waiting_keeps_no_place(serve):
    client = serve(limits=Limits(waiting=2))
    predictor, held = client.service.models.get("first").predictor, threading.Event()
    plain, calls = predictor.records, []

    def slow(rows, *arguments):
        calls.append(rows)
        held.wait(30)
        return plain(rows, *arguments)

    predictor.records = slow
    asked = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
    for number, connection in enumerate(asked):
        connection.sendall(sent(json.dumps({"texts": [f"a {number}"]}).encode()))
        until(lambda number=number: (len(calls), len(client.service.batcher)) == (1, number))
    assert client.ask("POST", "/v1/answer", GOOD).status == 503
    for connection in asked:
        connection.close()
    jobs = client.service.batcher._jobs
    until(lambda: all(job.answers.cancelled() for job in jobs))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(client.ask, "POST", "/v1/answer", GOOD)
        until(lambda: len(client.service.batcher) == 1)  # theirs are gone
        held.set()
        assert reply.result().status == 200
    assert calls == [["a 0"], ["a good b"]]


@pytest.mark.slow
def test_the_time_of_a_later_request_begins_with_it(serve):
    client = serve(limits=Limits(seconds=6.0))
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        first = b""
        while b"alive" not in first:
            first += connection.recv(65536)
        time.sleep(3.0)
        begun = time.monotonic()
        connection.sendall(b"POST /v1/answer HTTP/1.1\r\n")
        late = b""
        while chunk := connection.recv(65536):
            late += chunk
    assert b"HTTP/1.1 408" in late
    assert time.monotonic() - begun > 5.0


@pytest.mark.slow
def test_a_connection_asks_again_and_again(serve):
    body = json.dumps(GOOD).encode()
    again, last = sent(body), sent(body, "connection: close")
    assert (
        serve(limits=Limits(seconds=6.0)).raw(again, again, last, pause=2.5).count(b"200 OK") == 3
    )


def test_too_many_that_wait_are_told_to_come_again(serve):
    client = serve(limits=Limits(waiting=0))
    reply = client.ask("POST", "/v1/answer", GOOD)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.value == {"error": "0 requests wait already; ask again later"}


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "Basic secret", "Bearer sécret"])
def test_without_the_token_nothing_is_told(serve, given):
    client = serve(token="secret")
    headers = {} if given is None else {"authorization": given.encode().decode("latin-1")}
    for path in ("/v1/models", "/metrics", "/openapi.json"):
        reply = client.ask("GET", path, headers=headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert client.ask("POST", "/v1/answer", GOOD, headers).status == 401
    assert client.ask("GET", "/health").status == client.ask("GET", "/").status == 200
    right = {"authorization": "Bearer secret"}
    assert client.ask("POST", "/v1/answer", GOOD, right).status == 200


def test_a_bug_is_told_without_what_was_asked(serve):
    client = serve()
    predictor = client.service.models.get("first").predictor

    def broken(*_):
        raise RuntimeError("secret text")

    plain, predictor.records = predictor.records, broken
    reply = client.ask("POST", "/v1/answer", GOOD)
    assert (reply.status, reply.value) == (500, {"error": "a bug in Accord: RuntimeError"})
    predictor.records = plain
    assert client.ask("POST", "/v1/answer", GOOD).status == 200
    (error,) = client.failures
    assert isinstance(error, RuntimeError)
    client.failures.clear()


def test_a_token_may_have_any_letters(serve):
    client = serve(token="schlüssel")
    right = {"authorization": "Bearer schlüssel".encode().decode("latin-1")}
    assert client.ask("GET", "/v1/models", headers=right).status == 200


def test_a_token_may_end_in_any_letter(serve):
    client = serve(token="schlüsselà")  # of which UTF-8's last byte is a space in latin-1
    right = {"authorization": "Bearer schlüsselà ".encode().decode("latin-1")}
    assert client.ask("GET", "/v1/models", headers=right).status == 200
