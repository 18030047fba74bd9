"""What is wrong with an encoder's folder is said in one line; and the hub, played locally."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.encoders.families.bert import BertEncoder
from accord.encoders.pretrained import (
    load_encoder,
    read_config,
    resolve_encoder_folder,
    save_encoder,
)
from accord.errors import EncoderError

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: Callable[..., BertEncoder]) -> Path:
    save_encoder(tiny_encoder(), tmp_path / "encoder")
    return tmp_path / "encoder"


def refusal(path: Path | str) -> str:
    with pytest.raises(EncoderError) as caught:
        load_encoder(path)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit(folder: Path, **changes: object) -> None:
    table = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**table, **changes}))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    "name",
    [
        "embeddings.word_embeddings.weight",
        "embeddings.LayerNorm.bias",
        "encoder.layer.1.attention.self.value.bias",
        "encoder.layer.0.output.dense.weight",
        "pooler.dense.bias",
    ],
)
def test_missing_tensor_is_named(folder: Path, name: str) -> None:
    edit_tensors(folder, lambda tensors: tensors.pop(name))
    assert f"tensor '{name}' is missing" in refusal(folder)


@pytest.mark.parametrize(
    "name", ["encoder.layer.1.attention.self.key.weight", "embeddings.LayerNorm.weight"]
)
def test_misshapen_tensor_is_named_with_both_shapes(folder: Path, name: str) -> None:
    edit_tensors(folder, lambda tensors: tensors.update({name: torch.zeros(3, 5)}))
    message = refusal(folder)
    assert f"tensor '{name}' has shape [3, 5]; config.json asks for [8" in message


def test_a_vector_is_not_stretched_over_a_matrix(folder: Path) -> None:
    """Copying would broadcast a tensor of one element."""
    name = "encoder.layer.0.intermediate.dense.weight"
    edit_tensors(folder, lambda tensors: tensors.update({name: torch.zeros(1)}))
    assert name in refusal(folder)


def test_sizes_that_are_not_the_weights(folder: Path) -> None:
    edit(folder, vocab_size=38)
    message = refusal(folder)
    assert "'embeddings.word_embeddings.weight' has shape [37, 8]" in message
    assert "asks for [38, 8]" in message


def test_more_layers_than_the_weights_have(folder: Path) -> None:
    edit(folder, num_hidden_layers=3)
    assert "'encoder.layer.2.attention.self.query.weight' is missing" in refusal(folder)


def test_no_folder(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no such folder" in refusal("./nowhere")
    (tmp_path / "file").write_text("")
    assert "no such folder" in refusal(tmp_path / "file")


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refusal(folder).endswith("is no encoder: it has no config.json")


def test_a_folder_around_an_encoder(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "model")
    assert refusal(run).endswith(f"it has no config.json; did you mean '{run / 'model'}'?")


@pytest.mark.parametrize("text", ['{"members": 2}', '{"tasks": []}', "[1]", "{"])
def test_an_ensemble_is_no_encoder(folder: Path, text: str) -> None:
    (folder / "config.json").unlink()
    (folder / "accord.json").write_text(text)
    said = "is an ensemble, which can't be an encoder; each folder in its 'members' can"
    no_config = "is no encoder: it has no config.json"
    assert refusal(folder) == f"{folder}: {said if 'members' in text else no_config}"


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"bert"', "null", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_config_that_is_no_json_object(folder: Path, text: str | bytes) -> None:
    (folder / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "config.json" in refusal(folder)


def test_another_architecture(folder: Path) -> None:
    edit(folder, model_type="roberta")
    assert "model_type is 'roberta'; allowed: 'bert'" in refusal(folder)


def test_unknown_activation_names_the_nearest(folder: Path) -> None:
    edit(folder, hidden_act="gelu_nwe")
    assert "hidden_act 'gelu_nwe' is unknown; did you mean 'gelu_new'?" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", "8"), ("hidden_size", 8.0), ("num_hidden_layers", 0),
        ("num_attention_heads", -2), ("layer_norm_eps", -1e-12), ("layer_norm_eps", "1e-12"),
        ("hidden_act", None), ("type_vocab_size", True), ("intermediate_size", None),
        ("hidden_dropout_prob", float("nan")), ("max_position_embeddings", [48]),
        ("vocab_size", 10**12),
    ],
)  # fmt: skip
def test_value_that_can_not_be(folder: Path, key: str, value: object) -> None:
    edit(folder, **{key: value})
    assert f"{key} is " in refusal(folder)


def test_heads_that_do_not_divide_the_width(folder: Path) -> None:
    edit(folder, num_attention_heads=3)
    assert "hidden_size 8 is no multiple of num_attention_heads 3" in refusal(folder)


def test_relative_positions(folder: Path) -> None:
    edit(folder, position_embedding_type="relative_key")
    assert "position_embedding_type is 'relative_key'; allowed: 'absolute'" in refusal(folder)


def test_no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    message = refusal(folder)
    assert f"it has no {WEIGHTS}" in message
    assert "pickled" not in message


def test_pickled_weights_alone(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    assert f"it has no {WEIGHTS}; its pickled weights are not opened" in refusal(folder)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_truncated_weights(folder: Path, length: int) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:length])
    assert f"{WEIGHTS}: can't be read" in refusal(folder)


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"PK\x03\x04 a zip, as torch.save writes it" * 20)
    assert f"{WEIGHTS}: can't be read" in refusal(folder)


def test_config_defaults_are_berts(folder: Path) -> None:
    """A key that an old config.json doesn't have yet."""
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 96}')
    config = read_config(folder)
    assert (config.hidden_size, config.num_hidden_layers) == (96, 12)
    assert (config.layer_norm_eps, config.hidden_act) == (1e-12, "gelu")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one repository's files as huggingface.co does, and notes what was asked."""

    daemon_threads = True

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repository, self.files = repository, files
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.asked.append(f"{self.command} {path}")
        api = f"/api/models/{hub.repository}"
        resolved = [f"/{hub.repository}/resolve/{at}/" for at in ("main", COMMIT)]
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in hub.files]
            table = {"id": hub.repository, "sha": COMMIT, "siblings": siblings}
            self._send(200, json.dumps(table).encode(), {}, body)
            return
        if path.startswith(f"{api}/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": f"{i:040x}"}
                for i, (name, data) in enumerate(hub.files.items())
            ]
            self._send(200, json.dumps(entries).encode(), {}, body)
            return
        for prefix in resolved:
            name = path.removeprefix(prefix)
            if path.startswith(prefix) and name in hub.files:
                etag = f'"{list(hub.files).index(name):040x}"'
                headers = {"ETag": etag, "X-Repo-Commit": COMMIT}
                self._send(200, hub.files[name], headers, body)
                return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    files |= {"vocab.txt": b"[PAD]\n", "pytorch_model.bin": b"pickle", "onnx/model.onnx": b"x"}
    server = Hub("org/tiny", files)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


