"""Which requests are answered together, and which are turned away."""

import gc
import threading
import weakref

import pytest
from client import until

from accord.serving.batching import Batcher, FullError, Job, Pace


class Told:
    """Keeps the sizes of batches."""

    def __init__(self):
        self.sizes = []

    def passed(self, jobs, begun, ended):
        self.sizes.append(len(jobs))

    def waiting(self, requests):
        pass


class Counting:
    """Stands in for a model; waits until it may answer."""

    def __init__(self):
        self.free, self.predictor = threading.Event(), self

    def records(self, texts, tasks, probabilities):
        self.free.wait(30)
        if "broken" in texts:
            raise ValueError("broken")
        return [{"t": text} for text in texts]


def test_a_batch_holds_what_fits_and_no_other_s_question():
    told, model, other = Told(), Counting(), Counting()
    batcher = Batcher(1, 100, 50, 9.0, told)
    jobs = [Job(model, ["first"], None, False, 10)]
    batcher.submit(jobs[0])
    until(lambda: not len(batcher))
    asked = [
        (model, None, False, 60), (model, None, False, 60), (model, None, False, 30),
        (other, None, False, 1), (model, ("t",), False, 1), (model, None, True, 1),
        (model, None, False, 500),
    ]  # fmt: skip
    jobs += [Job(m, [f"{i}"], tasks, flag, size) for i, (m, tasks, flag, size) in enumerate(asked)]
    for job in jobs[1:]:
        batcher.submit(job)
    model.free.set()
    other.free.set()
    assert [job.answers.result(30) for job in jobs[1:]] == [[{"t": f"{i}"}] for i in range(7)]
    batcher.close()
    assert told.sizes == [1, 2, 1, 1, 1, 1, 1]  # 60 and 30 tokens fit, and 60 comes next


def test_one_that_fails_fails_alone():
    told, model = Told(), Counting()
    batcher = Batcher(1, 100, 50, 9.0, told)
    batcher.submit(Job(model, ["hold"], None, False, 1))
    until(lambda: not len(batcher))
    jobs = [Job(model, [text], None, False, 1) for text in ("a", "broken", "b")]
    for job in jobs:
        batcher.submit(job)
    model.free.set()
    assert jobs[0].answers.result(30) == [{"t": "a"}]
    assert jobs[2].answers.result(30) == [{"t": "b"}]
    with pytest.raises(ValueError, match="broken"):
        jobs[1].answers.result(30)
    batcher.close()


def test_a_thread_that_waits_keeps_no_model():
    model = Counting()
    model.free.set()
    kept, batcher = weakref.ref(model), Batcher(2, 100, 50, 9.0, Told())
    job = Job(model, ["a"], None, False, 1)
    batcher.submit(job)
    job.answers.result(30)
    del model, job
    # Else a model that was exchanged stays until the next request.
    until(lambda: gc.collect() >= 0 and kept() is None)
    batcher.close()


def test_a_batch_leaves_other_threads_their_share():
    told, model = Told(), Counting()
    batcher = Batcher(2, 10_000, 50, 9.0, told)
    for _ in range(2):  # both threads have one
        batcher.submit(Job(model, ["hold"], None, False, 1))
        until(lambda: not len(batcher))
    jobs = [Job(model, ["a"], None, False, 100) for _ in range(8)]
    for job in jobs:
        batcher.submit(job)
    model.free.set()
    for job in jobs:
        job.answers.result(30)
    batcher.close()
    # Of 800 tokens half, of 400 half again, and no less than is worth a pass.
    assert sorted(told.sizes, reverse=True) == [4, 2, 1, 1, 1, 1]


def test_a_pace_is_that_of_whole_passes_as_of_late():
    pace = Pace(2)
    pace.passed(10, 5.0)  # which says nothing of large ones
    assert pace.seconds(1000) == 0
    pace.passed(1000, 0.5)
    assert pace.seconds(1000) == 0.25  # 4,000 a second
    pace.passed(1000, 1.0)
    assert pace.seconds(1000) == pytest.approx(1000 / (0.9 * 4000 + 0.1 * 2000))
    for _ in range(1000):
        pace.passed(1000, 1.0)
    assert pace.seconds(1000) == pytest.approx(0.5)


def test_whoever_would_wait_too_long_is_turned_away_and_told_how_long():
    model = Counting()
    batcher = Batcher(1, 100, 50, 0.0, Told())  # nobody is to wait
    batcher.submit(Job(model, ["first"], None, False, 1000))
    until(lambda: not len(batcher))
    second = Job(model, ["second"], None, False, 1000)
    batcher.submit(second)  # it is not known yet how long that takes
    batcher._pace.passed(1000, 1.0)
    with pytest.raises(FullError) as full:
        batcher.submit(Job(model, ["small"], None, False, 10))
    assert full.value.seconds == 1.0
    with pytest.raises(FullError):
        batcher.admit(10)
    batcher.submit(Job(model, ["as long itself"], None, False, 100))  # ten times a tenth
    second.answers.cancel()
    batcher.submit(Job(model, ["nobody waits before it now"], None, False, 20))
    model.free.set()
    batcher.close()
