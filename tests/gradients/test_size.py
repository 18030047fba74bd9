"""How long a method's result is: of one task alone, of identical gradients. None is named."""

import pytest
import torch
from gradient_cases import (
    allowed_values,
    combine,
    every_method,
    generator,
    matrices,
    signals_of,
    step,
    with_law,
)
from looped import looped

from accord.gradients import get_method
from accord.gradients._registry import METHODS
from accord.methods import Chosen


@every_method
def test_one_task_alone_goes_its_own_way(name: str) -> None:
    for J in matrices(1):
        combined = combine(name, J)
        assert combined @ J[0] > 0.999999 * combined.norm() * J[0].norm()


@with_law("alone")
@looped("present", [0, 2])
@looped("norm", [1e-6, 1.0, 1e6])
def test_one_task_alone_is_trained_as_without_a_method(
    name: str, present: int, norm: float
) -> None:
    """Whatever steps of all three came before, and with every option."""
    method = get_method(name)
    choices = [{}] + [
        {option: value} for option in method.options.model_fields
        for value in allowed_values(name, option)
    ]  # fmt: skip
    for options in choices:
        chosen = Chosen.of(method, 3, options)
        for number, J in enumerate(matrices(3, 3)):
            step(method, J, chosen, (0, number))
        for number, base in enumerate(matrices(1, 3), start=3):
            J = base * norm
            if method.uses_jacobian:
                combined = method.function(J, {}, generator(number), **options)[0]
            else:
                given = signals_of(method, J @ J.t())
                weights, chosen.states = chosen.weigh([given], (present,), (0, number))
                combined = weights[0] @ J
            torch.testing.assert_close(combined, J[0], rtol=1e-12, atol=0)


@every_method
@looped("tasks", [2, 3, 7])
@looped("norm", [1e-4, 1.0, 1e5])
def test_magnitude_on_identical_gradients(name: str, tasks: int, norm: float) -> None:
    """T g like the sum's, g like the mean's, or neither; a memory's row counts in none of them."""
    method = get_method(name)
    (base,) = matrices(1, 1)
    J = norm * base.expand(tasks, -1)
    trained = tasks - method.remembers
    actual = float(combine(name, J) @ J[0] / (J[0] @ J[0]))
    if method.magnitude == "other":
        assert abs(actual - 1) > 0.01
        assert abs(actual - trained) > 0.01
        assert "identical gradients" in (method.function.__doc__ or "")
    else:
        expected = {"sum": trained, "mean": 1.0}[method.magnitude]
        assert actual == pytest.approx(expected, rel=1e-9)


def test_methods_that_do_not_leave_a_task_alone_say_why() -> None:
    for each in METHODS.all():
        assert ("One task alone gets" in (each.function.__doc__ or "")) is (
            "alone" not in each.laws
        )
