"""A run whose config or encoder was changed after it began: moved, edited, forced on."""

import json
import shutil
from itertools import permutations

import pytest

from accord.durable import FAULT


@pytest.mark.slow
def test_data_that_moved_is_found_where_the_run_s_config_says(
    stopped, tmp_path, accord_cli, outcome, unbroken
):
    whole = outcome(unbroken())
    run = stopped({}, 8)
    (tmp_path / "project").rename(tmp_path / "elsewhere")
    assert "mood-train.csv" in accord_cli("resume", run, "--quiet").err
    config = run / "config.toml"
    text = config.read_text().replace('"mood-', f'"{tmp_path}/elsewhere/mood-')
    text = text.replace('"same-', f'"{tmp_path}/elsewhere/same-')
    config.write_text(text.replace('"near-', f'"{tmp_path}/elsewhere/near-'))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 0, answer.err
    assert outcome(run) == whole


@pytest.mark.slow
def test_options_of_the_command_line_are_no_edits(project, accord_cli, tmp_path, stop_after):
    run = tmp_path / "run"
    stop_after(8)
    options = ["--set", "training.epochs=4", "--task", "mood", "--task", "near"]
    assert accord_cli("train", project(), "--out", run, *options).code == 143
    config = run / "config.toml"
    config.write_text(config.read_text().replace("keep = 9", "keep = 7"))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert "changed since this run began: checkpoint.keep: 9 -> 7; --force" in answer.err
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert json.loads((run / "results.json").read_text())["epochs"][-1]["epoch"] == 4


@pytest.mark.slow
def test_a_key_that_was_taken_out_of_the_config_is_an_edit(stopped_copy, accord_cli, metrics):
    run = stopped_copy({"training.schedule": "constant", "training.warmup": 0.0}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001\n", ""))
    answer = accord_cli("resume", run, "--quiet")
    assert "training.lr: 0.001 -> None" in answer.err
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert {line["step"]: line["lr"][0] for line in metrics(run)}[9] == 5e-5


TABLE = "[tasks.mood.class_weights]\n"
WEIGHTS = {
    "": [],
    'class_weights = "balanced"\n': [22 / 24, 22 / 21, 22 / 21],
    f"{TABLE}neg = 3\n": [3, 1, 1],
    f"{TABLE}neg = 4\npos = 2.5\n": [4, 1, 2.5],
}
"""What a config says of a task's weights, and what they are then."""


@pytest.mark.slow
def test_a_table_may_come_go_or_take_the_place_of_a_word(project, accord_cli, tmp_path, stop_after):
    """What a config says is edited into each other thing that it may say."""
    changes = {"training.epochs": 1, "training.steps_per_epoch": 3}
    plain = project(changes, ("mood",)).read_text()

    def saying(words):
        if words.startswith(TABLE):
            return plain + words
        return plain.replace("[tasks.mood]\n", f"[tasks.mood]\n{words}", 1)

    file = tmp_path / "project" / "accord.toml"
    for number, before in enumerate(WEIGHTS):
        file.write_text(saying(before))
        stop_after(2)
        assert accord_cli("train", file, "--out", tmp_path / str(number), "--quiet").code == 143
    for (number, before), (other, after) in permutations(enumerate(WEIGHTS), 2):
        run = shutil.copytree(tmp_path / str(number), tmp_path / f"{number}-{other}")
        (run / "config.toml").write_text(saying(after))
        answer = accord_cli("resume", run, "--quiet")
        assert "changed since this run began: tasks.mood.class_weights" in answer.err
        answer = accord_cli("resume", run, "--force", "--quiet")
        assert answer.code == 0, (before, after, answer.err)
        (task, *_) = json.loads((run / "model" / "accord.json").read_text())["tasks"]
        assert task["class_weights"] == pytest.approx(WEIGHTS[after]), (before, after)


@pytest.mark.quick("weights")
@pytest.mark.parametrize("changed", ["hidden_dropout_prob", "weights"])
def test_an_encoder_that_changed_is_refused(stopped, accord_cli, write_encoder, tmp_path, changed):
    folder = write_encoder(tmp_path / "encoder")
    run = stopped({"encoder.path": str(folder)}, 8)
    if changed == "weights":
        write_encoder(folder, seed=1)
    else:
        table = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**table, changed: 0.6}))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert "encoder's" in answer.err


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_fails_as_a_run_is_forced_on_is_one_line(
    stopped_copy, accord_cli, monkeypatch, fault, place
):
    run = stopped_copy({"training.epochs": 1}, 2)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.002"))
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv(FAULT, f"{fault}@{place}")
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code in (1, 2)
    assert answer.err.count("\n") == 1
    assert "bug in Accord" not in answer.err


def test_fewer_steps_than_were_taken_are_refused(stopped_copy, accord_cli):
    run = stopped_copy({}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("epochs = 2", "epochs = 1"))
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code == 2
    assert "is after step 8, but the run has 6 steps now" in answer.err
