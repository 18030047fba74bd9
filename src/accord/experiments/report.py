"""The report of a reproduction: the paper's tables and figure, and what lies behind them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accord.comparison.group import Group
from accord.experiments import tables
from accord.experiments.leaderboard import leaderboard
from accord.experiments.ledger import ledger
from accord.experiments.paper import NAMES, TASKS
from accord.experiments.plan import EXPERIMENTS, Options, subsets
from accord.experiments.results import Results, load_results
from accord.experiments.tables import Contrast, Pair, evaluated, name_of
from accord.report.figures import (
    DifferenceRow,
    DurationRow,
    calibration,
    confusion,
    differences,
    duration_and_improvement,
    gradient_cosines,
    learning_curves,
    predicted_against_true,
)
from accord.report.page import Figure, Section, Table, slug
from accord.report.record import RunRecord
from accord.report.texts import dev_texts, worst_errors
from accord.report.writing import write_report
from accord.runs.progress import Console

Item = Table | Figure


def report(
    out: Path,
    names: Sequence[str],
    options: Options,
    console: Console,
    formats: Sequence[str] = (),
) -> list[Section]:
    """Write `report.html`, `report.md`, tables, figures and the leaderboard's files.

    Args:
        out: the reproduction's folder.
        names: of the experiments.
        options: that they were run by.
        console: told what is done.
        formats: of figures and tables besides SVG and CSV.

    Returns:
        The report's sections.
    """
    console.say("writing the report")
    results = load_results(out, names, options.seeds, options.equal_budget is not None)
    sections = [_what_was_run(results, names, options)]
    sections += [section for name in names if (section := _experiment(name, results, out))]
    sections += _behind(results)
    title = "BERT Mastery: Explore Multitask Learning, rerun"
    lead = [
        "The experiments of Fuhu Xiao and Chu Lin's CS 224N project, run anew by Accord. The"
        " paper's values stand beside ours; ours are dev figures of the best epoch, mean and"
        " standard deviation over seeds." + _flattery(results),
    ]
    write_report(out, title, lead, sections, formats)
    return sections


def _flattery(results: Results) -> str:
    """Say what the paper's rule costs: it evaluates on the rows that chose the epoch."""
    gaps = [group.gap(task) for _, group in results.groups for task in group.tasks]
    if not gaps:
        return ""
    mean, most = 100 * statistics.fmean(gaps), 100 * max(gaps)
    return (
        " That is the paper's rule, and too good, as the same rows chose the epoch: by"
        f" {mean:.1f} points on average here, by {most:.1f} at most. Differences and verdicts"
        " are of held-out rows."
    )


def _what_was_run(results: Results, names: Sequence[str], options: Options) -> Section:
    text = [
        f"Encoder {_short(options.encoder)}; {options.epochs} epochs, batch {options.batch_size},"
        f" rate {options.lr:g} fine-tuned and {options.frozen_lr:g} frozen, {options.precision},"
        f" pairs {options.pairs}, {options.pooling} pooling"
        + (f", {options.limit} rows of each file" if options.limit else "")
        + (f", equal {options.equal_budget}" if options.equal_budget else "") + ".",
        f"Experiments: {'; '.join(f'{name}, {EXPERIMENTS[name]}' for name in names)}.",
        _machine(results),
    ]  # fmt: skip
    if results.forced:
        text.append(f"FORCED: changed between runs: {'; '.join(results.forced)}.")
    if not results.unfinished:
        return Section("What was run", text, [])
    return Section("What was run", text, [_unfinished(results)])


def _short(encoder: str) -> str:
    """Name an encoder without the place where this machine keeps it."""
    return "/".join(Path(encoder).parts[-2:]) if Path(encoder).is_dir() else encoder


