"""A model folder comes back as it was saved, and says what is missing where it can't."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.data.tokenizing import load_tokenizer
from accord.errors import ModelError
from accord.model.multitask import MultitaskModel
from accord.model.origin import Origin
from accord.model.saved import (
    FORMAT,
    OLDEST,
    InputFormat,
    find_model_folder,
    load_model,
    read_origins,
    read_tasks,
    save_model,
)
from accord.tasks import Task

TASKS = [
    Task("sst", "classification", "cross_entropy", "accuracy", labels=("0", "1", "2")),
    Task("quora", "pair-classification", "mse", "f1", labels=("no", "yes"), encoding="separate",
         positive="yes"),
    Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0), encoding="separate",
         head="cosine"),
]  # fmt: skip
VOCABULARY = "[PAD]\n[CLS]\n[SEP]\n[UNK]\nfilm\n"
INPUTS = {
    "sst": InputFormat(("sentence",), "sentiment", "id", "tab", "none"),
    "quora": InputFormat(("a", "b")),
    "sts": InputFormat(("a", "b"), "similarity"),
}


@pytest.fixture
def model(tiny_encoder):
    return MultitaskModel(tiny_encoder(), TASKS)


@pytest.fixture
def folder(model, tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.txt").write_text(VOCABULARY)
    save_model(model, tmp_path / "model", INPUTS, 40, tmp_path / "tokenizer")
    return tmp_path / "model"


def test_it_comes_back(model, folder):
    loaded, inputs, max_length = load_model(folder)
    assert (loaded.tasks, inputs, max_length) == (tuple(TASKS), INPUTS, 40)
    state_dict, other = model.state_dict(), loaded.state_dict()
    assert state_dict.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state_dict.items())
    assert (folder / "vocab.txt").read_text() == VOCABULARY
    assert load_tokenizer(folder).token_to_id("film") == 4


def test_saving_twice_gives_the_same_bytes(model, folder, tmp_path):
    save_model(model, tmp_path / "again", INPUTS, 40, tmp_path / "tokenizer")
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == sorted(p.name for p in (tmp_path / "again").iterdir())
    for file in files:
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_run_folder_leads_to_its_model(folder):
    assert find_model_folder(folder) == find_model_folder(folder.parent) == folder
    with pytest.raises(ModelError, match=r"holds no accord.json; a model is a run folder or"):
        find_model_folder(folder.parent / "tokenizer")


def change_heads(folder, change):
    heads = load_file(folder / "heads.safetensors")
    change(heads)
    save_file(heads, folder / "heads.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda heads: heads.pop("sst.linear.bias"), "tensor 'sst.linear.bias' is missing"),
        (
            lambda heads: heads.update({"sst.linear.bias": torch.zeros(4)}),
            r"tensor 'sst.linear.bias' has shape \[4\], not \[3\]",
        ),
        (lambda heads: heads.update(x=torch.zeros(1)), "tensor 'x' belongs to no head"),
    ],
)
def test_heads_that_do_not_fit(folder, change, message):
    change_heads(folder, change)
    with pytest.raises(ModelError, match=f"heads.safetensors: {message}"):
        load_model(folder)


def test_what_a_task_is_made_from_may_come_from_a_stranger(folder):
    file = folder / "accord.json"
    table = json.loads(file.read_text())
    sound = {"accord": "1", "run": "a", "data": "b"}
    for made in (sound, {**sound, "date": "2026-01-31T12:00:00Z"}, None):
        table["tasks"][0]["made"] = made
        file.write_text(json.dumps(table))
        assert read_origins(folder) == ({} if made is None else {"sst": Origin(**made)})
    for made in (
        [],
        3,
        "a",
        {},
        {**sound, "run": 3},
        {**sound, "x": "y"},
        {**sound, "run": "a" * 999},
    ):
        table["tasks"][0]["made"] = made
        file.write_text(json.dumps(table))
        with pytest.raises(ModelError, match=r"accord.json: is incomplete"):
            load_model(folder)


def test_another_format_is_refused(folder):
    file = folder / "accord.json"
    table = json.loads(file.read_text())
    for given in (FORMAT + 1, OLDEST - 1, "1", None):
        file.write_text(json.dumps(table | {"format": given}))
        says = f"another format, {given!r}; this version reads formats {OLDEST} to {FORMAT}"
        with pytest.raises(ModelError, match=says):
            read_tasks(folder)
    del table["max_length"]
    file.write_text(json.dumps(table))
    with pytest.raises(ModelError, match=r"accord.json: is incomplete: KeyError\('max_length'\)"):
        read_tasks(folder)
