"""`accord doctor`: what this machine has, which paths a run takes on it, and what would help."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option
from accord.terminal import echo, writing

if TYPE_CHECKING:
    from accord.cli.results import ResultsTable
    from accord.doctor import Disk, Processor, Rates, Report

_PLAIN_COLUMNS = 80


@click.command()
@click.argument("path", default=".", type=PATH)
@as_json_option
def doctor(path: Path, as_json: bool) -> None:
    """Examine this machine: what it has, how fast it multiplies, which paths a run takes.

    Takes a few seconds. PATH is the folder whose free disk is shown; default: this one.
    """
    from accord.doctor import advice, examine, taken_paths

    report = examine(path)
    if as_json:
        table = asdict(report)
        table["processor"]["usable_cpus"] = report.processor.usable_cpus
        table |= {"paths": taken_paths(report), "advice": advice(report)}
        echo(*json.dumps(table, indent=2, allow_nan=False).splitlines())
    else:
        render(report)


def render(report: Report) -> None:
    """Print a report on stdout."""
    from accord.cli.results import new_console
    from accord.doctor import advice, taken_paths

    console, lines = new_console(_PLAIN_COLUMNS), advice(report)
    with writing():
        console.print(_pairs("this machine", _machine(report)))
        console.print(_rates(report))
        console.print(_pairs("path taken", taken_paths(report)))
    echo(" What would help:" if lines else " Nothing here needs a change.")
    for line in lines:
        wrapped = textwrap.wrap(line, console.width, initial_indent=" - ", subsequent_indent="   ")
        echo(*wrapped)


def _pairs(title: str, rows: dict[str, str]) -> ResultsTable:
    """Return a table of names and texts, which may take several lines."""
    from accord.cli.results import new_table

    table = new_table(title, "", left=2)
    table.columns[0].no_wrap, table.columns[1].overflow = True, "fold"
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _machine(report: Report) -> dict[str, str]:
    processor, versions = report.processor, dict(report.versions)
    omp = "is not set" if processor.omp_num_threads is None else f"= {processor.omp_num_threads}"
    libc = versions.pop("libc")
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    total, available = (_gib(n) for n in (report.memory.total_bytes, report.memory.available_bytes))
    return {
        "processor": f"{processor.name} ({processor.instructions})",
        "cores": _cores(processor),
        "threads": f"torch computes with {processor.torch_threads}; OMP_NUM_THREADS {omp}",
        "memory": f"{total}, {available} available",
        "GPU": _gpus(report),
        "disk": _disk(report.disk),
        "token cache": _disk(report.cache),
        "versions": f"{packages}, {libc or 'a C library that is not glibc'}",
    }


def _cores(cpu: Processor) -> str:
    physical = "" if cpu.physical_cores is None else f"{cpu.physical_cores} physical, "
    quota = "" if cpu.quota_cpus is None else f", for {cpu.quota_cpus:.2g} CPUs' time"
    return f"{physical}{cpu.logical_cores} logical; usable here: {cpu.affinity_cpus}{quota}"


def _gpus(report: Report) -> str:
    build = "without CUDA" if report.torch_cuda is None else f"for CUDA {report.torch_cuda}"
    gpus = [
        f"{gpu.name}, {_gib(gpu.memory_bytes)}, compute capability {gpu.compute_capability},"
        f" {'with' if gpu.bfloat16 else 'no'} bfloat16"
        for gpu in report.gpus
    ]
    return "; ".join([*(gpus or ["none"]), f"torch is built {build}"])


def _disk(disk: Disk) -> str:
    return f"{_gib(disk.free_bytes)} free in {disk.path}"


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / (1 << 30):.1f} GiB"


def _rates(report: Report) -> ResultsTable:
    from accord.cli.results import new_table

    rates: Rates = report.rates
    table = new_table("matrix products", "GFLOP/s", "relative error")
    exact = "exact" if report.matmul.onednn else "not exact"
    error = rates.onednn_relative_error
    shown = "" if error is None else f"{error:.1e}, {exact}"
    table.add_row("float32, torch's default library", _rate(rates.float32_default_gflops), "")
    table.add_row("float32, oneDNN", _rate(rates.float32_onednn_gflops), shown)
    table.add_row("bfloat16, the processor's own", _rate(rates.bfloat16_native_gflops), "")
    table.add_row("bfloat16, as Accord does it", _rate(rates.bfloat16_accord_gflops), "")
    if report.gpus:
        table.add_row("float32, the GPU", _rate(rates.gpu_float32_gflops), "")
        table.add_row("bfloat16, the GPU", _rate(rates.gpu_bfloat16_gflops), "")
    return table


def _rate(gflops: float | None) -> str:
    if gflops is None:
        return "not measured"
    return f"{gflops:.0f}" if gflops >= 100 else f"{gflops:.3g}"
