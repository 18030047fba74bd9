"""The tables of a report on sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accord.comparison.cost import Cost, SharedModel
from accord.comparison.group import Group, plus_minus
from accord.comparison.sharing import SharingVerdict
from accord.comparison.words import (
    interval_in_points,
    joined,
    percent,
    points,
    probability,
    runs_of_each,
    seeds_words,
)
from accord.report.page import Table
from accord.statistics.planning import detectable

Verdicts = Sequence[SharingVerdict]
_NONE = "–"


def answer_table(verdicts: Verdicts) -> Table:
    """Return each task's verdict, its difference and interval, and what more runs would show."""
    levels = {each.verdict.level for each in verdicts}
    interval = f"{percent(min(levels))} interval" if len(levels) == 1 else "interval"
    rows = [
        {
            "task": each.task,
            "shared model": each.model,
            "verdict": each.verdict.word,
            "together − alone in points": points(each.difference.value),
            interval: interval_in_points(each.verdict),
            "level": percent(each.verdict.level) if len(levels) > 1 else _NONE,
            "adjusted p": probability(each.verdict.p_adjusted),
            "runs of each": runs_of_each(each.runs),
            "rows": f"{each.difference.rows:,}",
            "detectable difference": _detectable(each),
            "to show 1 point": seeds_words(each.difference, each.verdict.level),
        }
        for each in verdicts
    ]
    notes = {
        "detectable difference": "A detectable difference, in points, is the smallest true one that"
        " as many runs would show 4 times in 5.",
        "to show 1 point": "The last column is what would show a true difference of 1 point 4 times"
        " in 5.",
    }
    return _table("answer", "Was sharing worth it?", rows, 3, notes=notes)


def figures_table(verdicts: Verdicts) -> Table:
    """Return the figures of both sides with what a constant prediction reaches, the examples they
    saw, and the rows that they are evaluated by."""
    rows = [
        {
            "task": each.task,
            "shared model": each.model,
            "metric": each.compared.metric,
            "figures are of": each.compared.evaluated_on,
            "constant prediction": each.compared.constant_name,
            "alone": plus_minus(each.alone.mean(each.task), each.alone.spread(each.task)),
            "together": plus_minus(each.together.mean(each.task), each.together.spread(each.task)),
            "constant": f"{each.compared.constant:z.3f}",
            "examples alone": f"{each.alone.exposure(each.task):,.0f}",
            "examples together": f"{each.together.exposure(each.task):,.0f}",
            "selection gap alone": points(each.alone.gap(each.task)),
            "selection gap together": points(each.together.gap(each.task)),
            "rows": f"{each.difference.rows:,}",
            "runs": runs_of_each(each.runs),
        }
        for each in verdicts
    ]
    note = (
        "Means and standard deviations over runs. The constant is what the constant prediction"
        " reaches. A selection gap, in points, is by how much the figure of the chosen epoch is too"
        " good on the rows that chose it."
    )
    return _table("figures", "Figures of both sides", rows, 5, note)


def cost_table(models: Sequence[SharedModel]) -> Table:
    """Return what a model for each task costs, and what each shared model does."""
    rows = []
    for model in models:
        name = f" ({model.name})" if len(models) > 1 else ""
        rows.append({"models": f"each task alone{name}", **_cost(model.alone)})
        rows.append({"models": f"together{name}", **_cost(model.together)})
    layers = [
        f"together{f' ({model.name})' * (len(models) > 1)} {model.layers.by_input()}"
        for model in models
    ]
    note = (
        "Encoder layers are those computed for an answer to all tasks: each text or pair is encoded"
        " once up to the first layer from which tasks differ, and from there once for each way that"
        f" they go; {'; '.join(layers)}. Seconds of training are of all models of a row, one run"
        " of each: the mean over runs."
    )
    for model in models:
        if model.answering is not None:
            name = f" of {model.name}" * (len(models) > 1)
            words = model.answering.words("by the tasks alone")
            note += f" Answers to all tasks{name}, measured as this was written: {words}."
    if left_out := {task for model in models for task in model.uncompared}:
        note += f" 'Each task alone' is without {joined(sorted(left_out))}, which no run had alone."
    return _table("cost", "What it costs", rows, 1, note)


def exposure_table(verdicts: Verdicts) -> Table:
    """Return what each side was shown of each task."""
    rows = [
        {
            "task": each.task,
            "shared model": each.model,
            "side": name,
            **_exposure(side, each.task),
        }
        for each in verdicts
        for name, side in (("alone", each.alone), ("together", each.together))
    ]
    return _table("exposure", "What each side was shown", rows, 3, "Means over runs.")


def _table(
    name: str, title: str, rows: Sequence[Mapping[str, str]], left: int, note: str = "",
    notes: Mapping[str, str] | None = None,
) -> Table:  # fmt: skip
    """Make a table without columns of which nothing is known, and without the shared model's name
    where there is only one.

    Args:
        rows: a cell by the name of its column.
        left: how many of the first columns are text.
        notes: more of them, each on a column.
    """
    cells = {column: [row[column] for row in rows] for column in rows[0]}
    columns = [
        column for column, values in cells.items()
        if set(values) != {_NONE} and (column != "shared model" or len(set(values)) > 1)
    ]  # fmt: skip
    all_notes = [note, *(text for column, text in (notes or {}).items() if column in columns)]
    return Table(
        name, title, columns, [[row[column] for column in columns] for row in rows],
        sum(column in columns for column in list(cells)[:left]), " ".join(filter(None, all_notes)),
    )  # fmt: skip


def _detectable(each: SharingVerdict) -> str:
    difference = each.difference
    if not difference.seeds_known or difference.degenerate:
        return _NONE
    return points(detectable(difference, each.verdict.level), sign=False)


def _cost(cost: Cost) -> dict[str, str]:
    return {
        "number": f"{cost.models:,}",
        "million parameters": f"{cost.parameters / 1e6:,.1f}",
        "MB on disk": f"{cost.model_bytes / 1e6:,.0f}",
        "encoder layers computed": f"{cost.encoder_layers:.1f}",
        "seconds per 1,000 texts": _NONE
        if cost.answer_seconds is None
        else f"{cost.answer_seconds:.3g}",
        "seconds of training": f"{cost.train_seconds:,.0f}",
    }


def _exposure(side: Group, task: str) -> dict[str, str]:
    seen = {what: side.exposure(task, what) for what in ("rows", "examples", "steps", "tokens")}
    return {
        "training rows": f"{seen['rows']:,.0f}",
        "examples seen": f"{seen['examples']:,.0f}",
        "passes over the rows": f"{seen['examples'] / seen['rows']:.2f}",
        "steps": f"{seen['steps']:,.0f}",
        "tokens read": f"{seen['tokens']:,.0f}",
    }
