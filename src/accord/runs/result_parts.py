"""A finished run's results as lines and tables: its metrics, on dev and held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accord.metrics import mean_score
from accord.showing import Part, Table

_READING = """\
dev: the rows that chose the epoch. held out: rows that chose nothing, for comparisons.
gap: by how much a figure is too good when the same dev rows choose the epoch and evaluate it.
constant: the best constant prediction on the held-out rows, such as the majority class."""


def result_parts(results: dict[str, Any]) -> Iterator[Part]:
    """Yield what `results.json` says of each task, and of the stages of a run that has any."""
    heldout = results.get("heldout", {})
    table = Table(("task", "metric", "dev", "held out", "on", "gap", "constant"), left=2)
    for name, value in results["metrics"].items():
        cells = _heldout_cells(heldout.get(name))
        table.rows.append((name, results["metric_names"][name], f"{value:z.4f}", *cells))
    for name, figures in results["figures"].items():
        if name not in results["metrics"]:
            cells = _heldout_cells(None)
            table.rows.append((name, "likelihood", f"{figures['likelihood']:z.4f}", *cells))
    table.rows.extend(("overall", *row) for row in _overall_rows(results))
    yield table
    yield from (*_heldout_lines(heldout), *_early_lines(results))
    if "stages" in results:
        yield from _stages(results)


def _heldout_cells(entry: dict[str, Any] | None) -> tuple[str, str, str, str]:
    """Return a task's held-out value, the rows that it is of, the gap, and what the best constant
    prediction gets, as shown."""
    if entry is None:
        return "–", "–", "–", "–"
    rows = f"{entry['rows']:,} rows of {entry['on']}"
    return f"{entry['value']:z.4f}", rows, f"{entry['gap']:+z.4f}", f"{entry['constant']:z.4f}"


def _heldout_lines(heldout: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield how to read the held-out columns, and the notes on single tasks."""
    if heldout:
        yield from _READING.splitlines()
    for name, entry in heldout.items():
        for key in ("remark", "note"):
            if key in entry:
                yield f"{name}: {entry[key]}"


def _early_lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield that the run, or stages of it, ended before the last epoch."""
    for part in results.get("stages") or [results]:
        if early := part.get("stopped_early"):
            where = f"stage {part['name']} " if "stages" in results else ""
            yield where + early["why"]


def _overall_rows(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield each overall score's name, and its values on dev and held out."""
    heldout = {name: entry["value"] for name, entry in results.get("heldout", {}).items()}
    mean = mean_score(heldout) if heldout else None
    rows = {results["score_kind"]: (results["score"], results.get("heldout_score"))}
    for score, (dev, other) in {**rows, "mean": (results["mean"], mean)}.items():
        yield score, f"{dev:z.4f}", "–" if other is None else f"{other:z.4f}", "", "", ""


def _stages(results: dict[str, Any]) -> Iterator[Part]:
    """Yield every task's held-out metric after each stage, and what was forgotten.

    Where no task of a stage has labels, it is the dev likelihood.
    """
    rows = results["stages"]
    values_of = [row["heldout"] or row["metrics"] for row in rows]
    names = list(dict.fromkeys(name for stage_values in values_of for name in stage_values))
    table = Table(("after stage", "trained", *names), left=2)
    for row, row_values in zip(rows, values_of, strict=True):
        shown = (row_values.get(name) for name in names)
        values = ("–" if figure is None else f"{figure:z.4f}" for figure in shown)
        table.rows.append((row["name"], ", ".join(row["tasks"]), *values))
    yield table
    continual = results.get("continual", {})
    figures = [
        f"{key.replace('_', ' ')} {figure:z.4f}"
        for key, figure in continual.items() if isinstance(figure, float)
    ]  # fmt: skip
    if figures:
        yield f"{', '.join(figures)} (of {continual['of']})"
