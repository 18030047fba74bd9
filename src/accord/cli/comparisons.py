"""Groups of runs on stdout: their figures, and the effect of sharing on each task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.results import new_table, print_table
from accord.comparison.against import contrast_notes
from accord.comparison.cost import shared_models
from accord.comparison.family import Comparison, compare_groups
from accord.comparison.group import (
    Group,
    constant_cells,
    continual_cells,
    continual_columns,
    find_group,
    margin_of,
    metric_cells,
    metric_columns,
)
from accord.comparison.notes import correction_note, evaluation_note, group_notes, sharing_cautions
from accord.comparison.sharing import SharingVerdict
from accord.comparison.words import MARKS, explanation, in_points, interval_words
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.comparison.against import Contrast
    from accord.comparison.cost import Cost, SharedModel
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
    """Write the report on whether sharing was worth it, and say where it is.

    Args:
        out: its folder.
        comparison: of finished runs.
        formats: of figures and tables besides SVG and CSV.
        known: which runs are missing, and which files were changed between them, one line each.
        quiet: don't say where.
    """
    from accord.comparison.answer import answer
    from accord.comparison.class_tables import class_sections
    from accord.comparison.contrast_page import contrast_sections
    from accord.comparison.sharing_page import sharing_sections
    from accord.report.writing import write_report

    curves = {group.name: group.runs for group in comparison.groups if len(group.trained) > 1}
    against = contrast_sections(comparison)
    asked = comparison.sharing or not against
    title, lead = ("Was sharing worth it?", [answer(comparison)]) if asked else (
        "Groups of runs", [])  # fmt: skip
    shared = sharing_sections(comparison, curves, known)
    sections = [*shared, *against, *class_sections(comparison.groups)]
    write_report(out, title, lead, sections, formats)
    if not quiet:
        echo(f"report: {out / 'report.html'}")


def print_comparison(comparison: Comparison, known: Sequence[str] = ()) -> None:
    """Print groups side by side, where single tasks and a shared model are among them the
    difference that sharing made, and what each group has over a baseline, if there is one; and
    other notes, one line each."""
    groups, verdicts = comparison.groups, comparison.sharing
    print_groups(groups)
    if verdicts:
        _print_sharing(verdicts)
        _print_cost(comparison)
        _print_notes(comparison)
    for note in (*comparison.refused, *group_notes(groups)):
        echo(note)
    if comparison.baseline is not None:
        _print_against(comparison, comparison.baseline)
    for note in known:
        echo(note)


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


def print_groups(groups: Sequence[Group]) -> None:
    """Print each group's metrics on held-out rows, and what it learned and forgot where tasks come
    one after another; with the standard deviation over seeds."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    headings = [f"{name} {metric}" for name, metric in tasks.items()]
    headings += [name.replace("_", " ") for name in continual]
    table = new_table("held-out rows", "runs", *headings, "seconds", "parameters")
    constant = [*constant_cells(groups, tuple(tasks)), *("–" for _ in continual)]
    if set(constant) != {"–"}:
        table.add_row("the best constant prediction", "", *constant, "", "")
    for group in groups:
        values = [*metric_cells(group, tuple(tasks)), *continual_cells(group, continual)]
        size = f"{group.parameters / 1e6:.1f} M"
        table.add_row(group.name, str(len(group.runs)), *values, f"{group.train_seconds:.0f}", size)
    print_table(table)
    if groups:
        echo(evaluation_note(groups))


def _print_against(comparison: Comparison, baseline: Group) -> None:
    """Print what each group has over the one that all are compared with, task by task."""
    if comparison.contrasts:
        echo("", f"Against {baseline.name}:")
        _print_contrasts(comparison)
    else:
        echo("No other group has the same tasks.")
    for note in contrast_notes(comparison.groups, baseline):
        echo(note)


