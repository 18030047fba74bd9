"""Every registered sampling rule: its example, its shares, its draws. No rule is named."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accord.sampling
from accord.data.sampler import Sampler
from accord.sampling import RULES, Budget, get_rule, rule_names

NAMES = rule_names()
every_rule = pytest.mark.parametrize("name", NAMES)
STREAMS = [name for name in NAMES if not get_rule(name).function((9, 9), Budget(2)).restarts]
MIXED = [name for name in STREAMS if "together" in get_rule(name).orders]
every_stream = pytest.mark.parametrize("name", STREAMS)
SIZES = (40, 130, 300)


def sampler(name: str, sizes: tuple[int, ...] = SIZES, seed: int = 0, **budget: int) -> Sampler:
    ours = Budget(**{"batch_size": 4, "epochs": 3, **budget})
    return Sampler(tuple(f"task{i}" for i in range(len(sizes))), sizes, get_rule(name), ours, seed)


def drawn(ours: Sampler, steps: int) -> list[list[list[int]]]:
    """For each step each task's rows."""
    return [[rows.tolist() for rows in ours.draw(step)] for step in range(steps)]


@every_rule
def test_file_name_is_the_registered_name(name: str) -> None:
    folder = Path(accord.sampling.__file__).parent
    assert (folder / f"{name.replace('-', '_')}.py").is_file()
    assert get_rule(name).name == name
    assert get_rule(name) is RULES.entries[name]


@every_rule
def test_carries_its_paper(name: str) -> None:
    rule = get_rule(name)
    assert rule.paper
    assert rule.use.endswith(".")
    assert "*Source:*" in (rule.function.__doc__ or "")


@pytest.mark.parametrize("name", ["", "none", "_registry", "../uniform"])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        get_rule(name)


@every_rule
def test_worked_example(name: str) -> None:
    (sizes, batch_size), (steps, shares) = get_rule(name).example
    function = get_rule(name).function(sizes, Budget(batch_size))
    assert function.steps == steps
    assert function.shares == pytest.approx(shares)


@every_rule
@given(
    sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    batch_size=st.integers(1, 64),
    epoch=st.integers(0, 4),
    epochs=st.integers(1, 5),
)
def test_shares_are_finite_and_no_task_is_left_out(
    name: str, sizes: list[int], batch_size: int, epoch: int, epochs: int
) -> None:
    budget = Budget(batch_size, min(epoch, epochs - 1), epochs)
    function = get_rule(name).function(sizes, budget)
    assert function.steps >= 1
    assert len(function.shares) == len(sizes)
    assert all(0 < share <= batch_size * len(sizes) * (1 + 1e-9) for share in function.shares)


@every_rule
def test_a_larger_task_gets_at_least_as_much(name: str) -> None:
    shares = get_rule(name).function(SIZES, Budget(8, 1, 3)).shares
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(shares))


@every_rule
def test_renaming_the_tasks_renames_the_shares(name: str) -> None:
    straight = get_rule(name).function(SIZES, Budget(8, 1, 3))
    turned = get_rule(name).function(SIZES[::-1], Budget(8, 1, 3))
    assert turned.steps == straight.steps
    assert turned.shares[::-1] == pytest.approx(straight.shares)


@every_rule
def test_as_many_steps_as_the_run_fixes(name: str) -> None:
    assert get_rule(name).function(SIZES, Budget(8, steps=3)).steps == 3


@every_rule
def test_one_task_is_ordinary_training(name: str) -> None:
    ours = sampler(name, (10,), epochs=2)
    first = [row for (rows,) in drawn(ours, ours.steps) for row in rows]
    assert set(first) == set(range(10))


@every_rule
def test_a_draw_is_a_function_of_the_step_alone(name: str) -> None:
    ours, resumed = (sampler(name, seed=5) for _ in range(2))
    steps = 2 * ours.steps + 1
    backward = [[rows.tolist() for rows in resumed.draw(step)] for step in reversed(range(steps))]
    assert drawn(ours, steps) == backward[::-1]
    assert drawn(sampler(name, seed=6), steps) != backward[::-1]


