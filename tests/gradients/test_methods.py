"""Every registered method: its example, its laws, hard input. No method is named."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from gradient_cases import (
    METHOD_NAMES,
    OPTIONS,
    WEIGHING,
    allowed_values,
    combine,
    every_method,
    every_weighing_method,
    float64,
    generator,
    hard_matrices,
    matrices,
    signals_of,
    step,
    weights_of,
    with_law,
)
from looped import looped
from torch import Tensor

import accord.gradients
from accord.gradients import get_method
from accord.gradients._registry import METHODS, Law
from accord.methods import Chosen


@every_method
def test_file_name_is_the_registered_name(name: str) -> None:
    folder = Path(accord.gradients.__file__).parent / "methods"
    assert (folder / f"{name.replace('-', '_')}.py").is_file()
    assert get_method(name).name == name
    assert get_method(name) is METHODS.entries[name]


def test_files_and_registry_agree() -> None:
    assert [each.name for each in METHODS.all()] == METHOD_NAMES
    assert sorted(METHODS.entries) == METHOD_NAMES
    assert METHOD_NAMES


@every_method
def test_says_what_it_is(name: str) -> None:
    method = get_method(name)
    assert any(character.isdigit() for character in method.paper)
    assert method.laws <= set(get_args(Law))
    assert method.laws
    assert method.cost
    assert method.use.endswith(".")
    text = method.function.__doc__ or ""
    own_text = text.split("Args:")[1].split("Returns:")[0]
    assert all(f"\n        {option}: " in own_text for option in method.options.model_fields)
    assert ("state" in method.needs) == bool(method.initial_state(2))


def test_every_law_is_kept_by_some_method() -> None:
    kept = {law for name in METHOD_NAMES for law in get_method(name).laws}
    assert kept == set(get_args(Law))


@pytest.mark.parametrize("name", ["", "no-such-method", "_registry", "-registry", "os", "../sum"])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        get_method(name)


@every_method
def test_worked_example(name: str) -> None:
    method = get_method(name)
    given, expected = float64(method.example[0]), float64(method.example[1])
    if method.uses_jacobian:
        actual = combine(name, given)
    else:
        assert bool((torch.linalg.eigvalsh(given) >= -1e-12).all()), "no Gram matrix"
        actual = weights_of(method, given)
    torch.testing.assert_close(actual, expected)


@every_method
@looped("case", hard_matrices())
def test_finite_on_hard_input(name: str, case: str) -> None:
    J = hard_matrices()[case]
    combined = combine(name, J)
    assert combined.shape == J[0].shape
    assert bool(combined.isfinite().all())
    if not get_method(name).uses_jacobian:
        weights = weights_of(get_method(name), J @ J.t())
        assert weights.shape == (len(J),)
        assert weights.dtype == torch.float64
        assert bool(weights.isfinite().all())


@looped("name, option", OPTIONS)
@looped("case", hard_matrices())
def test_finite_with_every_option(name: str, option: str, case: str) -> None:
    for value in allowed_values(name, option):
        assert bool(combine(name, hard_matrices()[case], **{option: value}).isfinite().all()), value


@every_weighing_method
def test_finite_on_a_gramian_rounded_to_single_precision(name: str) -> None:
    """As a step's is: its eigenvalues may lie below 0, its squares underflow."""
    method = get_method(name)
    for case, J in hard_matrices().items():
        scale = J.abs().max().clamp(min=1)
        G = ((J / scale).float() @ (J / scale).float().t()).double()
        assert bool(weights_of(method, G).isfinite().all()), case
    assert bool(weights_of(method, float64([[1.0, -1e-30], [-1e-30, 0.0]])).isfinite().all())


@every_method
def test_same_generator_same_answer_and_input_left_alone(name: str) -> None:
    method = get_method(name)
    for J in matrices(5):
        state = method.initial_state(5)
        before = {key: value.clone() for key, value in state.items()}
        given = J if method.uses_jacobian else signals_of(method, J @ J.t())
        kept = J.clone() if method.uses_jacobian else given.gramian.clone()
        first, _ = method.function(given, state, generator(3))
        assert torch.equal(J if method.uses_jacobian else given.gramian, kept)
        assert all(torch.equal(state[key], value) for key, value in before.items())
        assert torch.equal(method.function(given, state, generator(3))[0], first)


