"""What this machine has, how fast it multiplies, which paths a run takes on it, and why."""

from __future__ import annotations

from accord.doctor.machine import Disk, Gpu, Processor
from accord.doctor.paths import advice, taken_paths
from accord.doctor.rates import Rates
from accord.doctor.report import Report, examine
from accord.runs.memory import Memory

__all__ = [
    "Disk",
    "Gpu",
    "Memory",
    "Processor",
    "Rates",
    "Report",
    "advice",
    "examine",
    "taken_paths",
]
