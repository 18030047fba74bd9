"""Every registered balancing rule: its example, its laws, hard input, its state; none is named."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from looped import looped
from torch import Tensor

import accord.balancing
from accord.balancing import RULES, get_rule, rule_names
from accord.methods import Chosen, Signals

NAMES = rule_names()
every_rule = pytest.mark.parametrize("name", NAMES)


def with_law(law: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [n for n in NAMES if law in get_rule(n).laws])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signals(losses: Tensor | list[float], norms: Tensor | list[float] | None = None) -> Signals:
    ours = torch.as_tensor(losses, dtype=torch.float64)
    sizes = torch.ones_like(ours) if norms is None else torch.as_tensor(norms, dtype=torch.float64)
    return Signals.of(
        torch.diag(sizes.square()), ours, last_norms=sizes,
        regression=torch.arange(len(ours)) % 2 == 1, steps_per_epoch=4,
        shares=torch.arange(1.0, len(ours) + 1, dtype=torch.float64),
        others=torch.arange(1.0, len(ours) + 1, dtype=torch.float64).flip(0),
    )  # fmt: skip


def histories(tasks: int, steps: int = 12) -> Iterator[list[Tensor]]:
    """Losses of each step of a run that learns."""
    for seed in range(4):
        start = torch.rand(tasks, generator=generator(seed), dtype=torch.float64) + 0.5
        rates = torch.rand(tasks, generator=generator(seed + 9), dtype=torch.float64) * 0.2
        yield [start * torch.exp(-rates * step) for step in range(steps)]


def run(
    name: str, history: list[Tensor], order: list[int] | None = None, scale: Tensor | float = 1.0
) -> list[Tensor]:
    """The weights of each step; the losses after it are those of the next."""
    order = order or list(range(len(history[0])))
    chosen = Chosen.of(get_rule(name), len(order))
    # What a task is, its place gives it: regressions are the odd ones.
    base = signals(history[0])
    actual = []
    for step, losses in enumerate(history):
        norms = 1 + losses
        given = Signals(
            (losses * scale)[order], base.gramian, (norms * scale)[order], base.shares[order],
            base.others[order], base.regression[order], base.memories[order],
            tuple(base.names[i] for i in order), base.steps_per_epoch, step,
        )  # fmt: skip
        weights, states = chosen.weigh([given], tuple(range(len(order))), (0, step))
        chosen.states = states
        after = history[min(step + 1, len(history) - 1)]
        chosen.learn((losses * scale)[order], (after * scale)[order], tuple(range(len(order))))
        actual.append(weights[0])
    return actual


@every_rule
def test_file_name_is_the_registered_name(name: str) -> None:
    folder = Path(accord.balancing.__file__).parent
    assert (folder / f"{name.replace('-', '_')}.py").is_file()
    assert get_rule(name) is RULES.entries[name]


@every_rule
def test_carries_its_paper_and_says_what_it_needs(name: str) -> None:
    rule = get_rule(name)
    assert rule.paper
    assert rule.use.endswith(".")
    assert rule.function.__doc__
    assert ("losses_after" in rule.needs) is (rule.learn is not None)
    assert ("state" in rule.needs) is bool(rule.initial_state(2))
    assert ("constant" in rule.laws) is (set(rule.needs) <= {"shares"})


@every_rule
def test_worked_example(name: str) -> None:
    rule = get_rule(name)
    losses, expected = rule.example
    given = Signals.of(torch.eye(len(losses), dtype=torch.float64), losses)
    weights, _ = rule.function(given, rule.initial_state(len(losses)), generator())
    assert weights.tolist() == pytest.approx(expected)


@every_rule
@looped(
    "losses",
    [[0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [1e-30, 1e30, 1.0], [1e-12, 1e-12, 1e-12], [1e10] * 3],
)
@looped("norms", [[0.0, 0.0, 0.0], [0.0, 1.0, 1e-10], [1e15, 1.0, 1e-10]])
def test_finite_and_not_negative_on_hard_input(
    name: str, losses: list[float], norms: list[float]
) -> None:
    chosen = Chosen.of(get_rule(name), 3)
    for step in range(30):
        given = signals(losses, norms)
        weights, chosen.states = chosen.weigh([given], (0, 1, 2), (0, step))
        chosen.learn(given.losses, given.losses.flip(0), (0, 1, 2))
        assert weights.shape == (1, 3)
        assert weights.dtype == torch.float64
        assert bool(weights.isfinite().all())
        assert bool((weights >= 0).all())


@every_rule
@looped("least", [0.0, 1e-12, 1e-6])
def test_a_loss_near_zero_gets_a_bounded_weight(name: str, least: float) -> None:
    """Of three tasks, however long it stays there and however fast a rule learns."""
    options = {"lr": 0.5} if "lr" in get_rule(name).options.model_fields else {}
    chosen = Chosen.of(get_rule(name), 3, options)
    for step in range(100):
        given = replace(signals([least, 1.0, 2.0], [least**0.5, 1.0, 1.0]), step=step)
        weights, chosen.states = chosen.weigh([given], (0, 1, 2), (0, step))
        chosen.learn(given.losses, given.losses, (0, 1, 2))
        assert bool((weights >= 0).all())
        assert float(weights.max()) <= 1e4 * (1 + 1e-9)


@every_rule
def test_input_is_left_alone_and_same_generator_gives_the_same(name: str) -> None:
    rule = get_rule(name)
    given, state = signals([1.0, 2.0, 0.5]), rule.initial_state(3)
    losses, before = given.losses.clone(), {key: value.clone() for key, value in state.items()}
    first, after = rule.function(given, state, generator(3))
    assert torch.equal(given.losses, losses)
    assert all(torch.equal(state[key], value) for key, value in before.items())
    assert torch.equal(rule.function(given, state, generator(3))[0], first)
    assert after.keys() == state.keys()
    assert all(set(value.shape) == {3} for value in after.values())


@with_law("constant")
def test_constant_weights_stay_as_they_are(name: str) -> None:
    for history in histories(3):
        weights = run(name, history)
        assert all(torch.equal(weight, weights[0]) for weight in weights)


@pytest.mark.parametrize("name", [n for n in NAMES if "constant" not in get_rule(n).laws])
def test_what_is_not_constant_moves(name: str) -> None:
    for history in histories(3):
        weights = run(name, history)
        assert not torch.allclose(weights[0], weights[-1])


@with_law("permutation")
def test_the_order_of_tasks_changes_no_weight(name: str) -> None:
    order = [2, 0, 3, 1]
    for history in histories(4):
        for straight, turned in zip(run(name, history), run(name, history, order), strict=True):
            torch.testing.assert_close(turned, straight[order])


@with_law("sum_is_tasks")
@looped("tasks", [1, 2, 5])
def test_sum_is_tasks(name: str, tasks: int) -> None:
    for history in histories(tasks):
        for weights in run(name, history):
            assert float(weights.sum()) == pytest.approx(tasks)
            assert bool((weights >= 0).all())


@with_law("loss_scale")
@looped("scale", [1e-6, 3.0, 1e6])
def test_scale_of_all_losses_leaves_the_weights(name: str, scale: float) -> None:
    for history in histories(3):
        plain, scaled = run(name, history), run(name, history, scale=scale)
        torch.testing.assert_close(torch.stack(scaled), torch.stack(plain))


@with_law("one_loss_scale")
def test_scale_of_one_loss_leaves_the_direction(name: str) -> None:
    """The weighted losses' gradients, w_i ∇L_i, stay as they are up to one factor for all."""
    scale = torch.tensor([1.0, 100.0, 1.0], dtype=torch.float64)
    for history in histories(3):
        for plain, each in zip(run(name, history), run(name, history, scale=scale), strict=True):
            ratio = each * scale / plain
            torch.testing.assert_close(ratio, ratio[:1].expand(3))


