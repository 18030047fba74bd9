"""The report on sharing: what its first paragraph says in each case, and what its tables hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accord.report.comparison.answer import answer
from accord.report.comparison.page import forest_plot, sharing_report, sharing_sections
from accord.report.comparison.result import (
    Cost,
    Exposure,
    SharedModel,
    SharingResult,
    Side,
    TaskComparison,
)
from accord.report.page import Table

Make = Callable[..., Any]
MODEL = SharedModel("all", Cost(3, 330_000_000, 1_320_000_000, 3, 280.0),
                    Cost(1, 110_400_000, 441_000_000, 1, 301.0))  # fmt: skip


def compared(task: str, kind: str = "better", difference: float = 0.012, **more: Any) -> Any:
    """A task of two sides that saw as much."""
    seen = Exposure(6000.0, 3000.0, 200.0, 99_000.0)
    own = TaskComparison(
        task, "accuracy", "all", Side(0.71, 0.01, seen, 0.004),
        Side(0.71 + difference, 0.02, seen, 0.006), "test", 1066, (5, 5), difference,
        difference - 0.008, difference + 0.008, 0.95, kind, kind, 0.512, "most frequent", 0.0123,
    )  # fmt: skip
    return replace(own, **more)


def together(examples: float) -> Side:
    """A shared side that saw so many examples."""
    return Side(0.72, 0.01, Exposure(examples, 3000.0, 200.0, 99_000.0), 0.006)


def result(*tasks: TaskComparison, **more: Any) -> SharingResult:
    own = SharingResult(tasks, (MODEL,), "Holm", len(tasks), 0.01)
    return replace(own, **more)


def test_better_everywhere_was_worth_it() -> None:
    said = answer(result(compared("a"), compared("b"), compared("c")))
    assert said.startswith(
        "Yes, sharing was worth it: the shared model is better on all 3 tasks (a, b and c)."
    )
    assert "a +1.2 (+0.4 to +2.0, adjusted p = 0.012)" in said
    assert "Beware" not in said
    assert "beware" not in said


def test_worse_everywhere_was_not_worth_it() -> None:
    said = answer(result(compared("a", "worse", -0.02), compared("b", "worse", -0.03)))
    assert said.startswith("No, sharing was not worth it in quality: the shared model is worse on")
    assert "a −2.0 (−2.8 to −1.2" in said


def test_as_good_within_the_margin() -> None:
    said = answer(result(compared("a", "as good", 0.001), compared("b", "as good", -0.0004)))
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
    tasks = [compared(name, kind) for name, kind in zip("abc", kinds, strict=False)]
    assert answer(result(*tasks)).startswith(start)


def test_no_difference_shown_is_not_called_equal() -> None:
    said = answer(result(*(compared(own, "no difference shown") for own in "ab"), margin=None))
    assert "No difference was shown on any of the 2 tasks (a and b), which is not to say" in said
    assert "No margin was given (--margin), so that 'as good' was no possible verdict" in said
    assert "Yes" not in said


def test_learnt_nothing_names_the_constant_prediction() -> None:
    said = answer(result(compared("a", "learnt nothing", 0.01)))
    assert said.startswith("The runs do not say")
    assert "neither side is shown to have learnt anything" in said
    assert (
        "(accuracy: 0.710 alone and 0.720 together, 0.512 by a constant prediction (most frequent))"
    ) in said
    nameless = compared("a", "learnt nothing", 0.01, baseline_name="a constant")
    assert "0.512 by a constant prediction)." in answer(result(nameless))


def test_one_run_each_is_no_verdict() -> None:
    said = answer(
        result(compared("a", "one run each", runs=(1, 1), adjusted_p=None), comparisons=0)
    )
    assert said.startswith("The runs do not say")
    assert "no verdict on a: with one run each" in said
    assert "over rows alone, as each side has one run" in said
    assert "A verdict takes two runs of each side." in said
    assert "a +1.2 (+0.4 to +2.0);" not in said
    assert "p =" not in said


def test_unequal_exposure_is_the_second_sentence() -> None:
    more = together(12_000.0)
    said = answer(result(compared("a", together=more), compared("b")))
    assert said.split(". ")[1] == (
        "But beware, exposure was not equal: a saw 12,000 examples together and 6,000 alone, 2"
        " times as many"
    )
    assert "equally many" not in said


def test_the_warning_stands_at_the_model_that_it_is_about() -> None:
    fewer = together(4_000.0)
    tasks = [compared("a"), compared("a", model="pals", together=fewer)]
    said = answer(result(*tasks, models=(MODEL, replace(MODEL, name="pals"))))
    first, second = said.split("Shared model pals: ")[:2]
    assert "exposure" not in first
    assert "a saw 4,000 examples together in pals and 6,000 alone, 33 % fewer." in second
    assert "equally many" not in said


def test_exposure_that_is_equal_or_nearly() -> None:
    assert "Alone and together saw equally many examples" in answer(result(compared("a")))
    nearly = together(6_030.0)  # half a per cent more: a last batch
    said = answer(result(compared("a", together=nearly)))
    assert "equally many examples of each task, to 0.5 %." in said
    more = together(6_040.0)  # what `exposure_notes` warns of, this does too
    assert "exposure was not equal" in answer(result(compared("a", together=more)))


@pytest.mark.parametrize(
    ("evaluated_on", "choice", "said"),
    [
        ("test", "epoch", "best epoch was chosen by its dev rows, and the figures are of test"),
        ("dev, cross-fitted", "epoch", "no row evaluates its own choice"),
        ("dev, cross-fitted", "soup", "The epochs that are averaged, or the best one, were chosen"),
        ("dev, cross-fitted", "nothing", "one epoch, so that nothing was chosen; the figures are"),
    ],
)
def test_how_epochs_were_chosen_and_evaluated(evaluated_on: str, choice: str, said: str) -> None:
    assert said in answer(result(compared("a", evaluated_on=evaluated_on), choice=choice))


def test_a_task_that_was_not_compared_keeps_the_answer_from_being_yes() -> None:
    model = replace(MODEL, uncompared=("b", "c"))
    said = answer(result(compared("a"), models=(model,)))
    assert said.startswith("In part: the shared model is better on a.")
    assert "Nothing is said of b and c, which could not be compared." in said
    cost = next(item for section in sharing_sections(result(compared("a"), models=(model,)))
                for item in section.items if item.name == "cost")  # fmt: skip
    assert "without b and c" in cost.note


def test_tasks_that_are_evaluated_differently_are_told_apart() -> None:
    said = answer(result(compared("a"), compared("b", evaluated_on="dev, cross-fitted")))
    assert "the figures of a are of test rows" in said
    assert "the figures of b are cross-fitted" in said


def test_correction_level_and_number_of_comparisons() -> None:
    said = answer(result(compared("a", level=1 - 0.05 / 3), compared("b", level=1 - 0.05 / 3)))
    assert "Intervals are at 98.33 %, over 5 runs of each side and over the rows." in said
    assert "corrected for 2 comparisons (Holm)" in said
    assert "nothing had to be corrected" in answer(result(compared("a")))
    bare = answer(result(compared("a"), compared("b"), correction="", comparisons=4))
    assert "of 4 without any difference about 0.2 would show one by chance" in bare


def test_the_answer_ends_with_what_it_costs() -> None:
    assert answer(result(compared("a"))).endswith(
        "The shared model has 110.4 million parameters where 3 models have 330.0 million; it takes"
        " 441 MB on disk instead of 1,320 MB, 1 pass of the encoder for all answers instead of 3,"
        " and 301 s of training instead of 280 s."
    )


def test_several_shared_models_are_answered_one_by_one() -> None:
    tasks = [compared("a"), compared("a", "worse", -0.02, model="pals")]
    pals = replace(MODEL, name="pals")
    said = answer(result(*tasks, models=(MODEL, pals)))
    assert "Shared model all: Yes, sharing was worth it: the shared model is better on a." in said
    assert "Shared model pals: No, sharing was not worth it" in said
    table = sharing_sections(result(*tasks, models=(MODEL, pals)))[0].items[0]
    assert isinstance(table, Table)
    assert [row[:3] for row in table.rows] == [["a", "all", "better"], ["a", "pals", "worse"]]


def test_many_tasks_are_summed_up() -> None:
    said = answer(result(*(compared(f"t{i}", difference=i / 100) for i in range(1, 9))))
    assert "reaches from +1.0 points (t1) to +8.0 (t8)" in said


def test_nothing_to_compare() -> None:
    assert answer(SharingResult((), ())).startswith("There is nothing to compare")
    assert sharing_sections(SharingResult((), ())) == []


def test_the_tables_hold_what_they_were_given() -> None:
    tasks = (compared("a", detectable=0.008, seeds_needed="9"), compared("b"))
    tables = {
        item.name: dict(zip(item.columns, item.rows[0], strict=True))
        for section in sharing_sections(result(*tasks))
        for item in section.items
        if isinstance(item, Table)
    }
    assert tables["answer"] == {
        "task": "a", "verdict": "better", "together − alone in points": "+1.2",
        "95 % interval": "+0.4 to +2.0", "adjusted p": "0.012", "runs of each": "5",
        "rows": "1,066", "detectable difference": "0.8", "to show 1 point": "9",
    }  # fmt: skip
    figures = tables["figures"]
    assert (figures["alone"], figures["together"]) == ("0.710 ± 0.010", "0.722 ± 0.020")
    assert (figures["constant"], figures["constant prediction"]) == ("0.512", "most frequent")
    assert (figures["selection gap alone"], figures["selection gap together"]) == ("+0.4", "+0.6")
    assert tables["exposure"]["passes over the rows"] == "2.00"
    assert list(tables["cost"].values()) == ["each task alone", "3", "330.0", "1,320", "3", "280"]


def test_columns_of_which_nothing_is_known_are_left_out() -> None:
    sections = sharing_sections(result(compared("a", adjusted_p=None, detectable=None)))
    columns = [own for s in sections for t in s.items if isinstance(t, Table) for own in t.columns]
    assert not {"adjusted p", "detectable difference", "to show 1 point"} & set(columns)


def test_the_forest_plot_has_verdicts_margin_and_figures(texts_of: Make) -> None:
    good = compared("b", "as good", 0.001, verdict="as good, within 1.0 point")
    text = texts_of(forest_plot(result(compared("a"), good)))
    assert "as good, within 1.0 point" in text
    assert "within ±1, the margin" in text
    assert "accuracy: alone 0.710, together 0.722, constant 0.512" in " ".join(text.split())


def test_the_report_writes_its_files(tmp_path: Path, make_run: Make) -> None:
    run = make_run({"sst": [0.5, 0.6]})
    own = result(compared("a"), compared("b"), notes=("A note of its own.",))
    sections = sharing_report(tmp_path, own, {"alone": [run]}, ["png", "latex"])
    for name in ("report.html", "figures/differences.png", "figures/learning-curves.svg",
                 "tables/answer.tex", "tables/exposure.csv"):  # fmt: skip
        assert (tmp_path / name).is_file()
    page = (tmp_path / "report.md").read_text()
    assert page.index("Yes, sharing was worth it") < page.index("## ")
    assert "A note of its own" in page
    assert sections[-1].title == "Notes"
