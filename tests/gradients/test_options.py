"""Every registered method's options and state. No method is named."""

import math
from typing import Any

import pytest
import torch
from gradient_cases import (
    allowed_values,
    every_method,
    every_option,
    every_weighing_method,
    float64,
    generator,
    matrices,
    signals_of,
    step,
)
from torch import Tensor

from accord.gradients import get_method
from accord.gradients._registry import Method
from accord.methods import Chosen


@every_method
def test_defaults_are_within_their_range(name: str) -> None:
    method = get_method(name)
    defaults = method.check_options({})
    assert method.check_options(defaults) == defaults
    assert defaults.keys() == method.options.model_fields.keys()


@every_method
def test_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no option") as caught:
        get_method(name).check_options({"no-such": 1.0})
    assert str(caught.value).startswith(f"methods.{name}")
    assert "\n" not in str(caught.value)


@every_option
def test_option_out_of_range_is_refused(name: str, option: str) -> None:
    refused: list[Any] = ["no such value", None, [1.0]]
    default = get_method(name).options.model_fields[option].default
    if isinstance(default, float):
        refused += [-1e9, math.nan, math.inf, -math.inf]
    for value in refused:
        with pytest.raises(ValueError, match="got ") as caught:
            get_method(name).check_options({option: value})
        assert str(caught.value).startswith(f"methods.{name}.{option}: ")
        assert "\n" not in str(caught.value)


@every_option
def test_every_option_matters(name: str, option: str) -> None:
    """An option that changes nothing would be a promise that isn't kept."""
    method = get_method(name)
    values = allowed_values(name, option)
    actual = set()
    for value in values:
        chosen = Chosen.of(method, 3, {option: value})
        for number, J in enumerate(matrices(3)):
            combined = step(method, J * float64([[1.0], [2.0], [4.0]]), chosen, (0, number))
        actual.add(tuple(combined.tolist()))
    assert len(values) > 1
    assert len(actual) > 1


@every_weighing_method
def test_state_saved_and_restored_goes_on_the_same(name: str) -> None:
    method = get_method(name)
    steps = list(matrices(3))

    def run(chosen: Chosen[Method], steps: list[Tensor], first: int) -> list[Tensor]:
        return [step(method, J, chosen, (5, number)) for number, J in enumerate(steps, start=first)]

    straight = Chosen.of(method, 3)
    expected = run(straight, steps, 0)
    interrupted, resumed = Chosen.of(method, 3), Chosen.of(method, 3)
    run(interrupted, steps[:4], 0)
    saved = interrupted.tensors()
    resumed.load({key: torch.tensor(value.tolist(), dtype=value.dtype)
                  for key, value in saved.items()})  # fmt: skip
    again = run(resumed, steps[4:], 4)
    assert all(torch.equal(a, b) for a, b in zip(expected[4:], again, strict=True))
    end, restored_end = straight.tensors(), resumed.tensors()
    assert end.keys() == restored_end.keys()
    assert all(torch.equal(end[key], restored_end[key]) for key in end)


@every_weighing_method
@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_every_axis_of_the_state_runs_over_the_tasks(name: str, tasks: int) -> None:
    method = get_method(name)
    state = method.initial_state(tasks)
    (J,) = matrices(tasks, 1)
    _, after = method.function(signals_of(method, J @ J.t()), state, generator())
    for each in (state, after):
        assert all(set(value.shape) == {tasks} for value in each.values())
    assert state.keys() == after.keys()