@pytest.mark.parametrize("name", sorted(set(METHOD_NAMES) - set(WEIGHING)))
def test_columns_may_come_in_parts(name: str) -> None:
    method = get_method(name)
    J = torch.randn(3, 100, generator=generator(7))
    whole, _ = method.function(J, {}, generator(1))
    assert whole.dtype == J.dtype
    drawn = generator(1)
    parts = [method.function(J[:, part], {}, drawn)[0] for part in (slice(0, 33), slice(33, 100))]
    assert torch.equal(torch.cat(parts), whole)


@with_law("equal_without_conflict")
@looped("tasks", [1, 2, 3, 6])
def test_equal_without_conflict(name: str, tasks: int) -> None:
    turn = torch.linalg.qr(torch.randn(12, 12, generator=generator(), dtype=torch.float64))[0]
    for J in matrices(tasks):
        weights = weights_of(get_method(name), J.abs() @ J.abs().t())
        assert weights[0] > 0
        torch.testing.assert_close(weights, weights[:1].expand(tasks), rtol=1e-12, atol=0)
        summed = J.abs().sum(0) @ turn  # a sum in any coordinates, if it is one
        torch.testing.assert_close(combine(name, J.abs() @ turn), weights[0] * summed)


@with_law("equal_without_conflict")
def test_equal_where_gradients_are_orthogonal(name: str) -> None:
    weights = weights_of(get_method(name), torch.eye(3, dtype=torch.float64))
    assert set(weights.tolist()) == {weights[0].item()}


@with_law("permutation")
def test_the_order_of_two_tasks_changes_nothing(name: str) -> None:
    """With two tasks there is one visiting order."""
    for J in matrices(2):
        torch.testing.assert_close(combine(name, J.flip(0)), combine(name, J))


@with_law("permutation")
def test_the_order_of_three_tasks_changes_no_set_of_answers(name: str) -> None:
    """With three, a method that draws orders is compared by the set of its answers."""
    draws = 80 if "draws" in get_method(name).needs else 1

    def answers(J: Tensor) -> set[tuple[float, ...]]:
        actual = [combine(name, J, seed).tolist() for seed in range(draws)]
        return {tuple(round(value, 7) + 0.0 for value in each) for each in actual}

    for J in matrices(3, 4):
        straight = answers(J)
        assert answers(J[[2, 0, 1]]) == straight
        assert answers(J[[1, 0, 2]]) == straight


@with_law("scale")
@looped("factor", [1e-10, 0.5, 1e15])
def test_scale_of_all_gradients_leaves_the_weights(name: str, factor: float) -> None:
    for J in matrices(4):
        torch.testing.assert_close(combine(name, J * factor) / factor, combine(name, J))


def assert_same_direction(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a / a.norm(), b / b.norm(), rtol=1e-6, atol=1e-8)


@with_law("scale_direction")
@looped("factor", [1e-10, 0.5, 1e15])
def test_scale_of_all_gradients_leaves_the_direction(name: str, factor: float) -> None:
    for J in matrices(4):
        assert_same_direction(combine(name, J * factor), combine(name, J))


@with_law("scale_of_one")
@looped("factor", [1e-10, 0.5, 1e15])
def test_scale_of_one_gradient_leaves_the_direction(name: str, factor: float) -> None:
    for J in matrices(4):
        scaled = J * float64([[1.0], [factor], [1.0], [1.0]])
        assert_same_direction(combine(name, scaled), combine(name, J))


@with_law("no_conflict_of_two")
@looped("scale", [1e-10, 1.0, 1e15])
def test_no_conflict_of_two(name: str, scale: float) -> None:
    conflicts = 0
    for base in matrices(2):
        J = base * float64([[1.0], [scale]])
        direction = combine(name, J)
        products, sizes = J @ direction, J.norm(dim=1) * direction.norm()
        assert bool((products >= -1e-12 * sizes).all())
        conflicts += int(J[0] @ J[1] < 0)
    assert conflicts > 2


