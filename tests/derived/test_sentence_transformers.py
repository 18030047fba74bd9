"""The folder has the published layout, and its modules give the vectors that the head sees."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

import accord
from accord.data.tokenizing import encode_texts
from accord.derived.sentence_transformers import export_sentence_transformers
from accord.encoders.packing import pack
from accord.errors import ModelError, UsageError
from accord.tasks import Task

TEXTS = ["a b c", "good as d", "z", " ".join("abcdefghijklmnopqrstuvwxyz")]
PLAIN = Task("plain", "classification", "cross_entropy", "accuracy", labels=("a", "b"))


def read(file: Path):
    return json.loads(file.read_text(encoding="utf-8"))


def encode(folder: Path) -> torch.Tensor:
    """What the modules do, as sentence-transformers documents them."""
    types = [module["type"] for module in read(folder / "modules.json")]
    paths = [module["path"] for module in read(folder / "modules.json")]
    names = ["Transformer", "Pooling", "Dense"][: len(types)]
    assert types == [f"sentence_transformers.models.{name}" for name in names]
    assert paths == ["", "1_Pooling", "2_Dense"][: len(types)]
    length = read(folder / "sentence_bert_config.json")["max_seq_length"]
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, truncation=True, max_length=length, return_tensors="pt"
    )
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    pooling = read(folder / "1_Pooling" / "config.json")
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    assert pooling["word_embedding_dimension"] == states.shape[-1]
    mask = tokens["attention_mask"][:, :, None]
    vectors = {
        "pooling_mode_cls_token": states[:, 0],
        "pooling_mode_mean_tokens": (states * mask).sum(1) / mask.sum(1),
    }[modes[0]]
    assert len(modes) == 1
    if len(types) == 3:
        dense, tensors = (
            read(folder / "2_Dense" / "config.json"),
            load_file(folder / "2_Dense" / "model.safetensors"),
        )
        assert dense["activation_function"] == "torch.nn.modules.activation.Tanh"
        vectors = (vectors @ tensors["linear.weight"].T + tensors["linear.bias"]).tanh()
    return vectors


@pytest.mark.slow
def test_its_vectors_are_those_that_the_head_sees(saved, tmp_path) -> None:
    tasks = [replace(PLAIN, name=pooling, pooling=pooling) for pooling in ("cls", "mean", "pooler")]
    for number, schemes in enumerate(((), ("lora", "own-layers"))):
        folder = saved(tasks, *schemes)
        model = accord.load(folder)
        texts = encode_texts(model.tokenizer, TEXTS)
        batch = pack([[model.assembler.join([text]) for text in texts]])
        for i, task in enumerate(tasks):
            out = tmp_path / f"{task.name}{number}"
            export_sentence_transformers(folder, out, task.name)
            with torch.no_grad():
                (seen,) = model.model.pooled(batch, [i])
            torch.testing.assert_close(encode(out), seen, rtol=1e-5, atol=1e-5)


def test_a_task_is_named_where_heads_see_different_vectors(saved, tmp_path) -> None:
    other = replace(PLAIN, name="other")
    assert export_sentence_transformers(saved([PLAIN, other]), tmp_path / "alike").pooling == "mean"
    out = tmp_path / "out"
    for folder in (saved([PLAIN, replace(other, pooling="cls")]), saved([PLAIN, other], "lora")):
        with pytest.raises(UsageError, match=r"--task is missing: .*: plain, other"):
            export_sentence_transformers(folder, out)
    with pytest.raises(UsageError, match="did you mean 'plain'"):
        export_sentence_transformers(saved([PLAIN, other]), out, "plane")
    with pytest.raises(ModelError, match=r"'adapter' adds layers of its own, .*; --to onnx"):
        export_sentence_transformers(saved([PLAIN, other], "adapter"), out, "plain")
    assert not out.exists()


def test_words_have_no_vector_of_a_text(saved, tasks, tmp_path) -> None:
    task = next(task for task in tasks if task.kind == "token-classification")
    with pytest.raises(ModelError, match="its head sees words, and no vector of a text"):
        export_sentence_transformers(saved([task]), tmp_path / "out", task.name)
