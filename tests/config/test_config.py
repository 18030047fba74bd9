import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.config.file import dump_config, load_config, parse_config, toml
from accord.config.sections import Config
from accord.errors import ConfigError
from accord.plan.making import plan_run

TASK = {"kind": "classification", "train": "train.csv", "text": "x"}
PAIR = {"kind": "pair-classification", "train": "train.csv", "text": ["x", "y"]}
REGRESSION = {"kind": "regression", "train": "train.csv", "text": "x"}


def table(task: object = TASK, **sections: object) -> dict[str, object]:
    return {"encoder": {"path": "enc"}, "tasks": {"a": task}, **sections}


def faults(value: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(value)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"tasks": {"a": TASK}}, "'encoder' is missing"),
        ({"encoder": {"path": "e"}, "tasks": {}}, "'tasks' is empty: at least one section"),
        (table(3), "'tasks.a' should be a table, got 3"),
        (table(training=[]), "'training' should be a table, got []"),
        (table(training={"epoch": 1}), "unknown key 'training.epoch'; did you mean 'epochs'?"),
        (table(trainin={}), "unknown key 'trainin'; did you mean 'training'?"),
        (table({**TASK, "labl": 1}), "unknown key 'tasks.a.labl'; did you mean 'label'?"),
        (table(training={"epochs": "3"}), "'training.epochs' should be a whole number, got '3'"),
        (table(training={"epochs": True}), "'training.epochs' should be a whole number, got true"),
        (table(training={"epochs": 0}), "'training.epochs' should be at least 1, got 0"),
        (table(training={"lr": float("nan")}), "'training.lr' should be a finite number, got nan"),
        (table(training={"lr": 0}), "'training.lr' should be more than 0, got 0"),
        (table(training={"warmup": 1.0}), "'training.warmup' should be less than 1"),
        (
            table(training={"gradients": "pcgard"}),
            "training.gradients: unknown value 'pcgard'; did you mean 'pcgrad'?",
        ),
        (table(training={"batching": "x"}), "training.batching: unknown value 'x'; allowed: anne"),
        (table(score="men"), "score: unknown value 'men'; did you mean 'mean'?"),
        (table({**TASK, "train": 3}), "'tasks.a.train' should be a text or a list, got 3"),
        (table({**TASK, "train": []}), "tasks.a.train: is an empty list"),
        (table({**TASK, "delimiter": ";"}), "tasks.a.delimiter: unknown value ';'; allowed: tab"),
        (table({**TASK, "file_encoding": "rot13"}), "tasks.a.file_encoding: unknown text enc"),
        (table({**TASK, "text": 3}), "'tasks.a.text' should be a text or a list, got 3"),
        (table({**TASK, "labels": [1.5]}), "'tasks.a.labels' should be a list, each a text or t"),
        (table({**REGRESSION, "range": ["a"]}), "'tasks.a.range' should be a list, each a number"),
        (table({**TASK, "text": ["x", "y"]}), "tasks.a.text: kind 'classification' takes one col"),
        (table({**PAIR, "text": "x"}), "tasks.a.text: kind 'pair-classification' takes two col"),
        (table({**TASK, "encoding": "separate"}), "tasks.a.encoding: 'separate' is for pairs"),
        (table({**PAIR, "head": "cosine"}), "tasks.a.head: 'cosine' needs encoding = 'separate'"),
        (
            table({**PAIR, "encoding": "separate", "head": "cosine", "loss": "cross_entropy"}),
            "tasks.a.loss: head 'cosine' takes 'mse' alone",
        ),
        (table({**REGRESSION, "loss": "cross_entropy"}), "tasks.a.loss: 'cross_entropy' is for"),
        (table({**TASK, "range": [0, 1]}), "tasks.a.range: is for regression"),
        (table({**REGRESSION, "labels": ["x", "y"]}), "tasks.a.labels: is for classification"),
        (
            table({**TASK, "metric": "pearson"}),
            "tasks.a.metric: kind 'classification' is evaluated",
        ),
        (table({**REGRESSION, "range": [1, 0]}), "tasks.a.range: takes [lowest, highest], got [1"),
        (table({**REGRESSION, "range": [0, float("inf")]}), "tasks.a.range: takes [lowest, high"),
        (table({**REGRESSION, "range": [float("nan"), 1]}), "tasks.a.range: takes [lowest, high"),
        (table({**TASK, "labels": [1, "1.0"]}), "tasks.a.labels: takes two or more different"),
        (table({**TASK, "labels": ["x", " "]}), "tasks.a.labels: takes two or more different"),
        ({**table(), "tasks": {"a b": TASK}}, "[tasks.a b]: a name takes letters, digits"),
    ],
)
def test_a_fault_is_one_line(value, line):
    (found,) = faults(value)
    assert found.startswith(f"config: {line}")


def test_every_fault_has_its_line():
    found = faults(table(training={"epochs": 0, "lr": "x", "batchin": 1}, score=1))
    assert len(found) == 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text("x,label\n")
    path = tmp_path / "accord.toml"
    path.write_text(
        '[encoder]\npath = "org/name"\n[tasks.a]\nkind = "classification"\n'
        'train = "train.csv"\ntext = "x"\n'
    )
    return path


