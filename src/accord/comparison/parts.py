"""A comparison as lines and tables: groups' figures, what sharing did, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from accord.comparison.against import contrast_notes
from accord.comparison.cost import shared_models
from accord.comparison.group import (
    Group,
    constant_cells,
    continual_cells,
    continual_columns,
    metric_cells,
    metric_columns,
)
from accord.comparison.notes import correction_note, evaluation_note, group_notes, sharing_cautions
from accord.comparison.sharing import SharingVerdict
from accord.comparison.words import MARKS, explanation, in_points, interval_words
from accord.showing import Part, Table

if TYPE_CHECKING:
    from accord.comparison.against import Contrast
    from accord.comparison.cost import Cost, SharedModel
    from accord.comparison.family import Comparison


def comparison_parts(comparison: Comparison, known: Sequence[str] = ()) -> Iterator[Part]:
    """Yield groups side by side, where single tasks and a shared model are among them the
    difference that sharing made, and what each group has over a baseline, if there is one; and
    other notes, one line each."""
    groups, verdicts = comparison.groups, comparison.sharing
    yield from group_parts(groups)
    if verdicts:
        yield from _sharing(verdicts)
        yield from _cost(comparison)
        yield from _notes(comparison)
    yield from (*comparison.refused, *group_notes(groups))
    if comparison.baseline is not None:
        yield from _against(comparison, comparison.baseline)
    yield from known


def group_parts(groups: Sequence[Group]) -> Iterator[Part]:
    """Yield each group's metrics on held-out rows, and what it learned and forgot where tasks come
    one after another; with the standard deviation over seeds."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    headings = [f"{name} {metric}" for name, metric in tasks.items()]
    headings += [name.replace("_", " ") for name in continual]
    table = Table(("held-out rows", "runs", *headings, "seconds", "parameters"))
    constant = [*constant_cells(groups, tuple(tasks)), *("–" for _ in continual)]
    if set(constant) != {"–"}:
        table.rows.append(("the best constant prediction", "", *constant, "", ""))
    for group in groups:
        values = [*metric_cells(group, tuple(tasks)), *continual_cells(group, continual)]
        size = f"{group.parameters / 1e6:.1f} M"
        table.rows.append(
            (group.name, str(len(group.runs)), *values, f"{group.train_seconds:.0f}", size)
        )
    yield table
    if groups:
        yield evaluation_note(groups)


def _against(comparison: Comparison, baseline: Group) -> Iterator[Part]:
    """Yield what each group has over the one that all are compared with, task by task."""
    if comparison.contrasts:
        yield from ("", f"Against {baseline.name}:")
        yield from _contrasts(comparison)
    else:
        yield "No other group has the same tasks."
    yield from contrast_notes(comparison.groups, baseline)


def _contrasts(comparison: Comparison) -> Iterator[Part]:
    contrasts, margin = comparison.contrasts, comparison.margin
    tasks = list(dict.fromkeys(each.task for each in contrasts))
    by_group: dict[str, list[Contrast]] = {}
    for each in contrasts:
        by_group.setdefault(each.group.name, []).append(each)
    table = Table(("difference, interval", "runs", *tasks))
    for name, parts in by_group.items():
        cells = [_difference_cell(each) for each in parts]
        table.rows.append((name, str(len(parts[0].difference.ours)), *cells))
    yield table
    good = "" if margin is None else f"≈ as good, within ±{in_points(margin)}; "
    yield f"▲ better; ▼ worse; {good}· learnt nothing; no mark: no difference shown."
    yield correction_note(comparison.differences)


def _difference_cell(each: Contrast) -> str:
    sign = MARKS.get(each.verdict.kind, "")
    return f"{each.difference.value:+z.3f} ({interval_words(each.verdict)}){sign}"


def _sharing(verdicts: Sequence[SharingVerdict]) -> Iterator[Part]:
    several = len({each.together.name for each in verdicts}) > 1
    columns = ["task", "metric", *["shared model"] * several]
    table = Table(
        (*columns, "constant", "alone", "together", "examples", "difference", "interval",
         "verdict"),
        left=len(columns),
    )  # fmt: skip
    for each in verdicts:
        table.rows.append((
            each.task, each.compared.metric, *[each.together.name] * several,
            f"{each.compared.constant:z.3f}", f"{each.alone.mean(each.task):z.3f}",
            f"{each.together.mean(each.task):z.3f}", _examples(each),
            f"{each.difference.value:+z.3f}", interval_words(each.verdict),
            each.verdict.kind,
        ))  # fmt: skip
    yield from ("", "Was sharing worth it?")
    yield table
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for each in verdicts:
        if line := explanation(each.difference, each.verdict):
            model = f" in {each.together.name}" if several else ""
            tasks_of.setdefault((line, model), []).append(each.task)
    for (line, model), tasks in tasks_of.items():
        yield f"{', '.join(tasks)}{model}: {line}"


def _examples(each: SharingVerdict) -> str:
    """Say how many examples of its task both sides were shown: once where they are as many."""
    alone, together = (f"{group.exposure(each.task):,.0f}" for group in (each.alone, each.together))
    return alone if alone == together else f"{alone} / {together}"


def _cost(comparison: Comparison) -> Iterator[Part]:
    measured = ["seconds per 1,000 texts"] if comparison.answering else []
    table = Table(("what it costs", "models", "parameters", "on disk", "encoder layers computed",
                   *measured, "seconds of training"))  # fmt: skip
    models = shared_models(comparison)
    for name, cost in _costs(models):
        table.rows.append((
            name, str(cost.models), f"{cost.parameters / 1e6:.1f} M",
            f"{cost.model_bytes / 1e6:.0f} MB", f"{cost.encoder_layers:.1f}",
            *("–" if cost.answer_seconds is None else f"{cost.answer_seconds:.3g}"
              for _ in measured),
            f"{cost.train_seconds:.0f}",
        ))  # fmt: skip
    yield table
    for model in models:
        name = f"{model.name}: " * (len(models) > 1)
        yield f"{name}{model.layers}"
        if model.answering is not None:
            words = model.answering.words("by the tasks alone")
            yield f"{name}answers to all tasks, measured now on this machine: {words}"


def _costs(models: Sequence[SharedModel]) -> Iterator[tuple[str, Cost]]:
    """Yield names and costs: one model, or several, whose tasks alone are named where they are
    not the same."""
    several, same_cost = len(models) > 1, len({model.alone for model in models}) == 1
    for i, model in enumerate(models):
        if i == 0 or not same_cost:
            yield ("each task alone" if same_cost else f"tasks of {model.name} alone"), model.alone
        yield (model.name if several else "together"), model.together


def _notes(comparison: Comparison) -> Iterator[Part]:
    yield correction_note(comparison.differences)
    if comparison.margin is not None:
        within = in_points(comparison.margin)
        yield f"As good: the interval lies within ±{within}, the margin."
    yield from sharing_cautions(comparison.sharing)
