"""Work on a device that is recorded once for each of its shapes, and run again with other data.

On a GPU a recording is a CUDA graph: hundreds of kernels are launched by one call, where Python
would launch each. Whether work is recorded or run as it is changes no bit of what it gives: the
same kernels run on the same numbers. So what is recorded is no state, and a run that resumes begins
without any.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor


class Result(Protocol):
    """What recorded work may give."""

    def tensors(self) -> Sequence[Tensor]:
        """Return the tensors that it holds, for their memory: not what outlives it anyhow."""
        ...


T = TypeVar("T")
R = TypeVar("R", bound=Result | None)
Inputs = Mapping[str, Tensor]

_RECORDINGS = 48  # kept: the sizes of a run's steps are fewer, mostly
_SIGHTINGS = 1024  # keys that are remembered as seen


class Graphs(Protocol):
    """How a device records work."""

    def running(self) -> AbstractContextManager[Any]:
        """Return the block in which all work runs, recorded or not."""
        ...

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Do some work once; return what it gives, and what does it again in the same memory."""
        ...


class CudaGraphs:
    """CUDA graphs of one memory pool: one runs at a time, and each may write where another did.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def running(self) -> AbstractContextManager[Any]:
        """Return the block in which all work runs: a stream of its own, which waits for the other
        one and is waited for."""
        return _Aside(self._stream)

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Do some work once, and return what it gives, and what does it again."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate meanwhile: batches are made in one.
        capture = torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
        try:
            result = captured(capture, work)
        except BaseException:
            self._leave()
            raise
        graph.replay()
        return result, graph.replay

    def _leave(self) -> None:
        """Undo what a capture leaves behind that didn't end: memory would go on coming from its
        pool, and the generator refuse to draw outside of it. As far as this torch allows."""
        pool, self._pool = self._pool, torch.cuda.graph_pool_handle()
        device = self._stream.device
        with suppress(RuntimeError, AttributeError):
            # Refused where the capture did end: the graph lets go of the pool by itself then.
            torch._C._cuda_endAllocateToPool(device.index, pool)
            torch._C._cuda_releasePool(device.index, pool)
        with suppress(RuntimeError, AttributeError):
            try:
                torch.rand(1, device=device)
            except RuntimeError:
                generator = torch.cuda.default_generators[device.index]
                generator.graphsafe_set_state(generator.clone_state())


def captured(capture: AbstractContextManager[Any], work: Callable[[], T]) -> T:
    """Return what some work gives within a capture.

    Where it fails its own error is raised: leaving the capture raises another, that it is broken.
    """
    own: BaseException | None = None
    try:
        with capture:
            try:
                return work()
            except BaseException as error:
                own = error
                raise
    except Exception:
        if own is None:
            raise
        raise own from None
    raise AssertionError("a capture hides no error")


class _Aside:
    """Runs a block on a stream, after what the current one was given and before what it will be."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream, self._outer = stream, torch.cuda.current_stream(stream.device)
        self._block = torch.cuda.stream(stream)

    def __enter__(self) -> None:
        self._stream.wait_stream(self._outer)
        self._block.__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        failed = error[:1] != (None,)
        with suppress(RuntimeError) if failed else nullcontext():  # the block's own error is raised
            self._block.__exit__(*error)
            self._outer.wait_stream(self._stream)


@dataclass
class Recording(Generic[R]):
    """Recorded work.

    Attributes:
        inputs: what it reads, in memory of its own.
        result: what it gave when it was recorded; run again, the same tensors hold what it gives.
        run: does it again.
        held_bytes: of the device's memory, by its inputs and results.
    """

    inputs: Inputs
    result: R
    run: Callable[[], None]
    held_bytes: int


@dataclass
class Met:
    """How often a kind of work was asked for.

    Attributes:
        times: in all.
        again: of these, how often a recording ran.
        sizes: hashes of the keys.
    """

    times: int = 0
    again: int = 0
    sizes: set[int] = field(default_factory=set)


class Ran(NamedTuple, Generic[R]):
    """What some work gave.

    Attributes:
        result: of it.
        kept: whether its tensors are a recording's, and will hold what that gives next.
        again: whether a recording ran: what else the work does on the host was not done.
    """

    result: R
    kept: bool
    again: bool