def test_paths_are_relative_to_the_file(file):
    config = load_config(file)
    assert config.tasks["a"].train == str(file.parent / "train.csv")
    assert config.encoder.path == "org/name"
    (file.parent / "org" / "name").mkdir(parents=True)
    assert load_config(file).encoder.path == str(file.parent / "org" / "name")


@pytest.mark.parametrize(
    ("override", "value"),
    [("training.epochs=2", 2), ("training.epochs = 2", 2), ("training.precision=bfloat16", None),
     ("training.device='cpu'", None)],
)  # fmt: skip
def test_an_override_replaces_the_file_s_value(file, override, value):
    training = load_config(file, [override]).training
    if value is not None:
        assert training.epochs == value
    else:
        assert override.partition("=")[2].strip("'") in (training.precision, training.device)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "takes KEY=VALUE"),
        ("=1", "takes KEY=VALUE"),
        ("training..lr=1", "takes KEY=VALUE"),
        ("tasks.a.text.x=1", "'text' is a value, not a section"),
        ("training.epoch=1", "did you mean 'epochs'"),
    ],
)
def test_a_wrong_override_is_refused(file, override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(file, [override])


def test_missing_data_files(file):
    near = file.parent / "trian.csv"
    (file.parent / "empty").mkdir()
    overrides = ["tasks.a.train=trian.csv", "tasks.a.dev=no/dev.csv", "tasks.a.test=empty"]
    with pytest.raises(ConfigError) as caught:
        plan_run(load_config(file, overrides), str(file))
    lines = str(caught.value).splitlines()
    assert lines[0] == (f"{file}: tasks.a.train: {near}: no such file; did you mean 'train.csv'?")
    assert f"nor is there a folder {file.parent / 'no'}" in lines[1]
    assert "empty: a folder without data files" in lines[2]
    overrides = ["tasks.a.train=x*.csv", 'tasks.a.dev=["train.csv", "train.csv"]']
    with pytest.raises(ConfigError) as caught:
        plan_run(load_config(file, overrides), str(file))
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("x*.csv: no file fits this pattern")
    assert lines[1].endswith(f"names {file.parent / 'train.csv'} twice")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = ", "not valid TOML"), (b"\xff", "can't be read"), (None, "no such config file")],
)
def test_a_file_that_is_no_config(tmp_path, content, message):
    path = tmp_path / "accord.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 99),
            "lr": st.floats(1e-9, 1),
            "batching": st.sampled_from(["proportional", "finish-largest", "finish-smallest"]),
            "clip": st.floats(0, 10),
            "device": st.text(),
        },
    )
)
def test_a_config_survives_json(training):
    config = parse_config(table(training=training))
    again = parse_config(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config
    assert isinstance(again, Config)


def test_check_files_of_a_complete_config(file):
    plan_run(load_config(file))


def test_only_some_tasks(file):
    names = list(load_config(file).tasks)
    assert list(load_config(file, only=names[:1]).tasks) == names[:1]
    with pytest.raises(ConfigError, match=f"no task '{names[0]}x'; did you mean '{names[0]}'"):
        load_config(file, only=[f"{names[0]}x"])


@pytest.mark.parametrize("score", [{}, {"score": "cs224n"}])
def test_a_dumped_config_is_read_as_an_equal_one(score):
    training = {"lr": 1e-5, "gradients": "pcgrad", "seed": 7}
    odd = {**TASK, "text": 'a "quoted" \\ column\n\u2028', "labels": ["x", 'y"', 3], "dropout": 0}
    config = parse_config(table(odd, training=training, **score))
    assert parse_config(tomllib.loads(dump_config(config))) == config


SCALARS = st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
TABLES = st.recursive(
    st.dictionaries(st.text(), SCALARS | st.lists(SCALARS)),
    lambda inner: st.dictionaries(st.text(), SCALARS | inner | st.lists(inner)),
    max_leaves=12,
)


@given(TABLES, st.sets(st.text(min_size=1)))
def test_any_table_is_read_as_an_equal_one_and_nothing_of_keys_that_are_none(table, unset):
    """Whatever alphabet a name or a path is written in, and however deep it stands."""
    unset -= table.keys()
    written = toml({**table, **dict.fromkeys(unset), "inner": [{**dict.fromkeys(unset), "a": 1}]})
    assert tomllib.loads(written) == {**table, "inner": [{"a": 1}]}


def test_every_unknown_method_is_named_at_once():
    wrong = {
        "training": ("batching", "balancing", "gradients", "regularisers"),
        "sharing": ("schemes",),
    }
    several = ("regularisers", "schemes")
    given = {
        section: {key: ["nothing"] if key in several else "nothing" for key in keys}
        for section, keys in wrong.items()
    }
    lines = faults(table(**given))
    assert [line.split(" unknown value 'nothing'; ")[0] for line in lines] == [
        f"config: {section}.{key}:" for section, keys in wrong.items() for key in keys
    ]
