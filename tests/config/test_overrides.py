"""Single keys that are set over a config: what holds in its stages, and what is a stage's own."""

import tomllib

import pytest

from accord.config.file import load_config, stage_configs
from accord.errors import ConfigError
from accord.grids.file import read_grid
from accord.plan.making import plan_run
from accord.tuning.space import Space

BASE = """
[encoder]
path = "org/name"
[tasks.mood]
kind = "classification"
train = "mood.csv"
text = "text"
[tasks.same]
kind = "pair-classification"
train = "mood.csv"
text = ["a", "b"]
[training]
epochs = 5
"""
STAGES = """
[[stages]]
tasks = ["mood"]
training = { epochs = 2, lr = 1e-3 }
encoder = { reinit_layers = 1 }
[[stages]]
name = "both"
tasks = ["mood", "same"]
training = { epochs = 3, gradients = "cagrad" }
encoder = { reinit_layers = 1 }
methods = { cagrad = { c = 0.2 } }
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mood.csv").write_text("text,a,b,label\n")
    (tmp_path / "accord.toml").write_text(BASE + STAGES)
    return tmp_path / "accord.toml"


def overridden(file, *overrides):
    config = load_config(file, overrides)
    return config, stage_configs(config)


def test_a_key_of_the_whole_run_holds_in_every_stage(file):
    config, stages = overridden(file, "training.epochs=1", "methods.cagrad.c=0.4")
    assert [stage.training.epochs for stage in stages] == [1, 1]
    assert stages[1].methods == {"cagrad": {"c": 0.4}}
    assert stages[0].training.lr == 1e-3  # another key stays the stage's own
    text = file.read_text().replace("epochs = 5", "epochs = 1").replace("epochs = 2, ", "")
    text = text.replace("epochs = 3, ", "").replace("methods = { cagrad = { c = 0.2 } }", "")
    table = tomllib.loads(text)
    plain = config.model_dump(exclude_unset=True)
    assert plain["stages"] == table["stages"]  # as if they had not written it


def test_a_whole_section_takes_the_place_of_the_stages_own(file):
    stages = overridden(file, "training={epochs=4}")[1]
    assert [stage.training.model_dump(exclude_unset=True) for stage in stages] == [
        {"epochs": 4}
    ] * 2


def test_layers_drawn_anew_are_the_first_stage_s_alone(file):
    stages = overridden(file, "encoder.reinit_layers=2")[1]
    assert [stage.encoder.reinit_layers for stage in stages] == [2, 1]


def test_a_stage_s_own_key_wins_whatever_the_order(file):
    for order in (1, -1):
        overrides = ["stages.both.training.epochs=7", "training.epochs=1"][::order]
        assert [each.training.epochs for each in overridden(file, *overrides)[1]] == [1, 7]


def test_a_stage_is_known_by_its_name_or_else_its_number(file):
    overrides = ["stages.1.training.lr=2e-3", "stages.both.methods.cagrad.c=0.3",
                 "stages.both.averaging.method=ema"]  # fmt: skip
    stages = overridden(file, *overrides)[1]
    assert stages[0].training.lr == 2e-3
    assert stages[1].methods == {"cagrad": {"c": 0.3}}
    assert [stage.averaging.method for stage in stages] == ["none", "ema"]
    file.write_text(file.read_text().replace('name = "both"', 'name = "1"'))
    with pytest.raises(ConfigError, match="stage 2 '1': name: '1' is an earlier stage's"):
        plan_run(overridden(file)[0])  # that has to be made another
    assert overridden(file, "stages.1.name=both")[0].stages[1].name == "both"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.0.training.lr=1", "--set {}: no stage '0'; the stages are 1, both"),
        ("stages.2.training.lr=1", "--set {}: no stage '2'; the stages are 1, both"),
        ("stages.both=1", "--set {}: takes a key of the stage, as in stages.both.training.epochs"),
        ("stages.both.tasks.x=1", "--set {}: 'tasks' is a value, not a section"),
    ],
)
def test_what_is_no_key_of_a_stage(file, override, message):
    with pytest.raises(ConfigError) as raised:
        load_config(file, [override])
    assert str(raised.value) == message.format(override)


@pytest.mark.parametrize("stages", ["", "stages = 3", "stages = [3]"])
def test_without_stages_there_is_none_to_set_a_key_of(file, stages):
    file.write_text(f"{stages}\n{BASE}")
    with pytest.raises(ConfigError, match=r"lr=1: the config has no stages$"):
        load_config(file, ["stages.1.training.lr=1"])
    if stages:
        with pytest.raises(ConfigError, match=r"should be a (list|table)"):
            load_config(file, ["training.epochs=1"])


def cells(file, text, *overrides):
    grid = file.parent / "grid.toml"
    grid.write_text(f'config = "accord.toml"\n{text}')
    return read_grid(grid, overrides).cells


def test_a_grid_crosses_keys_of_the_whole_run_and_of_stages(file):
    actual = cells(
        file,
        '[set]\nstages.both.methods.cagrad.c = 0.3\n[axes]\n"stages.1.training.lr" = [1e-4, 1e-5]\n'
        "epochs = [1, 2]\n",
        "stages.both.training.lr=3e-5",
    )
    assert [cell.name for cell in actual] == [
        "1.lr=0.0001,epochs=1", "1.lr=0.0001,epochs=2",
        "1.lr=1e-05,epochs=1", "1.lr=1e-05,epochs=2",
    ]  # fmt: skip
    for cell in actual:
        first, second = stage_configs(cell.config)
        assert first.training.epochs == second.training.epochs == cell.settings["training.epochs"]
        assert first.training.lr == cell.settings["stages.1.training.lr"]
        assert second.training.lr == 3e-5
        assert second.methods["cagrad"] == {"c": 0.3}


@pytest.mark.parametrize(
    "text",
    [
        "[set]\nstages.0.training.lr = 1.0",
        '[axes]\n"stages.0.training.lr" = [1.0]',
        '[[cells]]\n"stages.0.training.lr" = 1.0',
    ],
)
def test_a_grid_names_the_stages_there_are(file, text):
    with pytest.raises(ConfigError, match=r"grid.toml: 'stages.0.training.lr': no stage '0'; the"):
        cells(file, text)
    file.write_text(BASE)
    with pytest.raises(ConfigError, match=r"'stages.0.training.lr': the config has no stages$"):
        cells(file, text)
    with pytest.raises(ConfigError, match=r"^--set stages.1.tasks=1: 'stages.1.tasks': the config"):
        cells(file, "", "stages.1.tasks=1")


def test_a_search_holds_in_every_stage_or_is_of_one(file):
    searches = ["lr=1e-5:1e-3:log", "stages.both.methods.cagrad.c=0.1:0.9"]
    space = Space.of(load_config(file), searches, file.parent)
    values = {"training.lr": 1e-4, "stages.both.methods.cagrad.c": 0.7}
    first, second = stage_configs(space.config(values, "trial 0"))
    assert first.training.lr == second.training.lr == 1e-4
    assert second.methods["cagrad"] == {"c": 0.7}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("stages.two.training.lr=1e-5:1e-3", "no stage 'two'; the stages are 1, both"),
        ("stages.1.methods.cagrad.c=0.1:0.9", "'cagrad' is not chosen, so its options make no"),
        ("stages.1.averaging.decay=0.9:0.99", "makes no difference: averaging.method is 'none'"),
        ("averaging.decay=0.9:0.99", "makes no difference: averaging.method is 'none'"),
    ],
)
def test_a_search_of_what_makes_no_difference(file, search, message):
    with pytest.raises(ConfigError) as raised:
        Space.of(load_config(file), [search], file.parent)
    assert str(raised.value).startswith(f"--search {search}: ")
    assert message in str(raised.value)
