"""All benchmarks' figures in one table, and in one file.

    python benchmarks/report.py [--results FOLDER]

Reads every file of results, writes `latest.json` beside them, and the table of docs/performance.md.
Files that were measured on
another machine, or with other threads or another torch, than most of them are marked: ratios hold
there too, but they say nothing about this machine.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from harness import RESULTS, Row, print_rows

LATEST = "latest.json"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
MARKS = "<!-- figures: benchmarks/report.py -->", "<!-- end of figures -->"
KEPT = ("value", "target", "better", "ours_ms", "peer_ms", "interval", "rounds", "note")
Machine = tuple[str, int, str]


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read every benchmark's file, by its name."""
    files = sorted(path for path in folder.glob("*.json") if path.name != LATEST)
    if not files:
        raise SystemExit(f"{folder}: no results; 'make bench' measures")
    results = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in files}
    # Some answer a question of their own, and have no rows.
    return {
        name: each for name, each in results.items() if isinstance(each, dict) and "rows" in each
    }


def measured_on(result: dict[str, Any]) -> Machine:
    """The machine and the torch of a file's figures."""
    machine = result["machine"]
    return machine["processor"], machine["threads"], machine["packages"]["torch"]


def rows_of(result: dict[str, Any], usual: Machine) -> list[Row]:
    """A file's figures; the note of those from elsewhere says so."""
    known = {field.name for field in fields(Row)}
    rows = [Row(**{k: v for k, v in row.items() if k in known}) for row in result["rows"]]
    machine = measured_on(result)
    if machine == usual:
        return rows
    warning = f"MEASURED OTHERWISE: {machine[0]}, {machine[1]} threads, torch {machine[2]}"
    return [replace(row, note="; ".join(filter(None, (row.note, warning)))) for row in rows]


def ratios(results: dict[str, dict[str, Any]], usual: Machine) -> dict[str, dict[str, Any]]:
    """Every figure by its name; one name in two files is a mistake."""
    table: dict[str, dict[str, Any]] = {}
    for file, result in results.items():
        for row in rows_of(result, usual):
            if row.name in table:
                raise SystemExit(f"{file}: another file of results holds '{row.name}' too")
            table[row.name] = {k: getattr(row, k) for k in KEPT} | {"command": result["command"]}
    return table


def markdown(rows: list[Row]) -> str:
    """The figures as the page has them."""
    lines = ["| figure | value (95 % interval) | target | reached |", "| --- | --- | --- | --- |"]
    for row in rows:
        if row.name.startswith("share_"):  # the page has them in a table of their own
            continue
        interval = " ({:.4g} to {:.4g})".format(*row.interval) if row.interval else ""
        sign = "≥" if row.better == "higher" else "≤"
        target = "" if row.target is None else f"{sign} {row.target:g}"
        reached = {True: "yes", False: "**no**", None: ""}[row.reached]
        note = f"; {row.note}" if row.note else ""
        lines.append(f"| `{row.name}`{note} | {row.value:.4g}{interval} | {target} | {reached} |")
    return "\n".join(lines)


def write_page(rows: list[Row], page: Path) -> None:
    """Put the table between the page's marks."""
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    text = f"{before}{MARKS[0]}\n\n{markdown(rows)}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    folder = parser.parse_args().results
    results = read_results(folder)
    usual = Counter(map(measured_on, results.values())).most_common(1)[0][0]
    machine = next(result["machine"] for result in results.values() if measured_on(result) == usual)
    print(f"{usual[0]}, {usual[1]} threads; torch {usual[2]}")
    for file, result in results.items():
        print(f"\n{file}: {result['question']}")
        print_rows(rows_of(result, usual))
    table = ratios(results, usual)
    rows = [row for result in results.values() for row in rows_of(result, usual)]
    reached = [row.reached for row in rows if row.reached is not None]
    elsewhere = sorted(file for file, result in results.items() if measured_on(result) != usual)
    print(f"\n{sum(reached)} of {len(reached)} targets reached")
    if elsewhere:
        print(f"warning: measured with another machine, threads or torch: {', '.join(elsewhere)}")
    text = json.dumps({"machine": machine, "ratios": table}, indent=1)
    (folder / LATEST).write_text(text + "\n", encoding="utf-8")
    print(f"written: {folder / LATEST}")
    if folder == RESULTS:
        write_page(rows, PAGE)
        print(f"written: the table of {PAGE}")


if __name__ == "__main__":
    main()
