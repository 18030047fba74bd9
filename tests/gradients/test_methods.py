"""Every registered method: its example, its laws, hard input, its state. No method is named."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import accord.gradients
from accord.gradients import get_method, method_names
from accord.gradients._registry import METHODS, Method, State, method, step_weights

METHOD_NAMES = method_names()
every_method = pytest.mark.parametrize("name", METHOD_NAMES)


def with_law(law: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "name", [name for name in METHOD_NAMES if law in get_method(name).laws]
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weigh(name: str, J: Tensor, seed: int = 0) -> Tensor:
    """The weights that a method gives to fresh state."""
    own = get_method(name)
    return own.combine(J @ J.t(), own.initial_state(len(J)), generator(seed))[0]


def matrices(tasks: int) -> Iterator[Tensor]:
    for seed in range(10):
        yield torch.randn(tasks, 12, generator=generator(seed), dtype=torch.float64)


def hard_matrices() -> dict[str, Tensor]:
    base = torch.randn(3, 12, generator=generator(), dtype=torch.float64)
    zero_row = base.clone()
    zero_row[1] = 0
    signs = torch.tensor([[1.0], [-1.0], [-2.0]], dtype=torch.float64)
    return {
        "zero row": zero_row,
        "all zero": torch.zeros_like(base),
        "rank one": signs * base[:1],
        "same": base[:1].repeat(3, 1),
        "opposite": torch.stack([base[0], -base[0], base[1]]),
        "tiny": base * 1e-10,
        "huge": base * 1e15,
        "scales": base * torch.tensor([[1e-10], [1.0], [1e15]], dtype=torch.float64),
        "one task": base[:1],
        "one zero task": torch.zeros(1, 12, dtype=torch.float64),
        "many tasks": torch.randn(40, 12, generator=generator(), dtype=torch.float64),
    }


@every_method
def test_file_name_is_the_registered_name(name: str) -> None:
    folder = Path(accord.gradients.__file__).parent
    assert (folder / f"{name.replace('-', '_')}.py").is_file()
    assert get_method(name).name == name
    assert get_method(name) is METHODS[name]


def test_files_and_registry_agree() -> None:
    for name in METHOD_NAMES:
        get_method(name)
    assert sorted(METHODS) == METHOD_NAMES
    assert METHOD_NAMES


@every_method
def test_carries_its_paper_and_laws(name: str) -> None:
    own = get_method(name)
    assert any(character.isdigit() for character in own.paper)
    assert own.laws
    assert METHODS[name].combine.__doc__


@pytest.mark.parametrize("name", ["", "no-such-method", "_registry", "-registry", "os", "../sum"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(KeyError):
        get_method(name)


@every_method
def test_worked_example(name: str) -> None:
    own = get_method(name)
    gramian, expected = own.example
    G = torch.tensor(gramian, dtype=torch.float64)
    assert bool((torch.linalg.eigvalsh(G) >= -1e-12).all()), "no Gram matrix"
    weights, _ = own.combine(G, own.initial_state(len(G)), generator())
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


@every_method
@pytest.mark.parametrize("case", hard_matrices())
def test_finite_on_hard_input(name: str, case: str) -> None:
    J = hard_matrices()[case]
    weights = weigh(name, J)
    assert weights.shape == (len(J),)
    assert weights.dtype == torch.float64
    assert bool(weights.isfinite().all())
    assert bool((weights @ J).isfinite().all())


@every_method
def test_finite_on_a_gramian_rounded_to_single_precision(name: str) -> None:
    """As a step's is: its eigenvalues may lie below 0, its squares underflow."""
    own = get_method(name)
    for case, J in hard_matrices().items():
        scale = J.abs().max().clamp(min=1)
        G = ((J / scale).float() @ (J / scale).float().t()).double()
        weights, _ = own.combine(G, own.initial_state(len(G)), generator())
        assert bool(weights.isfinite().all()), case
    G = torch.tensor([[1.0, -1e-30], [-1e-30, 0.0]], dtype=torch.float64)
    weights, _ = own.combine(G, own.initial_state(2), generator())
    assert bool(weights.isfinite().all())