def _unfinished(results: Results) -> Table:
    """Return what is not done, the seeds of one cell in one row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, state in results.unfinished.items():
        cell, _, seed = name.rpartition(",seed=")
        rows.setdefault((cell, state), []).append(seed)
    body = [[cell, state, ", ".join(seeds)] for (cell, state), seeds in rows.items()]
    return Table("unfinished", "Unfinished runs", ["cell", "state", "seeds"], body, left=3)


def _machine(results: Results) -> str:
    runs = [run for _, group in results.groups for run in group.runs]
    seen = {
        (own["processor"], own["device"], own["threads"], own["packages"]["torch"])
        for own in (run.environment for run in runs)
    }
    places = "; ".join(
        f"{processor}, {device}, {threads} threads, torch {torch}"
        for processor, device, threads, torch in sorted(seen)
    )
    return f"{len(runs)} finished runs, on: {places}."


_CONTRASTS: dict[str, Callable[[Results], Iterable[Pair]]] = {
    "exp1": tables.contrasts_1,
    "exp2": tables.contrasts_2,
    "exp3": tables.contrasts_3,
    "exp4": tables.contrasts_4,
    "cfimdb": tables.contrasts_cfimdb,
    "pairs": tables.contrasts_pairs,
}
_TABLES: dict[str, Callable[[Results], Table]] = {
    "exp1": tables.table_1,
    "exp2": tables.table_2,
    "exp3": tables.table_3,
    "exp4": tables.table_4,
    "cfimdb": tables.table_cfimdb,
    "pairs": tables.table_pairs,
}


def _experiment(name: str, results: Results, out: Path) -> Section | None:
    title = f"{name}: {EXPERIMENTS[name]}"
    if name == "leaderboard":
        table = leaderboard(results, out)
        text = [
            "The files are in leaderboard/single-task, leaderboard/single-task-equal (as many"
            " examples as the shared model) and leaderboard/multitask."
        ]
        return Section(title, text, [table]) if table else None
    items: list[Item] = [_TABLES[name](results)]
    text = []
    contrasts = evaluated(_CONTRASTS[name](results))
    if contrasts:
        items.append(tables.contrast_table(f"{name}-differences", "Differences", contrasts))
        rows = [_difference_row(own) for own in contrasts]
        items.append(differences(f"{name}-differences", "Differences, in metric points", rows))
        text.append(_with_the_paper(contrasts))
    if name == "exp3" and (rows_ := _durations(results)):
        items.append(
            duration_and_improvement("figure-1", "Figure 1: duration and improvement", rows_)
        )
        text.append(
            "The paper doesn't define the baseline of its figure 1: here it is the frozen encoder"
            " with the same task alone."
        )
    return Section(title, text, items)


def _difference_row(each: Contrast) -> DifferenceRow:
    label = f"{NAMES[each.task]}: {each.label}"
    value, verdict = each.compared.difference.value, each.verdict
    return DifferenceRow(
        label, 100 * value, 100 * verdict.low, 100 * verdict.high, verdict.kind, verdict.word
    )


def _with_the_paper(contrasts: Sequence[Contrast]) -> str:
    """Count how often our verdict has the paper's sign."""
    known = [own for own in contrasts if own.paper is not None]
    if not known:
        return "The paper has no figures for these."
    count = {
        word: sum(own.agreement == word for own in known)
        for word in ("agrees", "disagrees", "not shown here", "cannot tell")
    }
    return (
        f"Of {len(known)} differences that the paper has too, {count['agrees']} have the paper's"
        f" sign, {count['disagrees']} the other one, {count['not shown here']} are within chance"
        f" here, and {count['cannot tell']} have too few runs to tell."
    )


def _durations(results: Results) -> list[DurationRow]:
    rows = []
    for tasks in subsets():
        group = results.alone_capped(tasks[0]) if len(tasks) == 1 else results.together(tasks)
        if group is None:
            continue
        better: dict[str, float | None] = {}
        spread: dict[str, float | None] = {}
        for task in TASKS:
            base = results.alone(task, "frozen")
            known = task in tasks and base is not None
            better[task] = _points(group, base, task) if known and base else None
            own = group.dev_spread(task) if known else None
            spread[task] = None if own is None else 100 * own
        rows.append(DurationRow(name_of(tasks), group.seconds_per_epoch, better, spread))
    return rows


def _points(group: Group, base: Group, task: str) -> float:
    return 100 * (group.dev_mean(task) - base.dev_mean(task))


def _behind(results: Results) -> list[Section]:
    """Return what lies behind the tables: curves, gradients, errors, exposure."""
    shared = results.together()
    sections = []
    if results.groups:
        curves: dict[str, list[RunRecord]] = {}
        for tasks in subsets():
            group = results.alone_capped(tasks[0]) if len(tasks) == 1 else results.together(tasks)
            if group is not None:
                curves[name_of(tasks)] = group.runs
        items: list[Item] = []
        if curves:
            items.append(learning_curves("learning-curves", "Learning curves", curves))
        if shared is not None:
            items.append(gradient_cosines("cosines", "Do the tasks' gradients agree?", shared.runs))
        if items:
            sections.append(Section("Learning", [], items))
    sections += _errors(shared)
    sections.append(Section("Exposure", [], [ledger(results)]))
    return sections


def _errors(shared: Group | None) -> list[Section]:
    """Return how the shared model of all tasks errs, by its first seed."""
    if shared is None:
        return []
    run, items = shared.runs[0], list[Item]()
    for task in run.tasks:
        own = run.predictions(task)
        title = NAMES.get(task, task)
        if own.probabilities is not None:
            items.append(confusion(f"confusion-{slug(task)}", f"{title}: confusion", own))
            items.append(calibration(f"calibration-{slug(task)}", f"{title}: calibration", own))
        else:
            items.append(
                predicted_against_true(f"scatter-{slug(task)}", f"{title}: predicted", own)
            )
        texts = dev_texts(run, task)
        items.append(worst_errors(f"errors-{slug(task)}", f"{title}: worst errors", own, texts))
    return [Section("Errors of the shared model", [f"All three tasks, {run.name}."], items)]