@with_law("starts_equal")
def test_starts_equal(name: str) -> None:
    rule = get_rule(name)
    given = Signals.of(torch.eye(3, dtype=torch.float64), [2.0, 2.0, 2.0])
    weights, _ = rule.function(given, rule.initial_state(3), generator())
    torch.testing.assert_close(weights, weights[:1].expand(3))


@with_law("separable")
def test_a_separable_weight_depends_on_its_own_task_alone(name: str) -> None:
    for history in histories(3):
        other = [torch.cat([each[:1], each[1:] * 7]) for each in history]
        for plain, moved in zip(run(name, history), run(name, other), strict=True):
            assert plain[0] == moved[0]


@every_rule
def test_state_saved_and_restored_goes_on_the_same(name: str) -> None:
    (history, *_) = histories(3)

    def go_on(ours: Chosen, first: int, last: int) -> list[Tensor]:
        actual = []
        for step in range(first, last):
            given = replace(signals(history[step]), step=step)
            weights, ours.states = ours.weigh([given], (0, 1, 2), (5, step))
            ours.learn(history[step], history[step] * 0.9, (0, 1, 2))
            actual.append(weights)
        return actual

    straight = go_on(Chosen.of(get_rule(name), 3), 0, 10)
    stopped = Chosen.of(get_rule(name), 3)
    go_on(stopped, 0, 5)
    again = Chosen.of(get_rule(name), 3)
    again.load({key: value.clone() for key, value in stopped.tensors().items()})
    assert all(map(torch.equal, straight[5:], go_on(again, 5, 10)))


