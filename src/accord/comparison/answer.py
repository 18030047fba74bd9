"""Whether sharing was worth it, in words: the paragraph with which the report begins."""

from __future__ import annotations

from collections.abc import Sequence

from accord.comparison.cost import SharedModel, shared_models
from accord.comparison.exposure import TOLERANCE, exposure_words
from accord.comparison.family import Comparison
from accord.comparison.sharing import SharingVerdict
from accord.comparison.words import (
    in_points,
    interval_in_points,
    joined,
    percent,
    points,
    probability,
)
from accord.evaluation.heldout import ON_TEST

_MOST_LISTED = 6  # differences that a sentence has room for

Verdicts = Sequence[SharingVerdict]


def answer(comparison: Comparison) -> str:
    """Return the answer with all that qualifies it: exposure, choice of epochs, intervals,
    correction, margin and cost."""
    verdicts = comparison.sharing
    if not verdicts:
        return "There is nothing to compare: no task was trained both alone and in a shared model."
    models = shared_models(comparison)
    several = len(models) > 1
    sentences = []
    for model in models:
        of_model = [each for each in verdicts if each.model == model.name]
        of_shared = [
            _verdict(of_model, comparison.margin, len(model.uncompared)),
            *_exceptions(of_model),
        ]
        if model.uncompared:
            of_shared.append(
                f"There is no verdict on {joined(model.uncompared)}, which could not be compared."
            )
        if several:
            of_shared[0] = f"Shared model {model.name}: {of_shared[0]}"
        # What puts the answer in doubt stands right after it.
        of_shared[1:1] = _unequal_exposure(of_model)
        sentences += [*of_shared, _differences(of_model)]
    sentences += [
        *_like_exposure(verdicts), *_choice(verdicts), _intervals(verdicts),
        _correction(comparison.corrected), _margin(comparison.margin),
        *(_cost(model, several) for model in models),
    ]  # fmt: skip
    return " ".join(sentences)


def _verdict(verdicts: Verdicts, margin: float | None, left_out: int) -> str:
    """Answer in one sentence, by the kinds of verdict there are; tasks that were left out keep it
    from being of the whole model."""
    by_kind = {kind: _tasks(verdicts, kind) for kind in _KINDS}
    better, worse, as_good = by_kind["better"], by_kind["worse"], by_kind["as good"]
    same = [*as_good, *by_kind["identical"]]  # as good, and nothing gained
    within = "" if margin is None else f", within {in_points(margin)},"
    parts = [
        f"{phrase}{within if kind == 'as good' else ''} {_on(names, verdicts)}"
        for kind, phrase in _KINDS.items()
        if (names := by_kind[kind])
    ]
    if not parts:
        return "The runs do not say whether sharing was worth it."
    start = _start(len(better), len(worse), len(same), len(verdicts) + left_out)
    return f"{start} {joined(parts)}."


def _start(better: int, worse: int, same: int, tasks: int) -> str:
    """Return how the answer begins, by how many of the tasks are of a kind."""
    if better == tasks:
        return "Yes, sharing was worth it: the shared model is"
    if worse == tasks:
        return "No, sharing was not worth it in quality: the shared model is"
    if better + same == tasks:
        return "Yes, the shared model keeps up: it is"
    if better and worse:
        return "It depends on the task: the shared model is"
    return f"{'Not for every task' if worse else 'In part'}: the shared model is"


_KINDS = {
    "better": "better",
    "worse": "worse",
    "as good": "as good as a model of the task alone",
    "identical": "identical in its predictions",
}
"""Kinds that say something of the shared model, with what they say."""


def _tasks(verdicts: Verdicts, kind: str) -> list[str]:
    return [each.task for each in verdicts if each.verdict.kind == kind]


def _on(names: Sequence[str], verdicts: Verdicts, every: str = "all") -> str:
    if len(names) == len(verdicts) > 1:
        return f"on {every} {len(verdicts)} tasks ({joined(names)})"
    return f"on {joined(names)}"


def _exceptions(verdicts: Verdicts) -> list[str]:
    """Return a sentence for each kind of task without a clear result."""
    sentences = []
    if unclear := _tasks(verdicts, "no difference shown"):
        sentences.append(
            f"No difference was shown {_on(unclear, verdicts, 'any of the')}, which is not to say"
            " that there is none: more runs or rows could show one."
        )
    sentences += [
        _learnt_nothing(each) for each in verdicts if each.verdict.kind == "learnt nothing"
    ]
    if single := _tasks(verdicts, "one run each"):
        sentences.append(
            f"There is no verdict {_on(single, verdicts, 'any of the')}: with one run each, a"
            " difference between models can't be distinguished from chance variation between runs."
        )
    return sentences


def _learnt_nothing(each: SharingVerdict) -> str:
    task, compared = each.task, each.compared
    figures = f"{each.alone.mean(task):z.3f} alone and {each.together.mean(task):z.3f} together"
    name = f" ({compared.constant_name})" if compared.constant_name != "a constant" else ""
    return (
        f"On {task} nothing can be concluded about sharing: neither side is shown to have"
        f" learnt anything ({compared.metric}: {figures}, {compared.constant:z.3f} by a constant"
        f" prediction{name})."
    )


