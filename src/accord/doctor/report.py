"""All that was found out about this machine."""

from __future__ import annotations

from dataclasses import dataclass

from accord.doctor.machine import Disk, Gpu, Memory, Processor
from accord.doctor.rates import Rates
from accord.kernels.matmul import MatmulPolicy


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
    keeps_memory: bool
    disk: Disk
    cache: Disk
    versions: dict[str, str]
