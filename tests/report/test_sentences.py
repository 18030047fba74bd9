"""What each figure says of data made by hand."""

import re
from collections.abc import Callable
from typing import Any

import pytest

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

Make = Callable[..., Any]


# Learning curves


def test_the_highest_mean_over_a_groups_runs(make_run: Make, make_steps: Make) -> None:
    a = make_run({"sst": [0.5, 0.7, 0.6]}, steps=make_steps(6, "sst"))
    b = make_run({"sst": [0.5, 0.5, 0.7]}, steps=make_steps(6, "sst"))
    figure = learning_curves("c", "t", {"both": [a, b], "one": [a]})
    assert "sst accuracy 0.700 (one, epoch 2)" in figure.sentence
    assert "lowest to its highest run" in figure.sentence
    figure = learning_curves("c", "t", {"both": [a, b]})
    assert "sst accuracy 0.650 (both, epoch 3)" in figure.sentence


def test_one_run_of_one_epoch_has_no_band(make_run: Make) -> None:
    lines = [{"losses": {"sst": None}}, {"losses": {"sst": 0.5}}]
    figure = learning_curves("c", "t", {"g": [make_run({"sst": [0.25]}, steps=lines)]})
    assert "sst accuracy 0.250 (g, epoch 1); every group is a single run" in figure.sentence
    assert "PolyCollection" not in figure.svg


def test_groups_may_have_different_tasks(make_run: Make) -> None:
    one, other = make_run({"sst": [0.5]}), make_run({"sts": [0.5]})
    figure = learning_curves("c", "t", {"a": [one], "b": [other]})
    assert "sst accuracy 0.500 (a, epoch 1); sts pearson 0.500 (b, epoch 1)" in figure.sentence


def test_no_run_is_said_so() -> None:
    assert learning_curves("c", "t", {}).sentence == "There is no run to draw."


# Cosines


def test_means_and_shares_of_all_steps_of_all_runs(make_run: Make, make_steps: Make) -> None:
    metrics = {"sst": [0.5], "quora": [0.5], "sts": [0.5]}
    lines = make_steps(4, "sst", "quora", "sts")
    for line, cosine in zip(lines, [-0.5, -0.1, 0.3, 0.7], strict=True):
        line["gramian"][1][0] = 4 * cosine
    lines[0]["gramian"][2][1] = None
    sentence = gradient_cosines("c", "t", [make_run(metrics, steps=lines)] * 2).sentence
    assert "over 2 runs" in sentence
    assert (
        "sst–quora +0.100, 50% of 8; sst–sts +0.100, 0% of 8; quora–sts +0.100, 0% of 6" in sentence
    )
    assert "no run measured halves" in sentence


def test_noise_is_taken_out(make_run: Make, make_steps: Make, texts_of: Make) -> None:
    """h = .2 and .6: r = .4/1.2 = 1/3 and 1.2/1.6 = 3/4, so c = .1 becomes .1 / √.25 = .2."""
    run = make_run(
        {"sst": [0.5], "sts": [0.5]}, steps=make_steps(5, "sst", "sts", cosine=0.1),
        halves=[{"sst": 0.1, "sts": 0.5}, {"sst": 0.3, "sts": 0.7}],
    )  # fmt: skip
    figure = gradient_cosines("c", "t", [run])
    assert "one task's batch: sst +0.200, sts +0.600" in figure.sentence
    assert "hence: sst +0.333, sts +0.750" in figure.sentence
    # Two halves each: both draws may be the lowest, h = .1 and .5, or the highest.
    low, high = 0.1 / (0.6 / 1.3 * 1.4 / 1.7) ** 0.5, 0.1 / (0.2 / 1.1 * 1 / 1.5) ** 0.5
    assert f"bootstrap over the run's steps): sst–sts +0.200 (+{low:.3f} to +{high:.3f})" in (
        figure.sentence
    )
    assert "more agreement than conflict: sst–sts" in figure.sentence
    assert f"+0.20 (+{low:.2f} to +{high:.2f})" in texts_of(figure)