@every_method
def test_one_task_alone_goes_its_own_way(name: str) -> None:
    for J in matrices(1):
        (weight,) = weigh(name, J).tolist()
        assert weight > 0


@every_method
def test_same_generator_same_answer_and_input_left_alone(name: str) -> None:
    own = get_method(name)
    for J in matrices(5):
        G, state = J @ J.t(), own.initial_state(5)
        before = {key: value.clone() for key, value in state.items()}
        kept = G.clone()
        first, _ = own.combine(G, state, generator(3))
        assert torch.equal(G, kept)
        assert all(torch.equal(state[key], value) for key, value in before.items())
        assert torch.equal(own.combine(G, state, generator(3))[0], first)


@with_law("sum_without_conflict")
@pytest.mark.parametrize("tasks", [1, 2, 3, 6])
def test_sum_without_conflict(name: str, tasks: int) -> None:
    for J in matrices(tasks):
        assert weigh(name, J.abs()).tolist() == [1.0] * tasks


@with_law("sum_without_conflict")
def test_sum_where_gradients_are_orthogonal(name: str) -> None:
    assert weigh(name, torch.eye(3, 5, dtype=torch.float64)).tolist() == [1.0] * 3


@with_law("permutation")
def test_permutation_of_two(name: str) -> None:
    """With two tasks there is one visiting order."""
    for J in matrices(2):
        torch.testing.assert_close(weigh(name, J.flip(0)), weigh(name, J).flip(0))


@with_law("permutation")
def test_permutation_of_three_over_all_draws(name: str) -> None:
    """With three, a method that draws orders is compared by the set of its answers."""

    def answers(J: Tensor, order: list[int]) -> set[tuple[float, ...]]:
        back = [order.index(i) for i in range(3)]
        return {
            tuple(round(value, 9) for value in weigh(name, J[order], seed)[back].tolist())
            for seed in range(80)
        }

    for J in list(matrices(3))[:4]:
        straight = answers(J, [0, 1, 2])
        assert answers(J, [2, 0, 1]) == straight
        assert answers(J, [1, 0, 2]) == straight


@with_law("scale")
@pytest.mark.parametrize("factor", [1e-10, 0.5, 1e15])
def test_scale_of_all_gradients_leaves_the_weights(name: str, factor: float) -> None:
    for J in matrices(4):
        torch.testing.assert_close(weigh(name, J * factor), weigh(name, J))


@with_law("no_conflict_of_two")
@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e15])
def test_no_conflict_of_two(name: str, scale: float) -> None:
    conflicts = 0
    for base in matrices(2):
        J = base * torch.tensor([[1.0], [scale]], dtype=torch.float64)
        direction = weigh(name, J) @ J
        products, sizes = J @ direction, J.norm(dim=1) * direction.norm()
        assert bool((products >= -1e-12 * sizes).all())
        conflicts += int(J[0] @ J[1] < 0)
    assert conflicts > 2


@every_method
def test_state_saved_and_restored_goes_on_the_same(name: str) -> None:
    own = get_method(name)
    steps = list(matrices(3))

    def run(state: State, steps: list[Tensor], first: int) -> tuple[list[Tensor], State]:
        found = []
        for number, J in enumerate(steps, start=first):
            weights, state = step_weights(own, J @ J.t(), state, (0, 1, 2), (5, number))
            found.append(weights)
        return found, state

    straight, end = run(own.initial_state(3), steps, 0)
    _, middle = run(own.initial_state(3), steps[:4], 0)
    restored = {key: torch.tensor(value.tolist(), dtype=value.dtype)
                for key, value in middle.items()}  # fmt: skip
    again, restored_end = run(restored, steps[4:], 4)
    assert all(torch.equal(a, b) for a, b in zip(straight[4:], again, strict=True))
    assert end.keys() == restored_end.keys()
    assert all(torch.equal(end[key], restored_end[key]) for key in end)


@every_method
@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_every_axis_of_the_state_runs_over_the_tasks(name: str, tasks: int) -> None:
    own = get_method(name)
    state = own.initial_state(tasks)
    (J, *_) = matrices(tasks)
    _, after = own.combine(J @ J.t(), state, generator())
    for each in (state, after):
        assert all(set(value.shape) == {tasks} for value in each.values())
    assert state.keys() == after.keys()


