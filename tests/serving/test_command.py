"""`accord serve` as a process: what it says, its signals, and what it refuses."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from click.testing import CliRunner
from client import Client, Process, sent, until
from wrong_requests import WRONG

from accord.cli.serve import find_token, serve
from accord.errors import UsageError
from accord.serving.hosts import checked_hosts, is_loopback
from accord.serving.models import content_hash
from accord.serving.settings import named


@pytest.fixture
def started() -> Iterator[Callable[..., Process]]:
    """Start services, by `accord serve`'s arguments, that end with the test."""
    all_of_them: list[Process] = []

    def start(*arguments: object, files: int | None = None) -> Process:
        all_of_them.append(Process(*arguments, files=files))
        return all_of_them[-1]

    yield start
    for each in all_of_them:
        each.process.kill()
        each.process.communicate()


@pytest.fixture
def process(save, started) -> Process:
    return started(save("first"), "--seconds", "5")


def test_signals_exchange_models_and_end_it_once_all_is_answered(process, save):
    client = process.client
    before = client.answer(["a good b"]).value
    save("first", 5)
    process.process.send_signal(signal.SIGHUP)
    process.line("loaded anew: first")
    assert client.answer(["a good b"]).value["hash"] != before["hash"]

    body = json.dumps({"texts": ["a good b"] * 200}).encode()
    whole, replies = sent(body), []
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(whole[:-100])
        until(lambda: "accord_open 2.0" in client.ask("GET", "/metrics").value)  # it has begun
        process.process.send_signal(signal.SIGTERM)
        connection.sendall(whole[-100:])
        while chunk := connection.recv(65536):
            replies.append(chunk)
    assert process.process.wait(30) == 0
    assert replies[0].startswith(b"HTTP/1.1 200")
    with pytest.raises(ConnectionRefusedError):
        client.answer(["a"])


def refusal(*arguments: object) -> str:
    result = CliRunner().invoke(serve, [*map(str, arguments)])
    assert isinstance(result.exception, Exception)
    return str(result.exception)


def test_what_cannot_be_served_is_said_in_one_line(save, tmp_path):
    folder = save("first")
    assert "two models are named 'first'" in refusal(folder, folder)
    assert "nowhere" in refusal(tmp_path / "nowhere")
    assert "holds no graphs" in refusal(folder, "--backend", "onnx")
    for option in (("--precision", "bfloat16"), ("--device", "cuda")):
        assert "--backend onnx computes in float32 on a CPU" in refusal(
            folder, "--backend", "onnx", *option
        )
    (tmp_path / "empty").write_text(" \n")
    assert refusal(folder, "--token-file", tmp_path / "empty").endswith("is empty")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refusal(folder, "--port", port) == (
            f"can't listen at 127.0.0.1:{port}: is it in use, or another machine's?"
        )


def test_names_tokens_and_hosts(tmp_path, monkeypatch):
    (tmp_path / "run" / "model").mkdir(parents=True)
    assert list(named([str(tmp_path / "run" / "model"), "b=x"])) == ["run", "b"]
    monkeypatch.delenv("ACCORD_TOKEN", raising=False)
    assert find_token(None) is None
    monkeypatch.setenv("ACCORD_TOKEN", "from outside")
    (tmp_path / "token").write_text("of a file\n")
    assert (find_token(None), find_token(tmp_path / "token")) == ("from outside", "of a file")
    with pytest.raises(UsageError, match="can't be read"):
        find_token(tmp_path / "none")
    assert [is_loopback(host) for host in ("::1", "10.0.0.1", "::", "example.org")] == [
        True, False, False, False,
    ]  # fmt: skip


def test_the_hash_is_of_names_and_contents(save):
    one, again, other = save("one"), save("two"), save("three", 1)
    assert content_hash(one) == content_hash(again) != content_hash(other)
    (one / "more.txt").write_text("")
    assert content_hash(one) != content_hash(again)


def asked_with_secrets(client: Client) -> None:
    """Ask well and wrongly, with a text that nobody should find."""
    assert client.answer(["a hidden b"], probabilities=True).status == 200
    assert client.ask("POST", "/v1/answer/mood", {"texts": ["a hidden c"]}).status == 200
    assert client.answer([["hidden", "d"]], tasks=["mood"]).status == 422
    assert client.ask("POST", "/v1/answer", b"{hidden").status == 400
    assert client.ask("GET", "/v1/hidden?hidden").status == 404
    assert client.raw(b"hidden\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_no_text_is_logged_unless_asked_for(save, started):
    quiet, loud = started(save("first")), started(save("first"), "--log-texts")
    asked_with_secrets(quiet.client)
    assert "hidden" not in quiet.end()
    asked_with_secrets(loud.client)
    lines = [json.loads(line) for line in loud.end().splitlines() if line.startswith("{")]
    assert [(line["path"], line["status"], line.get("texts")) for line in lines] == [
        ("/v1/answer", 200, ["a hidden b"]),
        ("/v1/answer/mood", 200, ["a hidden c"]),
        ("/v1/answer", 422, [["hidden", "d"]]),
        ("/v1/answer", 400, None),
    ]
    assert [line.get("tasks") for line in lines] == [None, ["mood"], ["mood"], None]


def test_without_a_token_only_names_of_this_machine_lead_to_it(save, started):
    plain = started(save("first")).client
    behind = started(save("first"), "--allow-host", "a.example", "--allow-host", "b.example").client
    said = [
        [client.ask("GET", "/health", headers={"host": host}).status
         for host in (f"localhost:{client.port}", "a.example", "b.example:443", "c.example")]
        for client in (plain, behind)
    ]  # fmt: skip
    assert said == [[200, 421, 421, 421], [200, 200, 200, 421]]


def test_which_hosts_are_checked():
    assert checked_hosts("127.0.0.1", False, ()) == frozenset()
    assert checked_hosts("::1", False, ("A.example:80",)) == {"a.example"}
    assert checked_hosts("127.0.0.1", True, ()) is checked_hosts("0.0.0.0", False, ()) is None
    assert checked_hosts("0.0.0.0", True, ("a.example",)) == {"a.example"}


def test_nothing_that_is_asked_wrongly_is_said_on_standard_error(save, started):
    service = started(save("first"))
    for sent_bytes, status, _ in WRONG.values():
        received = service.client.raw(sent_bytes, end=True)
        assert received.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"uvicorn" not in received
    assert service.end() == ""
    assert service.process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="only Unix limits a process's files")
def test_more_connections_than_files_shut_nobody_out(save, started):
    service = started(save("first"), "--seconds", "60", files=400)
    with ExitStack() as silent:
        for number in range(800):
            silent.enter_context(service.client.connected())
            if number % 100 == 99:
                assert service.client.answer(["a good b"]).status == 200
    assert service.end() == ""
