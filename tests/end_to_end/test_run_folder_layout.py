"""What a run leaves, and that strangers can open it."""

import json
import platform
import re
import socket

import pytest
import torch
from safetensors.torch import load_file

import accord
from accord.tasks import Task


def test_the_run_folder(finished):
    assert {path.name for path in finished.iterdir()} == {
        "config.toml", "resolved.json", "environment.json", "status.json", "metrics.jsonl",
        "results.json", "scores.safetensors", "predictions", "checkpoints", "model",
        "log.txt", ".lock",
    }  # fmt: skip
    assert {path.name for path in (finished / "predictions").iterdir()} == {
        "mood-heldout.csv", "same-heldout.csv", "near-heldout.csv",
        "mood-dev.csv", "mood-dev-leaderboard.csv", "mood-test.csv", "mood-test-leaderboard.csv",
        "same-dev.csv", "same-dev-leaderboard.csv",
        "near-dev.csv", "near-dev-leaderboard.csv", "near-test.csv", "near-test-leaderboard.csv",
    }  # fmt: skip
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {
        "step-6", "step-12", "step-18",
    }  # fmt: skip
    config = finished.parent / "project" / "accord.toml"
    assert (finished / "config.toml").read_bytes() == config.read_bytes()


def test_its_json_files(finished):
    status = json.loads((finished / "status.json").read_text())
    assert (status["state"], status["step"], status["steps"]) == ("done", 18, 18)
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["threads"] == 1
    assert environment["device"] == "cpu"
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["python"] == platform.python_version()
    resolved = json.loads((finished / "resolved.json").read_text())
    assert [task["name"] for task in resolved["tasks"]] == ["mood", "same", "near"]
    assert resolved["config"]["training"]["epochs"] == 3
    results = json.loads((finished / "results.json").read_text())
    assert results["metric_names"] == {"mood": "accuracy", "same": "accuracy", "near": "pearson"}
    assert (results["steps"], results["score_kind"]) == (18, "cs224n")
    ours = results["metrics"]
    score = (ours["mood"] + ours["same"] + (ours["near"] + 1) / 2) / 3
    assert results["score"] == pytest.approx(score)
    assert results["parameters"] == sum(
        value.numel()
        for name in ("model.safetensors", "heads.safetensors")
        for value in load_file(finished / "model" / name).values()
    )
    assert "done: best epoch" not in (finished / "log.txt").read_text().splitlines()[0]
    assert "epoch 3/3" in (finished / "log.txt").read_text()


def test_the_model_folder(finished, encoder_folder):
    folder = finished / "model"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
        "accord.json", "heads.safetensors",
    }  # fmt: skip
    for name in ("tokenizer.json", "vocab.txt"):
        assert (folder / name).read_bytes() == (encoder_folder / name).read_bytes()
    description = json.loads((folder / "accord.json").read_text())
    assert description["max_length"] == 32
    entries = description["tasks"]
    assert [entry.pop("input")["text"] for entry in entries] == [
        ["text"], ["first", "second"], ["s1", "s2"],
    ]  # fmt: skip
    assert all({*entry.pop("made")} == {"accord", "run", "data"} for entry in entries)
    tasks = [Task.from_json(entry) for entry in entries]
    assert [(task.encoding, task.pooling) for task in tasks] == [
        ("joint", "cls"), ("separate", "mean"), ("joint", "pooler"),
    ]  # fmt: skip


def test_the_model_names_no_path_time_or_host(finished, encoder_folder):
    year = re.compile(rb"20[2-9]\d-\d\d|T\d\d:\d\d")
    names = [str(finished.parent), str(encoder_folder), "/tmp", socket.gethostname()]
    for file in (finished / "model").iterdir():
        content = file.read_bytes()
        assert not year.search(content), file
        for name in names:
            assert name.encode() not in content, (file, name)


@pytest.mark.slow
def test_transformers_opens_the_model(finished):
    from transformers import AutoModel, AutoTokenizer

    texts = ["a lovely film with a poor road", "grim", "the old song , very warm !"]
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    theirs, info = AutoModel.from_pretrained(finished / "model", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    ours = accord.load_encoder(finished / "model").encode_ids(ids)
    load = accord.load(finished)
    for text, tokens, hidden in zip(texts, ids, ours, strict=True):
        assert load.tokenizer.encode(text).ids == tokens
        assert (hidden.shape, hidden.dtype) == ((len(tokens), 16), torch.float32)
        with torch.no_grad():
            expected = theirs.eval()(torch.tensor([tokens])).last_hidden_state[0]
        assert torch.allclose(hidden, expected, atol=1e-5)


@pytest.mark.slow
def test_a_trained_model_is_an_encoder_to_start_from(finished, project, train, tmp_path):
    changes = {"encoder.path": str(finished / "model"), "training.epochs": 1}
    run = train(project(changes, ("mood",)), tmp_path / "run")
    assert accord.load(run).predict("mood", ["a lovely film"])[0] in ("neg", "mixed", "pos")
