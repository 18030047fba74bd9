"""The report on sharing: what its first paragraph says in each case, and what its tables hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accord.comparison.answer import answer
from accord.comparison.differences import TaskDifference
from accord.comparison.family import Comparison
from accord.comparison.group import Group
from accord.comparison.sharing import SharingVerdict
from accord.comparison.sharing_page import forest_plot, sharing_sections
from accord.config.file import parse_config
from accord.model.layers_computed import LayersComputed, layers_computed
from accord.model.parts import Sharing
from accord.report.page import Table
from accord.report.record import RunRecord
from accord.report.writing import write_report
from accord.statistics.crossed import Difference
from accord.statistics.planning import detectable, seeds_needed
from accord.statistics.verdict import Verdict
from accord.tasks import Task

Make = Callable[..., Any]


@dataclass(frozen=True)
class Made(Group):
    """Runs without folders."""

    parameters: int = 110_000_000
    model_bytes: int = 440_000_000

    @property
    def layers_computed(self) -> LayersComputed:
        return layers_computed(Sharing(), list(self.runs[0].tasks.values()), 12)


@dataclass(frozen=True)
class Compared:
    """What a task's two sides are to show: its figures alone have the mean 0.71."""

    task: str
    kind: str = "better"
    difference: float = 0.012
    model: str = "all"
    examples: float = 6000.0
    runs: int = 5
    p: float | None = 0.0123
    level: float = 0.95
    on: str = "test"
    constant: str = "most frequent"
    word: str = ""

    def verdict(self, together: Group, config: dict[str, Any]) -> SharingVerdict:
        """The task alone and in a shared model."""
        alone = made(self.task, {self.task: (0.71, 6000.0)}, 0.01, 0.004, self.runs, config)
        measured = difference_of(self)
        low, high = self.difference - 0.008, self.difference + 0.008
        word = self.word or self.kind
        verdict = Verdict(self.kind, word, low, high, self.level, self.p, "")  # type: ignore[arg-type]
        both = TaskDifference(
            self.task, "accuracy", self.on, measured, 0.512, self.constant, learnt=True
        )
        return SharingVerdict(alone, together, both, verdict=verdict)


def difference_of(each: Compared) -> Difference:
    """The difference of the figures, with some chance of seeds and rows."""
    seeds, values = tuple(range(each.runs)), (0.0,) * each.runs
    return Difference(
        each.difference, 1e-5, 1e-5, 0.0, 8.0, 1000.0, seeds, seeds, values, values, 1066
    )


def made(
    name: str, tasks: dict[str, tuple[float, float]], sd: float, gap: float, runs: int,
    config: dict[str, Any], seconds: float = 280 / 3,
) -> Made:  # fmt: skip
    """Runs with such a mean, and so many examples, of each task."""
    sections = {task: {"kind": "classification", "train": "t", "text": "a"} for task in tasks}
    parsed = parse_config({"encoder": {"path": "e"}, "tasks": sections, **config})
    places = [-1.0, *[0.0] * (runs - 2), 1.0] if runs > 1 else [0.0]
    half = sd * ((runs - 1) / 2) ** 0.5  # of two values so far from the mean sd is the deviation
    exposure = {
        task: {"examples": seen, "rows": 3000, "steps": 200, "tokens": 99_000}
        for task, (_, seen) in tasks.items()
    }
    labelled = {
        task: Task(task, "classification", "cross_entropy", "accuracy", ("0", "1"))
        for task in tasks
    }
    records = []
    for place in places:
        heldout = {
            task: {"value": mean + half * place, "gap": gap, "on": "test", "rows": 1066}
            for task, (mean, _) in tasks.items()
        }
        results = {"heldout": heldout, "exposure": exposure, "train_seconds": seconds}
        records.append(RunRecord(name, Path("run"), parsed, labelled, results, {}))
    return Made(name, records)


