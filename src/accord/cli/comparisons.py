"""Groups of runs on stdout: their figures, and the effect of sharing on each task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.results import print_parts
from accord.comparison.against import contrast_notes
from accord.comparison.family import Comparison, compare_groups
from accord.comparison.group import (
    Group,
    find_group,
    margin_of,
)
from accord.comparison.notes import group_notes, sharing_cautions
from accord.comparison.parts import comparison_parts
from accord.comparison.sharing import SharingVerdict
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.statistics.crossed import Difference
    from accord.statistics.verdict import Verdict


def compared(
    groups: Sequence[Group], points: float | None = None, against: str | None = None
) -> Comparison:
    """Compare groups.

    Args:
        groups: of finished runs.
        points: the margin, as `--margin` has it; default: the runs' own.
        against: the name of a group that all others are compared with.
    """
    baseline = find_group(groups, against) if against is not None and groups else None
    return compare_groups(groups, margin_of(groups, points), baseline)


def leave_report(
    out: Path,
    comparison: Comparison,
    formats: Sequence[str] = (),
    known: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> None:
    """Write the report as `write_comparison` does, and unless `quiet` say where it is."""
    from accord.comparison.reporting import write_comparison

    write_comparison(out, comparison, formats, known)
    if not quiet:
        echo(f"report: {out / 'report.html'}")


def print_comparison(comparison: Comparison, known: Sequence[str] = ()) -> None:
    """Print a comparison's groups, what sharing did, and notes on both."""
    print_parts(comparison_parts(comparison, known))


def comparison_json(comparison: Comparison, known: Sequence[str] = ()) -> dict[str, Any]:
    """Return groups, what sharing did, what each has over the baseline, if there is one, and among
    the notes those that are given."""
    groups, verdicts, baseline = comparison.groups, comparison.sharing, comparison.baseline
    return {
        "groups": [_group_json(group) for group in groups],
        "margin": comparison.margin,
        "comparisons": comparison.corrected,
        "sharing": [_sharing_json(each) for each in verdicts],
        "answering": {name: each.to_json() for name, each in comparison.answering.items()},
        "sharing_notes": [*comparison.refused, *sharing_cautions(verdicts)],
        "notes": [*group_notes(groups), *known],
        "against": [
            {"group": each.group.name, "task": each.task,
             **verdict_json(each.difference, each.verdict)} for each in comparison.contrasts
        ],
        "against_notes": [] if baseline is None else contrast_notes(groups, baseline),
    }  # fmt: skip


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "runs": [str(run.path) for run in group.runs],
        "seeds": [run.seed for run in group.runs],
        "metrics": {
            task: {
                "mean": group.mean(task), "sd": group.spread(task),
                "on": group.runs[0].results["heldout"][task]["on"],
                "dev": group.dev_mean(task), "gap": group.gap(task),
                "examples": group.exposure(task),
            } for task in group.tasks
        },
        "continual": {
            name: {"mean": mean, "sd": spread} for name, (mean, spread) in group.continual.items()
        },
        "train_seconds": group.train_seconds,
        "parameters": group.parameters,
        "layers_computed": group.layers_computed.to_json(),
        "model_bytes": group.model_bytes,
    }  # fmt: skip


def _sharing_json(each: SharingVerdict) -> dict[str, Any]:
    return {
        "task": each.task,
        "metric": each.compared.metric,
        "evaluated_on": each.compared.evaluated_on,
        "constant": each.compared.constant,
        "alone": each.alone.mean(each.task),
        "together": each.together.mean(each.task),
        "examples_alone": each.alone.exposure(each.task),
        "examples_together": each.together.exposure(each.task),
        "shared_model": each.together.name,
        "also_differ_in": each.differing,
        **verdict_json(each.difference, each.verdict),
    }


def verdict_json(difference: Difference, verdict: Verdict) -> dict[str, Any]:
    """Return a difference with its interval and verdict."""
    return {
        "value": difference.value,
        "low": verdict.low,
        "high": verdict.high,
        "level": verdict.level,
        "error": difference.error,
        "p_adjusted": verdict.p_adjusted,
        "rows": difference.rows,
        "runs": [len(difference.ours), len(difference.theirs)],
        "pairs": difference.pairs,
        "verdict": verdict.word,
        "kind": verdict.kind,
    }
