"""A run of one task draws exactly so many examples, evenly over its steps and its rows."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accord.data.exact_sampler import ExactSampler
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.sampling import Budget, get_rule, rule_names

NAMES, SIZES, EPOCHS, BATCH = ("sst", "quora", "sts"), (53, 211, 30), 3, 8


def exact(size: int, epochs: int, batch_size: int, total: int, seed: int = 0) -> ExactSampler:
    rule, budget = get_rule("finish-largest"), Budget(batch_size, epochs=epochs)
    return ExactSampler(("sts",), (size,), rule, budget, seed, total=total)


@given(
    size=st.integers(1, 60), epochs=st.integers(1, 7), batch_size=st.integers(1, 20),
    total=st.integers(1, 700), seed=st.integers(0, 9),
)  # fmt: skip
def test_the_total_is_exact_and_steps_and_rows_are_even(size, epochs, batch_size, total, seed):
    assume(total >= epochs)
    ours = exact(size, epochs, batch_size, total, seed)
    assert ours.steps == min(math.ceil(total / epochs / batch_size - 1e-9), total // epochs)
    drawn = [ours.draw(step)[0] for step in range(epochs * ours.steps)]
    counts = [len(rows) for rows in drawn]
    assert sum(counts) == total == ours.examples(epochs)[0]
    assert 1 <= min(counts) <= max(counts)
    assert max(counts) <= batch_size or (batch_size, max(counts), total % epochs > 0) == (1, 2, 1)
    assert max(counts) - min(counts) <= 1
    often = np.bincount(np.concatenate(drawn), minlength=size)
    assert set(often) <= {total // size, math.ceil(total / size)}
    assert ours.shares[0] == pytest.approx(np.mean(counts))
    assert ours.examples(1)[0] == sum(counts[: ours.steps])


def test_batches_of_one_that_cannot_fill_the_epochs_alike_have_some_of_two():
    """53 rows in three epochs: 17 steps each, and two steps of two."""
    ours = exact(100, 3, 1, 53)
    counts = [len(ours.draw(step)[0]) for step in range(51)]
    assert (ours.steps, sorted(counts)) == (17, [1] * 49 + [2] * 2)
    assert {len(exact(100, 3, 1, 54).draw(step)[0]) for step in range(54)} == {1}


def test_a_draw_is_a_function_of_the_step_and_the_seed() -> None:
    forward = [exact(30, 2, 4, 75).draw(step)[0].tolist() for step in range(20)]
    ours = exact(30, 2, 4, 75)
    assert [ours.draw(step)[0].tolist() for step in reversed(range(20))] == forward[::-1]
    other = exact(30, 2, 4, 75, seed=1)
    assert [other.draw(step)[0].tolist() for step in range(20)] != forward


RULES = [
    (name, one) for name in rule_names() for one in (False, True)
    if "drawn" in get_rule(name).orders or not one
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize(("name", "one_task"), RULES)
@pytest.mark.parametrize("steps", [None, 5, 11])
def test_alone_a_task_is_shown_what_any_rule_shows_together(name, one_task, steps, seed):
    """The sampler counts its draws, which no seed changes, and a task alone has as many."""
    rule = get_rule(name)
    one_task = one_task or rule.orders == ("cyclic",)
    budget = Budget(BATCH, epochs=EPOCHS, steps=steps, one_task=one_task)
    together = Sampler(NAMES, SIZES, rule, budget, seed)
    drawn = [together.draw(step) for step in range(EPOCHS * together.steps)]
    totals = [sum(len(rows[task]) for rows in drawn) for task in range(3)]
    assert totals == together.examples(EPOCHS)
    assert totals == Sampler(NAMES, SIZES, rule, budget, seed + 1).examples(EPOCHS)
    for size, total in zip(SIZES, totals, strict=True):
        alone = exact(size, EPOCHS, BATCH, total, seed)
        assert sum(len(alone.draw(step)[0]) for step in range(EPOCHS * alone.steps)) == total


def test_what_finish_largest_shows_of_a_small_task() -> None:
    """STS of 1,000 rows beside 4,000 of Quora: an epoch of 125 steps is three passes and 29 steps
    of 32; alone one pass an epoch would be 2,000."""
    rule, budget = get_rule("finish-largest"), Budget(32, epochs=2)
    together = Sampler(NAMES, (300, 4000, 1000), rule, budget, 0)
    assert together.examples(2) == [2 * (12 * 300 + 5 * 32), 8000, 7856]
    alone = Sampler(("sts",), (1000,), rule, budget, 0)
    assert alone.examples(2) == [2000]
    assert exact(1000, 2, 32, 7856).steps == 123  # ⌈7856 / 64⌉


def test_rows_of_a_memory_are_counted_too() -> None:
    rule, budget = get_rule("finish-largest"), Budget(8, epochs=2)
    rehearsal_sampler = RehearsalSampler(
        Sampler(("quora",), (211,), rule, budget, 0), ("quora", "sst", "sts"), (211, 5, 0)
    )
    drawn = [rehearsal_sampler.draw(step) for step in range(2 * rehearsal_sampler.steps)]
    assert rehearsal_sampler.examples(2) == [sum(len(rows[i]) for rows in drawn) for i in range(3)]
    assert rehearsal_sampler.examples(2) == [422, 5 * 54, 0]