def result(
    *tasks: Compared, margin: float | None = 0.01, uncompared: tuple[str, ...] = (), **config: Any
) -> Comparison:
    """The verdicts of tasks alone against shared models that hold these tasks, and more."""
    shared = {}
    for name in dict.fromkeys(task.model for task in tasks):
        figures = {
            task.task: (0.71 + task.difference, task.examples)
            for task in tasks if task.model == name
        } | dict.fromkeys(uncompared, (0.5, 1.0))  # fmt: skip
        group = made(name, figures, 0.02, 0.006, tasks[0].runs, config, 301.0)
        shared[name] = Made(name, group.runs, 110_400_000, 441_000_000)
    verdicts = tuple(task.verdict(shared[task.model], config) for task in tasks)
    return Comparison([], margin, verdicts)


def test_better_everywhere_was_worth_it() -> None:
    said = answer(result(Compared("a"), Compared("b"), Compared("c")))
    assert said.startswith(
        "Yes, sharing was worth it: the shared model is better on all 3 tasks (a, b and c)."
    )
    assert "a +1.2 (+0.4 to +2.0, adjusted p = 0.012)" in said
    assert "Beware" not in said
    assert "beware" not in said


def test_worse_everywhere_was_not_worth_it() -> None:
    said = answer(result(Compared("a", "worse", -0.02), Compared("b", "worse", -0.03)))
    assert said.startswith("No, sharing was not worth it in quality: the shared model is worse on")
    assert "a −2.0 (−2.8 to −1.2" in said


def test_as_good_within_the_margin() -> None:
    said = answer(result(Compared("a", "as good", 0.001), Compared("b", "as good", -0.0004)))
    assert said.startswith(
        "Yes, the shared model keeps up: it is as good as a model of the task alone, within 1.0"
        " point, on all 2 tasks (a and b)."
    )
    assert "b −0.04 (" in said
    assert "The margin is 1.0 point" in said


@pytest.mark.parametrize(
    ("kinds", "start"),
    [
        (["better", "worse"], "It depends on the task: the shared model is better on a and worse"),
        (["better", "as good"], "Yes, the shared model keeps up: it is better on a and as good"),
        (["worse", "as good"], "Not for every task: the shared model is worse on a and as good"),
        (["better", "no difference shown"], "In part: the shared model is better on a. No"),
        (["worse", "no difference shown"], "Not for every task: the shared model is worse on a."),
        (["as good", "learnt nothing"], "In part: the shared model is as good as"),
        (["identical"], "Yes, the shared model keeps up: it is identical in its predictions on a."),
        (["no difference shown"], "The runs do not say whether sharing was worth it. No diff"),
    ],
)
def test_mixed_verdicts_begin_with_what_was_found(kinds: list[str], start: str) -> None:
    tasks = [Compared(name, kind) for name, kind in zip("abc", kinds, strict=False)]
    assert answer(result(*tasks)).startswith(start)


def test_no_difference_shown_is_not_called_equal() -> None:
    said = answer(result(*(Compared(each, "no difference shown") for each in "ab"), margin=None))
    assert "No difference was shown on any of the 2 tasks (a and b), which is not to say" in said
    assert "No margin was given (--margin), so that 'as good' was no possible verdict" in said
    assert "Yes" not in said


def test_learnt_nothing_names_the_constant_prediction() -> None:
    said = answer(result(Compared("a", "learnt nothing", 0.01)))
    assert said.startswith("The runs do not say")
    assert "neither side is shown to have learnt anything" in said
    assert (
        "(accuracy: 0.710 alone and 0.720 together, 0.512 by a constant prediction (most frequent))"
    ) in said
    nameless = Compared("a", "learnt nothing", 0.01, constant="a constant")
    assert "0.512 by a constant prediction)." in answer(result(nameless))


