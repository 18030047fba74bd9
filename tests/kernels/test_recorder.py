"""Recordings: which are kept, and what is said where one fails."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import pytest
import torch
from torch import Tensor

from accord.kernels.recorder import Recorder, captured


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
    """Records nothing: the work is done anew each time. Captures as a GPU does."""

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


def test_an_error_says_what_was_recorded_and_leaves_no_recordings() -> None:
    recorder, one = Recorder(Graphs()), {"x": torch.ones(1)}
    for _ in range(2):
        recorder.run("sound", one, lambda tensors: tensors["x"] + 1)
    assert recorder.kept == 1
    work = failing(torch.OutOfMemoryError("no memory"))

    def spoilt(tensors: object) -> Tensor:
        return work()

    with pytest.raises(torch.OutOfMemoryError) as first:
        recorder.run("spoilt", one, spoilt, "a pass of 512 tokens")
    assert not hasattr(first.value, "__notes__")  # run as it is
    work = failing(torch.OutOfMemoryError("no memory while capturing"))
    with pytest.raises(torch.OutOfMemoryError, match="while capturing") as second:
        recorder.run("spoilt", one, spoilt, "a pass of 512 tokens")
    assert second.value.__notes__ == ["while a pass of 512 tokens was recorded as a CUDA graph"]
    assert recorder.kept == 0
    assert recorder.recorded == 1
    assert recorder.run("sound", one, lambda tensors: tensors["x"] + 1).result.item() == 2
