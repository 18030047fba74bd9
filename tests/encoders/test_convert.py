"""Pickled weights become safetensors; whatever else a pickle holds is left out, and not run."""

import argparse
import collections
import os
import pathlib
import pickle
import random
import subprocess
import types

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from accord.cli.convert import convert as command
from accord.encoders.convert import convert
from accord.encoders.families.bert import named_views
from accord.encoders.pretrained import load_encoder, save_encoder
from accord.errors import EncoderError, UsageError

WEIGHT = torch.arange(6.0).view(2, 3)


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


class Sly:
    """Harm by a function that torch doesn't know to be one that harms."""

    def __reduce__(self):
        return subprocess.call, (["touch", "harmed"],)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
def test_the_tensors_of_a_folder_and_what_stands_beside_them(tmp_path, wrapper):
    state = {"a.weight": WEIGHT, "tied": WEIGHT, "half": WEIGHT.bfloat16()}
    folder = tmp_path / "old"
    folder.mkdir()
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3},
               folder / "pytorch_model.bin")  # fmt: skip
    (folder / "config.json").write_text("{}")
    (folder / "notes.txt").write_text("x")
    assert convert(folder, tmp_path / "new") == 3
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "model.safetensors", "config.json",
    }  # fmt: skip
    file = load_file(tmp_path / "new" / "model.safetensors")
    assert file.keys() == state.keys()
    assert all(torch.equal(file[name], value) for name, value in state.items())
    assert file["half"].dtype == torch.bfloat16


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Harmful()),
        pickle.dumps({"weight": 3}),
        b"",
        b"no pickle",
        b"PK\x03\x04 no archive",
    ],
)
def test_anything_else_is_refused_in_one_line_and_nothing_is_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(EncoderError) as error:
        convert(tmp_path / "model.pt", tmp_path / "new")
    assert "\n" not in str(error.value)
    assert "model.pt" in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt"}


def beside():
    """Yield what training scripts put into a file beside a model's weights."""
    yield argparse.Namespace(lr=1e-5, epochs=10, use_gpu=True)
    yield types.SimpleNamespace(hidden_size=768, data_dir=".")
    yield pathlib.PurePosixPath("runs/one")
    yield collections.OrderedDict(a=1, b=[2.5, None, "x"])
    yield random.Random(0).getstate()
    yield np.random.RandomState(0).get_state()
    yield {"mean": np.float64(3), "all": np.arange(4)}
    yield torch.get_rng_state()
    yield torch.optim.AdamW([torch.nn.Parameter(WEIGHT.clone())]).state_dict()
    yield torch.device("cpu")
    yield Sly()


def test_what_stands_beside_the_weights_is_left_out_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, other in enumerate(beside()):
        torch.save({"args": other, "model": {"a": WEIGHT}}, tmp_path / "model.pt")
        assert convert(tmp_path / "model.pt", tmp_path / f"{number}") == 1, other
        file = load_file(tmp_path / f"{number}" / "model.safetensors")
        assert torch.equal(file["a"], WEIGHT)
    assert not (tmp_path / "harmed").exists()


def test_a_refusal_is_in_words_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for other in (Harmful(), collections.defaultdict(list, a=[1])):
        torch.save({"args": other, "model": {"a": WEIGHT}}, tmp_path / "model.pt")
        with pytest.raises(EncoderError) as error:
            convert(tmp_path / "model.pt", tmp_path / "new")
        assert "\x1b" not in str(error.value)
        assert "torch.load" not in str(error.value)
        assert "weights_only" not in str(error.value)
    assert not (tmp_path / "harmed").exists()


def test_an_object_among_the_weights_is_no_weight(tmp_path):
    torch.save({"model": {"a": WEIGHT, "b": argparse.Namespace()}}, tmp_path / "model.pt")
    with pytest.raises(EncoderError, match="'b' is no tensor"):
        convert(tmp_path / "model.pt", tmp_path / "new")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(EncoderError, match="holds no table of tensors"):
        convert(tmp_path / "model.pt", tmp_path / "new")


# As the course's own code reads Hugging Face's weights, part by part.
MINBERT = (
    ("embeddings.word_embeddings", "word_embedding"),
    ("embeddings.position_embeddings", "pos_embedding"),
    ("embeddings.token_type_embeddings", "tk_type_embedding"),
    ("embeddings.LayerNorm", "embed_layer_norm"),
    ("pooler.dense", "pooler_dense"),
    ("encoder.layer", "bert_layers"),
    ("attention.self", "self_attention"),
    ("attention.output.dense", "attention_dense"),
    ("attention.output.LayerNorm", "attention_layer_norm"),
    ("intermediate.dense", "interm_dense"),
    ("output.dense", "out_dense"),
    ("output.LayerNorm", "out_layer_norm"),
)


def test_a_model_of_the_course_becomes_an_encoder(tmp_path, tiny_encoder):
    encoder, state = tiny_encoder(), {"sst_head.weight": WEIGHT}
    for name, view in named_views(encoder):
        courses = name
        for theirs, part in MINBERT:
            courses = courses.replace(theirs, part)
        state[f"bert.{courses}"] = view.detach().clone()
    state["bert.position_ids"] = torch.arange(48)[None]
    rng = {"system_rng": random.getstate(), "numpy_rng": np.random.RandomState(1).get_state()}
    config = types.SimpleNamespace(hidden_size=8)
    args = argparse.Namespace(option="finetune", filepath="finetune-10-1e-05.pt")
    saved = {"model": state, "optim": {}, "args": args, "model_config": config, **rng}
    (tmp_path / "old").mkdir()
    save_encoder(encoder, tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save(saved, tmp_path / "old" / "finetune.pt")
    assert convert(tmp_path / "old" / "finetune.pt", tmp_path / "new") == len(state)
    again = load_encoder(tmp_path / "new").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in encoder.state_dict().items())


def test_a_checkpoint_of_lightning_becomes_an_encoder(tmp_path, tiny_encoder):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path / "old")
    state = load_file(tmp_path / "old" / "model.safetensors")
    torch.save(
        {
            "epoch": 3, "hyper_parameters": {"args": argparse.Namespace(lr=1.0)},
            "state_dict": {f"model.bert.{name}": value for name, value in state.items()},
        },
        tmp_path / "old" / "last.ckpt",
    )  # fmt: skip
    convert(tmp_path / "old" / "last.ckpt", tmp_path / "new")
    again = load_encoder(tmp_path / "new").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in encoder.state_dict().items())


def test_what_holds_no_table_of_tensors(tmp_path):
    for value, said in ((WEIGHT, "no table"), ({}, "no table"), ({"lr": 0.1}, "'lr' is a float")):
        torch.save(value, tmp_path / "model.pt")
        with pytest.raises(EncoderError, match=said):
            convert(tmp_path / "model.pt", tmp_path / "new")


def test_where_there_is_nothing_or_already_something(tmp_path):
    with pytest.raises(EncoderError, match="no such file or folder"):
        convert(tmp_path / "none", tmp_path / "new")
    with pytest.raises(EncoderError, match=r"holds none of pytorch_model\.bin"):
        convert(tmp_path, tmp_path / "new")
    with pytest.raises(UsageError, match="already exists"):
        convert(tmp_path, tmp_path)


def test_the_command_says_what_an_encoder_still_lacks(tmp_path):
    torch.save({"a": WEIGHT}, tmp_path / "model.pt")
    for name, config in (("bare", None), ("whole", "{}")):
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        arguments = [str(tmp_path / "model.pt"), str(tmp_path / name)]
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert "1 tensor written to" in result.output
        assert ("no config.json stands beside" in result.output) == (config is None)