LOAD = """
import json, sys
from accord.errors import EncoderError
from accord.encoders.pretrained import load_encoder, resolve_encoder_folder
try:
    path = resolve_encoder_folder(sys.argv[1])
    word = load_encoder(sys.argv[1]).embeddings.word
except EncoderError as error:
    print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
else:
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*"))
    print(json.dumps({"files": files, "sum": float(word.detach().double().sum())}))
"""


def load_in_a_process(repository: str, endpoint: str, home: Path) -> dict[str, object]:
    """The hub's address is read when its client is imported, so a process of its own."""
    settings = {
        "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "300", "HF_HUB_ETAG_TIMEOUT": "300",
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LOAD, repository],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_hub_id_is_downloaded_once_and_works_offline_after(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    in_a_process = load_in_a_process("org/tiny", hub.url, tmp_path / "home")
    word = load_encoder(folder).embeddings.word.detach()
    assert in_a_process == {
        "files": ["config.json", WEIGHTS, "vocab.txt"],  # no pickle, no other format
        "sum": pytest.approx(float(word.double().sum())),
    }
    asked = len([line for line in hub.asked if line.endswith(WEIGHTS) and "GET" in line])
    assert asked == 1
    assert load_in_a_process("org/tiny", hub.url, tmp_path / "home") == in_a_process
    assert len([line for line in hub.asked if line.endswith(WEIGHTS) and "GET" in line]) == 1
    hub.shutdown()
    hub.server_close()
    assert load_in_a_process("org/tiny", hub.url, tmp_path / "home") == in_a_process


def test_unknown_hub_id(hub: Hub, tmp_path: Path) -> None:
    in_a_process = load_in_a_process("org/unknown", hub.url, tmp_path / "home")
    assert in_a_process["exit_code"] == 2
    message = str(in_a_process["error"])
    assert message.startswith("org/unknown: no such folder, and the hub did not give it: ")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize("name", ["a/b/c", "~/nowhere", "/nowhere", "../nowhere"])
def test_what_can_be_no_hub_id_is_not_asked_of_the_hub(name: str) -> None:
    with pytest.raises(EncoderError, match="no such folder; an encoder is a folder or a hub id"):
        resolve_encoder_folder(name)


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve_encoder_folder("~/encoder") == folder
