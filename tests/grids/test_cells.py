"""Grid files: what they cross, how cells are named, and what is refused."""

import pytest

from accord.errors import ConfigError
from accord.grids.cells import name_of
from accord.grids.file import crossed, read_grid

BASE = """
[encoder]
path = "{folder}"
[tasks.mood]
kind = "classification"
train = "mood.csv"
text = "text"
[tasks.same]
kind = "pair-classification"
train = "same.csv"
text = ["a", "b"]
"""


@pytest.fixture
def cells(tmp_path):
    """Load a grid from its text, over a base config of two tasks."""

    def call(text, *overrides):
        for name in ("mood.csv", "same.csv"):
            (tmp_path / name).write_text("text,a,b,label\n")
        (tmp_path / "accord.toml").write_text(BASE.format(folder=tmp_path))
        (tmp_path / "grid.toml").write_text('config = "accord.toml"\n' + text)
        return read_grid(tmp_path / "grid.toml", overrides).cells

    return call


def test_axes_are_crossed_in_their_order(cells):
    actual = cells(
        '[axes]\ntasks = [["mood"], "all"]\nbatching = ["finish-largest"]\nseed = [0, 1]'
    )
    assert [cell.name for cell in actual] == [
        "mood,batching=finish-largest,seed=0",
        "mood,batching=finish-largest,seed=1",
        "all,batching=finish-largest,seed=0",
        "all,batching=finish-largest,seed=1",
    ]
    assert [list(cell.config.tasks) for cell in actual[1:3]] == [["mood"], ["mood", "same"]]
    assert actual[3].config.training.seed == 1
    assert actual[0].group == actual[1].group == "mood,batching=finish-largest"


def test_explicit_cells_are_crossed_with_the_axes_that_they_don_t_set(cells):
    actual = cells('seeds = 2\n[[cells]]\nmode = "frozen"\n[[cells]]\nlr = 1e-4\nseed = 7\n')
    assert [cell.name for cell in actual] == [
        "mode=frozen,seed=0", "mode=frozen,seed=1", "lr=0.0001,seed=7",
    ]  # fmt: skip
    assert actual[0].config.encoder.mode == "frozen"
    assert actual[2].config.training.lr == 1e-4


def test_any_dotted_key_is_an_axis_and_some_stand_for_every_task(cells):
    actual = cells(
        '[axes]\n"training.clip" = [0, 1.0]\n"tasks.mood.dropout" = [0.2]\npooling = ["mean"]\n'
        'pairs = ["separate"]\n'
    )
    assert actual[0].name == "clip=0,dropout=0.2,pooling=mean,pairs=separate"
    tasks = actual[0].config.tasks
    assert [task.pooling for task in tasks.values()] == ["mean", "mean"]
    assert (tasks["mood"].dropout, tasks["same"].dropout) == (0.2, 0.1)
    assert (tasks["mood"].encoding, tasks["same"].encoding) == ("joint", "separate")


def test_stages_are_a_key_of_a_cell(cells):
    text = (
        '[axes]\n"memory.method" = ["gem", "replay"]\n[[cells]]\nstages = []\n[[cells]]\n'
        'stages = [{tasks = ["mood"]}, {name = "last", tasks = ["same"]}]\n'
    )
    actual = cells(text)
    assert [cell.name for cell in actual] == [
        "stages=none,method=gem", "stages=mood+last,method=gem", "stages=mood+last,method=replay",
    ]  # fmt: skip
    assert [len(cell.config.stages) for cell in actual] == [0, 2, 2]
    assert actual[0].config.memory is None
    none_finished = cells(text.replace('tasks = ["same"]', 'tasks = ["mood", "same"]'))
    assert [cell.name for cell in none_finished] == [
        "stages=none,method=gem", "stages=mood+last,method=gem",
    ]  # fmt: skip


def test_set_and_overrides_hold_for_all_cells(cells):
    actual = cells("[set]\nepochs = 9\n[axes]\nseed = [0]", "training.batch_size=5")
    assert actual[0].config.training.epochs == 9
    assert actual[0].config.training.batch_size == 5
    assert actual[0].name == "seed=0"


def test_cells_of_one_config_are_one_run_under_the_first_name(cells):
    actual = cells('[[cells]]\ntasks = ["mood", "same"]\n[[cells]]\ntasks = "all"\n')
    assert [cell.name for cell in actual] == ["mood+same"]


def test_different_cells_never_share_a_name(cells):
    actual = cells('[[cells]]\n"tasks.mood.metric" = "f1"\n[[cells]]\n"tasks.same.metric" = "f1"\n')
    names = [cell.name for cell in actual]
    assert names[0] == "metric=f1"
    assert names[1].startswith("metric=f1-")
    long = {"tasks": [f"task-{i}" for i in range(60)]}
    assert len(name_of(long)) < 200
    assert name_of(long) != name_of({"tasks": long["tasks"][:-1]})
    assert "/" not in name_of({"encoder.path": "a/../b c"})