@pytest.mark.parametrize("name", MIXED)
@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    batch_size=st.integers(1, 9),
)
def test_every_step_is_as_large_and_no_task_falls_behind(
    name: str, sizes: list[int], batch_size: int
) -> None:
    ours = sampler(name, tuple(sizes), batch_size=batch_size)
    so_far, owed = np.zeros(len(sizes)), np.zeros(len(sizes))
    for step in range(ours.steps):
        counts = [len(rows) for rows in ours.draw(step)]
        assert sum(counts) == batch_size * len(sizes)
        so_far += counts
        owed += ours.shares
        assert np.abs(so_far - owed).max() <= len(sizes)
    assert np.abs(so_far - owed).max() < len(sizes)


@pytest.mark.parametrize("one_task", [False, True])
@every_stream
def test_every_row_comes_once_before_any_comes_again(name: str, one_task: bool) -> None:
    ours = sampler(name, one_task=one_task or name not in MIXED)
    steps = drawn(ours, 3 * ours.steps)
    for task, size in enumerate(SIZES):
        rows = [row for step in steps for row in step[task]]
        for start in range(0, len(rows) - size + 1, size):
            assert sorted(rows[start : start + size]) == list(range(size))
        counts = Counter(rows).values()
        assert max(counts) - (min(counts) if len(counts) == size else 0) <= 1
        first, second = rows[:size], rows[size : 2 * size]
        assert len(second) < size or first != second


@pytest.mark.parametrize("name", [each for each in NAMES if get_rule(each).orders != ("together",)])
def test_a_step_of_one_task_has_a_whole_batch_of_it(name: str) -> None:
    ours = sampler(name, one_task=True)
    counts = np.array([[len(rows) for rows in step] for step in drawn(ours, ours.steps)])
    assert ((counts > 0).sum(axis=1) == 1).all()
    assert (counts.sum(axis=1) == 4).all()
    turns = (counts > 0).sum(axis=0)
    wanted = np.array(ours.shares) / sum(ours.shares) * ours.steps
    assert np.abs(turns - wanted).max() <= len(SIZES)
    if "cyclic" in get_rule(name).orders:
        assert [int(count.argmax()) for count in counts[:6]] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("name", [each for each in NAMES if not get_rule(each).varies])
def test_what_does_not_vary_is_alike_in_every_epoch(name: str) -> None:
    shapes = [get_rule(name).function(SIZES, Budget(8, epoch, 4)) for epoch in range(4)]
    assert shapes == shapes[:1] * 4


@pytest.mark.parametrize("name", [each for each in NAMES if get_rule(each).varies])
def test_what_varies_keeps_the_epoch_s_steps(name: str) -> None:
    shapes = [get_rule(name).function(SIZES, Budget(8, epoch, 4)) for epoch in range(4)]
    assert len({shape.shares for shape in shapes}) > 1
    assert {shape.steps for shape in shapes} == {shapes[0].steps}
    ours = sampler(name, epochs=4)
    assert ours.shape(0).shares != ours.shape(3).shares
    assert ours.shape(9) == ours.shape(3)
    steps = [sum(len(ours.draw(ours.steps * epoch + i)[2]) for i in range(ours.steps))
             for epoch in range(4)]  # fmt: skip
    wanted = [ours.shape(epoch).shares[2] * ours.steps for epoch in range(4)]
    assert steps == pytest.approx(wanted, abs=4)


