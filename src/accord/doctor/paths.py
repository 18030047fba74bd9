"""What follows from what a machine has: the paths that a run takes, why, and what would help."""

from __future__ import annotations

from accord.doctor.machine import Disk, Gpu, Processor
from accord.doctor.rates import Rates
from accord.doctor.report import Report

_FASTER = 1.1  # a ratio of rates from which on the difference is worth a word
_ROOM_BYTES = 5 * 10**9  # BERT-base: 3 checkpoints of 12 bytes per parameter, one in the making
_GIB = 1 << 30
_NO_TIME = 'precision = "bfloat16" saves memory but no time here'
_NO_CACHE = "the token cache's folder {} can't be written to: set ACCORD_CACHE to another"


def taken_paths(report: Report) -> dict[str, str]:
    """Return a line for each path that a run takes by default: which one it is, and why."""
    gpu = report.gpus[0] if report.gpus else None
    return {
        "float32": _gpu_float32(report.rates) if gpu else _float32(report),
        "bfloat16": _gpu_bfloat16(gpu, report.rates) if gpu else _bfloat16(report),
        "attention": _attention(report),
        "norms": _fused(
            report,
            report.fused_fault,
            "dropout, sum and layer norm one after the other",
            "the kernel of all three",
        ),
        "activations": _fused(
            report,
            report.activation_fault,
            "bias and activation one after the other",
            "the kernel of both",
        ),
        "AdamW": "torch's fused kernel: one pass over a parameter and its moments",
        "memory": (
            "glibc keeps freed blocks for the next step, which saves page faults"
            if report.keeps_memory
            else "left to the system: keeping freed blocks needs glibc, which is not here"
        ),
    }


def _attention(report: Report) -> str:
    buckets = "batched products over buckets of sequences of similar length"
    if not report.gpus:
        return buckets
    if report.flash_fault is None:
        return f"in bfloat16 torch's flash kernel, without padding; in float32 {buckets}"
    return f"{buckets}; torch's flash kernel can't be used: {report.flash_fault}"


def _fused(report: Report, fault: str | None, apart: str, kernel: str) -> str:
    """Say whether operations are one kernel, or else how they run and why."""
    if not report.gpus:
        return apart
    if fault is None:
        return f"in steps recorded as CUDA graphs and in answers one kernel; elsewhere {apart}"
    return f"{apart}; {kernel} can't be used: {fault}"


def _float32(report: Report) -> str:
    rates = report.rates
    error = rates.onednn_relative_error
    if report.matmul.onednn:
        times = _ratio(rates.float32_onednn_gflops, rates.float32_default_gflops)
        rate = "" if times is None else f", at {times:.2g} times the default library's rate"
        return f"oneDNN: its result is float32's in full (relative error {_error(error)}){rate}"
    if error is None:
        return "torch's default library: this torch has no oneDNN"
    return (
        "torch's default library: oneDNN's result would be bfloat16's"
        f" (relative error {_error(error)})"
    )


def _bfloat16(report: Report) -> str:
    native, float32 = report.rates.bfloat16_native_gflops, _float32_rate(report)
    times = _ratio(native, float32)
    if report.matmul.rounded:
        why = (
            f"this processor's bfloat16 products run at {native:.3g} GFLOP/s against"
            f" {float32:.3g} in float32"
            if times is not None and times < 1
            else "on one core its bfloat16 products took longer than float32's"
        )
        return f"in float32 from rounded operands: {why}; {_NO_TIME}"
    if times is None:
        return "the processor's own instructions: on one core no slower than float32's"
    return _native("the processor's", times)


def _gpu_float32(rates: Rates) -> str:
    rate = rates.gpu_float32_gflops
    measured = "" if rate is None else f", at {rate:,.0f} GFLOP/s"
    tf32 = "TF32 is left off; training.precision = 'tf32' allows it"
    return f"the GPU's own library, in float32 in full ({tf32}){measured}"


def _gpu_bfloat16(gpu: Gpu, rates: Rates) -> str:
    times = _ratio(rates.gpu_bfloat16_gflops, rates.gpu_float32_gflops)
    if not gpu.bfloat16:
        return f"in torch's own way: this GPU has no instructions for it; {_NO_TIME}"
    return "the GPU's own instructions" if times is None else _native("the GPU's", times)


def _native(whose: str, times: float) -> str:
    what = f"{whose} own instructions: they run at {times:.2g} times float32's rate"
    return what if times > _FASTER else f"{what}; {_NO_TIME}"


def advice(report: Report) -> list[str]:
    """Return what would help: one line each, none where nothing would."""
    lines = (
        _thread_advice(report.processor),
        _load_advice(report.processor),
        _gpu_advice(report),
        _precision_advice(report),
        *(_disk_advice(disk) for disk in (report.disk, report.cache)),
        None if report.cache.writable else _NO_CACHE.format(report.cache.path),
    )
    return list(dict.fromkeys(line for line in lines if line))


def _thread_advice(processor: Processor) -> str | None:
    threads, usable = processor.torch_threads, processor.usable_cpus
    count = f"{threads} thread{'s' * (threads != 1)} on {usable} usable CPU{'s' * (usable != 1)}"
    best = processor.useful_threads
    if threads > usable:
        return (
            f"{count}: they wait for each other;"
            f" set training.threads = {best} or OMP_NUM_THREADS={best}"
        )
    if threads >= best:
        return None
    if processor.omp_num_threads is not None:
        return (
            f"{count}, as OMP_NUM_THREADS={processor.omp_num_threads} has it:"
            f" unset it, or set training.threads = {best}"
        )
    return f"{count}: set training.threads = {best} or OMP_NUM_THREADS={best}"


def _load_advice(processor: Processor) -> str | None:
    load, cores = processor.load_average, processor.logical_cores
    if load is None or load <= cores / 2:
        return None
    return (
        f"other processes are at work (load average {load:.1f} on {cores} logical cores):"
        " the rates here may be too low"
    )


def _gpu_advice(report: Report) -> str | None:
    if report.gpus or not report.nvidia_driver:
        return None
    if report.torch_cuda is None:
        return "an NVIDIA driver is here, and a torch without CUDA: install PyTorch's CUDA build"
    return (
        f"an NVIDIA driver is here, but torch (CUDA {report.torch_cuda}) finds no GPU: the driver"
        " may be too old for it, or CUDA_VISIBLE_DEVICES hides the GPU"
    )


def _precision_advice(report: Report) -> str | None:
    rates = report.rates
    if report.gpus:
        times = _ratio(rates.gpu_bfloat16_gflops, rates.gpu_float32_gflops)
        slow = not report.gpus[0].bfloat16
    else:
        times = _ratio(rates.bfloat16_accord_gflops, _float32_rate(report))
        slow = report.matmul.rounded
    if slow or times is None or times <= _FASTER:
        return None
    return f'training.precision = "bfloat16": products at {times:.2g} times float32\'s rate'


def _disk_advice(disk: Disk) -> str | None:
    if disk.free_bytes >= _ROOM_BYTES:
        return None
    return (
        f"{disk.free_bytes / _GIB:.1f} GiB free in {disk.path}: a run of BERT-base takes up to"
        f" {_ROOM_BYTES / _GIB:.1f}; checkpoint.keep = 1 needs less"
    )


def _float32_rate(report: Report) -> float | None:
    """Return the rate of float32 as a run computes it on the processor."""
    rates = report.rates
    return rates.float32_onednn_gflops if report.matmul.onednn else rates.float32_default_gflops


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _error(error: float | None) -> str:
    return "not measured" if error is None else f"{error:.1e}"