@every_rule
def test_absent_tasks_keep_their_state(name: str) -> None:
    chosen = Chosen.of(get_rule(name), 4)
    before = chosen.tensors()
    given = replace(signals([1.0, 0.3]), step=7)
    weights, chosen.states = chosen.weigh([given], (1, 3), (0, 7))
    chosen.learn(torch.tensor([1.0, 0.3]).double(), torch.tensor([0.5, 0.2]).double(), (1, 3))
    assert weights.shape == (1, 2)
    for key, value in chosen.tensors().items():
        assert torch.equal(value[[0, 2]], before[key][[0, 2]])


def test_a_state_of_another_rule_is_refused() -> None:
    kept = [name for name in NAMES if get_rule(name).initial_state(2)]
    one, other = (Chosen.of(get_rule(name), 2) for name in kept[:2])
    with pytest.raises(ValueError, match="holds no state of"):
        one.load(other.tensors())


@every_rule
def test_options_have_defaults_that_are_allowed_and_refuse_others(name: str) -> None:
    rule = get_rule(name)
    assert rule.check_options(rule.check_options({})) == rule.check_options({})
    with pytest.raises(ValueError, match=f"methods.{name}: has no option"):
        rule.check_options({"no-such-option": 1})
    for option in rule.options.model_fields:
        with pytest.raises(ValueError, match=f"methods.{name}.{option}"):
            rule.check_options({option: -1})


# What the rules that learn come to, against what their papers say.


def settle(name: str, losses: list[float], steps: int = 4000, **options: float) -> Tensor:
    chosen, given = Chosen.of(get_rule(name), len(losses), options), signals(losses, losses)
    for step in range(steps):
        weights, chosen.states = chosen.weigh([given], tuple(range(len(losses))), (0, step))
    return weights[0]


@pytest.mark.slow
def test_uncertainty_settles_where_its_loss_is_least() -> None:
    """Classification e^(−s) L + ½ s: e^(−s) = 1/(2L); regression ½ e^(−s) = 1/(2L) as well."""
    torch.testing.assert_close(
        settle("uncertainty", [0.8, 0.1]), torch.tensor([1 / 1.6, 1 / 0.2]).double(), rtol=1e-3,
        atol=0,
    )  # fmt: skip


@pytest.mark.slow
def test_imtl_l_makes_all_losses_one() -> None:
    weights = settle("imtl-l", [0.5, 4.0])
    torch.testing.assert_close(weights, torch.tensor([2.0, 0.25]).double(), rtol=1e-3, atol=0)


