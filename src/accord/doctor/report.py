"""All that was found out about this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from accord.doctor.machine import (
    Disk,
    Gpu,
    Processor,
    examine_cache,
    examine_disk,
    examine_gpus,
    examine_processor,
    has_nvidia_driver,
    versions,
)
from accord.doctor.rates import Rates, measure_rates
from accord.kernels import fused
from accord.kernels.attention import flash
from accord.kernels.matmul import MatmulPolicy, choose_matmul_policy
from accord.runs.devices import choose_device
from accord.runs.memory import Memory, examine_memory, keep_freed_memory


@dataclass(frozen=True)
class Report:
    """All that was found.

    Attributes:
        processor: and threads.
        memory: of the machine.
        gpus: that torch finds.
        torch_cuda: the CUDA version that torch was built for; None: without CUDA.
        nvidia_driver: whether the system has one.
        rates: measured.
        matmul: what `choose_matmul_policy` chose for the processor.
        flash_fault: why the GPU can't take torch's flash attention; None: it can.
        fused_fault: why it can't take the kernels of sums and their norms; None: it can.
        activation_fault: likewise those of a bias and GELU, in bfloat16.
        keeps_memory: whether freed blocks can be kept for the next step.
        disk: room at the path that was asked about.
        cache: room for the token stores.
        versions: of Python and packages; 'libc' is empty where it is unknown.
    """

    processor: Processor
    memory: Memory
    gpus: tuple[Gpu, ...]
    torch_cuda: str | None
    nvidia_driver: bool
    rates: Rates
    matmul: MatmulPolicy
    flash_fault: str | None
    fused_fault: str | None
    activation_fault: str | None
    keeps_memory: bool
    disk: Disk
    cache: Disk
    versions: dict[str, str]


def examine(path: Path) -> Report:
    """Find out what this machine has and measure how fast it multiplies, in a few seconds.

    Args:
        path: a folder, whose disk is looked at.

    Raises:
        UsageError: if it is none.
    """
    disk, cache = examine_disk(path), examine_cache()
    device, processor = choose_device("auto"), examine_processor()  # with the threads of a run
    matmul = choose_matmul_policy(torch.device("cpu"), "bfloat16")
    return Report(
        processor=processor,
        memory=examine_memory(),
        gpus=examine_gpus(),
        torch_cuda=torch.version.cuda,
        nvidia_driver=has_nvidia_driver(),
        rates=measure_rates(device, matmul),
        matmul=matmul,
        flash_fault=flash.fault(device),
        fused_fault=fused.fault(device),
        activation_fault=fused.activation_fault(device, "gelu", torch.bfloat16),
        keeps_memory=keep_freed_memory(),
        disk=disk,
        cache=cache,
        versions=versions(),
    )