@with_law("no_conflict")
@looped("tasks", [2, 3, 6])
@looped("columns", [12, 4, 2])
@looped("spread", [0.0, 5.0])
def test_no_conflict(name: str, tasks: int, columns: int, spread: float) -> None:
    """Also of gradients some mixture of which vanishes: then nothing but rounding is left."""
    scales = 10 ** torch.linspace(-spread, spread, tasks, dtype=torch.float64)
    conflicts = 0
    for base in matrices(tasks):
        J = base[:, :columns] * scales[:, None]
        weights = weights_of(get_method(name), J @ J.t())
        products, norms = J @ (weights @ J), J.norm(dim=1)
        summed = (weights.abs() * norms).sum()
        assert bool((products >= -1e-9 * norms * summed).all())
        if columns == 12:
            assert bool((products >= -1e-9 * norms * (weights @ J).norm()).all())
        conflicts += int((J @ J.sum(0) < 0).any())
    assert conflicts or columns == 12


@with_law("worst_not_worse")
@looped("tasks", [2, 3, 6])
@looped("columns", [12, 4, 2])
def test_worst_served_task_gains_no_less_than_from_the_mean(
    name: str, tasks: int, columns: int
) -> None:
    for base in matrices(tasks):
        J = base[:, :columns] * torch.linspace(0.5, 2, tasks, dtype=torch.float64)[:, None]
        assert (J @ combine(name, J)).min() >= (J @ J.mean(0)).min() - 1e-9


@with_law("convex_hull")
@looped("case", [case for case in hard_matrices() if case != "all zero"])
def test_stays_in_the_convex_hull(name: str, case: str) -> None:
    J = hard_matrices()[case]
    weights = weights_of(get_method(name), J @ J.t())
    assert bool((weights >= 0).all())
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)


@with_law("equal_projections")
@looped("tasks", [1, 2, 3, 6])
def test_equal_projections(name: str, tasks: int) -> None:
    for base in matrices(tasks):
        J = base * torch.logspace(-5, 5, tasks, dtype=torch.float64)[:, None]
        direction = combine(name, J)
        cosines = J @ direction / J.norm(dim=1) / direction.norm()
        assert cosines[0] > 0
        torch.testing.assert_close(cosines, cosines[:1].expand(tasks), rtol=1e-6, atol=0)


@pytest.mark.quick("pcgrad", "sum", "cagrad", "upgrad")
@every_method
@looped("scales", [(1.0, 1.0), (1.0, 10.0)])
def test_convergence_on_two_quadratics(name: str, scales: tuple[float, float]) -> None:
    """½ s_i ‖A_i (x - c_i)‖²: every method comes to rest where no direction helps both.

    The length of a step is the learning rate's alone, as AdamW's is: methods differ in size. Some
    draw, so the mean of the last steps is looked at.
    """
    method = get_method(name)
    centres = float64([[1.0, 0.0], [-1.0, 0.5]])
    shapes = float64([[1.0, 0.4], [0.3, 1.0]])
    size = float64(scales)[:, None]
    x, chosen = float64([3.0, -4.0]), Chosen.of(method, 2)

    def gradients(x: Tensor) -> Tensor:
        return size * shapes * (x - centres)

    start, rest = gradients(x).norm(), []
    for number in range(200):
        combined = step(method, gradients(x), chosen, (0, number))
        lr = 0.1 * (1 - number / 200) ** 2
        x = x - lr * combined / combined.norm().clamp(min=1e-300)
        rest.append(x)
    J = gradients(torch.stack(rest[-40:]).mean(0))
    cosine = float(J[0] @ J[1] / (J[0].norm() * J[1].norm()).clamp(min=1e-300))
    assert min(J.norm(dim=1)) < 1e-2 * start or cosine < -0.99
