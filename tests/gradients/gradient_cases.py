"""Gradients that are hard to combine, and how tests let any method combine them."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from accord.gradients import get_method, method_names
from accord.gradients._registry import Law, Method
from accord.methods import Chosen, Signals, keyed_generator

METHOD_NAMES = method_names()
WEIGHING = [name for name in METHOD_NAMES if not get_method(name).uses_jacobian]
OPTIONS = [(name, each) for name in METHOD_NAMES for each in get_method(name).options.model_fields]
every_method = pytest.mark.parametrize("name", METHOD_NAMES)
every_weighing_method = pytest.mark.parametrize("name", WEIGHING)
every_option = pytest.mark.parametrize(("name", "option"), OPTIONS)


def with_law(law: Law) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "name", [name for name in METHOD_NAMES if law in get_method(name).laws]
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def signals_of(ours: Method, G: Tensor, losses: Tensor | None = None, kept: int = 1) -> Signals:
    """Signals of some tasks; the last are memories, of several tasks and where a method asks."""
    memories = torch.arange(len(G)) >= len(G) - (kept if ours.remembers and len(G) > 1 else 0)
    return Signals.of(G, losses, memories=memories)


def weights_of(ours: Method, G: Tensor, seed: int = 0, kept: int = 1, **options: Any) -> Tensor:
    """The weights that a method gives to fresh state."""
    signals = signals_of(ours, G, torch.linspace(1, 2, len(G)), kept)
    return ours.function(signals, ours.initial_state(len(G)), generator(seed), **options)[0]


def combine(name: str, J: Tensor, seed: int = 0, **options: Any) -> Tensor:
    """The combined gradient that any method gives to fresh state."""
    method = get_method(name)
    if method.uses_jacobian:
        return method.function(J, method.initial_state(len(J)), generator(seed), **options)[0]
    return weights_of(method, J @ J.t(), seed, **options) @ J


def step(ours: Method, J: Tensor, chosen: Chosen[Method], key: tuple[int, int]) -> Tensor:
    """As a run does it: the combined gradient with all tasks present; `chosen` goes on."""
    present = tuple(range(len(J)))
    if ours.uses_jacobian:
        return ours.function(J, {}, keyed_generator(*key), **chosen.options)[0]
    weights, chosen.states = chosen.weigh([signals_of(ours, J @ J.t())], present, key)
    return weights[0] @ J


def matrices(tasks: int, count: int = 10) -> Iterator[Tensor]:
    for seed in range(count):
        yield torch.randn(tasks, 12, generator=generator(seed), dtype=torch.float64)


def hard_matrices() -> dict[str, Tensor]:
    base = torch.randn(3, 12, generator=generator(), dtype=torch.float64)
    zero_row = base.clone()
    zero_row[1] = 0
    signs = float64([[1.0], [-1.0], [-2.0]])
    return {
        "zero row": zero_row,
        "all zero": torch.zeros_like(base),
        "rank one": signs * base[:1],
        "same": base[:1].repeat(3, 1),
        "opposite": torch.stack([base[0], -base[0], base[1]]),
        "opposite two": torch.stack([base[0], -base[0]]),
        "nearly opposite": torch.stack([base[0], -base[0] + 1e-9 * base[1], base[2]]),
        "orthogonal": torch.eye(3, 12, dtype=torch.float64),
        "tiny": base * 1e-10,
        "huge": base * 1e15,
        "scales": base * float64([[1e-10], [1.0], [1e15]]),
        "conflict at all scales": -base.abs() * float64([[1e-10], [-1.0], [1e15]]),
        "one task": base[:1],
        "one zero task": torch.zeros(1, 12, dtype=torch.float64),
        "many tasks": torch.randn(40, 12, generator=generator(), dtype=torch.float64),
    }


def allowed_values(name: str, option: str) -> list[Any]:
    """Those of a few values that the option may have."""
    ours = get_method(name).options.model_fields[option]
    candidates = [*get_args(ours.annotation), 0.0, 0.1, 0.5, 0.99, 1.0, 2.0, 10.0, True, False]
    return [value for value in candidates if is_allowed(name, option, value)]


def is_allowed(name: str, option: str, value: Any) -> bool:
    try:
        get_method(name).check_options({option: value})
    except ValueError:
        return False
    return True