def _print_contrasts(comparison: Comparison) -> None:
    contrasts, margin = comparison.contrasts, comparison.margin
    tasks = list(dict.fromkeys(each.task for each in contrasts))
    by_group: dict[str, list[Contrast]] = {}
    for each in contrasts:
        by_group.setdefault(each.group.name, []).append(each)
    table = new_table("difference, interval", "runs", *tasks)
    for name, parts in by_group.items():
        cells = [_difference_cell(each) for each in parts]
        table.add_row(name, str(len(parts[0].difference.ours)), *cells)
    print_table(table)
    good = "" if margin is None else f"≈ as good, within ±{in_points(margin)}; "
    echo(f"▲ better; ▼ worse; {good}· learnt nothing; no mark: no difference shown.")
    echo(correction_note(comparison.differences))


def _difference_cell(each: Contrast) -> str:
    sign = MARKS.get(each.verdict.kind, "")
    return f"{each.difference.value:+z.3f} ({interval_words(each.verdict)}){sign}"


def _print_sharing(verdicts: Sequence[SharingVerdict]) -> None:
    several = len({each.together.name for each in verdicts}) > 1
    columns = ["task", "metric", *["shared model"] * several]
    table = new_table(
        *columns, "constant", "alone", "together", "examples", "difference", "interval", "verdict",
        left=len(columns),
    )  # fmt: skip
    for each in verdicts:
        table.add_row(
            each.task, each.compared.metric, *[each.together.name] * several,
            f"{each.compared.constant:z.3f}", f"{each.alone.mean(each.task):z.3f}",
            f"{each.together.mean(each.task):z.3f}", _examples(each),
            f"{each.difference.value:+z.3f}", interval_words(each.verdict),
            each.verdict.kind,
        )  # fmt: skip
    echo("", "Was sharing worth it?")
    print_table(table)
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for each in verdicts:
        if line := explanation(each.difference, each.verdict):
            model = f" in {each.together.name}" if several else ""
            tasks_of.setdefault((line, model), []).append(each.task)
    for (line, model), tasks in tasks_of.items():
        echo(f"{', '.join(tasks)}{model}: {line}")


def _examples(each: SharingVerdict) -> str:
    """Say how many examples of its task both sides were shown: once where they are as many."""
    alone, together = (f"{group.exposure(each.task):,.0f}" for group in (each.alone, each.together))
    return alone if alone == together else f"{alone} / {together}"


def _print_cost(comparison: Comparison) -> None:
    measured = ["seconds per 1,000 texts"] if comparison.answering else []
    table = new_table("what it costs", "models", "parameters", "on disk", "encoder layers computed",
                      *measured, "seconds of training")  # fmt: skip
    models = shared_models(comparison)
    for name, cost in _costs(models):
        table.add_row(
            name, str(cost.models), f"{cost.parameters / 1e6:.1f} M",
            f"{cost.model_bytes / 1e6:.0f} MB", f"{cost.encoder_layers:.1f}",
            *("–" if cost.answer_seconds is None else f"{cost.answer_seconds:.3g}"
              for _ in measured),
            f"{cost.train_seconds:.0f}",
        )  # fmt: skip
    print_table(table)
    for model in models:
        name = f"{model.name}: " * (len(models) > 1)
        echo(f"{name}{model.layers}")
        if model.answering is not None:
            words = model.answering.words("by the tasks alone")
            echo(f"{name}answers to all tasks, measured now on this machine: {words}")


def _costs(models: Sequence[SharedModel]) -> Iterator[tuple[str, Cost]]:
    """Yield names and costs: one model, or several, whose tasks alone are named where they are
    not the same."""
    several, same_cost = len(models) > 1, len({model.alone for model in models}) == 1
    for i, model in enumerate(models):
        if i == 0 or not same_cost:
            yield ("each task alone" if same_cost else f"tasks of {model.name} alone"), model.alone
        yield (model.name if several else "together"), model.together


def _print_notes(comparison: Comparison) -> None:
    echo(correction_note(comparison.differences))
    if comparison.margin is not None:
        within = in_points(comparison.margin)
        echo(f"As good: the interval lies within ±{within}, the margin.")
    for line in sharing_cautions(comparison.sharing):
        echo(line)


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
