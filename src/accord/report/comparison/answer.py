"""Whether sharing was worth it, in words: the paragraph with which the report begins."""

from __future__ import annotations

from collections.abc import Sequence

from accord.plural import count
from accord.report.comparison.result import (
    Choice,
    SharedModel,
    SharingResult,
    TaskComparison,
)
from accord.report.comparison.wording import in_points, joined, percent, points, probability
from accord.report.exposure import TOLERANCE, alike

_MOST_LISTED = 6  # differences that a sentence has room for

Tasks = Sequence[TaskComparison]


def answer(result: SharingResult) -> str:
    """Return the answer with all that qualifies it: exposure, choice of epochs, intervals,
    correction, margin and cost.

    Args:
        result: of the comparison.
    """
    if not result.tasks:
        return "There is nothing to compare: no task was trained both alone and in a shared model."
    several = len({own.model for own in result.tasks}) > 1
    missing = {model.name: model.uncompared for model in result.models}
    sentences = []
    for name in dict.fromkeys(own.model for own in result.tasks):
        tasks = result.of(name)
        left_out = missing.get(name, ())
        said = [_verdict(tasks, result.margin, len(left_out)), *_exceptions(tasks)]
        if left_out:
            said.append(f"Nothing is said of {joined(left_out)}, which could not be compared.")
        if several:
            said[0] = f"Shared model {name}: {said[0]}"
        # What puts the answer in doubt stands right after it.
        if unequal := _unequal_exposure(tasks, several):
            said.insert(1, unequal)
        sentences += [*said, _differences(tasks)]
    if not _unequal_exposure(result.tasks, several):
        sentences.append(_like_exposure(result.tasks))
    sentences += [*_choice(result), _intervals(result), _correction(result), _margin(result)]
    sentences += [_cost(own, several) for own in result.models]
    return " ".join(sentences)


def _verdict(tasks: Tasks, margin: float | None, left_out: int) -> str:
    """Answer in one sentence, by the kinds of verdict there are; tasks that were left out keep it
    from being of the whole model."""
    by_kind = {kind: [own.task for own in tasks if own.kind == kind] for kind in _KINDS}
    better, worse, as_good = by_kind["better"], by_kind["worse"], by_kind["as good"]
    same = [*as_good, *by_kind["identical"]]  # as good, and nothing gained
    within = "" if margin is None else f", within {in_points(margin)},"
    parts = [
        f"{phrase}{within if kind == 'as good' else ''} {_on(names, tasks)}"
        for kind, phrase in _KINDS.items()
        if (names := by_kind[kind])
    ]
    if not parts:
        return "The runs do not say whether sharing was worth it."
    start = _start(len(better), len(worse), len(same), len(tasks) + left_out)
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


def _on(names: Sequence[str], tasks: Tasks, every: str = "all") -> str:
    if len(names) == len(tasks) > 1:
        return f"on {every} {len(tasks)} tasks ({joined(names)})"
    return f"on {joined(names)}"


def _exceptions(tasks: Tasks) -> list[str]:
    """Return a sentence for each kind of task without a clear result."""
    sentences = []
    unclear = [own.task for own in tasks if own.kind == "no difference shown"]
    if unclear:
        sentences.append(
            f"No difference was shown {_on(unclear, tasks, 'any of the')}, which is not to say that"
            " there is none: more runs or rows could show one."
        )
    for own in tasks:
        if own.kind == "learnt nothing":
            sentences.append(_learnt_nothing(own))
    single = [own.task for own in tasks if own.kind == "one run each"]
    if single:
        sentences.append(
            f"There is no verdict {_on(single, tasks, 'any of the')}: with one run each, a"
            " difference between models can't be told from the chance in every run."
        )
    return sentences


def _learnt_nothing(own: TaskComparison) -> str:
    figures = f"{own.alone.mean:z.3f} alone and {own.together.mean:z.3f} together"
    name = f" ({own.baseline_name})" if own.baseline_name != "a constant" else ""
    return (
        f"On {own.task} nothing can be said of sharing: neither side is shown to have learnt"
        f" anything ({own.metric}: {figures}, {own.baseline:z.3f} by a constant prediction{name})."
    )


def _differences(tasks: Tasks) -> str:
    if len(tasks) <= _MOST_LISTED:
        listed = "; ".join(f"{own.task} {_difference(own)}" for own in tasks)
        return f"Together minus alone, in points (hundredths of the metric): {listed}."
    least, most = (choose(tasks, key=lambda own: own.difference) for choose in (min, max))
    return (
        f"Together minus alone reaches from {points(least.difference)} points ({least.task}) to"
        f" {points(most.difference)} ({most.task}); the first table has every task with its"
        " interval."
    )


