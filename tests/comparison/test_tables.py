"""What a comparison prints: it fits a terminal, and its notes stand below it."""

import re

import numpy as np
import pytest

from accord.cli.comparisons import print_comparison
from accord.comparison.family import compare_groups

NAMES = ("sst", "cola", "sts")


@pytest.fixture
def of(answers):
    """Answers of some tasks by five runs."""

    def call(tasks, right, seed):
        rng = np.random.default_rng(seed)
        labels = np.random.default_rng(7).uniform(0, 5, 60)
        values = labels, labels + rng.normal(0, 9 * (1 - right), (5, 60))
        return {t: values if t == "sts" else answers(5, 60, right, seed) for t in tasks}

    return call


def test_three_tasks_and_a_shared_model_fit_120_columns(make_group, of, capsys):
    alone = [
        make_group(f"{name},examples=67760", of([name], 0.9, i), examples=67760)
        for i, name in enumerate(NAMES)
    ]
    both = make_group("+".join(NAMES), of(NAMES, 0.92, 9), examples=70000)
    print_comparison(compare_groups([*alone, both], 0.995))
    shown = capsys.readouterr().out
    assert re.search(r"^ sts .* as good $", shown, re.M)
    assert "As good: the interval lies within ±99.5 points, the margin." in shown
    assert "67,760 / 70,000" in shown
    tables = [line for line in shown.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 120
    assert len([line for line in shown.splitlines() if "NOT LIKE FOR LIKE" in line]) == 3


def test_lines_below_the_table_say_of_which_shared_model(make_group, of, capsys):
    alone = [make_group(name, of([name], 0.8, i)) for i, name in enumerate(NAMES)]
    shared = [
        make_group(name, of(NAMES, 0.8, seed), training={"lr": lr})
        for name, seed, lr in (("one", 20, 1e-3), ("two", 30, 1e-4))
    ]
    print_comparison(compare_groups([*alone, *shared]))
    shown = capsys.readouterr().out.splitlines()
    lines = [line for line in shown if "would have been shown 4 times in 5" in line]
    assert lines
    assert all(
        re.match(r"(sst|cola|sts).* in (one|two): a true difference", line) for line in lines
    )
    costs = [line.split()[0] for line in shown if re.match(r" (each task alone|one|two) +\d", line)]
    assert costs[-3:] == ["each", "one", "two"]


def test_marks_are_explained(make_group, of, capsys):
    groups = [
        make_group(name, of(NAMES, right, seed), training={"lr": lr})
        for name, right, seed, lr in (("base", 0.7, 1, 1e-3), ("best", 0.98, 2, 1e-4))
    ]
    print_comparison(compare_groups(groups, 0.01, groups[0]))
    shown = capsys.readouterr().out
    assert "Against base:" in shown
    assert "▲" in shown.split("▲ better; ▼ worse; ≈ as good, within ±1.0 point; ")[0]
    assert "for 4 comparisons, corrected together by Holm's method" in shown
