"""How much cells show, counted step by step; and what a file may say of it and of its report."""

import random
from dataclasses import replace

import pytest

from accord.data.exact_sampler import ExactSampler
from accord.data.sampler import Sampler
from accord.errors import ConfigError
from accord.experiments.spec import TAKEN, read_experiment
from accord.grids.amounts import Size, Sizes
from accord.grids.file import read_grid
from accord.sampling import RULES, Budget, get_rule

TASKS = ("sst", "quora", "sts")
SHARED = """
[[cells]]
label = "all"
tasks = "all"
batching = "{batching}"
"""


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Read a grid file over a config of three tasks: (text, rows of each, tokens of each)."""

    def call(text, rows=(40, 60, 24), tokens=(10, 12, 14)):
        config = f'[encoder]\npath = "{tmp_path}"\n[training]\nbatch_size = 8\nepochs = 3\n'
        for task in TASKS:
            (tmp_path / f"{task}.csv").write_text("text,label\n")
            config += f'[tasks.{task}]\nkind = "classification"\ntrain = "{task}.csv"\n'
            config += f'dev = "{task}.csv"\ntext = "text"\nlabel = "label"\n'
        (tmp_path / "accord.toml").write_text(config)
        file = tmp_path / "my grid.toml"
        file.write_text('config = "accord.toml"\n' + text)
        sizes = dict(zip(TASKS, map(Size, rows, tokens), strict=True))
        monkeypatch.setattr(
            Sizes, "of", lambda self, plan: {task: sizes[task] for task in plan.data.tasks}
        )
        return read_grid(file)

    return call


def drawn(cell, rows):
    """Rows of each task in every step of a cell's run, drawn one step after the other."""
    names, training = tuple(cell.config.tasks), cell.config.training
    sizes = tuple(rows[TASKS.index(name)] for name in names)
    rule = get_rule(training.batching)
    budget = Budget(8, epochs=training.epochs, steps=training.steps_per_epoch,
                    one_task=rule.orders == ("cyclic",))  # fmt: skip
    sampler = Sampler(names, sizes, rule, budget, 0)
    if training.examples is not None:
        sampler = ExactSampler(names, sizes, rule, budget, 0, total=training.examples)
    steps = [sampler.draw(step) for step in range(training.epochs * sampler.steps)]
    return {name: sum(len(own[i]) for own in steps) for i, name in enumerate(names)}, len(steps)


def by_label(grid, label):
    return [cell for cell in grid.cells if label in cell.labels]


@pytest.mark.slow
def test_a_task_alone_shows_as_much_as_in_the_cell_that_it_names(grid):
    rng = random.Random(0)
    text = SHARED + '[[cells]]\nlabel = "alone"\nas_much_as = "all"\n[axes]\n'
    text += 'tasks = [["sst"], ["quora"], ["sts"]]\n'
    for batching in [own.name for own in RULES.all()] * 3:
        rows = [rng.randrange(20, 120) for _ in TASKS]
        found = grid(text.format(batching=batching), rows)
        together, _ = drawn(by_label(found, "all")[0], rows)
        alone = [drawn(cell, rows)[0] for cell in by_label(found, "alone")]
        assert [own for cell in alone for own in cell.items()] == list(together.items()), batching


def test_two_tasks_show_as_much_as_three_where_shorter_epochs_do_it(grid):
    rng = random.Random(1)
    text = SHARED.format(batching="finish-smallest") + (
        '[[cells]]\nlabel = "two"\ntasks = ["sst", "quora"]\nbatching = "finish-smallest"\n'
        'as_much_as = "all"\n'
    )
    cut = 0
    for _ in range(10):
        rows = [rng.randrange(20, 120) for _ in TASKS]
        found = grid(text, rows)
        (two,) = by_label(found, "two")
        together, _ = drawn(by_label(found, "all")[0], rows)
        assert drawn(two, rows)[0] == {task: together[task] for task in ("sst", "quora")}
        cut += two.config.training.steps_per_epoch is not None
    assert 0 < cut < 10
    with pytest.raises(ConfigError, match="can't show as much of its tasks as 'all'"):
        grid(text.replace("finish-smallest", "finish-largest"), (20, 30, 90))


def test_a_label_whose_cells_show_unlike_amounts_is_nothing_to_show_as_much_as(grid):
    alone = '[[cells]]\nlabel = "alone"\ntasks = ["sst"]\nas_much_as = "all"\n[axes]\n'
    text = SHARED.format(batching="finish-largest") + alone
    read = grid(text + "lr = [1e-5, 1e-4]\n")  # which shows no more of anything
    assert len({str(drawn(cell, (40, 60, 24))[0]["sst"]) for cell in read.cells}) == 1
    with pytest.raises(ConfigError, match="labelled 'all' don't all show the same"):
        grid(text + "epochs = [2, 4]\n")


def test_an_equal_budget_that_no_cell_takes_part_in_is_refused(grid):
    text = 'equal = "steps"\n[[cells]]\ntasks = "all"\nequal_budget = false\n'
    with pytest.raises(ConfigError, match="all cells have equal_budget = false"):
        grid(text)


