"""Pickled weights become safetensors; whatever else a pickle holds is refused, and not run."""

import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from accord.bert.convert import convert
from accord.errors import EncoderError, UsageError

WEIGHT = torch.arange(6.0).view(2, 3)


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


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
    found = load_file(tmp_path / "new" / "model.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert found["half"].dtype == torch.bfloat16


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
    with pytest.raises(UsageError, match="is there already"):
        convert(tmp_path, tmp_path)
