"""Bad input: one line on stderr that says what, where and what is allowed; exit 2; no file made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from projects import PATIENCE

ENCODER_CASES = [
    (shutil.rmtree, "no such folder"),
    (lambda folder: (folder / "config.json").unlink(), "is no encoder: it has no config.json"),
    (lambda folder: (folder / "model.safetensors").unlink(), "it has no model.safetensors"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 40), "can't be read"),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json: can't be read"),
    (
        lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'),
        "model_type is 'gpt2'; allowed: 'bert'",
    ),
    (
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "vocab.txt")],
        "no tokenizer: neither tokenizer.json nor vocab.txt is there",
    ),
]

CONFIG_CASES = [
    ({"training.epoch": 3}, "unknown key 'training.epoch'; did you mean 'epochs'?"),
    ({"tasks.mood.colour": 3}, "unknown key 'tasks.mood.colour'; allowed: kind, train, dev"),
    ({"training.epochs": "many"}, "'training.epochs' should be a whole number, got 'many'"),
    ({"training.epochs": 0}, "'training.epochs' should be at least 1, got 0"),
    ({"training.gradients": "pcgrab"}, "unknown value 'pcgrab'; did you mean 'pcgrad'?"),
    ({"training.device": "gpu"}, "device: 'gpu' is unknown; allowed: auto, cpu, cuda"),
    ({"training.device": "meta"}, "device: 'meta' is not supported; allowed: auto, cpu, cuda"),
    ({"training.device": "mps"}, "device: 'mps' has no float64, which training takes"),
    ({"encoder.path": None}, "'encoder.path' is missing"),
    ({"encoder.max_length": 33}, "encoder.max_length: 33 is more than the encoder's 32"),
    ({"tasks.mood.train": None}, "'tasks.mood.train' is missing"),
    ({"tasks.mood.train": "mood-trian.csv"}, "no such file; did you mean 'mood-train.csv'?"),
    ({"tasks.same.dev": "gone/dev.tsv"}, "no such file, nor is there a folder"),
    ({"tasks.mood.text": "txt"}, "did you mean 'text'?"),
    ({"tasks.near.text": ["s1", "s3"]}, "'s3'"),
    ({"tasks.mood.label": "moood"}, "did you mean 'mood'?"),
    ({"tasks.mood.labels": ["neg", "pos"]}, "mood-train.csv:3: mood: unknown label 'mixed'"),
    ({"tasks.near.range": [0, 4]}, "near-train.csv:3: score: 4.5 is outside the range 0 to 4"),
    ({"tasks.same.kind": "classification"}, "kind 'classification' takes one column, got 2"),
]


@pytest.fixture
def refused(accord_cli, listing, tmp_path):
    """Run a command that must be refused: (arguments, texts that its one line holds)."""

    def call(arguments, *texts, code=2):
        before = listing(tmp_path)
        answer = accord_cli(*arguments)
        assert answer.code == code, answer.err
        assert answer.out == ""
        assert answer.err.count("\n") == 1, answer.err
        assert answer.err.startswith("accord: ")
        for text in texts:
            assert text in answer.err
        assert listing(tmp_path) == before

    return call


@pytest.mark.parametrize(("changes", "text"), CONFIG_CASES)
def test_a_wrong_config(refused, project, tmp_path, changes, text):
    refused(["train", project(changes), "--out", tmp_path / "run"], text)


@pytest.mark.parametrize(("break_it", "text"), ENCODER_CASES)
def test_a_folder_that_is_no_encoder(refused, project, write_encoder, tmp_path, break_it, text):
    folder = write_encoder(tmp_path / "encoder")
    config = project({"encoder.path": str(folder)})
    break_it(folder)
    refused(["train", config, "--out", tmp_path / "run"], str(folder), text)


def test_a_pooler_that_is_not_there(refused, project, write_encoder, tmp_path):
    folder = write_encoder(tmp_path / "encoder", pooler=False)
    config = project({"encoder.path": str(folder)})
    refused(["train", config, "--out", tmp_path / "run"], "task 'near' pools by 'pooler'")


def test_one_token_type_can_t_join_pairs(refused, project, write_encoder, tmp_path):
    folder = write_encoder(tmp_path / "encoder", type_vocab_size=1)
    config = project({"encoder.path": str(folder)})
    refused(["train", config, "--out", tmp_path / "run"], "one token type", "joins pairs")


def test_a_task_named_like_a_part_of_torch(refused, project, tmp_path):
    path = project({}, ("mood",))
    path.write_text(path.read_text().replace("[tasks.mood]", "[tasks.type]"))
    refused(["train", path, "--out", tmp_path / "run"], "tasks.type", "choose another")


def test_cosine_heads_alone_have_nothing_to_train(refused, project, tmp_path):
    changes = {"encoder.mode": "frozen", "tasks.same.head": "cosine", "tasks.same.loss": "mse"}
    config = project(changes, ("same",))
    refused(["train", config, "--out", tmp_path / "run"], "nothing to train")


def test_several_faults_are_a_line_each(accord_cli, project, tmp_path):
    config = project({"training.epoch": 1, "training.seed": -1, "encoder.mod": "x"})
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert (answer.code, answer.err.count("\n")) == (2, 3)


def test_the_config_file(refused, project, tmp_path):
    run = tmp_path / "run"
    refused(["train", tmp_path / "none.toml", "--out", run], "none.toml: no such config file")
    refused(["train", tmp_path, "--out", run], "can't be read")
    config = project()
    config.write_text("[training\n")
    refused(["train", config, "--out", run], "accord.toml: not valid TOML", "line 1")
    config.write_bytes(b"a = '\xff'\n")
    refused(["train", config, "--out", run], "accord.toml: can't be read")


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("training.epoch=2", "unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("training.epochs", "--set training.epochs: takes KEY=VALUE"),
        ("encoder.path.x=1", "--set encoder.path.x=1: 'path' is a value, not a section"),
        ("training.lr=fast", "'training.lr' should be a number, got 'fast'"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_a_wrong_override_is_refused(refused, project, tmp_path, command, override, text):
    out = ["--out", tmp_path / "run"] if command == "train" else []
    refused([command, project(), "--set", override, *out], text)


def test_a_row_names_its_file_and_line(refused, project, tmp_path):
    config = project()
    file = config.parent / "near-dev.csv"
    file.write_text(file.read_text() + "x,too,short\n")
    refused(["train", config, "--out", tmp_path / "run"], f"{file}:9: ")


def test_a_place_that_is_taken(refused, project, tmp_path):
    config = project()
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refused(["train", config, "--out", out], f"{out}: already exists and is not an empty folder")
    refused(["train", config, "--out", out / "notes.txt"], "notes.txt: already exists")
    refused(["train", config, "--out", out / "notes.txt" / "run"], "notes.txt")
    (out / "status.json").write_text("{}")
    refused(["train", config, "--out", out], f"{out}: holds a run already", "accord resume")


LOSE_ROOT_S_RIGHTS = """
import ctypes, os
if os.geteuid() == 0:  # root too is to mind a folder's permissions
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capset(header, nothing)
"""


@pytest.mark.quick("locked")
@pytest.mark.parametrize("out", ["locked/run", "locked/deep/run", "locked"])
def test_a_place_that_can_t_be_written(start_accord, project, tmp_path, listing, out):
    config = project()
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    process = start_accord("train", config, "--out", tmp_path / out, before=LOSE_ROOT_S_RIGHTS)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.count("\n")) == (2, 1), err
    assert "can't be written to" in err
    assert list(locked.iterdir()) == []


def test_no_trace_of_python_on_stderr(start_accord, project, tmp_path):
    """As a user sees it: with Python's own handling of warnings."""
    process = start_accord(
        "train", project({"tasks.mood.labels": ["neg", "pos"]}), "--out", tmp_path / "run"
    )
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("accord: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_cache_that_can_t_be_written_is_a_one_line_warning(project, tmp_path, monkeypatch):
    """By a Python that imports everything itself: what other libraries warn of stays unseen too."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "file" / "cache"))
    command = ["train", project({"training.epochs": 1}), "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-m", "accord", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    (warning,) = (line for line in done.stderr.splitlines() if line.startswith("accord: warning"))
    assert warning.startswith("accord: warning: the cache folder")
    assert ".py" not in done.stderr


def test_models_and_files(refused, finished, tmp_path):
    (tmp_path / "empty").mkdir()
    project = finished.parent / "project"
    source, target = ["--input", project / "mood-test.csv"], ["--output", tmp_path / "out.csv"]
    task = ["--task", "mood"]
    for command in (["predict", *task, *source, *target], ["evaluate"]):
        name, rest = command[0], command[1:]
        refused([name, tmp_path / "none", *rest], "none: no such folder; a model is a run folder")
        refused([name, tmp_path / "empty", *rest], "empty: holds no accord.json")
    predict = ["predict", finished]
    (tmp_path / "others").mkdir()
    others = ["--input", tmp_path / "others" / "others.csv"]
    others[1].write_text("words,frist,secnod\na,b,c\n")
    whys = ["mood: no column 'text'", "same: no column 'first'; did you mean 'frist'?, no column"]
    refused([*predict, *others, *target], "no task of the model can be answered", *whys)
    refused([*predict, "--task", "mod", *source, *target], "no task 'mod'; did you mean 'mood'?")
    refused([*predict, *task, "--input", tmp_path / "x.csv", *target], "x.csv: no such file")
    refused([*predict, *task, "--input", tmp_path, *target], "a folder without data files")
    near = ["--input", project / "near-test.csv"]
    refused([*predict, *task, *near, *target], "text")
    refused([*predict, *task, *near, *target, "--text", "s3"], "'s3'", "s1")
    refused([*predict, *task, *near, *target, "--text", "s1", "--text", "s2"], "takes one text")
    refused([*predict, *task, *source, "--output", tmp_path / "no" / "x.csv"], "there is no folder")
    refused([*predict, *task, *source, "--output", tmp_path / "empty"], "empty: is a folder")
    refused([*predict, *task, *source], "Missing option '--output'")
    refused([*predict, *task, *source, *target, "--format", "xml"], "'xml' is not one of")


def test_wrong_uses_of_evaluate_are_refused(refused, finished, tmp_path):
    project = finished.parent / "project"
    shutil.copytree(finished / "model", tmp_path / "model")
    dev = ["--input", project / "mood-dev.csv"]
    refused(["evaluate", tmp_path / "model"], "lies in no run folder", "--config", "--input")
    refused(["evaluate", finished, *dev], "--input needs --task")
    refused(["evaluate", finished, "--task", "nera"], "no task 'nera'; did you mean 'near'?")
    refused(["evaluate", finished, "--task", "near", *dev], "'s1'")
    unlabelled = ["--input", project / "mood-test.csv"]
    refused(["evaluate", finished, "--task", "mood", *unlabelled], "'mood'")
    refused(["evaluate", finished, "--config", tmp_path / "no.toml"], "no such config file")


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 2}',
        '{"format": 1, "tasks": [3], "max_length": 9}',
        '{"format": 1, "tasks": [{"name": "x"}], "max_length": 9}',
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_damaged_description(refused, finished, tmp_path, command, damage):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "model" / "accord.json").write_text(damage)
    source = finished.parent / "project" / "mood-test.csv"
    rest = ["--input", source, "--output", tmp_path / "out.csv"] if command == "predict" else []
    refused([command, tmp_path / "run", *rest], "accord.json")


@pytest.mark.parametrize("name", ["heads.safetensors", "model.safetensors", "tokenizer.json"])
def test_a_damaged_model_file(refused, finished, tmp_path, name):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "model" / name).write_bytes(b"{" * 50)
    refused(["evaluate", tmp_path / "run"], name, "can't be read")


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"config": {}}'])
def test_a_damaged_run(refused, finished, tmp_path, damage):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "resolved.json").write_text(damage)
    refused(["evaluate", tmp_path / "run"], "resolved.json")
    (tmp_path / "run" / "results.json").write_text(damage)
    refused(["compare", tmp_path / "run"], "results.json")
    (tmp_path / "run" / "status.json").write_text(damage)
    refused(["compare", tmp_path / "run"], "the run is killed, not done")
    refused(["resume", tmp_path / "run"], "resolved.json")


def test_runs_that_are_none(refused, finished, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in ("resume", "compare"):
        refused([command, tmp_path / "none"], "none: no such folder", "accord train")
        refused([command, tmp_path / "empty"], "empty: holds no run", "accord train")
    (tmp_path / "empty" / "status.json").write_text(json.dumps({"state": "stopped"}))
    refused(["compare", finished, tmp_path / "empty"], "is stopped, not done", "accord resume")


def test_the_course_s_score_leaves_other_kinds_out(train, project, tmp_path):
    """It has no leaderboard file for plain regression; that is no reason to lose an epoch."""
    tasks = ("near",)
    changes = {"score": "cs224n", "tasks.near.kind": "regression", "tasks.near.text": "s1"}
    run = train(project(changes, tasks), tmp_path / "run")
    assert {file.name for file in (run / "predictions").iterdir()} == {
        "near-dev.csv", "near-heldout.csv", "near-test.csv",
    }  # fmt: skip


def test_no_such_device(refused, project, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    config = project({"training.device": "cuda:1"})
    refused(["train", config, "--out", tmp_path / "run"], "'cuda:1' is not on this machine")


def test_nothing_is_made_in_the_working_folder(accord_cli, project, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert accord_cli("train", project({"training.seed": -1}), "--out", "run").code == 2
    assert list(Path().iterdir()) == []