def test_a_key_of_a_task_that_a_cell_leaves_out_changes_nothing(cells):
    actual = cells('[set]\n"tasks.same.dropout" = 0.5\n[axes]\ntasks = [["mood"]]')
    assert list(actual[0].config.tasks) == ["mood"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axis = 1", "unknown key 'axis'; did you mean 'axes'?"),
        ("axes = 1", "axes: takes a table, got 1"),
        ("[axes]\nseed = 3", "axes.seed: takes a list of values, got 3"),
        ("[axes]\nseed = []", "axes.seed: takes a list of values"),
        ("[axes]\nbatchin = [1]", "'batchin': no key of a config; did you mean 'batching'?"),
        ('[axes]\n"tasks.moode.dropout" = [0.1]', "no such task; did you mean 'mood'?"),
        ('[axes]\ntasks = [["moody"]]', "cell moody: no task 'moody'; did you mean 'mood'?"),
        ("[axes]\nlr = [-1.0]", "cell lr=-1.0: 'training.lr' should be more than 0, got -1.0"),
        ("seeds = 0", "seeds: takes how many there are, 1 or more, got 0"),
        ("seeds = true", "seeds: takes how many there are"),
        ("seeds = 2\n[axes]\nseed = [1]", "seeds: is set, and axes.seed too"),
        ("cells = [1]", "cells: takes [[cells]] tables"),
        ("[axes]\nlr.x = [1]", "lr.x"),
        ("[axes]\ntasks = [1]", 'cell 1: tasks: takes a list of names or "all", got 1'),
        ('[axes]\ntasks = [["mood", 1]]', "takes a list of names or \"all\", got ['mood', 1]"),
        ("[set]\ntasks = 3", 'tasks: takes a list of names or "all", got 3'),
        ('[axes]\n"tasks.mood" = [1]', "'tasks.mood': is a whole task; tasks.mood.KEY is one"),
        ('[axes]\nlr = [1e-4]\n"training.lr" = [1]', "'training.lr': is there twice, as 'lr' be"),
        ('[[cells]]\nlr = 1.0\n"training.lr" = 1.0', "'training.lr': is there twice, as 'lr' be"),
        ("[set]\nlr = 1.0\ntraining.lr = 1.0", "'training.lr': is there twice, as 'lr' before"),
        (
            "seeds = 2\n[set]\nseed = 5",
            "[set] training.seed: is for all cells, but 'training.seed' is among what they vary",
        ),
        ("[set]\nlr = 1e-4\n[axes]\nlr = [1e-5]", "[set] training.lr: is for all cells, but 't"),
        (
            '[axes]\n"methods.cagrad.c" = [0.1, 0.2]',
            "'methods.cagrad.c': no cell chooses 'cagrad', so its options make no difference",
        ),
        (
            '[[cells]]\ngradients = ["sum", "mean"]',
            "cell gradients=sum+mean: 'training.gradients' should be a text, got ['sum', 'mean'];"
            " a list of values belongs in [axes], or one [[cells]] each",
        ),
        ("[set]\nlr = [1e-4, 1e-5]", "0001, 1e-05]; a list of values belongs in [axes]"),
        ('[[cells]]\nmode = ["frozen"]', "'finetune' or 'frozen', got ['frozen']; a list of"),
        ('[set]\n"tasks.mood.kind" = ["x"]', "tasks.mood.kind: unknown value '['x']'; allowed: "),
    ],
)
def test_what_a_grid_file_can_t_be(cells, text, message):
    with pytest.raises(ConfigError) as raised:
        cells(text)
    assert "grid.toml" in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=3e-4", "--set lr=3e-4: is for all cells, but 'training.lr' is among what they vary"),
        ("seed=9", "--set seed=9: is for all cells, but 'training.seed' is among what they vary"),
        ("tasks.mod.limit=3", "--set tasks.mod.limit=3: 'tasks.mod.limit': no such task; did you"),
        ("epoch=3", "--set epoch=3: 'epoch': no key of a config; did you mean 'epochs'?"),
    ],
)
def test_an_override_is_applied_or_refused(cells, override, message):
    with pytest.raises(ConfigError) as raised:
        cells('seeds = 2\n[axes]\nlr = [1e-4, 1e-5]\n"tasks.mood.limit" = [9]', override)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_overrides_have_short_names_and_the_last_word(cells):
    (actual,) = cells("[set]\nepochs = 9\n", "epochs=5", "training.epochs=7", 'tasks=["mood"]')
    assert (actual.config.training.epochs, list(actual.config.tasks)) == (7, ["mood"])


def test_a_key_has_one_name_whatever_its_spelling(cells):
    actual = cells('[axes]\n"training.steps_per_epoch" = [5]\nlr = [1e-4]\n[[cells]]\n[[cells]]\n'
                  '"training.lr" = 1e-3\nsteps = 6\n')  # fmt: skip
    assert [each.name for each in actual] == ["steps=5,lr=0.0001", "lr=0.001,steps=6"]


