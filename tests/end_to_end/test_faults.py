"""A small run of the fault harness; `python tests/end_to_end/faults.py` is the whole one."""

import random
import sys
import tomllib

import faults
import pytest
import torch


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


def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["faults.py", "--device", "cuda"])
    with pytest.raises(SystemExit) as refused:
        faults.main()
    line = "--device: 'cuda' takes a GPU, and torch finds none here; allowed: cpu"
    assert refused.value.code == line  # which Python prints, and exits with 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("found", [True, False])
def test_a_gpu_is_looked_for_in_a_process_of_its_own(monkeypatch, found):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(1) or found)
    assert faults.has_gpu() is found
    assert not asked  # here: a process that was forked after could not start CUDA


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_broken_runs_take_the_device(tmp_path, device, monkeypatch):
    monkeypatch.setenv("ACCORD_CACHE", "")  # which it sets
    bench = faults.Bench(tmp_path, device)
    for variant in (0, len(faults.VARIANTS) - 1):
        config = tomllib.loads(bench.config(variant).read_text(encoding="utf-8"))
        assert config["training"]["device"] == device
