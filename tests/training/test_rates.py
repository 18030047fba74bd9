"""Rates by layer, and layers drawn anew."""

from collections.abc import Callable

import pytest
import torch

from accord.encoders.families.bert import BertEncoder
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.tasks import Task
from accord.training.rates import rated_parameters

MakeEncoder = Callable[..., BertEncoder]
TASKS = [
    Task("a", "classification", "cross_entropy", "accuracy", labels=("x", "y")),
    Task("b", "classification", "cross_entropy", "accuracy", labels=("x", "y")),
]


def rates(model: MultitaskModel, decay: float) -> dict[str, float]:
    rated = rated_parameters(model, 1.0, 0.3, 0.2, decay)
    return {name: rate for named, rate in rated for name, _ in named}


def test_every_trained_parameter_has_one_rate(tiny_encoder: MakeEncoder) -> None:
    model = MultitaskModel(tiny_encoder(), TASKS, Sharing(("lora",), {"lora": {"rank": 2}}))
    for decay in (1.0, 0.5):
        actual = rates(model, decay)
        wanted = {name for name, p in model.named_parameters() if p.requires_grad}
        assert actual.keys() == wanted
        assert {actual[name] for name in actual if name.startswith("heads.")} == {0.2}
        assert {actual[name] for name in actual if name.startswith("parts.")} == {0.3}


def test_the_decay_goes_by_depth(tiny_encoder: MakeEncoder) -> None:
    model = MultitaskModel(tiny_encoder(), TASKS)
    count = len(model.encoder.layers)
    for name, rate in rates(model, 0.5).items():
        if name.startswith("encoder.embeddings"):
            assert rate == 0.5**count
        elif name.startswith("encoder.pooler"):
            assert rate == 1.0
        elif name.startswith("encoder.layers"):
            assert rate == 0.5 ** (count - 1 - int(name.split(".")[2]))


@pytest.mark.parametrize("scheme", ["own-layers", "own-encoder"])
def test_copies_go_with_the_layers_that_they_replace(
    scheme: str, tiny_encoder: MakeEncoder
) -> None:
    model = MultitaskModel(tiny_encoder(), TASKS, Sharing((scheme,)))
    count = len(model.encoder.layers)
    actual = rates(model, 0.5)
    assert actual[f"parts.schemes.{scheme}.{count - 1}.per_task.0.attention.query.weight"] == 1.0
    assert not any(name.startswith(f"encoder.layers.{count - 1}") for name in actual)
    if scheme == "own-encoder":
        assert actual["parts.schemes.own-encoder.0.per_task.1.attention.query.weight"] == 0.5 ** (
            count - 1
        )
        assert actual["parts.embeddings.per_task.1.word"] == 0.5**count


def test_layers_drawn_anew(tiny_encoder: MakeEncoder) -> None:
    plain, one, again, other = (tiny_encoder() for _ in range(4))
    state = torch.get_rng_state()
    one.reinitialise(1, 3)
    again.reinitialise(1, 3)
    other.reinitialise(1, 4)
    assert torch.equal(torch.get_rng_state(), state)
    ours = dict(one.named_parameters())
    for name, value in plain.named_parameters():
        new = name.startswith((f"layers.{len(plain.layers) - 1}.", "pooler"))
        same = torch.equal(ours[name], value)
        assert not same if new and value.ndim == 2 else (same or new)
    assert all(map(torch.equal, one.parameters(), again.parameters()))
    assert not all(map(torch.equal, one.parameters(), other.parameters()))
    with pytest.raises(ValueError, match="layers, got 99"):
        one.reinitialise(99, 0)