def test_a_task_s_own_key_says_more_than_one_of_all_tasks(cells):
    actual = cells('[set]\n"tasks.mood.pooling" = "pooler"\n[axes]\npooling = ["cls", "mean"]\n')
    assert [each.config.tasks["mood"].pooling for each in actual] == ["pooler", "pooler"]
    assert [each.config.tasks["same"].pooling for each in actual] == ["cls", "mean"]


def test_groups_are_told_apart_by_their_config(cells, tmp_path):
    for name in ("a/b", "a-b"):
        (tmp_path / name).mkdir(parents=True)
    actual = cells('seeds = 2\n[axes]\n"encoder.path" = ["a/b", "a-b"]\n')
    groups = [each.group for each in actual]
    assert groups[0] == groups[1] == "path=a-b"
    assert groups[2] == groups[3]
    assert groups[2].startswith("path=a-b-")
    same = cells(
        '[[cells]]\ntasks = "all"\nseed = 0\n[[cells]]\ntasks = ["mood", "same"]\nseed = 1'
    )
    assert [each.group for each in same] == ["all", "all"]


def test_a_list_where_one_is_wanted_gets_no_advice(cells):
    with pytest.raises(ConfigError, match=r"'tasks\.mood\.labels' should be a list[^;]*$"):
        cells('[[cells]]\n"tasks.mood.labels" = [["a"], "b"]')
    with pytest.raises(ConfigError) as raised:  # of a task each: one line for each, with advice
        cells('[[cells]]\npooling = ["cls", "mean"]')
    assert str(raised.value).count("belongs in [axes]") == 2


def test_files_that_are_missing(tmp_path):
    with pytest.raises(ConfigError, match="no such grid file"):
        read_grid(tmp_path / "grid.toml")
    (tmp_path / "grid.toml").write_text("[axes]\nseed = [1]")
    with pytest.raises(ConfigError, match="config: takes the base config's path"):
        read_grid(tmp_path / "grid.toml")
    (tmp_path / "grid.toml").write_text('config = "none.toml"')
    with pytest.raises(ConfigError, match="no such config file"):
        read_grid(tmp_path / "grid.toml")


def test_crossing_keeps_what_a_cell_sets():
    assert list(crossed({"a": [1, 2]}, [])) == [{"a": 1}, {"a": 2}]
    assert list(crossed({}, [{"b": 3}])) == [{"b": 3}]


def test_seeds_of_either_spelling_make_one_group(cells):
    actual = cells('[axes]\n"training.seed" = [0, 1, 2]\ngradients = ["sum", "mean"]\n')
    assert len(actual) == 6
    assert {cell.group for cell in actual} == {"gradients=sum", "gradients=mean"}


def test_cells_do_not_share_a_table_that_one_of_them_cuts(cells):
    actual = cells(
        '[axes]\ntasks = [["mood"], "all"]\n[[cells]]\nbalancing = "fixed"\n'
        '"methods.fixed.weights" = {mood = 1.0, same = 3.0}\n'
    )
    alone, together = actual
    assert alone.config.training.balancing is None
    assert together.config.methods["fixed"]["weights"] == {"mood": 1.0, "same": 3.0}


def test_options_of_a_method_that_is_not_chosen_make_no_other_cell(cells):
    actual = cells('[axes]\ngradients = ["sum", "cagrad"]\n"methods.cagrad.c" = [0.2, 0.5]\n')
    assert len(actual) == 3


def test_a_cell_may_differ_from_what_is_set_for_all(cells):
    actual = cells('[set]\ntasks = ["mood"]\n[[cells]]\n[[cells]]\ntasks = "all"')
    assert [list(cell.config.tasks) for cell in actual] == [["mood"], ["mood", "same"]]


def test_a_cell_leaves_out_the_rows_that_the_whole_config_does(tmp_path):
    """Rows that another task of the file alone labels are left out where that task is, too."""
    table = '[tasks.{name}]\nkind = "classification"\ntrain = "{file}"\ntext = "t"\n{more}\n'
    tasks = [
        ("mood", "a.csv", ""), ("topic", "./a.csv", ""), ("other", "b.csv", ""),
        ("strict", "a.csv", 'unlabelled = "stop"'),
    ]  # fmt: skip
    text = f'[encoder]\npath = "{tmp_path}"\n'
    for name, file, more in tasks:
        (tmp_path / file).write_text("t,label\n")
        text += table.format(name=name, file=file, more=more)
    (tmp_path / "accord.toml").write_text(text)
    grid = tmp_path / "grid.toml"
    alone = ", ".join(f'["{name}"]' for name, *_ in tasks)
    grid.write_text(f'config = "accord.toml"\n[axes]\ntasks = [{alone}, "all"]')
    cells = read_grid(grid).cells
    expected = {"mood": "skip", "topic": "skip", "other": None, "strict": "stop"}
    for cell in cells:
        for name, task in cell.config.labelled.items():
            assert task.unlabelled == expected[name], (cell.name, name)
