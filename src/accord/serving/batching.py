"""Requests answered together: batches form while a pass runs, and an idle service never waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, Protocol

from accord.evaluation.texts import Text
from accord.serving.models import Served

Answers = list[dict[str, Any]]

_KEPT = 0.9  # of the pace so far, from one pass to the next
_LONGEST_WAIT = 10  # times what a request takes itself
_WORTH_A_PASS = 128  # tokens: fewer take nearly as long
_TELLING = 2 * _WORTH_A_PASS


@dataclass(frozen=True)
class Job:
    """What one request asks.

    Attributes:
        model: that answers, whatever becomes of its name meanwhile.
        texts: that it takes.
        tasks: to be answered; None: all.
        probabilities: whether these are wanted.
        tokens: of all texts, special ones counted.
        answers: what it is given, one for each text: a future of a thread's or of asyncio's.
        begun: when it came, by `time.perf_counter`.
    """

    model: Served
    texts: Sequence[Text]
    tasks: tuple[str, ...] | None
    probabilities: bool
    tokens: int
    answers: Future[Answers] | asyncio.Future[Answers] = field(default_factory=Future)
    begun: float = field(default_factory=time.perf_counter)

    def joins(self, other: Job) -> bool:
        """Whether one call can answer both."""
        ours = (self.tasks, self.probabilities)
        return self.model is other.model and ours == (other.tasks, other.probabilities)


class Watcher(Protocol):
    """Is told what is computed."""

    def passed(self, jobs: Sequence[Job], begun: float, ended: float) -> None:
        """Take note of jobs that were answered in one call."""

    def waiting(self, requests: int) -> None:
        """Take note of how many requests wait."""


class FullError(Exception):
    """As many requests wait as may, or for as long as one should.

    Attributes:
        seconds: after which it may be worth asking again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.1f} s")
        self.seconds = seconds


class Pace:
    """How many tokens a second are answered, as of late.

    Args:
        threads: that answer at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._rate = threads, 0.0

    def passed(self, tokens: int, seconds: float) -> None:
        """Take note of a pass; one of few tokens says little of others."""
        if tokens >= _TELLING:
            rate = self._threads * tokens / max(seconds, 1e-9)
            self._rate += (1 - _KEPT if self._rate else 1.0) * (rate - self._rate)

    def seconds(self, tokens: int) -> float:
        """Return how long tokens take; 0 before anything is known."""
        return tokens / self._rate if self._rate else 0.0


class Batcher:
    """Threads that each answer the oldest request, with those that fit into the same pass.

    Args:
        threads: that compute at once.
        budget: most tokens of a batch, except for a single request that has more.
        waiting: most requests that may wait.
        patience: seconds that a request may be expected to wait; one that takes long itself may
            wait ten times as long as that.
        watcher: is told of each batch.
        deliver: calls what gives answers, where that has to be done: once for each batch.
    """

    def __init__(
        self, threads: int, budget: int, waiting: int, patience: float, watcher: Watcher,
        deliver: Callable[[Callable[[], None]], object] = lambda give: give(),
    ) -> None:  # fmt: skip
        self._budget, self._most, self._patience = budget, waiting, patience
        self._watcher, self._pace, self._deliver = watcher, Pace(threads), deliver
        self._jobs: deque[Job] = deque()
        self._tokens = 0  # of those that wait
        self._change = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"pass-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._jobs)

    def submit(self, job: Job) -> None:
        """Let a request be answered.

        Raises:
            FullError: if too many wait, or for too long.
        """
        with self._change:
            self._admit(job.tokens)
            self._keep([*self._jobs, job])
            self._change.notify()

    def admit(self, tokens: int) -> None:
        """Check that a request would be taken now.

        Args:
            tokens: that it has, or may have at most.

        Raises:
            FullError: as `submit`.
        """
        with self._change:
            self._admit(tokens)

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _admit(self, tokens: int) -> None:
        if self._is_full(tokens):  # of some nobody may wait for the answers any more
            self._keep([job for job in self._jobs if not job.answers.cancelled()])
        if self._closed or self._is_full(tokens):
            raise FullError(self._pace.seconds(self._tokens))

    def _is_full(self, tokens: int) -> bool:
        wait = self._pace.seconds(self._tokens)
        patience = max(self._patience, _LONGEST_WAIT * self._pace.seconds(tokens))
        return len(self._jobs) >= self._most or wait > patience

    def _keep(self, jobs: Iterable[Job]) -> None:
        """Let only these wait."""
        self._jobs = deque(jobs)
        self._tokens = sum(job.tokens for job in self._jobs)
        self._watcher.waiting(len(self._jobs))

    def _work(self) -> None:
        while self._pass():  # which keeps nothing: a model that was exchanged is let go
            pass

    def _pass(self) -> bool:
        """Answer the next requests; return whether there were any."""
        jobs = self._next()
        if jobs is None:
            return False
        begun = time.perf_counter()
        given = _answered([job for job in jobs if not job.answers.cancelled()])
        ended = time.perf_counter()
        self._pace.passed(sum(job.tokens for job in jobs), ended - begun)
        self._watcher.passed(jobs, begun, ended)
        self._deliver(partial(_give, given))
        return True

    def _next(self) -> list[Job] | None:
        """Wait for a request; return it with later ones that join it, the oldest first; None where
        no more will come."""
        with self._change:
            self._change.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return None
            first, *others = self._jobs
            share = self._tokens // len(self._threads)  # the other threads shall have theirs
            budget = min(self._budget, max(share, _WORTH_A_PASS))
            taken, left, tokens = [first], [], first.tokens
            for job in others:
                if job.answers.cancelled():
                    continue  # nobody waits for it any more
                if job.joins(first) and tokens + job.tokens <= budget:
                    taken.append(job)
                    tokens += job.tokens
                else:
                    left.append(job)
            self._keep(left)
            return taken


def _answered(jobs: Sequence[Job]) -> list[tuple[Job, Answers | Exception]]:
    """Answer jobs in one call; where it fails, each by itself."""
    if not jobs:
        return []  # nobody waits for them any more
    first, texts = jobs[0], [text for job in jobs for text in job.texts]
    try:
        answers = first.model.predictor.records(texts, first.tasks, first.probabilities)
    except Exception as error:
        if len(jobs) == 1:
            return [(first, error)]
        return [each for job in jobs for each in _answered([job])]
    ends = accumulate(len(job.texts) for job in jobs)
    return [(job, answers[end - len(job.texts) : end]) for job, end in zip(jobs, ends, strict=True)]


def _give(answered: Sequence[tuple[Job, Answers | Exception]]) -> None:
    for job, answers in answered:
        if job.answers.done():
            continue  # who asked is gone
        if isinstance(answers, Exception):
            job.answers.set_exception(answers)
        else:
            job.answers.set_result(answers)
