"""What a process has held at most, counted anew."""

import sys

import pytest
import torch

from accord.runs.memory import peak_memory_bytes, restart_peak

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a peak anew")
def test_a_peak_counts_from_its_restart():
    restart_peak()
    before = peak_memory_bytes()
    torch.ones(64 * MIB)  # 256 MiB, freed at once
    assert peak_memory_bytes() > before + 200 * MIB
    restart_peak()
    assert peak_memory_bytes() < before + 100 * MIB
