"""Finished runs of a comparison, read and edited by hand: what would a comparison say of them?"""

import csv
import json
import shutil

ALONE = "mood,examples=22,seed=3"
SELECTION = '\n[selection]\nby = "accord tune"\ncandidates = 12\n'


def heldout(run, task):
    """A run's held-out rows, read with the csv module alone."""
    file = run / "predictions" / f"{task}-heldout.csv"
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def relabelled(source, out, edit):
    """Copy a run folder and edit its held-out files' rows and its results."""
    shutil.copytree(source, out)
    results = json.loads((out / "results.json").read_text())
    for file in (out / "predictions").glob("*-heldout.csv"):
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        edit(file.stem.removesuffix("-heldout"), rows, results)
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    (out / "results.json").write_text(json.dumps(results))
    return out


def reconfigured(source, out, **sections):
    """Copy a run folder as if its config had had other keys."""
    shutil.copytree(source, out)
    resolved = json.loads((out / "resolved.json").read_text())
    for name, keys in sections.items():
        resolved["config"][name] = {**(resolved["config"].get(name) or {}), **keys}
    (out / "resolved.json").write_text(json.dumps(resolved))
    return out