def test_what_noise_hides_wholly_is_undefined(make_run: Make, make_steps: Make) -> None:
    run = make_run(
        {"sst": [0.5], "sts": [0.5]}, steps=make_steps(5, "sst", "sts", cosine=0.1),
        halves=[{"sst": -0.2, "sts": 0.5}, {"sst": 0.1, "sts": 0.7}],
    )  # fmt: skip
    sentence = gradient_cosines("c", "t", [run]).sentence
    assert "hence: sst undefined (halves do not agree), sts" in sentence
    assert "sst–sts undefined" in sentence
    assert "agreement than" not in sentence


def test_a_single_step_is_drawn(make_run: Make, make_steps: Make) -> None:
    run = make_run({"sst": [0.5], "sts": [0.5]}, steps=make_steps(1, "sst", "sts", cosine=-0.25))
    assert "sst–sts −0.250, 100% of 1" in gradient_cosines("c", "t", [run]).sentence


@pytest.mark.parametrize("metrics", [{"sst": [0.5]}, {"sst": [0.5], "sts": [0.5]}])
def test_no_cosines_are_said_so(make_run: Make, metrics: dict[str, list[float]]) -> None:
    run = make_run(metrics, steps=[{"losses": {"sst": 1.0}}])
    assert gradient_cosines("c", "t", [run]).sentence.startswith("No step recorded")


# Predictions


def test_the_confusion_says_what_is_taken_for_what(make_classes: Make, texts_of: Make) -> None:
    shares = [[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8]]
    figure = confusion("c", "t", make_classes([0, 0, 0, 1], shares, ("n", "p")))
    assert figure.sentence == (
        "Of 4 dev rows 50.0% are right; most often 'n' is taken for 'p': 2 rows, 67% of 'n'."
    )
    assert "n (3)" in texts_of(figure)
    assert "67%" in texts_of(figure)


def test_a_single_class_all_right(make_classes: Make, texts_of: Make) -> None:
    figure = confusion("c", "t", make_classes([0, 0], [[0.9, 0.1], [1, 0]]))
    assert figure.sentence == "Of 2 dev rows 100.0% are right; no label is taken for another."
    assert "–" in texts_of(figure)  # of the label without rows


def test_the_calibration_error_by_hand(make_classes: Make) -> None:
    # Two rows in [0.6, 0.7), one of them right; one right row at 1.
    classes = make_classes([0, 1, 1], [[0.6, 0.4], [0.64, 0.36], [0.0, 1.0]])
    figure = calibration("c", "t", classes)
    assert "error 0.080 over 3 rows in 10 bins" in figure.sentence
    assert "probability is 0.747 and 0.667 are right" in figure.sentence
    assert "too sure by 8.0 points" in figure.sentence
    # Both rows of the one bin right: .36 × .6 × .64, and so on; the row at 1 is always right.
    chances = {(1, 1): (0.76, 0.384), (1, 0): (0.24, 0.216 + 0.256), (0, 0): (1.24, 0.144)}
    expected = sum(error * chance for error, chance in chances.values()) / 3
    search = re.search(r"perfectly calibrated model would show ([.\d]+)", figure.sentence)
    assert search is not None
    assert float(search[1]) == pytest.approx(expected, abs=0.01)
    assert ": no more than chance explains" in figure.sentence
    assert f"±{100 * 1.96 * (0.24 + 0.64 * 0.36) ** 0.5 / 3:.1f}" in figure.sentence


@pytest.mark.parametrize(
    ("true", "said"), [([0, 0], "as sure as it is right"), ([1, 1], "too sure by 100.0 points")]
)
def test_the_calibration_of_certainty(make_classes: Make, true: list[int], said: str) -> None:
    assert said in calibration("c", "t", make_classes(true, [[1, 0], [1, 0]])).sentence