def _difference(own: TaskComparison) -> str:
    details = [f"{points(own.low)} to {points(own.high)}"]
    if own.adjusted_p is not None:
        p = probability(own.adjusted_p)
        details.append(f"adjusted p {p if p.startswith('<') else f'= {p}'}")
    return f"{points(own.difference)} ({', '.join(details)})"


def _unequal_exposure(tasks: Tasks, several: bool) -> str:
    """Return a warning if one side saw more of a task than the other, else nothing."""
    unequal = [own for own in tasks if not alike(*_examples(own))]
    if not unequal:
        return ""
    told = "; ".join(_unequal(own, several) for own in unequal)
    return (
        f"But beware, exposure was not equal: {told}. The differences may come from more or less"
        " training, not from sharing."
    )


def _like_exposure(tasks: Tasks) -> str:
    if all(one == two for one, two in map(_examples, tasks)):
        return "Alone and together saw equally many examples of each task."
    return f"Alone and together saw equally many examples of each task, to {100 * TOLERANCE:.1f} %."


def _unequal(own: TaskComparison, several: bool) -> str:
    one, two = _examples(own)
    ratio = ""
    if one:
        fewer = f", {100 * (1 - two / one):.0f} % fewer"
        ratio = fewer if two < one else f", {two / one:.2g} times as many"
    model = f" in {own.model}" if several else ""
    return f"{own.task} saw {count(two, 'example')} together{model} and {one:,.0f} alone{ratio}"


def _examples(own: TaskComparison) -> tuple[float, float]:
    return own.alone.exposure.examples, own.together.exposure.examples


def _choice(result: SharingResult) -> list[str]:
    """Say how epochs were chosen, and by which rows they are evaluated."""
    by_rows: dict[str, list[str]] = {}
    for own in result.tasks:
        by_rows.setdefault(own.evaluated_on, []).append(own.task)
    sentences = []
    for evaluated_on, names in by_rows.items():
        which = f" of {joined(list(dict.fromkeys(names)))}" if len(by_rows) > 1 else ""
        sentences.append(_chosen(evaluated_on, which, result.choice))
    return sentences


def _chosen(evaluated_on: str, which: str, choice: Choice) -> str:
    rows = "test" if evaluated_on == "test" else "dev"
    if choice == "nothing":
        return (
            f"Each run has one epoch, so that nothing was chosen; the figures{which} are of {rows}"
            " rows."
        )
    start = {
        "epoch": "Each run's best epoch was chosen by its dev rows",
        "soup": "The epochs that are averaged, or the best one, were chosen by each run's dev rows",
    }[choice]
    if evaluated_on == "test":
        return f"{start}, and the figures{which} are of test rows, which chose nothing."
    return (
        f"{start}, and the figures{which} are cross-fitted: what one half of the dev rows chose is"
        " evaluated on the other half, so that no row evaluates its own choice."
    )


def _intervals(result: SharingResult) -> str:
    levels = sorted({own.level for own in result.tasks})
    runs = sorted({number for own in result.tasks for number in own.runs})
    level = joined([percent(own) for own in levels])
    if runs == [1]:
        return f"Intervals are at {level} and over rows alone, as each side has one run."
    least, most = runs[0], runs[-1]
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"Intervals are at {level}, over {number} runs of each side and over the rows."


def _correction(result: SharingResult) -> str:
    number = result.comparisons
    if number == 0:
        return "A verdict takes two runs of each side."
    if number == 1:
        return "There is one comparison, so nothing had to be corrected for their number."
    if not result.correction:
        return (
            f"Beware, nothing corrects for the number of comparisons: of {number} without any"
            f" difference about {0.05 * number:.1f} would show one by chance."
        )
    return f"Verdicts are corrected for {number} comparisons ({result.correction})."


def _margin(result: SharingResult) -> str:
    if result.margin is None:
        return (
            "No margin was given (--margin), so that 'as good' was no possible verdict: it takes a"
            " difference that doesn't matter."
        )
    margin = in_points(result.margin)
    return (
        f"The margin is {margin}: a model is as good as another where the interval of the"
        f" difference lies within ±{margin}."
    )


def _cost(model: SharedModel, several: bool) -> str:
    one, many = model.together, model.alone
    name = f"Shared model {model.name}" if several else "The shared model"
    seconds = f"{one.train_seconds:,.0f} s of training instead of {many.train_seconds:,.0f} s"
    return (
        f"{name} has {one.parameters / 1e6:,.1f} million parameters where {many.models} models have"
        f" {many.parameters / 1e6:,.1f} million; it takes {one.model_bytes / 1e6:,.0f} MB on disk"
        f" instead of {many.model_bytes / 1e6:,.0f} MB,"
        f" {_passes(one.encoder_passes)} for all answers instead of {many.encoder_passes:,}, and"
        f" {seconds}."
    )


def _passes(number: int) -> str:
    return "1 pass of the encoder" if number == 1 else f"{number:,} passes of the encoder"
