"""A comparison as plain figures, from which terminal, page and JSON are made."""

from __future__ import annotations

from collections.abc import Sequence

from accord.comparison.family import Comparison
from accord.comparison.group import Group
from accord.comparison.notes import evaluation_note, group_notes, sharing_cautions
from accord.comparison.sharing import SharingVerdict, uncompared
from accord.comparison.words import seeds_words
from accord.report.comparison.result import (
    Choice,
    Cost,
    Exposure,
    SharedModel,
    SharingResult,
    Side,
    TaskComparison,
)
from accord.statistics.planning import detectable


def sharing_result(comparison: Comparison) -> SharingResult:
    """Return all that a report on sharing says."""
    groups, verdicts = comparison.groups, comparison.sharing
    notes = (evaluation_note(groups), *sharing_cautions(verdicts), *comparison.refused,
             *group_notes(groups)) if groups else ()  # fmt: skip
    return SharingResult(
        tasks=tuple(map(_task, verdicts)),
        models=shared_models(verdicts),
        correction="Holm's method, 5 % over all",
        comparisons=sum(each.seeds_known for each in comparison.differences),
        margin=comparison.margin,
        choice=_choice([each.together for each in verdicts] + [each.alone for each in verdicts]),
        notes=notes,
    )


def _choice(groups: Sequence[Group]) -> Choice:
    """Return what was chosen by dev rows: of runs of one epoch nothing."""
    configs = [run.config for group in groups for run in group.runs]
    if any(config.averaging.method == "soup" for config in configs):
        return "soup"
    several = any(config.training.epochs > 1 or config.stages for config in configs)
    return "epoch" if several else "nothing"


def _task(each: SharingVerdict) -> TaskComparison:
    difference, verdict = each.compared.difference, each.verdict
    planned = difference.seeds_known and not difference.degenerate
    return TaskComparison(
        task=each.task,
        metric=each.compared.metric,
        model=each.together.name,
        alone=_side(each.alone, each.task),
        together=_side(each.together, each.task),
        evaluated_on=each.compared.evaluated_on,
        rows=difference.rows,
        runs=(len(difference.theirs), len(difference.ours)),
        difference=difference.value,
        low=verdict.low,
        high=verdict.high,
        level=verdict.level,
        kind=verdict.kind,
        verdict=verdict.word,
        adjusted_p=verdict.p_adjusted,
        baseline=each.compared.constant,
        baseline_name=each.compared.constant_name,
        detectable=detectable(difference, verdict.level) if planned else None,
        seeds_needed=seeds_words(difference, verdict.level) if planned else None,
    )


def _side(group: Group, task: str) -> Side:
    seen = (group.exposure(task, what) for what in ("examples", "rows", "steps", "tokens"))
    return Side(group.mean(task), group.spread(task), Exposure(*seen), group.gap(task))


def shared_models(verdicts: Sequence[SharingVerdict]) -> tuple[SharedModel, ...]:
    """Return the cost of each shared model and of a model for each of its tasks."""
    shared = {each.together.name: each.together for each in verdicts}
    return tuple(
        SharedModel(
            name,
            _cost([each.alone for each in verdicts if each.together is group]),
            _cost([group]),
            tuple(uncompared(group, verdicts)),
        )
        for name, group in shared.items()
    )


def _cost(groups: Sequence[Group]) -> Cost:
    return Cost(
        models=len(groups),
        parameters=sum(group.parameters for group in groups),
        model_bytes=sum(group.model_bytes for group in groups),
        encoder_passes=sum(map(_passes, groups)),
        train_seconds=sum(group.train_seconds for group in groups),
    )


def _passes(group: Group) -> int:
    """Return the encoder's passes over a text that all tasks answer: tasks that have parts of
    their own inside the encoder take one each."""
    return len(group.tasks) if group.runs[0].config.sharing.schemes else 1
