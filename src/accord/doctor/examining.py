"""Finding it out, in a few seconds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from accord.doctor.machine import (
    examine_cache,
    examine_disk,
    examine_gpus,
    examine_memory,
    examine_processor,
    has_nvidia_driver,
    versions,
)
from accord.doctor.paths import advice, taken_paths
from accord.doctor.rates import measure_rates
from accord.doctor.report import Report
from accord.kernels.attention import flash
from accord.kernels.matmul import choose_matmul_policy
from accord.runs.devices import choose_device
from accord.runs.memory import keep_freed_memory


def examine(path: Path) -> Report:
    """Find out what this machine has and measure how fast it multiplies, in a few seconds.

    Args:
        path: a folder, whose disk is looked at.

    Raises:
        UsageError: if it is none.
    """
    disk, cache = examine_disk(path), examine_cache()
    processor, device = examine_processor(), choose_device("auto")
    matmul = choose_matmul_policy(torch.device("cpu"), True)
    return Report(
        processor=processor,
        memory=examine_memory(),
        gpus=examine_gpus(),
        torch_cuda=torch.version.cuda,
        nvidia_driver=has_nvidia_driver(),
        rates=measure_rates(device, matmul),
        matmul=matmul,
        flash_fault=flash.fault(device),
        keeps_memory=keep_freed_memory(),
        disk=disk,
        cache=cache,
        versions=versions(),
    )


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as JSON has it, with the paths and the advice that follow from it."""
    table = asdict(report)
    table["processor"]["usable_cpus"] = report.processor.usable_cpus
    return {**table, "paths": taken_paths(report), "advice": advice(report)}
