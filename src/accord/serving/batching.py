"""Requests answered together: batches form while a pass runs, and an idle service never waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from accord.evaluation.texts import Text
from accord.serving.models import Served

Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """What one request asks.

    Attributes:
        model: that answers, whatever becomes of its name meanwhile.
        texts: that it takes.
        tasks: to be answered; None: all.
        probabilities: whether these are wanted.
        tokens: of all texts, special ones counted.
        begun: when it came, by `time.perf_counter`.
        answers: what it is given, one for each text.
    """

    model: Served
    texts: Sequence[Text]
    tasks: tuple[str, ...] | None
    probabilities: bool
    tokens: int
    begun: float = field(default_factory=time.perf_counter)
    answers: Future[Answers] = field(default_factory=Future)

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
    """As many requests wait as may."""


class Batcher:
    """Threads that each answer the oldest request, with those that fit into the same pass.

    Args:
        threads: that compute at once.
        budget: most tokens of a batch, except for a single request that has more.
        waiting: most requests that may wait.
        watcher: is told of each batch.
    """

    def __init__(self, threads: int, budget: int, waiting: int, watcher: Watcher) -> None:
        self._budget, self._most, self._watcher = budget, waiting, watcher
        self._jobs: deque[Job] = deque()
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

    def submit(self, job: Job) -> Future[Answers]:
        """Let a request be answered.

        Raises:
            FullError: if too many wait.
        """
        with self._change:
            if len(self._jobs) >= self._most:
                self._jobs = deque(job for job in self._jobs if not job.answers.cancelled())
            if self._closed or len(self._jobs) >= self._most:
                raise FullError
            self._jobs.append(job)
            self._watcher.waiting(len(self._jobs))
            self._change.notify()
        return job.answers

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            begun = time.perf_counter()
            _answer([job for job in jobs if job.answers.set_running_or_notify_cancel()])
            self._watcher.passed(jobs, begun, time.perf_counter())

    def _next(self) -> list[Job] | None:
        """Wait for a request; return it with later ones that join it, the oldest first; None where
        no more will come."""
        with self._change:
            self._change.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return None
            first = self._jobs.popleft()
            taken, left, tokens = [first], deque[Job](), first.tokens
            for job in self._jobs:
                if job.answers.cancelled():
                    continue  # nobody waits for it any more
                if job.joins(first) and tokens + job.tokens <= self._budget:
                    taken.append(job)
                    tokens += job.tokens
                else:
                    left.append(job)
            self._jobs = left
            self._watcher.waiting(len(left))
            return taken


def _answer(jobs: Sequence[Job]) -> None:
    """Answer jobs in one call; where it fails, each by itself."""
    if not jobs:
        return  # nobody waits for them any more
    first, texts = jobs[0], [text for job in jobs for text in job.texts]
    try:
        answers = first.model.predictor.records(texts, first.tasks, first.probabilities)
    except Exception as error:
        if len(jobs) == 1:
            first.answers.set_exception(error)
            return
        for job in jobs:
            _answer([job])
        return
    start = 0
    for job in jobs:
        job.answers.set_result(answers[start : start + len(job.texts)])
        start += len(job.texts)