@looped("floor", [1e-6, 1e-4, 0.1, 1.0])
def test_geometric_by_hand(floor: float) -> None:
    """Losses 1000, 1 and a millionth: mean 333.67, so that all below floor · mean count as that."""
    losses = [1000.0, 1.0, 1e-6]
    least = floor * sum(losses) / 3
    counted = [max(loss, least) for loss in losses]
    mean = math.prod(counted) ** (1 / 3)
    given = Signals.of(losses=losses)
    actual = get_rule("geometric").function(given, {}, generator(), floor=floor)[0].tolist()
    assert actual == pytest.approx([mean / (3 * each) for each in counted])
    assert max(actual) <= (1 + floor) / (3 * floor)


def test_geometric_is_the_gradient_of_the_geometric_mean() -> None:
    losses = torch.tensor([0.01, 1.0, 30.0], dtype=torch.float64, requires_grad=True)
    losses.log().mean().exp().backward()
    actual, _ = get_rule("geometric").function(Signals.of(losses=losses.detach()), {}, generator())
    torch.testing.assert_close(actual, losses.grad)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor"), [("imtl-l", 1.0), ("uncertainty", 0.5)])
def test_the_bound_of_a_learned_weight_is_an_option(name: str, factor: float) -> None:
    """Without it e^s L = 1, or e^(−s) L = ½: at 8 for these losses."""
    assert settle(name, [factor / 8] * 2, 1500)[0].item() == pytest.approx(8.0, rel=1e-2)
    assert settle(name, [factor / 8] * 2, 1500, largest=2.0)[0].item() == pytest.approx(2.0)
    assert settle(name, [1000.0] * 2, 1500, largest=2.0)[0].item() == pytest.approx(0.5)


@pytest.mark.slow
def test_gradnorm_makes_equal_rates_equal_norms() -> None:
    weights = settle("gradnorm", [1.0, 3.0], lr=1e-3)
    sizes = weights * torch.tensor([1.0, 3.0])
    assert float(sizes[0] / sizes[1]) == pytest.approx(1.0, abs=0.02)


def test_famo_gives_more_to_the_loss_that_falls_less() -> None:
    chosen = Chosen.of(get_rule("famo"), 2)
    for step in range(50):
        weights, chosen.states = chosen.weigh([signals([1.0, 1.0])], (0, 1), (0, step))
        chosen.learn(torch.ones(2).double(), torch.tensor([0.5, 0.99]).double(), (0, 1))
    assert float(weights[0, 1]) > 0.6


def test_dwa_against_its_formula() -> None:
    history = [torch.tensor([1.0, 1.0])] * 4 + [torch.tensor([0.5, 0.9])] * 4
    weights = run("dwa", [each.double() for each in [*history, torch.ones(2)]])
    assert all(weight.tolist() == [1.0, 1.0] for weight in weights[:8])
    expected = 2 * torch.softmax(torch.tensor([0.5, 0.9]).double() / 2, 0)
    torch.testing.assert_close(weights[8], expected)


def test_dwa_closes_windows_by_the_run_s_steps_for_a_task_that_is_rarely_there() -> None:
    chosen = Chosen.of(get_rule("dwa"), 2, {"window": 4})
    for step in range(17):
        present = (0, 1) if step % 4 == 0 else (0,)
        losses = [1.0, 2.0 ** -(step // 4)][: len(present)]
        weights, chosen.states = chosen.weigh(
            [replace(signals(losses), step=step)], present, (0, step)
        )
    expected = 2 * torch.softmax(torch.tensor([1.0, 0.5]).double() / 2, 0)
    torch.testing.assert_close(weights[0], expected)


def test_inverse_share_counts_tasks_that_a_step_leaves_out() -> None:
    given = Signals.of(losses=[1.0], shares=torch.tensor([4.0]), others=torch.tensor([12.0]))
    assert get_rule("inverse-share").function(given, {}, generator())[0].tolist() == [3.0]
