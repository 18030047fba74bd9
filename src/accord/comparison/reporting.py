"""The report on a comparison, as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accord.comparison.answer import answer
from accord.comparison.class_tables import class_sections
from accord.comparison.contrast_page import contrast_sections
from accord.comparison.family import Comparison
from accord.comparison.sharing_page import sharing_sections
from accord.report.writing import write_report


def write_comparison(
    out: Path, comparison: Comparison, formats: Sequence[str] = (), known: Sequence[str] = ()
) -> None:
    """Write the report on whether sharing was worth it.

    Args:
        out: its folder.
        comparison: of finished runs.
        formats: of figures and tables besides SVG and CSV.
        known: which runs are missing, and which files were changed between them, one line each.
    """
    curves = {group.name: group.runs for group in comparison.groups if len(group.trained) > 1}
    against = contrast_sections(comparison)
    asked = comparison.sharing or not against
    title, lead = ("Was sharing worth it?", [answer(comparison)]) if asked else (
        "Groups of runs", [])  # fmt: skip
    shared = sharing_sections(comparison, curves, known)
    sections = [*shared, *against, *class_sections(comparison.groups)]
    write_report(out, title, lead, sections, formats)