@every_stream
def test_a_task_that_is_rarely_due_comes_in_its_turn_over_the_epochs(name: str) -> None:
    """What a task is owed at an epoch's end is not forgotten."""
    sampler = Sampler(
        ("rare", "common"), (30, 20_000), get_rule(name),
        Budget(8, epochs=200, steps=3, one_task=True), 0,
    )  # fmt: skip
    share = np.mean([np.array(sampler.shape(e).shares) / sum(sampler.shape(e).shares)
                     for e in range(200)], axis=0)  # fmt: skip
    drawn_rows = sum(len(sampler.draw(step)[0]) for step in range(600))
    assert sampler.examples(200) == [drawn_rows, 4800 - drawn_rows]
    assert drawn_rows == pytest.approx(4800 * share[0], abs=16)


def test_round_robin_goes_on_where_an_epoch_ended() -> None:
    ours = sampler("round-robin", steps=2, epochs=3)
    assert [int(np.argmax([len(rows) for rows in ours.draw(step)])) for step in range(6)] == [
        0, 1, 2, 0, 1, 2,
    ]  # fmt: skip


@every_rule
def test_options_have_defaults_that_are_allowed_and_refuse_others(name: str) -> None:
    rule = get_rule(name)
    assert rule.check_options(rule.check_options({})) == rule.check_options({})
    with pytest.raises(ValueError, match=f"methods.{name}: has no option"):
        rule.check_options({"no-such-option": 1})
    for option in rule.options.model_fields:
        with pytest.raises(ValueError, match=f"methods.{name}.{option}: .*, got -1"):
            rule.check_options({option: -1})


# What each rule of a formula does, against the formula.


@pytest.mark.parametrize(("tau", "cap"), [(1.0, None), (3.0, None), (1.0, 100), (2.0, 100)])
def test_temperature_against_its_formula(tau: float, cap: int | None) -> None:
    shares = get_rule("temperature").function(SIZES, Budget(8), tau=tau, cap=cap).shares
    weights = [min(size, cap or size) ** (1 / tau) for size in SIZES]
    assert shares == pytest.approx([24 * weight / sum(weights) for weight in weights])


def test_annealed_goes_from_proportional_to_nearly_uniform() -> None:
    rule = get_rule("annealed").function
    first, last = (rule(SIZES, Budget(8, epoch, 5)).shares for epoch in (0, 4))
    assert first == pytest.approx(get_rule("by-size").function(SIZES, Budget(8)).shares)
    weights = [size**0.2 for size in SIZES]
    assert last == pytest.approx([24 * weight / sum(weights) for weight in weights])
    assert rule(SIZES, Budget(8, 0, 1)).shares == pytest.approx(first)


def worth(examples: float, rows: int, passes: float = 4.0) -> float:
    return rows * passes * -math.expm1(-examples / (rows * passes))


@pytest.mark.parametrize("epochs", [1, 3, 10, 100])
def test_fair_exposure_is_the_best_of_all_splits(epochs: int) -> None:
    """No task can be given more without a greater loss, in logarithms, to the others."""
    budget = Budget(32, epochs=epochs)
    total = budget.examples(SIZES)
    shares = np.array(get_rule("fair-exposure").function(SIZES, budget).shares)
    best = shares / shares.sum() * total

    def value(split: np.ndarray) -> float:
        return sum(math.log(worth(n, rows)) for n, rows in zip(split, SIZES, strict=True))

    rng = np.random.default_rng(0)
    for _ in range(200):
        other = np.abs(best + rng.normal(size=3) * 0.02 * best)
        assert value(other / other.sum() * total) <= value(best) + 1e-9
    for name in ("uniform", "by-size"):
        other = np.array(get_rule(name).function(SIZES, budget).shares)
        assert value(other / other.sum() * total) <= value(best) + 1e-9


def test_fair_exposure_lies_between_uniform_and_by_size() -> None:
    rule = get_rule("fair-exposure").function
    little = rule((10**6, 10**7), Budget(32, epochs=1, steps=10)).shares
    much = rule((100, 1000), Budget(32, epochs=10**5)).shares
    assert little == pytest.approx((32, 32), rel=1e-3)
    assert much == pytest.approx((64 / 11, 640 / 11), rel=1e-2)
