"""The three batching methods of the paper's section 3.5, on its own numbers."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data import sampler as sampling
from accord.data.sampler import Sampler
from accord.sampling import Budget, get_rule

PAPERS = ("proportional", "finish-largest", "finish-smallest")
SIZES = (8544, 16212, 6040)  # SST, a sample of Quora, STS
PAPER = (8544, 141506, 6041)


def sampler(method: str, sizes: tuple[int, ...], batch_size: int, seed: int = 0) -> Sampler:
    names = tuple(f"task{i}" for i in range(len(sizes)))
    return Sampler(names, sizes, get_rule(method), Budget(batch_size), seed)


def epoch(sampler: Sampler, number: int = 0) -> list[list[list[int]]]:
    """For each task the rows of each step of one epoch."""
    first = number * sampler.steps
    steps = [sampler.draw(first + i) for i in range(sampler.steps)]
    return [[step[task].tolist() for step in steps] for task in range(len(sampler.sizes))]


def rows_of(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def shape(method: str, sizes: tuple[int, ...], batch_size: int) -> tuple[int, tuple[float, ...]]:
    function = get_rule(method).function(sizes, Budget(batch_size))
    assert function.restarts
    return function.steps, function.shares


def test_on_the_papers_data() -> None:
    """⌈141506 / 32⌉ = 4423 steps of 2, 32 and 2 examples: too few of the small ones, it found."""
    assert shape("proportional", PAPER, 32) == (4423, (2, 32, 2))
    assert shape("proportional", SIZES, 32) == (507, (17, 32, 12))
    assert shape("finish-smallest", PAPER, 32)[0] == 189  # as its experiment 3 says


@pytest.mark.parametrize("method", PAPERS)
def test_one_task_is_ordinary_batching(method: str) -> None:
    share = 25 if method == "proportional" else 32
    assert shape(method, (100,), 32) == (4, (share,))
    (batches,) = epoch(sampler(method, (100,), 32))
    assert sorted(rows_of(batches)) == list(range(100))


def test_finish_largest_reuses_the_epochs_batches_in_order() -> None:
    small, large = epoch(sampler("finish-largest", (10, 32), 4))
    assert [len(batch) for batch in large] == [4] * 8
    assert sorted(rows_of(large)) == list(range(32))
    assert [len(batch) for batch in small] == [4, 4, 2, 4, 4, 2, 4, 4]
    assert sorted(rows_of(small[:3])) == list(range(10))
    assert small[3:] == (small[:3] * 2)[:5]


def test_finish_largest_keeps_the_largests_partial_batch() -> None:
    small, large = epoch(sampler("finish-largest", (10, 33), 4))
    assert [len(batch) for batch in large] == [4] * 8 + [1]
    assert sorted(rows_of(large)) == list(range(33))
    assert len(small) == 9


def test_finish_smallest_discards_the_rest() -> None:
    small, large = epoch(sampler("finish-smallest", (10, 33), 4))
    assert [len(batch) for batch in small] == [4, 4, 2]
    assert sorted(rows_of(small)) == list(range(10))
    drawn = rows_of(large)
    assert len(drawn) == len(set(drawn)) == 12
    seen = {
        row for number in range(30)
        for batch in epoch(sampler("finish-smallest", (10, 33), 4), number)[1] for row in batch
    }  # fmt: skip
    assert seen == set(range(33))


def test_proportional_draws_each_tasks_own_share() -> None:
    tasks = epoch(sampler("proportional", (10, 33), 8))  # 5 steps of 2 and 7
    assert [[len(batch) for batch in task] for task in tasks] == [[2] * 5, [7, 7, 7, 7, 5]]
    assert [sorted(rows_of(task)) for task in tasks] == [list(range(10)), list(range(33))]


def test_proportional_cycles_a_task_that_rounding_up_exhausts() -> None:
    small, _ = epoch(sampler("proportional", (11, 40), 4))  # 10 steps of 2, but 6 batches
    assert [len(batch) for batch in small] == [2] * 5 + [1] + [2] * 4
    assert small[6:] == small[:4]


@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    step=st.integers(0, 10_000),
)
@pytest.mark.parametrize("method", PAPERS)
def test_every_step_draws_distinct_rows_that_exist(
    method: str, sizes: list[int], batch_size: int, seed: int, step: int
) -> None:
    ours = sampler(method, tuple(sizes), batch_size, seed)
    for rows, size, share in zip(ours.draw(step), sizes, ours.shares, strict=True):
        assert 1 <= len(rows) <= share
        assert len(set(rows.tolist())) == len(rows)
        assert 0 <= rows.min() <= rows.max() < size
    assert ours.steps >= 1


@pytest.mark.parametrize("method", PAPERS)
def test_reshuffled_every_epoch_and_by_seed(method: str) -> None:
    ours, other = (sampler(method, (20, 50), 8, seed) for seed in (0, 1))
    for task in range(2):
        epochs = [rows_of(epoch(ours, number)[task]) for number in range(3)]
        assert len({tuple(rows) for rows in epochs}) == 3
        assert epochs[0] != rows_of(epoch(other)[task])
        assert epochs[0] != sorted(epochs[0])


def test_tasks_are_not_shuffled_alike() -> None:
    first, second = epoch(sampler("finish-largest", (50, 50), 50))
    assert first != second


def test_a_tasks_order_does_not_depend_on_the_others() -> None:
    rule = get_rule("finish-smallest")
    alone = Sampler(("sts",), (40,), rule, Budget(8), seed=3)
    among = Sampler(("sst", "sts"), (90, 40), rule, Budget(8), seed=3)
    for step in range(12):
        assert alone.draw(step)[0].tolist() == among.draw(step)[1].tolist()


def test_draw_is_a_function_of_the_step_alone() -> None:
    ours, resumed = (sampler("finish-largest", (30, 70), 8, seed=5) for _ in range(2))
    forward = [[rows.tolist() for rows in ours.draw(step)] for step in range(25)]
    backward = [[rows.tolist() for rows in resumed.draw(step)] for step in reversed(range(25))]
    assert forward == backward[::-1]


def test_cap_shortens_the_epoch_and_reshuffles_after_it() -> None:
    ours = sampler("finish-largest", (16212, 6040), 32)
    capped = replace(ours, budget=Budget(32, steps=189))
    assert capped.steps == 189
    assert replace(ours, budget=Budget(32, steps=10**6)).shape(0) == ours.shape(0)
    assert capped.draw(188)[0].tolist() == ours.draw(188)[0].tolist()
    assert capped.draw(189)[0].tolist() == ours.draw(507)[0].tolist()  # the second epoch's first


def test_threads_that_ask_at_once_draw_what_one_alone_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an epoch owes the next one is counted once."""

    def made() -> Sampler:
        budget = Budget(batch_size=4, epochs=3)
        return Sampler(("a", "b"), (7, 30), get_rule("annealed"), budget, seed=1)

    alone = made()
    wanted = [[rows.tolist() for rows in alone.draw(step)] for step in range(3 * alone.steps)]
    counts = sampling._counts

    def slow(*rest: Any) -> Any:
        time.sleep(0.005)  # long enough for the others to come
        return counts(*rest)

    monkeypatch.setattr(sampling, "_counts", slow)
    shared = made()
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(shared.draw, reversed(range(3 * shared.steps))))
    assert [[rows.tolist() for rows in step] for step in reversed(drawn)] == wanted
