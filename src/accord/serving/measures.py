"""What a service counts and times, as Prometheus reads it; no text is among it.

Where several processes serve, each writes what it counts to a folder, and whichever is asked sums
all: what a process counted that has died meanwhile stays.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from accord.serving.batching import Job
from accord.serving.settings import COUNTED_IN

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Measures:
    """Counters of one service.

    Args:
        budget: tokens that a batch may have.
    """

    def __init__(self, budget: int) -> None:
        self._registry = CollectorRegistry()
        self._budget = budget

        def counter(name: str, what: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(f"accord_{name}", what, labels, registry=self._registry)

        def histogram(name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(
                f"accord_{name}", what, labels, buckets=buckets, registry=self._registry
            )

        self._requests = counter("requests", "Requests, by path and status.", ("path", "status"))
        self._texts = counter("texts", "Texts answered, by model.", ("model",))
        self._tokens = counter("tokens", "Tokens of texts answered, by model.", ("model",))
        self._batch = histogram("batch_requests", "Requests of a batch.", _SIZES)
        self._fill = histogram(
            "batch_fill", "Tokens of a batch over those that it may have.",
            (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1.0, 2.0),
        )  # fmt: skip
        self._seconds = histogram(
            "seconds", "Of requests: waiting, computing, and all of it.", _SECONDS, "stage"
        )

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(
                f"accord_{name}", what, registry=self._registry, multiprocess_mode="livesum"
            )

        self.open = gauge("open", "Requests that have begun.")
        self._waiting = gauge("waiting", "Requests that wait.")

    def waiting(self, requests: int) -> None:
        """Take note of how many requests wait."""
        self._waiting.set(requests)

    def passed(self, jobs: Sequence[Job], begun: float, ended: float) -> None:
        """Take note of jobs that were answered in one call."""
        tokens, model = sum(job.tokens for job in jobs), jobs[0].model.name
        self._texts.labels(model).inc(sum(len(job.texts) for job in jobs))
        self._tokens.labels(model).inc(tokens)
        self._batch.observe(len(jobs))
        self._fill.observe(tokens / self._budget)
        for job in jobs:
            self._seconds.labels("waiting").observe(begun - job.begun)
            self._seconds.labels("computing").observe(ended - begun)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Take note of a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels("request").observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus' format."""
        if COUNTED_IN not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
