"""An encoder with its pooling as sentence-transformers opens it: a folder for each of its modules.

modules.json                     the modules, in order
config.json, model.safetensors   Transformer: the encoder, and its tokenizer
sentence_bert_config.json        the longest length
1_Pooling/config.json            Pooling: of first tokens, or the mean of all
2_Dense/                         BERT's pooler behind first tokens, where a task pools by it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from accord.data.tokenizing import save_tokenizer
from accord.derived.finished import check_new, write_new
from accord.derived.single import Single, open_single, single_task, update_json, write_json
from accord.durable import write_tensors
from accord.encoders.pretrained import WEIGHTS, save_encoder
from accord.errors import ModelError, UsageError
from accord.kinds import kind_of
from accord.model.multitask import MultitaskModel
from accord.tasks import Task

_MODES = {"cls": "cls", "pooler": "cls", "mean": "mean"}
_TYPES = {
    "": "sentence_transformers.models.Transformer",
    "1_Pooling": "sentence_transformers.models.Pooling",
    "2_Dense": "sentence_transformers.models.Dense",
}


def export_sentence_transformers(source: Path, out: Path, task: str | None = None) -> Task:
    """Write the encoder that a task's head sees, with its pooling, for sentence-transformers.

    What it gives for a text is the vector that the task's head sees.

    Args:
        source: a run folder, or its model/.
        out: the folder to write; must not be there yet.
        task: by name; None where all tasks' heads see the same vectors.

    Returns:
        The task, or one of those that see the same.

    Raises:
        UsageError: if there is no such task, none is named and they differ, or `out` is there.
        ModelError: if no plain encoder does what the task's does, or its head sees no vector of a
            whole text.
    """
    check_new(out)
    single = open_single(source)
    number = _chosen(single, task)
    chosen = single.model.tasks[number]
    if kind_of(chosen).units == "words":
        raise ModelError(
            f"{single.folder}: {chosen.name}: its head sees words, and no vector of a text; a task"
            ' with pooling = "mean", "cls" or "pooler" has one'
        )
    alone = single_task(single, number)
    write_new(out, lambda folder: _write(folder, single, alone, chosen.pooling))
    return chosen


def _chosen(single: Single, task: str | None) -> int:
    if task is not None:
        (number,) = single.numbers([task])
        return number
    tasks = single.model.tasks
    if single.model.parts is not None or len({each.pooling for each in tasks}) > 1:
        names = ", ".join(each.name for each in tasks)
        raise UsageError(
            f"{single.folder}: --task is missing: heads see different vectors: {names}"
        )
    return 0


def _write(folder: Path, single: Single, alone: MultitaskModel, pooling: str) -> None:
    encoder = alone.encoder
    hidden, pooler = encoder.config.hidden_size, encoder.pooler
    save_encoder(encoder, folder)
    save_tokenizer(single.folder, folder)
    update_json(folder / "tokenizer_config.json", {"model_max_length": single.max_length})
    paths = ["", "1_Pooling"]
    if pooling == "pooler":
        assert pooler is not None
        paths.append("2_Dense")
        _write_dense(folder / "2_Dense", pooler)
    write_json(folder / "1_Pooling" / "config.json", _pooling(hidden, _MODES[pooling]))
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": _TYPES[path]}
            for i, path in enumerate(paths)
        ],
    )
    write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": single.max_length, "do_lower_case": False},
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def _pooling(hidden: int, mode: str) -> dict[str, Any]:
    """Return the config of a Pooling module."""
    others: Sequence[str] = ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens",
                             "lasttoken")  # fmt: skip
    return {
        "word_embedding_dimension": hidden,
        "pooling_mode_cls_token": mode == "cls",
        "pooling_mode_mean_tokens": mode == "mean",
        **{f"pooling_mode_{name}": False for name in others},
        "include_prompt": True,
    }


def _write_dense(folder: Path, pooler: nn.Linear) -> None:
    """Write a Dense module, tanh(W x + b)."""
    folder.mkdir()
    tensors = {"linear.weight": pooler.weight, "linear.bias": pooler.bias}
    write_tensors(
        folder / WEIGHTS,
        {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()},
    )
    write_json(
        folder / "config.json",
        {
            "in_features": pooler.in_features,
            "out_features": pooler.out_features,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        },
    )
