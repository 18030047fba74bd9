"""What tests of models made from others share: models of every kind of task, with large weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kind_cases import all_cases

from accord.kinds import kind_of
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.model.saved import InputFormat, save_model
from accord.tasks import Task

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "##s", "good"]
OPTIONS = {
    "adapter": {"size": 4}, "pal": {"size": 4, "heads": 2}, "lora": {"rank": 2},
    "own-layers": {"shared": 1},
}  # fmt: skip


def every_task() -> list[Task]:
    """Each kind's cases, pooled in each way that the kind has, under names of their own."""
    return [
        replace(case.task, name=f"{case.task.name}-{pooling}", pooling=pooling)
        for case in all_cases(labelled=True)
        for pooling in case.kind.poolings
    ]


@pytest.fixture
def tasks() -> list[Task]:
    return every_task()


@pytest.fixture
def model_of(tiny_encoder: Callable) -> Callable[..., MultitaskModel]:
    """Make a model of some tasks: (tasks, *schemes). Parts and heads are drawn at random."""

    def make(tasks: Sequence[Task], *schemes: str) -> MultitaskModel:
        options = {name: OPTIONS.get(name, {}) for name in schemes}
        model = MultitaskModel(tiny_encoder(), tasks, Sharing(schemes, options))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in (p for child in model.children() for p in child.parameters()):
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
        return model.eval().requires_grad_(False)

    return make


@pytest.fixture
def saved(model_of: Callable, tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder: (tasks, *schemes), with columns x, or x and y, and label."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    def save(tasks: Sequence[Task], *schemes: str) -> Path:
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        columns = {
            task.name: InputFormat(("x", "y")[: 2 if kind_of(task).varying else task.texts])
            for task in tasks
        }
        save_model(model_of(tasks, *schemes), folder, columns, 24, tmp_path)
        return folder

    return save
