"""The report of experiments: each one's table, contrasts and figures, and what lies behind them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from accord.comparison.group import Group, plus_minus
from accord.experiments.contrasts import agreement_note, contrast_items, planned
from accord.experiments.ledger import ledger
from accord.experiments.rows import Results, Row
from accord.experiments.spec import DurationSpec, Experiment
from accord.experiments.submission import submissions
from accord.kinds import labelled_kind
from accord.report.classes import class_table
from accord.report.figures import (
    DurationRow,
    calibration,
    confusion,
    duration_and_improvement,
    gradient_cosines,
    learning_curves,
    predicted_against_true,
)
from accord.report.page import Figure, Section, Table, slugs
from accord.report.texts import dev_texts, worst_errors

Item = Table | Figure


def experiment_sections(
    experiments: Sequence[Experiment], results: Results, out: Path
) -> list[Section]:
    """Return a section on each experiment, and on what lies behind all of them.

    Args:
        experiments: in the order in which they are shown.
        results: of their cells.
        out: where predictions for a leaderboard go.

    Raises:
        RunFolderError: if a run can't be read, or predictions can't be written.
    """
    tables = [(experiment, results.rows(experiment)) for experiment in experiments]
    sections = [_section(section, rows, out) for section, rows in tables]
    sections += _closer(
        group for section, rows in tables
        if section.spec.detail and (group := rows[section.spec.detail].group) is not None
    )  # fmt: skip
    return [*sections, Section("Exposure", [], [ledger(results.groups.values())])]


def _section(experiment: Experiment, rows: Mapping[str, Row], out: Path) -> Section:
    spec, text = experiment.spec, list(experiment.spec.text)
    items: list[Item] = []
    if spec.submissions:
        table = submissions(experiment, rows, out)
        items += [table] if table else []
    else:
        items.append(_table(experiment, rows))
    contrasts, refused = planned(experiment, rows)
    text += refused
    if contrasts:
        items += contrast_items(experiment, contrasts)
        text += agreement_note(experiment, contrasts)
    if spec.duration and (durations := _durations(spec.duration, rows)):
        items.append(duration_and_improvement(spec.duration.name, spec.duration.title, durations))
    if curves := {row.label: row.runs for row in rows.values() if row.groups}:
        items.append(learning_curves(f"{experiment.name}-curves", "Learning curves", curves))
    return Section(f"{experiment.name}: {spec.title}", text, items)


def _table(experiment: Experiment, rows: Mapping[str, Row]) -> Table:
    """Return an experiment's table: dev figures by the paper's rule, at the epoch that the same
    rows chose, mean and standard deviation over seeds; the reference's beside them."""
    spec, reference = experiment.spec, experiment.spec.reference
    titles = spec.columns or {task: task for models in experiment.rows.values() for task in models}
    columns = ["", "runs"]
    for title in titles.values():
        columns += [title] if reference is None else [title, reference.name]
    body = []
    for label, row in rows.items():
        counts = [len(row.groups[task].runs) if task in row.groups else 0
                  for task in experiment.rows[label]]  # fmt: skip
        if not counts:
            continue
        cells = [label, " to ".join(map(str, sorted({min(counts), max(counts)})))]
        for task in titles:
            cells.append(_value(row.groups.get(task), task))
            if reference is not None:
                figures = experiment.reference.get(label, {}).get(task, [])
                cells.append(
                    " / ".join(dict.fromkeys(f"{figure:z.3f}" for figure in figures)) or "–"
                )
        if spec.seconds:
            cells.append(f"{row.group.seconds_per_epoch:.1f}" if row.group else "–")
        body.append(cells)
    columns += ["seconds per epoch"] if spec.seconds else []
    return Table(spec.table, spec.caption or spec.title, columns, body, note=spec.note)


def _value(group: Group | None, task: str) -> str:
    return "–" if group is None else plus_minus(group.dev_mean(task), group.dev_spread(task))


def _durations(spec: DurationSpec, rows: Mapping[str, Row]) -> list[DurationRow]:
    """Return what each row that is one model costs and gains over the baseline."""
    base = rows[spec.baseline].groups
    return [
        DurationRow(
            row.label,
            group.seconds_per_epoch,
            {task: 100 * (group.dev_mean(task) - base[task].dev_mean(task))
             for task in group.tasks if task in base},
            {task: 100 * spread for task in group.tasks
             if (spread := group.dev_spread(task)) is not None},
        )
        for row in rows.values()
        if row.label != spec.baseline and (group := row.group) is not None
    ]  # fmt: skip


def _closer(groups: Iterator[Group]) -> list[Section]:
    """Return whether the tasks' gradients agree in the first of some groups, and how its first
    seed errs; nothing where there is none."""
    group = next(groups, None)
    if group is None:
        return []
    run, errors = group.runs[0], list[Item]()
    for task, name in slugs(run.tasks).items():
        predictions = run.predictions(task)
        if predictions.labels.ndim > 1:
            pass  # of sets none is taken for another
        elif predictions.probabilities is not None:
            errors.append(confusion(f"confusion-{name}", f"{task}: confusion", predictions))
            errors.append(calibration(f"calibration-{name}", f"{task}: calibration", predictions))
        elif not labelled_kind(predictions.task).answer_is_text:
            errors.append(
                predicted_against_true(f"scatter-{name}", f"{task}: predicted", predictions)
            )
        table = class_table(f"classes-{name}", f"{task}: by class", predictions)
        errors += [table] if table else []
        texts = dev_texts(run, task)
        errors.append(worst_errors(f"errors-{name}", f"{task}: worst errors", predictions, texts))
    cosines = gradient_cosines("cosines", "Do the tasks' gradients agree?", group.runs)
    return [
        Section("Gradients", [f"Of {group.name}."], [cosines]),
        Section("Errors of the shared model", [f"{', '.join(run.tasks)}: {run.name}."], errors),
    ]


def selection_note(results: Results) -> str:
    """Say what evaluating on the rows that chose the epoch costs; empty without runs."""
    gaps = [group.gap(task) for group in results.groups.values() for task in group.tasks]
    if not gaps:
        return ""
    mean, most = 100 * statistics.fmean(gaps), 100 * max(gaps)
    return (
        " That is the paper's rule, and too good, as the same rows chose the epoch: by"
        f" {mean:.1f} points on average here, by {most:.1f} at most. Differences and verdicts"
        " are of held-out rows."
    )


def runs_section(results: Results, text: Sequence[str]) -> Section:
    """Return what was run, on which machines, and what is not done, the seeds of a cell in one row.

    Args:
        results: of the experiments.
        text: what else there is to say.
    """
    runs = [run for group in results.groups.values() for run in group.runs]
    machines = {
        f"{each['processor']}, {each['device']}, {each['threads']} threads, torch"
        f" {each['packages']['torch']}"
        for each in (run.environment for run in runs)
    }
    paragraphs = [*text, f"{len(runs)} finished runs, on: {'; '.join(sorted(machines))}."]
    if results.forced:
        paragraphs.append(f"FORCED: changed between runs: {'; '.join(results.forced)}.")
    seeds: dict[tuple[str, str], list[str]] = {}
    for name, state, seed in results.unfinished:
        seeds.setdefault((name, state), []).append(str(seed))
    rows = [[*cell, ", ".join(seed)] for cell, seed in seeds.items()]
    table = Table("unfinished", "Unfinished runs", ["cell", "state", "seeds"], rows, left=3)
    return Section("What was run", paragraphs, [table] if rows else [])