@dataclass
class Recorder:
    """Runs work as it is when its key is first seen, records it the second time, then runs that.

    Recordings that were not used for long are dropped, where there are too many or they hold too
    much memory; the work is recorded again.

    Attributes:
        graphs: how the device records; None never does.
        limit: how many recordings are kept.
        limit_bytes: of the device's memory that they may hold; the last one may hold more.
        recorded: how often something was recorded.
        seconds: what that took.
        most_bytes: that they held.
        met: what was asked for, by kind.
    """

    graphs: Graphs | None = None
    limit: int = _RECORDINGS
    limit_bytes: float = math.inf
    recorded: int = 0
    seconds: float = 0.0
    most_bytes: int = 0
    met: dict[str, Met] = field(default_factory=dict)
    _recordings: OrderedDict[Hashable, Recording[Any]] = field(default_factory=OrderedDict)
    _seen: OrderedDict[Hashable, None] = field(default_factory=OrderedDict)

    def run(
        self, key: tuple[str, *tuple[Hashable, ...]], inputs: Inputs, work: Callable[[Inputs], R],
        name: str = "work",
    ) -> Ran[R]:  # fmt: skip
        """Do some work.

        Args:
            key: its kind, and with it what all of it but the numbers in its inputs follows from.
            inputs: the tensors that it reads, of shapes that follow from the key.
            work: does it, given these or copies.
            name: of it, with its size, for errors.

        Raises:
            Exception: what the work raises; where that was while it was recorded, a note says so,
                and all recordings are dropped.
        """
        met = self.met.setdefault(key[0], Met())
        met.times += 1
        met.sizes.add(hash(key))
        with nullcontext() if self.graphs is None else self.graphs.running():
            met.again += key in self._recordings
            if key in self._recordings:
                return self._again(key, inputs)
            if self.graphs is None or not self._is_known(key):
                return Ran(work(inputs), kept=False, again=False)
            try:
                return Ran(self._record(key, inputs, work), kept=True, again=False)
            except Exception as error:
                self.forget()
                error.add_note(f"while {name} was recorded as a CUDA graph")
                raise

    @property
    def records(self) -> bool:
        """Whether it ever does."""
        return self.graphs is not None

    @property
    def kept(self) -> int:
        """How many recordings there are."""
        return len(self._recordings)

    @property
    def held_bytes(self) -> int:
        """How much of the device's memory they hold."""
        return sum(recording.held_bytes for recording in self._recordings.values())

    def forget(self) -> None:
        """Drop all recordings: what they read or write isn't there any more."""
        self._recordings.clear()

    def _again(self, key: Hashable, inputs: Inputs) -> Ran[Any]:
        recording = self._recordings[key]
        self._recordings.move_to_end(key)
        for name, tensor in inputs.items():
            recording.inputs[name].copy_(tensor, non_blocking=True)
        recording.run()
        return Ran(recording.result, kept=True, again=True)

    def _record(self, key: Hashable, inputs: Inputs, work: Callable[[Inputs], R]) -> R:
        assert self.graphs is not None
        start = time.perf_counter()
        own = {name: tensor.clone() for name, tensor in inputs.items()}
        result, run = self.graphs.record(lambda: work(own))
        held = () if result is None else result.tensors()
        self._recordings[key] = Recording(own, result, run, _bytes([*own.values(), *held]))
        while len(self._recordings) > 1 and self._is_full():
            self._recordings.popitem(last=False)
        self.most_bytes = max(self.most_bytes, self.held_bytes)
        self.recorded += 1
        self.seconds += time.perf_counter() - start
        return result

    def _is_full(self) -> bool:
        return len(self._recordings) > self.limit or self.held_bytes > self.limit_bytes

    def _is_known(self, key: Hashable) -> bool:
        """Whether a key was seen before; it is from now on."""
        known = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > _SIGHTINGS:
            self._seen.popitem(last=False)
        return known


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return how much memory tensors hold, what several share counted once."""
    storages = {each.data_ptr(): each for each in (t.untyped_storage() for t in tensors)}
    return sum(storage.nbytes() for storage in storages.values())