def test_one_run_each_is_no_verdict() -> None:
    said = answer(result(Compared("a", "one run each", runs=1, p=None)))
    assert said.startswith("The runs do not say")
    assert "no verdict on a: with one run each" in said
    assert "over rows alone, as each side has one run" in said
    assert "A verdict takes two runs of each side." in said
    assert "a +1.2 (+0.4 to +2.0);" not in said
    assert "p =" not in said


def test_unequal_exposure_is_the_second_sentence() -> None:
    said = answer(result(Compared("a", examples=12_000.0), Compared("b")))
    assert said.split(". ")[1] == (
        "But beware, exposure was not equal: a had 6,000 examples alone and 12,000 in all (2.0"
        " times as many)"
    )
    assert "equally many" not in said


def test_the_warning_stands_at_the_model_that_it_is_about() -> None:
    said = answer(result(Compared("a"), Compared("a", model="pals", examples=4_000.0)))
    first, second = said.split("Shared model pals: ")[:2]
    assert "exposure" not in first
    assert "a had 6,000 examples alone and 4,000 in pals (33.3 % fewer)." in second
    assert "equally many" not in said


def test_exposure_that_is_equal_or_nearly() -> None:
    assert "Alone and together saw equally many examples" in answer(result(Compared("a")))
    # Half a per cent more: a last batch.
    said = answer(result(Compared("a", examples=6_030.0)))
    assert "equally many examples of each task, to 0.5 %." in said
    # What `exposure_notes` warns of, this does too.
    assert "exposure was not equal" in answer(result(Compared("a", examples=6_040.0)))


@pytest.mark.parametrize(
    ("on", "config", "said"),
    [
        ("test", {}, "best epoch was chosen by its dev rows, and the figures are of test"),
        ("dev, cross-fitted", {}, "no row scores a choice that it made"),
        ("dev, cross-fitted", {"averaging": {"method": "soup"}},
         "The epochs that are averaged, or the best one, were chosen"),
        ("dev, cross-fitted", {"training": {"epochs": 1}},
         "one epoch, so that nothing was chosen; the figures are"),
    ],
)  # fmt: skip
def test_how_epochs_were_chosen_and_evaluated(on: str, config: Any, said: str) -> None:
    assert said in answer(result(Compared("a", on=on), **config))


def test_a_task_that_was_not_compared_keeps_the_answer_from_being_yes() -> None:
    partly = result(Compared("a"), uncompared=("b", "c"))
    said = answer(partly)
    assert said.startswith("In part: the shared model is better on a.")
    assert "There is no verdict on b and c, which could not be compared." in said
    cost = next(
        item for section in sharing_sections(partly) for item in section.items
        if isinstance(item, Table) and item.name == "cost"
    )  # fmt: skip
    assert "without b and c" in cost.note


def test_tasks_that_are_evaluated_differently_are_told_apart() -> None:
    said = answer(result(Compared("a"), Compared("b", on="dev, cross-fitted")))
    assert "the figures of a are of test rows" in said
    assert "the figures of b are cross-fitted" in said


def test_correction_level_and_number_of_comparisons() -> None:
    said = answer(result(Compared("a", level=1 - 0.05 / 3), Compared("b", level=1 - 0.05 / 3)))
    assert "Intervals are at 98.33 %, over 5 runs of each side and over the rows." in said
    assert "corrected for 2 comparisons (Holm's method, 5 % over all)" in said
    one = "There is one comparison, so nothing had to be corrected."
    assert one in answer(result(Compared("a")))
    assert one in answer(result(Compared("a"), Compared("b", runs=1, p=None)))


def test_the_answer_ends_with_what_it_costs() -> None:
    assert answer(result(*map(Compared, "abc"))).endswith(
        "The shared model has 110.4 million parameters where 3 models have 330.0 million; it takes"
        " 441 MB on disk instead of 1,320 MB, 12.0 encoder layers computed for an answer to all"
        " tasks instead of 36.0, and 301 s of training instead of 280 s."
    )


