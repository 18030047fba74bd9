"""How rates are measured, and what becomes of those that can't be had."""

from dataclasses import replace

import pytest
import torch

from accord.doctor import Rates, rates
from accord.kernels.matmul import choose_matmul_policy


def test_the_native_rate_keeps_to_its_time(monkeypatch):
    """A made-up clock: this processor does 1 GFLOP/s, another 1000."""
    for flops, low in ((1e9, 0.99e9), (1e12, 0.99e12)):
        now, rows = [0.0], []

        def multiply(x, weight, flops=flops, now=now, rows=rows):
            rows.append(len(x))
            now[0] += 2 * len(x) * 768 * 768 / flops

        monkeypatch.setattr(rates.torch, "mm", multiply)
        monkeypatch.setattr(rates.time, "perf_counter", lambda now=now: now[0])
        assert rates.native_rate(0.3) >= low
        assert now[0] <= 0.31
        assert max(rows) == (2048 if flops > 1e10 else 32)


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf"), None])
def test_rates_that_can_not_be_had(monkeypatch, rate):
    def broken(*arguments):
        if rate is None:
            raise RuntimeError("out of memory")
        return rate

    monkeypatch.setattr(rates, "matrix_rate", broken)
    monkeypatch.setattr(rates, "native_rate", broken)
    cpu = torch.device("cpu")
    measure_rates = rates.measure_rates(cpu, choose_matmul_policy(cpu, "bfloat16"))
    assert replace(measure_rates, onednn_relative_error=None) == Rates()


@pytest.mark.parametrize("error", [float("nan"), float("inf"), None])
def test_an_error_that_json_can_not_hold(monkeypatch, error):
    monkeypatch.setattr(rates, "onednn_error", lambda: error)
    monkeypatch.setattr(rates, "matrix_rate", lambda *arguments: 1e9)
    monkeypatch.setattr(rates, "native_rate", lambda: 1e9)
    cpu = torch.device("cpu")
    measure_rates = rates.measure_rates(cpu, choose_matmul_policy(cpu, "bfloat16"))
    assert (measure_rates.onednn_relative_error, measure_rates.float32_onednn_gflops) == (
        None,
        None,
    )
    assert measure_rates.float32_default_gflops == 1.0