@every_method
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 10.0)])
def test_convergence_on_two_quadratics(name: str, scales: tuple[float, float]) -> None:
    """½ s_i ‖A_i (x - c_i)‖²: every method comes to rest where no direction helps both."""
    own = get_method(name)
    centres = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
    shapes = torch.tensor([[1.0, 0.4], [0.3, 1.0]], dtype=torch.float64)
    size = torch.tensor(scales, dtype=torch.float64)[:, None]
    x, state = torch.tensor([3.0, -4.0], dtype=torch.float64), own.initial_state(2)

    def gradients(x: Tensor) -> Tensor:
        return size * shapes * (x - centres)

    start = gradients(x).norm()
    for number in range(3000):
        J = gradients(x)
        weights, state = step_weights(own, J @ J.t(), state, (0, 1), (0, number))
        x = x - 0.02 * weights @ J
    J = gradients(x)
    cosine = float(J[0] @ J[1] / (J[0].norm() * J[1].norm()).clamp(min=1e-300))
    assert min(J.norm(dim=1)) < 1e-2 * start or cosine < -0.99


def counting(gramian: Tensor, state: State, drawn: torch.Generator) -> tuple[Tensor, State]:
    """Count each task's and each pair's steps; weigh by the counts and a draw."""
    steps, pairs = state["steps"] + 1, state["pairs"] + gramian
    return steps + torch.rand((), generator=drawn), {"steps": steps, "pairs": pairs}


@pytest.fixture
def fake() -> Iterator[Method]:
    method(
        "fake", paper="none", laws=("scale",), example=([[1.0]], [1.0]),
        initial_state=lambda tasks: {
            "steps": torch.zeros(tasks, dtype=torch.float64),
            "pairs": torch.zeros(tasks, tasks, dtype=torch.float64),
        },
    )(counting)  # fmt: skip
    yield METHODS["fake"]
    del METHODS["fake"]


def test_a_method_registers_itself(fake: Method) -> None:
    assert fake.combine is counting
    assert (fake.paper, fake.laws, fake.example) == ("none", {"scale"}, ([[1.0]], [1.0]))
    assert "fake" not in method_names()  # it has no file


def test_absent_tasks_keep_their_state(fake: Method) -> None:
    state = fake.initial_state(4)
    G = torch.tensor([[1.0, 2.0], [2.0, 5.0]], dtype=torch.float64)
    weights, after = step_weights(fake, G, state, (1, 3), (0, 0))
    assert weights.shape == (2,)
    assert not state["steps"].any()
    assert after["steps"].tolist() == [0, 1, 0, 1]
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 1], expected[1, 3], expected[3, 1], expected[3, 3] = 1, 2, 2, 5
    assert torch.equal(after["pairs"], expected)
    _, after = step_weights(fake, G[:1, :1], after, (3,), (0, 1))
    _, after = step_weights(fake, torch.eye(4).double(), after, (0, 1, 2, 3), (0, 2))
    assert after["steps"].tolist() == [1, 2, 1, 3]
    assert after["pairs"][3, 3] == 5 + 1 + 1


def test_a_method_sees_the_state_of_the_present_tasks_alone(fake: Method) -> None:
    state = {"steps": torch.arange(4.0).double(), "pairs": torch.zeros(4, 4).double()}
    weights, _ = step_weights(fake, torch.eye(2).double(), state, (1, 3), (0, 0))
    assert weights.floor().tolist() == [2.0, 4.0]


def test_draws_are_keyed_by_seed_and_step(fake: Method) -> None:
    def draw(seed: int, step: int) -> float:
        state = fake.initial_state(1)
        return step_weights(fake, torch.eye(1).double(), state, (0,), (seed, step))[0].item()

    draws = {(seed, step): draw(seed, step) for seed in range(5) for step in range(20)}
    torch.rand(1)
    assert len(set(draws.values())) == len(draws)
    assert draws == {key: draw(*key) for key in draws}
    assert math.isfinite(draw(2**62, 10**9))
