"""Recordings: which are kept, and what is said where one fails."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest
import torch
from torch import Tensor

from accord.kernels.recorder import CudaGraphs, Recorder, captured


class Capture:
    """Fails as it is left after an error, as a CUDA graph's does."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None:
            raise RuntimeError("operation failed due to a previous error during capture")


class Graphs:
    """Captures as a GPU does; what is recorded does nothing when it runs again."""

    def running(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def record(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        result = captured(Capture(), work)
        return result, lambda: None


def failing(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no memory"), ValueError("a fault"), KeyboardInterrupt()]
)
def test_a_capture_that_fails_raises_the_work_s_own_error(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        captured(Capture(), failing(error))
    assert caught.value is error
    assert captured(Capture(), lambda: 5) == 5


def test_an_error_of_the_capture_alone_is_raised() -> None:
    class Broken(Capture):
        def __exit__(self, *error: object) -> None:
            raise RuntimeError("not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        captured(Broken(), lambda: 5)


@pytest.mark.parametrize("ended", [True, False])
def test_a_gpu_s_recording_that_fails_leaves_its_pool(
    ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's parts are stand-ins: nothing here has run on a GPU."""
    pools, undone = iter([(0, 1), (0, 2)]), []

    def end(device: int, pool: tuple[int, int]) -> None:
        if ended:
            raise RuntimeError("not currently recording")
        undone.append(("end", device, pool))

    for name, stand_in in {
        "Stream": lambda device: SimpleNamespace(device=device),
        "graph_pool_handle": lambda: next(pools),
        "CUDAGraph": object,
        "graph": lambda *_, **__: Capture(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)
    monkeypatch.setattr(
        torch._C, "_cuda_releasePool", lambda *given: undone.append(("release", *given)),
        raising=False,
    )  # fmt: skip
    monkeypatch.setattr(torch, "rand", lambda *_, **__: undone.append("drawn"))
    graphs = CudaGraphs(torch.device("cuda", 3))
    fault = ValueError("a fault")
    with pytest.raises(ValueError, match="a fault") as caught:
        graphs.record(failing(fault))
    assert caught.value is fault
    assert graphs._pool == (0, 2)
    released = [] if ended else [("end", 3, (0, 1)), ("release", 3, (0, 1))]
    assert undone == [*released, "drawn"]


@dataclass
class Given:
    """A result that holds a tensor, and a view of it."""

    tensor: Tensor

    def tensors(self) -> list[Tensor]:
        return [self.tensor, self.tensor[:2]]


def taken(recorder: Recorder, key: str, floats: int = 1, kind: str = "passes") -> bool:
    """Do some work that reads one float and holds others; whether a recording did it."""
    given = {"x": torch.ones(1)}
    return recorder.run((kind, key), given, lambda _: Given(torch.zeros(floats))).again


def test_the_second_time_it_is_recorded_and_then_runs() -> None:
    recorder = Recorder(Graphs())
    assert [taken(recorder, "a") for _ in range(4)] == [False, False, True, True]
    taken(recorder, "b"), taken(recorder, "c", kind="update")
    met = recorder.met["passes"]
    assert (met.times, met.again, len(met.sizes)) == (5, 2, 2)
    assert recorder.met["update"].times == 1
    assert (recorder.recorded, recorder.kept) == (1, 1)


def test_recordings_that_hold_too_much_are_dropped() -> None:
    """Each holds 4 bytes of input and its result: 44; of 100 bytes two have room."""
    recorder = Recorder(Graphs(), limit_bytes=100)
    for key in "ab":
        taken(recorder, key, 10), taken(recorder, key, 10)
    assert (recorder.kept, recorder.held_bytes) == (2, 88)
    assert taken(recorder, "a", 10)  # the one used last
    taken(recorder, "c", 10), taken(recorder, "c", 10)
    assert (recorder.kept, recorder.most_bytes) == (2, 88)
    assert [taken(recorder, key, 10) for key in "acb"] == [True, True, False]
    taken(recorder, "large", 100), taken(recorder, "large", 100)
    assert (recorder.kept, recorder.held_bytes) == (1, 404)  # the last one stays
    assert taken(recorder, "large", 100)


def test_recordings_that_are_too_many_are_dropped() -> None:
    recorder = Recorder(Graphs(), limit=2)
    for key in "abc":
        taken(recorder, key), taken(recorder, key)
    assert [taken(recorder, key) for key in "cba"] == [True, True, False]


def test_an_error_says_what_was_recorded_and_leaves_no_recordings() -> None:
    recorder, one = Recorder(Graphs()), {"x": torch.ones(1)}
    taken(recorder, "sound"), taken(recorder, "sound")
    assert recorder.kept == 1
    work = failing(torch.OutOfMemoryError("no memory"))

    def spoilt(tensors: object) -> None:
        work()

    with pytest.raises(torch.OutOfMemoryError) as first:
        recorder.run(("passes", "spoilt"), one, spoilt, "a pass of 512 tokens")
    assert not hasattr(first.value, "__notes__")  # run as it is
    work = failing(torch.OutOfMemoryError("no memory while capturing"))
    with pytest.raises(torch.OutOfMemoryError, match="while capturing") as second:
        recorder.run(("passes", "spoilt"), one, spoilt, "a pass of 512 tokens")
    assert second.value.__notes__ == ["while a pass of 512 tokens was recorded as a CUDA graph"]
    assert recorder.kept == 0
    assert recorder.recorded == 1
    assert not taken(recorder, "sound")
