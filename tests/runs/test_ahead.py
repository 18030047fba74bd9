"""Values made ahead in a thread: their order, errors in their place, and how the thread ends."""

import gc
import signal
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
import torch

from accord.runs.ahead import Ahead, made_ahead

PATIENCE = 60.0


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "accord-ahead"]


def until(holds: object) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_values_come_in_their_order(most: int) -> None:
    with Ahead(iter(range(50)), most) as values:
        assert list(values) == list(range(50))
        assert list(values) == []  # the end stays the end
    assert threads() == []


@pytest.mark.parametrize("most", [0, 2])
def test_no_values(most: int) -> None:
    with Ahead(iter(()), most) as values:
        assert list(values) == []


def test_no_more_are_made_ahead_than_asked_for() -> None:
    made: list[int] = []

    def making() -> Iterator[int]:
        for number in range(10):
            made.append(number)  # it has begun to be made
            yield number

    with Ahead(making(), 2) as values:
        assert made == []
        for taken in range(1, 5):
            assert next(values) == taken - 1
            until(lambda: len(made) == taken + 2)  # noqa: B023
            time.sleep(0.02)
            assert len(made) == taken + 2
    assert len(made) == 6


def test_without_a_thread_a_value_is_made_when_it_is_asked_for() -> None:
    where: list[threading.Thread] = []

    def making() -> Iterator[int]:
        for number in range(3):
            where.append(threading.current_thread())
            yield number

    with Ahead(making(), 0) as values:
        assert where == []
        next(values)
        assert where == [threading.main_thread()]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_an_error_comes_in_the_place_of_its_value(most: int) -> None:
    failure = OSError("the file is gone")

    def making() -> Iterator[int]:
        yield from (0, 1)
        raise failure

    with Ahead(making(), most) as values:
        for number in range(2):
            assert next(values) == number
            time.sleep(0.01)  # the error is there before it is due
        with pytest.raises(OSError, match="the file is gone") as caught:
            next(values)
    assert caught.value is failure
    assert threads() == []


def test_after_an_error_there_is_nothing() -> None:
    with Ahead((1 // number for number in (1, 0, 1)), 2) as values:
        assert next(values) == 1
        with pytest.raises(ZeroDivisionError):
            next(values)
        assert list(values) == []


def test_an_early_end_ends_the_thread_and_closes_what_it_reads() -> None:
    closed_by: list[str] = []

    def making() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_by.append(threading.current_thread().name)

    with Ahead(making(), 2) as values:
        next(values)
        assert threads() == ["accord-ahead"]
    assert threads() == []
    assert closed_by == ["accord-ahead"]


def test_an_early_end_without_a_thread_closes_what_it_reads() -> None:
    closed = []

    def making() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    with Ahead(making(), 0) as values:
        next(values)
    assert closed == [True]


def test_an_error_of_its_user_ends_the_thread() -> None:
    def use() -> None:
        with Ahead(iter(range(9)), 2) as values:
            next(values)
            raise ValueError("of the user")

    with pytest.raises(ValueError, match="of the user"):
        use()
    assert threads() == []


def test_ctrl_c_reaches_one_who_waits_for_a_value_and_then_waits_for_none() -> None:
    go = threading.Event()

    def slow() -> Iterator[int]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        go.wait(PATIENCE)
        yield 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Ahead(slow(), 1) as values:
            next(values)
        assert threads() == ["accord-ahead"]
    finally:
        signal.signal(signal.SIGINT, before)
        go.set()
    until(lambda: not threads())


def test_what_has_ended_makes_no_more() -> None:
    with Ahead(iter(range(9)), 2) as values:
        pass
    assert list(values) == []
    assert threads() == []


def test_the_thread_leaves_signals_to_the_main_one() -> None:
    def masks() -> Iterator[set[int]]:
        yield signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with Ahead(masks(), 1) as values:
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1} <= next(values)


def test_what_was_taken_is_not_kept() -> None:
    class Value:
        pass

    with Ahead((Value() for _ in range(3)), 1) as values:
        known = weakref.ref(next(values))
        next(values)
        gc.collect()
        assert known() is None


def test_a_gpu_has_batches_made_ahead_and_a_cpu_has_none() -> None:
    assert made_ahead(torch.device("cpu")) == 0
    assert made_ahead(torch.device("cuda", 1)) == 2
