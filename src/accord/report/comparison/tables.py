"""The tables of a report on sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accord.report.comparison.result import Cost, Exposure, SharingResult, Side, TaskComparison
from accord.report.comparison.wording import (
    joined,
    percent,
    points,
    probability,
    runs_of_each,
)
from accord.report.page import Table

_NONE = "–"


def answer_table(result: SharingResult) -> Table:
    """Return each task's verdict, its difference and interval, and what more runs would show."""
    models, levels = _several(result), list({own.level for own in result.tasks})
    one = len(levels) == 1
    columns = [
        "task", *["shared model"] * models, "verdict", "together − alone in points",
        f"{percent(levels[0])} interval" if one else "interval", *["level"] * (not one),
        "adjusted p", "runs of each", "rows", "detectable difference", "to show 1 point",
    ]  # fmt: skip
    rows = [
        [
            own.task, *[own.model] * models, own.verdict, points(own.difference), _interval(own),
            *[percent(own.level)] * (not one), probability(own.adjusted_p), runs_of_each(own.runs),
            f"{own.rows:,}",
            _NONE if own.detectable is None else points(own.detectable, sign=False),
            own.seeds_needed or _NONE,
        ]
        for own in result.tasks
    ]  # fmt: skip
    notes = {
        "detectable difference": "A detectable difference, in points, is the smallest true one that"
        " as many runs would show 4 times in 5.",
        "to show 1 point": "The last column is what would show a true difference of 1 point 4 times"
        " in 5.",
    }
    return _filled(Table("answer", "Was sharing worth it?", columns, rows, 2 + models), notes)


def figures_table(result: SharingResult) -> Table:
    """Return the figures of both sides with what a constant prediction reaches, the examples they
    saw, and the rows that they are evaluated by."""
    models = _several(result)
    columns = [
        "task", *["shared model"] * models, "metric", "figures are of", "constant prediction",
        "alone", "together", "constant", "examples alone", "examples together",
        "selection gap alone", "selection gap together", "rows", "runs",
    ]  # fmt: skip
    rows = [
        [
            own.task, *[own.model] * models, own.metric, own.evaluated_on,
            own.baseline_name, _figure(own.alone), _figure(own.together),
            f"{own.baseline:z.3f}",
            _examples(own.alone), _examples(own.together), _gap(own.alone), _gap(own.together),
            f"{own.rows:,}", runs_of_each(own.runs),
        ]
        for own in result.tasks
    ]  # fmt: skip
    note = (
        "Means and standard deviations over runs. The constant is what the constant prediction"
        " reaches. A selection gap, in points, is by how much the figure of the chosen epoch is too"
        " good on the rows that chose it."
    )
    return _filled(Table("figures", "Figures of both sides", columns, rows, 4 + models, note))


def cost_table(result: SharingResult) -> Table:
    """Return what a model for each task costs, and what each shared model does."""
    several = len(result.models) > 1
    columns = [
        "models", "number", "million parameters", "MB on disk",
        "encoder passes for all answers", "seconds of training",
    ]  # fmt: skip
    rows = []
    for model in result.models:
        name = f" ({model.name})" if several else ""
        rows.append([f"each task alone{name}", *_cost(model.alone)])
        rows.append([f"together{name}", *_cost(model.together)])
    note = (
        "Seconds are of all models of a row, one run of each: the mean over runs. Tasks with parts"
        " of their own inside the encoder take a pass each."
    )
    if left_out := {task for model in result.models for task in model.uncompared}:
        note += f" 'Each task alone' is without {joined(sorted(left_out))}, which no run had alone."
    return Table("cost", "What it costs", columns, rows, 1, note)


def exposure_table(result: SharingResult) -> Table:
    """Return what each side was shown of each task."""
    models = _several(result)
    columns = [
        "task", *["shared model"] * models, "side", "training rows", "examples seen",
        "passes over the rows", "steps", "tokens read",
    ]  # fmt: skip
    rows = [
        [own.task, *[own.model] * models, name, *_exposure(side.exposure)]
        for own in result.tasks
        for name, side in (("alone", own.alone), ("together", own.together))
    ]
    return _filled(
        Table("exposure", "What each side was shown", columns, rows, 2 + models, "Means over runs.")
    )


def _several(result: SharingResult) -> int:
    """Return 1 where the shared model has to be named, else 0."""
    return int(len({own.model for own in result.tasks}) > 1)


def _filled(table: Table, notes: Mapping[str, str] | None = None) -> Table:
    """Leave out columns in which nothing is known, and the notes on these, by their columns."""
    kept = [
        i for i in range(len(table.columns))
        if not table.rows or any(row[i] != _NONE for row in table.rows)
    ]  # fmt: skip
    return Table(
        table.name, table.title, [table.columns[i] for i in kept],
        [[row[i] for i in kept] for row in table.rows],
        sum(i < table.left for i in kept),
        " ".join([
            *filter(None, [table.note]),
            *(note for name, note in (notes or {}).items()
              if name in (table.columns[i] for i in kept)),
        ]),
    )  # fmt: skip


def _interval(own: TaskComparison) -> str:
    return f"{points(own.low)} to {points(own.high)}"


def _figure(side: Side) -> str:
    return f"{side.mean:z.3f}" + ("" if side.sd is None else f" ± {side.sd:z.3f}")


def _examples(side: Side) -> str:
    return f"{side.exposure.examples:,.0f}"


def _gap(side: Side) -> str:
    return points(side.selection_gap)


def _cost(cost: Cost) -> Sequence[str]:
    return (
        f"{cost.models:,}", f"{cost.parameters / 1e6:,.1f}", f"{cost.model_bytes / 1e6:,.0f}",
        f"{cost.encoder_passes:,}", f"{cost.train_seconds:,.0f}",
    )  # fmt: skip


def _exposure(own: Exposure) -> list[str]:
    return [
        f"{own.rows:,.0f}", f"{own.examples:,.0f}", f"{own.examples / own.rows:.2f}",
        f"{own.steps:,.0f}", f"{own.tokens:,.0f}",
    ]  # fmt: skip