def test_the_values_by_hand(make_values: Make) -> None:
    figure = predicted_against_true("v", "t", make_values([1, 2, 3], [1, 2, 4]))
    assert "Pearson's r is 0.982 over 3 rows; the mean absolute error is 0.333" in figure.sentence
    assert "drawn" not in figure.sentence


@pytest.mark.parametrize(
    ("true", "predicted", "said"),
    [
        ([1, 2], [2.5, 2.5], "Every one of 2 predictions is 2.5"),
        ([2, 2], [1, 3], "Every one of 2 true values is 2"),
        ([3], [3], "Every one of 1 predictions is 3"),
    ],
)
def test_constant_values_have_no_correlation(
    make_values: Make, true: list[float], predicted: list[float], said: str
) -> None:
    assert said in predicted_against_true("v", "t", make_values(true, predicted)).sentence


def test_no_rows_are_said_so(make_classes: Make, make_values: Make) -> None:
    none = make_classes([], [], ("a", "b"))
    assert confusion("c", "t", none).sentence == "There are no dev rows."
    assert calibration("c", "t", none).sentence == "There are no dev rows."
    assert predicted_against_true("c", "t", make_values([], [])).sentence.startswith("There are no")


def test_a_figure_of_the_other_kind_is_refused(make_classes: Make, make_values: Make) -> None:
    for draw in (confusion, calibration):
        with pytest.raises(ValueError, match="sts"):
            draw("c", "t", make_values([1], [1]))
    with pytest.raises(ValueError, match="sst"):
        predicted_against_true("c", "t", make_classes([0], [[1, 0]]))


# Comparisons


def test_the_cost_and_the_ends_of_improvement() -> None:
    rows = [
        DurationRow("quick", 12.0, {"sst": 0.5, "sts": None}, {}),
        DurationRow("slow", 1234.5, {"sst": -3.25, "sts": 2.0}, {"sst": 1.0}),
    ]
    assert duration_and_improvement("d", "t", rows).sentence == (
        "An epoch takes from 12 s (quick) to 1,234 s (slow); against the baseline at best sts"
        " +2.0 points (slow) and at worst sst −3.2 points (slow)."
    )
    rows = [DurationRow("only", 2.5, {"sst": 1.0}, {"sst": 0.5})]
    assert duration_and_improvement("d", "t", rows).sentence == (
        "An epoch takes 2.5 s (only); against the baseline sst +1.0 points (only)."
    )
    rows = [DurationRow("only", 0.0, {"sst": None}, {})]
    assert "no improvement" in duration_and_improvement("d", "t", rows).sentence
    assert duration_and_improvement("d", "t", []).sentence.startswith("There is no")


def test_verdicts_are_counted(texts_of: Make) -> None:
    rows = [
        DifferenceRow("a", 1.0, 0.5, 1.5, "better"),
        DifferenceRow("b", 2.0, 1.5, 2.5, "better"),
        DifferenceRow("c", 0.5, -40.0, 41.0, "no difference shown"),
        DifferenceRow("d", -0.01, None, None, "one run each"),
    ]
    figure = differences("d", "t", rows)
    assert figure.sentence == (
        "Of 4 differences: 2 'better', 1 'no difference shown', 1 'one run each'; the axis is"
        " linear near 0 and logarithmic beyond about ±1.5 points, so that the widest interval does"
        " not hide the others."
    )
    assert "+0.5 (−40.0 to +41.0) no difference shown" in texts_of(figure)
    assert "−0.01 one run each" in texts_of(figure)
    assert "axis" not in differences("d", "t", rows[:2]).sentence


def test_no_difference_and_differences_of_zero() -> None:
    assert differences("d", "t", []).sentence.startswith("There is no")
    row = DifferenceRow("a", 0.0, 0.0, 0.0, "no difference shown")
    assert differences("d", "t", [row]).sentence == "Of 1 difference: 1 'no difference shown'."
    with pytest.raises(ValueError, match="verdict 'good'"):
        differences("d", "t", [DifferenceRow("a", 0.0, None, None, "good")])
