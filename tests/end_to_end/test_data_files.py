"""Splits in several files, and files with something odd: every command reads them alike."""

import csv
import json

import pytest

import accord
from accord.errors import RunFolderError
from accord.training.run import resume_run

EPOCH = {"training.epochs": 1}


def divide(folder, name, parts):
    """Divide a file's rows among shards in a folder of their own; return a pattern for these."""
    header, *rows = (folder / name).read_text(encoding="utf-8").splitlines()
    stem, suffix = name.split(".")
    (folder / stem).mkdir()
    for i in range(parts):
        ours = rows[i * len(rows) // parts : (i + 1) * len(rows) // parts]
        path = folder / stem / f"{stem}-{i:05}-of-{parts:05}.{suffix}"
        path.write_text("\n".join([header, *ours]) + "\n", encoding="utf-8")
    return f"{stem}/{stem}-*.{suffix}"


@pytest.fixture
def sharded(project):
    """Write a project whose task is in shards: named by a list, a pattern and a folder."""

    def make(changes=None):
        file = project({**EPOCH, **(changes or {})}, ("mood",))
        for split, parts in (("train", 3), ("dev", 2), ("test", 2)):
            divide(file.parent, f"mood-{split}.csv", parts)
        train = sorted((file.parent / "mood-train").iterdir())
        text = file.read_text()
        text = text.replace('"mood-train.csv"', json.dumps([f"mood-train/{f.name}" for f in train]))
        text = text.replace('"mood-dev.csv"', '"mood-dev/mood-dev-*.csv"')
        file.write_text(text.replace('"mood-test.csv"', '"mood-test"'))
        return file

    return make


@pytest.mark.slow
def test_shards_train_the_model_of_one_file(sharded, project, train, accord_cli, tmp_path):
    whole = train(project(EPOCH, ("mood",)), tmp_path / "whole")
    file = sharded()
    run = train(file, tmp_path / "run")
    weights = [(each / "model" / "model.safetensors").read_bytes() for each in (whole, run)]
    assert weights[0] == weights[1]
    for name in ("mood-dev.csv", "mood-test.csv"):
        assert (run / "predictions" / name).read_text() == (
            whole / "predictions" / name
        ).read_text()
    answer = accord_cli("check", file, "--json")
    splits = json.loads(answer.out)["tasks"][0]["splits"]
    assert [split["rows"] for split in splits] == [22, 9, 12]
    answer = accord_cli("evaluate", run)
    assert answer.code == 0, answer.err
    answer = accord_cli(
        "predict", run, "--input", file.parent / "mood-test", "--output", tmp_path / "out.csv"
    )
    assert (answer.code, answer.err.split()[0]) == (0, "12"), answer.err


@pytest.mark.slow
def test_a_run_of_shards_goes_on_and_tells_when_one_changed(sharded, train, stop_after, tmp_path):
    file, run = sharded({"training.epochs": 2}), tmp_path / "run"
    stop_after(3)
    with pytest.raises(accord.errors.Stopped):
        train(file, run)
    last = sorted((file.parent / "mood-train").iterdir())[-1]
    before = last.read_text()
    last.write_text(before.replace("pos", "neg", 1))
    with pytest.raises(RunFolderError, match=r"data mood\.train: content"):
        resume_run(run, quiet=True)
    last.write_text(before)
    resume_run(run, quiet=True)
    whole = train(file, tmp_path / "whole")
    weights = [(each / "model" / "model.safetensors").read_bytes() for each in (whole, run)]
    assert weights[0] == weights[1]


STRAY = 'id,text,mood\na,fine film,pos\nb,"grim road,neg\nc,a warm song,pos\nd,dull meal",neg\n'
LONG = [["id", "text", "mood"], ["a", "fine film", "pos"], ["b", "grim\n\nroad, so old", "neg"]]


def test_all_commands_refuse_a_row_that_swallowed_others(finished, project, accord_cli, tmp_path):
    file = project(EPOCH, ("mood",))
    data = file.parent / "mood-train.csv"
    data.write_text(STRAY)
    reason = f"{data}:3: a quote makes lines 3 to 5 one row, but they read as rows each"
    commands = [
        ("check", file),
        ("train", file, "--out", tmp_path / "run"),
        (
            "predict",
            finished,
            "--task",
            "mood",
            "--input",
            data,
            "--output",
            tmp_path / "out.csv",
            "--suffix",
            ".said",
        ),
        ("evaluate", finished, "--task", "mood", "--input", data),
    ]
    for command in commands:
        answer = accord_cli(*command)
        assert answer.code == 2, command
        assert answer.err.startswith(f"accord: {reason}"), command
    assert not (tmp_path / "out.csv").exists()
    answer = accord_cli(*commands[2], "--quoting", "none")
    assert (answer.code, answer.err.split()[0]) == (0, "4")
    answer = accord_cli(*commands[3], "--quoting", "none", "--json")
    assert (answer.code, answer.err) == (0, "")
    answer = accord_cli("evaluate", finished, "--quoting", "none")
    assert (answer.code, answer.err.split(":")[1]) == (2, " --quoting goes with --input")


def test_all_commands_say_that_lines_are_more_than_rows(finished, project, accord_cli, tmp_path):
    file = project(EPOCH, ("mood",))
    data = file.parent / "mood-dev.csv"
    with data.open("w", newline="") as stream:
        csv.writer(stream).writerows(LONG)
    note = f"{data}: 4 lines below the header are 2 rows: a quote makes lines 3 to 5 one row"
    for command in (("check", file), ("train", file, "--out", tmp_path / "run")):
        answer = accord_cli(*command)
        assert answer.code == 0, (command, answer.err)
        assert note in answer.out + answer.err, command
    source = ("--task", "mood", "--input", data)
    for command in (
        ("predict", finished, *source, "--output", tmp_path / "out.csv", "--suffix", ".said"),
        ("evaluate", finished, *source),
        ("evaluate", tmp_path / "run"),
    ):
        with pytest.warns(UserWarning, match="4 lines below the header are 2 rows: a quote makes"):
            assert accord_cli(*command).code == 0, command
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert [row[:3] for row in csv.reader(stream)] == LONG