def test_with_an_equal_budget_all_cells_have_as_much_as_the_largest(grid):
    rng, tokens = random.Random(2), (10, 12, 14)
    text = SHARED + (
        '[[cells]]\nlabel = "left out"\ntasks = ["sst"]\nlr = 1e-3\nequal_budget = false\n'
        "[[cells]]\n"
        '[axes]\ntasks = [["sst"], ["quora"], ["sts", "sst"]]\nmode = ["frozen", "finetune"]\n'
    )
    for equal in ("steps", "examples", "tokens"):
        rows = [8 * rng.randrange(10, 40) for _ in TASKS]

        def amount(cell, equal=equal, rows=rows):
            seen, steps = drawn(cell, rows)
            by_token = sum(tokens[TASKS.index(task)] * count for task, count in seen.items())
            return {"steps": steps, "examples": sum(seen.values()), "tokens": by_token}[equal]

        plain = text.format(batching="finish-smallest")
        before, after = grid(plain, rows), grid(f'equal = "{equal}"\n{plain}', rows)
        largest = max(amount(cell) for cell in before.cells)
        for cell in after.cells:
            assert amount(cell) == pytest.approx(largest, rel=0.06), cell.name
        assert (len(before.cells), len(after.cells)) == (10, 8)
        assert after.labels == ("all", "left out")
        assert not by_label(after, "left out")


REPORT = (
    SHARED.format(batching="proportional")
    + """
[[cells]]
label = "alone"
[axes]
tasks = [["sst"], ["quora"], ["sts"]]
[report]
title = "t"
"""
)


def test_what_a_file_can_t_say_is_one_line(grid, tmp_path):
    (tmp_path / "numbers.toml").write_text("[rows.alone]\nsst = 0.5\n[rows.alne]\nsts = 1\n")
    (tmp_path / "texts.toml").write_text('[rows.alone]\nsst = "0.5"\n')
    (tmp_path / "infinite.toml").write_text("[rows.alone]\nsst = [0.5, inf]\n")
    reference = 'reference = {{ name = "paper", file = "{}.toml" }}\n'
    for text, message in (
        ('equal = "time"\n', "equal: takes 'tokens' or 'steps' or 'examples', got 'time'"),
        ("report = 1\n", "report: takes a table, got 1"),
        ("[[cells]]\nlabel = 1\n", "cells: label: takes a text, got 1"),
        ('[[cells]]\nlabel = ""\n', "cells: label: takes a text, got ''"),
        ("[[cells]]\nequal_budget = 1\n", "cells: equal_budget: takes true or false, got 1"),
        ('[[cells]]\nlabel = "a"\nas_much_as = "b"\n', "as_much_as: no cell 'b'"),
        ('[[cells]]\nlabel = "a"\nas_much_as = "a"\n', "'a' names another cell itself"),
        ('equal = "steps"\n[[cells]]\ntasks = ["sst"]\nexamples = 50\n', "not an equal budget"),
        (REPORT + "titel = 1\n", "did you mean 'title'?"),
        (REPORT.replace('title = "t"', ""), "title"),
        (REPORT + 'table = "groups"\n', "'groups' is the name of another table or figure"),
        (REPORT + 'table = "A/b"\n', "table"),
        (REPORT + 'table = "my-grid-differences"\n', "is the name of another table or figure"),
        (REPORT + 'columns = { sts = "STS", sss = "SST" }\n', "no row has 'sss'; did you mean"),
        (REPORT + 'detail = "alne"\n', "no cell 'alne'; did you mean 'alone'?"),
        (REPORT + 'contrasts = [{ label = "x", of = "al", against = "alone" }]\n', "no cell 'al'"),
        (REPORT.replace('[["sst"], ["quora"], ["sts"]]', '[["sst"], ["sst", "sts"]]'),
         "two cells labelled 'alone' train 'sst' and differ in more than their seed"),
        (REPORT + '[[report.submissions]]\nfolder = "a"\nrows = ["all"]\n', "columns name"),
        (REPORT + 'columns = { overall = "Score" }\n[[report.submissions]]\nfolder = "a"\n'
         'rows = ["all"]\n', "columns name"),
        (REPORT + reference.format("none"), "none.toml: no such file of reference figures"),
        (REPORT + reference.format("numbers"), "no cell 'alne' trains 'sts'; did you mean 'alone'"),
        (REPORT + reference.format("infinite"), "rows.alone.sst: takes a figure"),
        (REPORT + reference.format("texts"), "rows.alone.sst: takes a figure for each"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as raised:
            read_experiment(grid(text), tmp_path)
        assert message in str(raised.value), text
        assert "\n" not in str(raised.value)


def test_a_row_has_a_model_for_each_of_its_tasks(grid, tmp_path):
    text = "seeds = 2\n" + REPORT + 'contrasts = [{ label = "x", of = "all", against = "alone" }]\n'
    found = read_experiment(grid(text), tmp_path)
    assert found.name == "my-grid"
    assert list(found.rows) == ["all", "alone"]
    assert len(set(found.rows["all"].values())) == 1
    assert len(set(found.rows["alone"].values())) == 3
    assert [list(own) for own in found.rows.values()] == [list(TASKS), list(TASKS)]


def test_no_two_tables_have_one_name(grid, tmp_path):
    file = grid(REPORT)
    for stem in (*TAKEN, "errors of a grid"):
        found = read_experiment(replace(file, path=tmp_path / f"{stem}.toml"), tmp_path)
        assert found.name.partition("-")[0] not in TAKEN


def test_an_equal_budget_leaves_rows_without_cells(grid, tmp_path):
    """Which a contrast and the reference may still name."""
    (tmp_path / "numbers.toml").write_text("[rows.alone]\nsst = 0.5\n")
    text = 'equal = "steps"\n' + REPORT.replace('"alone"', '"alone"\nequal_budget = false')
    text += 'contrasts = [{ label = "x", of = "all", against = "alone" }]\n'
    text += 'reference = { name = "paper", file = "numbers.toml" }\n'
    found = read_experiment(grid(text), tmp_path)
    assert {label: len(models) for label, models in found.rows.items()} == {"all": 3, "alone": 0}


def test_a_number_has_one_spelling(grid):
    found = grid("[[cells]]\nlr = 1\nseed = 0\n[[cells]]\nlr = 1.0\nseed = 0\n")
    assert len(found.cells) == 1