def _differences(verdicts: Verdicts) -> str:
    if len(verdicts) <= _MOST_LISTED:
        listed = "; ".join(f"{each.task} {_difference(each)}" for each in verdicts)
        return f"Together minus alone, in points (hundredths of the metric): {listed}."
    least, most = (
        choose(verdicts, key=lambda each: each.difference.value) for choose in (min, max)
    )
    return (
        f"Together minus alone reaches from {points(least.difference.value)} points ({least.task})"
        f" to {points(most.difference.value)} ({most.task}); the first table has every task with"
        " its interval."
    )


def _difference(each: SharingVerdict) -> str:
    details = [interval_in_points(each.verdict)]
    if each.verdict.p_adjusted is not None:
        p = probability(each.verdict.p_adjusted)
        details.append(f"adjusted p {p if p.startswith('<') else f'= {p}'}")
    return f"{points(each.difference.value)} ({', '.join(details)})"


def _unequal_exposure(verdicts: Verdicts) -> list[str]:
    """Return a warning if one side saw more of a task than the other."""
    unequal = list(filter(None, map(exposure_words, verdicts)))
    return [
        f"But beware, exposure was not equal: {'; '.join(unequal)}. The differences may come from"
        " more or less training, not from sharing."
    ] if unequal else []  # fmt: skip


def _like_exposure(verdicts: Verdicts) -> list[str]:
    if _unequal_exposure(verdicts):
        return []
    same = all(each.alone.exposure(each.task) == each.together.exposure(each.task)
               for each in verdicts)  # fmt: skip
    nearly = "" if same else f", to {100 * TOLERANCE:.1f} %"
    return [f"Alone and together saw equally many examples of each task{nearly}."]


def _choice(verdicts: Verdicts) -> list[str]:
    """Say how epochs were chosen, and by which rows they are evaluated."""
    by_rows: dict[str, list[str]] = {}
    for each in verdicts:
        by_rows.setdefault(each.compared.evaluated_on, []).append(each.task)
    start = _chosen(verdicts)
    sentences = []
    for evaluated_on, names in by_rows.items():
        which = f" of {joined(list(dict.fromkeys(names)))}" if len(by_rows) > 1 else ""
        if start is None:
            rows = "test" if evaluated_on == ON_TEST else "dev"
            sentence = (
                f"Each run has one epoch, so that nothing was chosen; the figures{which} are of"
                f" {rows} rows."
            )
        elif evaluated_on == ON_TEST:
            sentence = f"{start}, and the figures{which} are of test rows, which chose nothing."
        else:
            sentence = (
                f"{start}, and the figures{which} are cross-fitted: what one half of the dev rows"
                " chose is evaluated on the other half, so no row scores a choice that it made."
            )
        sentences.append(sentence)
    return sentences


def _chosen(verdicts: Verdicts) -> str | None:
    """Say what was chosen by dev rows: of runs of one epoch nothing, None."""
    groups = [group for each in verdicts for group in (each.alone, each.together)]
    configs = [run.config for group in groups for run in group.runs]
    if any(config.averaging.method == "soup" for config in configs):
        return "The epochs that are averaged, or the best one, were chosen by each run's dev rows"
    if any(config.training.epochs > 1 or config.stages for config in configs):
        return "Each run's best epoch was chosen by its dev rows"
    return None


def _intervals(verdicts: Verdicts) -> str:
    levels = sorted({each.verdict.level for each in verdicts})
    runs = sorted({number for each in verdicts for number in each.runs})
    level = joined([percent(each) for each in levels])
    if runs == [1]:
        return f"Intervals are at {level} and over rows alone, as each side has one run."
    least, most = runs[0], runs[-1]
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"Intervals are at {level}, over {number} runs of each side and over the rows."


def _correction(number: int) -> str:
    if number == 0:
        return "A verdict takes two runs of each side."
    if number == 1:
        return "There is one comparison, so nothing had to be corrected."
    return f"Verdicts are corrected for {number} comparisons (Holm's method, 5 % over all)."


def _margin(margin: float | None) -> str:
    if margin is None:
        return (
            "No margin was given (--margin), so that 'as good' was no possible verdict: it takes a"
            " difference that doesn't matter."
        )
    within = in_points(margin)
    return (
        f"The margin is {within}: a model is as good as another where the interval of the"
        f" difference lies within ±{within}."
    )


def _cost(model: SharedModel, several: bool) -> str:
    one, many = model.together, model.alone
    name = f"Shared model {model.name}" if several else "The shared model"
    seconds = f"{one.train_seconds:,.0f} s of training instead of {many.train_seconds:,.0f} s"
    return (
        f"{name} has {one.parameters / 1e6:,.1f} million parameters where {many.models} models have"
        f" {many.parameters / 1e6:,.1f} million; it takes {one.model_bytes / 1e6:,.0f} MB on disk"
        f" instead of {many.model_bytes / 1e6:,.0f} MB,"
        f" {one.encoder_layers:.1f} encoder layers computed for an answer to all tasks instead of"
        f" {many.encoder_layers:.1f}, and {seconds}."
    )