def test_several_shared_models_are_answered_one_by_one() -> None:
    tasks = [Compared("a"), Compared("a", "worse", -0.02, model="pals")]
    said = answer(result(*tasks))
    assert "Shared model all: Yes, sharing was worth it: the shared model is better on a." in said
    assert "Shared model pals: No, sharing was not worth it" in said
    table = sharing_sections(result(*tasks))[0].items[0]
    assert isinstance(table, Table)
    assert [row[:3] for row in table.rows] == [["a", "all", "better"], ["a", "pals", "worse"]]


def test_many_tasks_are_summed_up() -> None:
    said = answer(result(*(Compared(f"t{i}", difference=i / 100) for i in range(1, 9))))
    assert "reaches from +1.0 points (t1) to +8.0 (t8)" in said


def test_nothing_to_compare() -> None:
    assert answer(Comparison([], None, ())).startswith("There is nothing to compare")
    assert sharing_sections(Comparison([], None, ())) == []


def test_the_tables_hold_what_they_were_given() -> None:
    tasks = tuple(map(Compared, "abc"))
    least = 100 * detectable(difference_of(tasks[0]), 0.95)
    seeds = f"{seeds_needed(difference_of(tasks[0]), 0.95, 0.01)} seeds"
    tables = {
        item.name: dict(zip(item.columns, item.rows[0], strict=True))
        for section in sharing_sections(result(*tasks))
        for item in section.items
        if isinstance(item, Table)
    }
    assert tables["answer"] == {
        "task": "a", "verdict": "better", "together − alone in points": "+1.2",
        "95 % interval": "+0.4 to +2.0", "adjusted p": "0.012", "runs of each": "5",
        "rows": "1,066", "detectable difference": f"{least:.1f}", "to show 1 point": seeds,
    }  # fmt: skip
    figures = tables["figures"]
    assert (figures["alone"], figures["together"]) == ("0.710 ± 0.010", "0.722 ± 0.020")
    assert (figures["constant"], figures["constant prediction"]) == ("0.512", "most frequent")
    assert (figures["selection gap alone"], figures["selection gap together"]) == ("+0.4", "+0.6")
    assert tables["exposure"]["passes over the rows"] == "2.00"
    assert list(tables["cost"].values()) == [
        "each task alone", "3", "330.0", "1,320", "36.0", "280",
    ]  # fmt: skip


def test_columns_of_which_nothing_is_known_are_left_out() -> None:
    sections = sharing_sections(result(Compared("a", p=None, runs=1)))
    columns = [
        column for s in sections for t in s.items if isinstance(t, Table) for column in t.columns
    ]
    assert not {"adjusted p", "detectable difference", "to show 1 point"} & set(columns)


def test_the_forest_plot_has_verdicts_margin_and_figures(texts_of: Make) -> None:
    good = Compared("b", "as good", 0.001, word="as good, within 1.0 point")
    text = texts_of(forest_plot(result(Compared("a"), good)))
    assert "as good, within 1.0 point" in text
    assert "within ±1, the margin" in text
    assert "accuracy: alone 0.710, together 0.722, constant 0.512" in " ".join(text.split())


@pytest.mark.slow
def test_the_report_writes_its_files(tmp_path: Path, make_run: Make) -> None:
    together = Group("together", [make_run({"sst": [0.5, 0.6], "sts": [0.5, 0.6]})])
    ours = result(Compared("a"), Compared("b"))
    curves = {together.name: together.runs}
    sections = sharing_sections(ours, curves, ["A note of its own."])
    write_report(tmp_path, "t", [answer(ours)], sections, ["png", "latex"])
    for name in ("report.html", "figures/differences.png", "figures/learning-curves.svg",
                 "tables/answer.tex", "tables/exposure.csv"):  # fmt: skip
        assert (tmp_path / name).is_file()
    page = (tmp_path / "report.md").read_text()
    assert page.index("Yes, sharing was worth it") < page.index("## ")
    assert "A note of its own" in page
    assert sections[-1].title == "Notes"
