"""Training from Python is what training from the command line is."""

import json
import tomllib
from pathlib import Path

import pytest

import accord
from accord.config.file import load_config
from accord.errors import ConfigError, RunFolderError, Stopped, UsageError


@pytest.mark.slow
def test_a_mapping_a_path_and_the_command_train_alike(
    project, accord_cli, tmp_path, outcome, monkeypatch
):
    config = project({"training.epochs": 1, "training.steps_per_epoch": 3})
    by_path = accord.train(str(config), out=tmp_path / "path", quiet=True)
    monkeypatch.chdir(config.parent)  # a mapping's relative paths are the working folder's
    by_mapping = accord.train(tomllib.loads(config.read_text()), tmp_path / "map", quiet=True)
    assert accord_cli("train", config, "--out", tmp_path / "cli", "--quiet").code == 0
    outcomes = [outcome(tmp_path / name) for name in ("path", "map", "cli")]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert by_path.folder == tmp_path / "path"
    assert by_mapping.results["metrics"] == by_path.results["metrics"]
    assert by_path.results == json.loads((tmp_path / "path" / "results.json").read_text())
    written = load_config(tmp_path / "map" / "config.toml")
    assert written.model_dump() == load_config(config).model_dump()


def test_the_default_folder_carries_the_time(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = accord.train(project({"training.epochs": 1}, ("mood",)), quiet=True)
    assert run.folder.parent == Path("runs")
    assert (tmp_path / run.folder / "model").is_dir()


def test_errors_are_exceptions_and_nothing_is_written(project, tmp_path):
    table = tomllib.loads(project().read_text())
    table["training"]["epoch"] = 1
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        accord.train(table, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunFolderError, match="holds no run"):
        accord.resume(tmp_path)
    assert not (tmp_path / "run").exists()


def test_resume_ends_a_run_that_was_stopped(project, stop_after, tmp_path):
    stop_after(4)
    with pytest.raises(Stopped):
        accord.train(project({"training.epochs": 1}), out=tmp_path / "run", quiet=True)
    assert accord.resume(str(tmp_path / "run"), quiet=True).results["steps"] == 6


def test_one_string_is_no_list_of_texts(finished):
    with pytest.raises(UsageError, match="takes a list of texts, got one string"):
        accord.load(finished).predict("mood", "a fine film")
