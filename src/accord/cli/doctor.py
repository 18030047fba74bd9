"""`accord doctor`: what this machine has, which paths a run takes on it, and what would help."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import as_json_option
from accord.terminal import echo, shown

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from accord.cli.results import Table
    from accord.doctor import Disk, Processor, Rates, Report

_PLAIN_COLUMNS = 80


@click.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@as_json_option
def doctor(path: Path, as_json: bool) -> None:
    """Examine this machine: what it has, how fast it multiplies, which paths a run takes.

    Takes a few seconds. PATH is the folder whose free disk is shown; default: this one.
    """
    from accord.doctor import examine, to_json

    report = examine(path)
    if as_json:
        echo(*json.dumps(to_json(report), indent=2, allow_nan=False).splitlines())
    else:
        render(report)


def render(report: Report) -> None:
    """Print a report on stdout."""
    from accord.cli.results import new_console, print_rich, print_table
    from accord.doctor import advice, taken_paths

    console = new_console()
    if not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console = new_console(_PLAIN_COLUMNS)
    print_rich(_pairs("this machine", _machine(report)), console)
    print_table(_rates(report))
    print_rich(_pairs("path taken", taken_paths(report)), console)
    print_rich(_advice(advice(report)), console)


def _pairs(title: str, rows: dict[str, str]) -> RichTable:
    """Return a table of names and texts, which may take several lines."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, no_wrap=True)
    table.add_column("", overflow="fold")
    for name, text in rows.items():
        table.add_row(name, shown(text, sys.stdout))
    return table


def _advice(lines: list[str]) -> RichTable:
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_row("", "What would help:" if lines else "Nothing here needs a change.")
    for line in lines:
        table.add_row("", f"- {shown(line, sys.stdout)}")
    return table


def _machine(report: Report) -> dict[str, str]:
    own, versions = report.processor, dict(report.versions)
    omp = "is not set" if own.omp_num_threads is None else f"= {own.omp_num_threads}"
    libc = versions.pop("libc")
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    total, available = (_gib(n) for n in (report.memory.total_bytes, report.memory.available_bytes))
    return {
        "processor": f"{own.name} ({own.instructions})",
        "cores": _cores(own),
        "threads": f"torch computes with {own.torch_threads}; OMP_NUM_THREADS {omp}",
        "memory": f"{total}, {available} available",
        "GPU": _gpus(report),
        "disk": _disk(report.disk),
        "token cache": _disk(report.cache),
        "versions": f"{packages}, {libc or 'a C library that is not glibc'}",
    }


def _cores(own: Processor) -> str:
    physical = "" if own.physical_cores is None else f"{own.physical_cores} physical, "
    quota = "" if own.quota_cpus is None else f", for {own.quota_cpus:.2g} CPUs' time"
    return f"{physical}{own.logical_cores} logical; usable here: {own.affinity_cpus}{quota}"


def _gpus(report: Report) -> str:
    build = "without CUDA" if report.torch_cuda is None else f"for CUDA {report.torch_cuda}"
    found = [
        f"{gpu.name}, {_gib(gpu.memory_bytes)}, compute capability {gpu.compute_capability},"
        f" {'with' if gpu.bfloat16 else 'no'} bfloat16"
        for gpu in report.gpus
    ]
    return "; ".join([*(found or ["none"]), f"torch is built {build}"])


def _disk(disk: Disk) -> str:
    return f"{_gib(disk.free_bytes)} free in {disk.path}"


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / (1 << 30):.1f} GiB"


def _rates(report: Report) -> Table:
    from accord.cli.results import new_table

    rates: Rates = report.rates
    table = new_table("matrix products", "GFLOP/s", "relative error")
    exact = "exact" if report.matmul.onednn else "not exact"
    error = rates.onednn_relative_error
    table.add_row("float32, torch's default library", _rate(rates.float32_default_gflops), "")
    table.add_row(
        "float32, oneDNN", _rate(rates.float32_onednn_gflops),
        "" if error is None else f"{error:.1e}, {exact}",
    )  # fmt: skip
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
