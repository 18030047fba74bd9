"""Every task of every shared model against it alone: one family of comparisons."""

import pytest

from accord.comparison.answer import answer
from accord.comparison.family import compare_groups


@pytest.fixture
def family(make_group, answers):
    """Two tasks alone, and two models of both: 0 far better, 1 hardly different."""
    alone = [
        make_group(name, {name: answers(5, 80, 0.7, seed)})
        for seed, name in enumerate(("sst", "cola"))
    ]
    good = {name: answers(5, 80, 0.97, seed + 4) for seed, name in enumerate(("sst", "cola"))}
    like = {name: answers(5, 80, 0.72, seed + 8) for seed, name in enumerate(("sst", "cola"))}
    return [*alone, make_group("good", good), make_group("like", like, training={"lr": 1e-4})]


def holm(p_values):
    """Holm's adjusted p, written down from the definition."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, worst = {}, 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return [adjusted[i] for i in range(len(p_values))]


def test_all_shown_comparisons_are_one_family(family):
    actual = compare_groups(family).sharing
    assert [(each.together.name, each.task) for each in actual] == [
        ("good", "sst"), ("good", "cola"), ("like", "sst"), ("like", "cola"),
    ]  # fmt: skip
    p_values = [each.compared.difference.p for each in actual]
    assert [each.verdict.p_adjusted for each in actual] == pytest.approx(holm(p_values))
    shown = [each.verdict for each in actual]
    assert [each.kind for each in shown] == ["better"] * 2 + ["no difference shown"] * 2
    assert [each.level for each in shown[2:]] == pytest.approx([1 - 0.05 / 4] * 2)
    for each in shown:
        assert (each.low > 0 or each.high < 0) == (each.kind in ("better", "worse"))
        assert (each.p_adjusted < 0.05) == (each.kind in ("better", "worse"))


def test_the_setting_that_differs_is_named(family):
    assert {each.together.name: each.differing for each in compare_groups(family).sharing} == {
        "good": (), "like": ("training.lr",),
    }  # fmt: skip


def test_a_margin_makes_models_as_good(family):
    kinds = {
        each.task: each.verdict
        for each in compare_groups(family, 0.5).sharing
        if each.together.name == "like"
    }
    for verdict in kinds.values():
        assert verdict.kind == "as good"
        assert verdict.word == "as good, within 50 points"
        assert -0.5 < verdict.low < verdict.high < 0.5
    # A difference that is shown, but doesn't matter, is none to act on.
    assert {each.verdict.kind for each in compare_groups(family, 0.5).sharing[:2]} == {"as good"}
    assert {each.verdict.kind for each in compare_groups(family, 0.001).sharing[:2]} == {"better"}


def test_the_result_counts_what_was_corrected(family, make_group, answers):
    verdicts = compare_groups(family).sharing
    result = compare_groups(family)
    assert result.corrected == 4
    assert [(each.runs, each.difference.rows) for each in result.sharing] == [((5, 5), 80)] * 4
    said = answer(result)
    assert said.startswith("Shared model good: Yes, sharing was worth it")
    assert "corrected for 4 comparisons" in said
    once = {name: answers(1, 80, 0.9) for name in ("sst", "cola")}
    single = [*family, make_group("single", once, training={"lr": 1e-3})]
    again = compare_groups(single).sharing
    assert [each.verdict.kind for each in again[4:]] == ["one run each"] * 2
    assert [each.verdict.p_adjusted for each in again[:4]] == pytest.approx(
        [verdict.verdict.p_adjusted for verdict in verdicts]
    )
    assert compare_groups(single).corrected == 4


def test_two_sides_that_learnt_nothing_have_no_verdict(make_group, answers):
    groups = [
        make_group("sst", {"sst": answers(3, 60, 0.5, 1)}),
        make_group("both", {"sst": answers(3, 60, 0.5, 2), "cola": answers(3, 60, 0.5, 3)}),
    ]
    (actual,) = compare_groups(groups).sharing
    assert actual.verdict.kind == "learnt nothing"
    assert answer(compare_groups(groups)).startswith("The runs do not say")


def test_predictions_that_are_the_same_are_identical(make_group, answers):
    one = answers(3, 60, 0.9)
    groups = [make_group("sst", {"sst": one}), make_group("both", {"sst": one, "cola": one})]
    (actual,) = compare_groups(groups).sharing
    assert (actual.verdict.kind, actual.compared.difference.value) == ("identical", 0.0)
    assert (actual.verdict.low, actual.verdict.high) == (0.0, 0.0)


def test_the_same_constant_predictions_are_no_success(make_group, answers):
    labels, predicted = answers(3, 60, 0.5)
    one = (labels, predicted * 0)
    groups = [make_group("sst", {"sst": one}), make_group("both", {"sst": one, "cola": one})]
    actual = compare_groups(groups).sharing
    assert actual[0].verdict.kind == "learnt nothing"
    assert not answer(compare_groups(groups)).startswith("Yes")


def test_a_task_that_no_run_or_several_were_trained_on_alone_is_named(make_group, answers):
    both = make_group("both", {"sst": answers(3, 60, 0.9), "cola": answers(3, 60, 0.9)})
    groups = [make_group("sst", {"sst": answers(3, 60, 0.8)}), both]
    assert list(compare_groups(groups).refused) == [
        "cola: not compared in both: no run was trained on it alone."
    ]
    assert not answer(compare_groups(groups)).startswith("Yes")
    unlike = [
        make_group(name, {"cola": answers(3, 60, 0.8)}, training={"lr": lr})
        for name, lr in (("slow", 1e-4), ("fast", 1e-2))
    ]
    groups += unlike
    assert list(compare_groups(groups).refused) == [
        "cola: not compared in both: several groups were trained on it alone, and none has the same"
        " settings: slow, fast; leave out all but one."
    ]


def test_what_sharing_and_a_baseline_show_is_one_family(family):
    alone = compare_groups(family)
    together = compare_groups(family, baseline=family[-1])
    assert len(together.differences) > len(alone.differences)
    wanted = holm([difference.p for difference in together.differences])
    shown = [each.verdict.p_adjusted for each in (*together.sharing, *together.contrasts)]
    assert shown == pytest.approx(wanted)
