"""A small run of the fault harness; `python tests/end_to_end/faults.py` is the whole one."""

import random

import faults
import pytest


@pytest.mark.slow
def test_broken_runs_leave_what_whole_ones_leave(tmp_path):
    bench, rng = faults.Bench(tmp_path), random.Random(0)
    faults.failpoints(bench, 23, "kill")
    faults.failpoints(bench, 29, "full")
    faults.damages(bench, 10, rng)
    faults.repeats(bench, 2)
    faults.random_kills(bench, 6, rng)
    assert bench.failures == []
    assert sum(bench.counts.values()) > 25
