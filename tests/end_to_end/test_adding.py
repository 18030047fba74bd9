"""Tasks added to a trained model and taken out of it: what the others say stays, to the byte."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from projects import write_encoder
from safetensors.torch import load_file

import accord
from accord.derived import same_answers
from accord.errors import Stopped, TrainingError, UsageError
from accord.evaluation.dev_texts import plan_of, read_dev_texts
from accord.model.layers_computed import layers_of_folder
from accord.runs.lock import hold

CONFIG = """
[training]
epochs = 1
batch_size = 4
threads = 1
device = "cpu"

[tasks.tone]
kind = "classification"
train = "mood-train.csv"
dev = "mood-dev.csv"
text = "text"
label = "mood"
"""
PARTS = '\n[sharing]\nschemes = ["{}"]\n[methods.adapter]\nsize = 4\n'
TEXTS = {
    "mood": ["a lovely film", "grim and stale", "", "the old road with a new song"],
    "same": [("a film", "a meal"), ("warm", "warm"), ("", "dull road")],
    "near": [("a film", "a film"), ("grim", "bright song under the road"), ("x", "")],
}


@pytest.fixture
def config(finished):
    """Write a config beside the run's data: (text)."""
    written = []

    def write(text=CONFIG, name="more"):
        file = finished.parent / "project" / f"{name}.toml"
        file.write_text(text)
        written.append(file)
        return file

    yield write
    for file in written:
        file.unlink(missing_ok=True)


def logits(folder):
    model = accord.load(folder)
    return {
        name: model.logits(name, texts).numpy().tobytes()
        for name, texts in TEXTS.items()
        if name in [task.name for task in model.tasks]
    }


def tasks_of(folder):
    return {
        entry["name"]: entry for entry in json.loads((folder / "accord.json").read_text())["tasks"]
    }


def test_a_head_is_added(finished, config, accord_cli, tmp_path):
    answer = accord_cli("add", finished, config(), "--out", tmp_path / "new")
    assert answer.code == 0, answer.err
    new, old = tmp_path / "new", finished / "model"
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
    assert ".accord-add" not in answer.out + answer.err
    assert {file.name for file in new.iterdir()} == {file.name for file in old.iterdir()}
    for file in old.iterdir():
        if file.name not in ("accord.json", "heads.safetensors"):
            assert (new / file.name).read_bytes() == file.read_bytes()
    heads, before = load_file(new / "heads.safetensors"), load_file(old / "heads.safetensors")
    assert all(torch.equal(value, heads.pop(name)) for name, value in before.items())
    assert {name.partition(".")[0] for name in heads} == {"tone"}
    assert logits(new) == logits(finished)
    both = accord.load(new).answer(TEXTS["mood"])
    assert [answer["mood"] for answer in both] == accord.load(finished).predict(
        "mood", TEXTS["mood"]
    )
    assert all({*answer} == {"mood", "tone"} for answer in both)
    for line in (
        "mood: answers equal to the byte on 9 dev texts of its own",
        "same: answers equal to the byte on 8 dev texts of its own",
        "near: answers equal to the byte on 7 dev texts of its own",
        f"model written to {new}",
    ):
        assert line in answer.out.splitlines()
    assert re.search(r"│? *tone +accuracy +\d\.\d{4} +\S+ +51 ", answer.out)
    cost = layers_of_folder(old).layers
    assert f"for an answer to all tasks: {cost:.1f} before, {cost:.1f} now" in answer.out


def test_what_each_task_is_made_from(finished, config, accord_cli, tmp_path):
    """A run's own folder says no time, as it is the same to the bit whenever it is made."""
    assert accord_cli("add", finished, config(), "--out", tmp_path / "new", "--quiet").code == 0
    old, new = tasks_of(finished / "model"), tasks_of(tmp_path / "new")
    resolved = json.loads((finished / "resolved.json").read_text())
    for name, entry in old.items():
        assert new[name] == entry
        assert {*entry["made"]} == {"accord", "run", "data"}
        assert entry["made"]["run"] == resolved["fingerprint"]
    assert len({entry["made"]["data"] for entry in new.values()}) == len(new)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", new["tone"]["made"]["date"])
    assert str(tmp_path.parent) not in (tmp_path / "new" / "accord.json").read_text()
    export = ["export", tmp_path / "new", tmp_path / "one", "--task", "tone", "--encoder-only"]
    assert accord_cli(*export).code == 0
    assert tasks_of(tmp_path / "one")["tone"]["made"] == new["tone"]["made"]


def test_the_figures_are_those_of_evaluate(finished, config, accord_cli, tmp_path):
    file = config()
    answer = accord_cli("add", finished, file, "--out", tmp_path / "new", "--json", "--quiet")
    said = json.loads(answer.out)
    source = ["--task", "tone", "--input", file.parent / "mood-dev.csv"]
    again = json.loads(accord_cli("evaluate", tmp_path / "new", *source, "--json").out)
    assert again["tone"]["accuracy"] == pytest.approx(said["results"]["metrics"]["tone"])
    assert said["new_parameters"] == {"tone": 51}
    assert len(said["unchanged"]) == 3


@pytest.mark.slow
def test_from_python_as_from_the_command_line(finished, config, accord_cli, tmp_path):
    """Models and what is said of them are the same, but for the time at which they were made."""
    file = config()
    added = accord.add(str(finished), str(file), str(tmp_path / "new"), quiet=True)
    more = ["--out", tmp_path / "cli", "--json", "--quiet"]
    said = json.loads(accord_cli("add", finished, file, *more).out)
    assert [*added.proofs] == said["unchanged"]
    assert added.parameters == said["new_parameters"]
    for part in ("model", "heads"):
        first, second = (tmp_path / name / f"{part}.safetensors" for name in ("new", "cli"))
        assert first.read_bytes() == second.read_bytes()
    with pytest.raises(UsageError, match="--replace tone puts this one in its place"):
        accord.add(tmp_path / "new", file, tmp_path / "again", quiet=True)
    lines = accord.remove(tmp_path / "new", ["tone", "near"], tmp_path / "less", quiet=True)
    assert [line.partition(":")[0] for line in lines] == ["mood", "same"]
    assert {*tasks_of(tmp_path / "less")} == {"mood", "same"}
    both = accord.add(finished, file, tmp_path / "both", joint=True, quiet=True)
    assert {*both.moved} == {"mood", "same", "near"}
    again = accord.add(tmp_path / "new", file, tmp_path / "third", replace=["tone"], quiet=True)
    assert again.results["metrics"] == added.results["metrics"]


@pytest.mark.slow
def test_tasks_with_parts_on_a_model_without_and_the_reverse(
    finished, config, accord_cli, tmp_path
):
    """One after the other, far from the run's files; then taken out again."""
    first, last = tmp_path / "a", finished
    for number, scheme in enumerate(("adapter", "lora", "pal", "task-norm", "")):
        text = CONFIG.replace("tone", f"tone{number}") + (PARTS.format(scheme) if scheme else "")
        text += "[methods.pal]\nsize = 4\nheads = 2\n" * (scheme == "pal")
        out = tmp_path / f"with-{number}"
        answer = accord_cli("add", last, config(text), "--out", out, "--quiet")
        assert answer.code == 0, answer.err
        assert logits(out) == logits(finished)
        assert "mood: answers equal to the byte on " in answer.out
        last = out
    assert layers_of_folder(last).layers == layers_of_folder(finished / "model").layers + 4
    gone = [f"tone{number}" for number in range(5)]
    answer = accord_cli("remove", last, *gone, "near", "--out", first)
    assert answer.code == 0, answer.err
    assert {*tasks_of(first)} == {"mood", "same"}
    assert not (first / "parts.safetensors").exists()
    before = logits(finished)
    assert logits(first) == {name: before[name] for name in ("mood", "same")}


def test_a_head_is_replaced_in_its_place(finished, config, accord_cli, tmp_path):
    labels = 'labels = ["pos", "neg", "mixed"]\nlabel'
    file = config(CONFIG.replace("tone", "mood").replace("label", labels))
    arguments = ["add", finished, file, "--out", tmp_path / "new", "--quiet"]
    answer = accord_cli(*arguments, "--replace", "mood")
    assert answer.code == 0, answer.err
    assert [*tasks_of(tmp_path / "new")] == [*tasks_of(finished / "model")]
    assert tasks_of(tmp_path / "new")["mood"]["labels"] == ["pos", "neg", "mixed"]
    before, after = logits(finished), logits(tmp_path / "new")
    assert before.pop("mood") != after.pop("mood")
    assert before == after


def test_the_texts_of_drawn_dev_rows_are_theirs(unbroken):
    """Those whose ids the run's own dev predictions have, in their order."""
    run = unbroken({"tasks.mood.dev": None, "training.epochs": 1})
    plan, model = plan_of(run), run / "model"
    with (run.parent / "project" / "mood-train.csv").open() as stream:
        texts = {row["id"]: row["text"] for row in csv.DictReader(stream)}
    with (run / "predictions" / "mood-dev.csv").open() as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    assert len(ids) < len(texts)
    rows = read_dev_texts(accord.load(run).task("mood"), plan, model)
    assert rows == [texts[each] for each in ids]


def test_removing_says_on_what_it_was_checked(finished, accord_cli, tmp_path):
    answer = accord_cli("remove", finished, "near", "--out", tmp_path / "less")
    assert answer.out.splitlines() == [
        "mood: answers equal to the byte on 9 dev texts of its own",
        "same: answers equal to the byte on 8 dev texts of its own",
        f"model written to {tmp_path / 'less'}",
    ]
    shutil.copytree(finished / "model", tmp_path / "copy")
    answer = accord_cli("remove", tmp_path / "copy", "near", "--out", tmp_path / "again")
    assert answer.out.startswith("mood: weights equal to the byte; no texts to compare answers on")


def test_an_answer_that_would_change_stops_it(finished, config, accord_cli, tmp_path, monkeypatch):
    def differs(*arguments):
        raise TrainingError("answers of 'same' differ")

    monkeypatch.setattr(same_answers, "check_same_answers", differs)
    for command in (["add", finished, config()], ["remove", finished, "near"]):
        answer = accord_cli(*command, "--quiet", "--out", tmp_path / "new")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.splitlines()[-1] == "accord: answers of 'same' differ"
        assert [*tmp_path.iterdir()] == []


def test_joint_training_says_by_how_much_the_others_moved(finished, config, accord_cli, tmp_path):
    """Each by its metric on its dev rows; of accuracy the paired t interval over rows."""
    file, new = config(), tmp_path / "new"
    # at a rate at which answers do change
    arguments = ["add", finished, file, "--joint", "--set", "training.lr=0.01", "--quiet"]
    said = json.loads(accord_cli(*arguments, "--out", new, "--json").out)
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
    assert [*tasks_of(new)] == ["mood", "same", "near", "tone"]
    assert {*said["new_parameters"]} == {"tone"}
    assert said["unchanged"] == []
    assert all("date" in entry["made"] for entry in tasks_of(new).values())
    results = json.loads((finished / "results.json").read_text())["metrics"]
    models = [accord.load(finished), accord.load(new)]
    for name, moved in said["moved"].items():
        assert moved["before"] == pytest.approx(results[name], abs=1e-6)
        assert moved["after"] == pytest.approx(said["results"]["metrics"][name], abs=1e-6)
    with (file.parent / "mood-dev.csv").open() as stream:
        rows = [*csv.DictReader(stream)]
    texts, labels = [row["text"] for row in rows], np.array([row["mood"] for row in rows])
    right = [np.array(model.predict("mood", texts)) == labels for model in models]
    gain = right[1].astype(float) - right[0]
    assert gain.any()
    half = scipy.stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
    assert said["moved"]["mood"]["difference"] == pytest.approx(gain.mean())
    interval = [gain.mean() - half, gain.mean() + half]
    assert said["moved"]["mood"]["interval"] == pytest.approx(interval)
    answer = accord_cli(*arguments, "--replace", "mood", "--out", tmp_path / "no")
    assert "no task 'mood'; allowed: tone" in answer.err


def test_joint_training_needs_the_others_files(finished, config, accord_cli, tmp_path):
    file, out = config(), ["--joint", "--out", tmp_path / "out", "--quiet"]
    shutil.copytree(finished / "model", tmp_path / "alone")
    answer = accord_cli("add", tmp_path / "alone", file, *out)
    assert answer.code == 2
    assert "lies in no run folder that names their files" in answer.err
    shutil.copytree(finished, tmp_path / "run")
    resolved = tmp_path / "run" / "resolved.json"
    resolved.write_text(resolved.read_text().replace("near-train.csv", "gone.csv"))
    answer = accord_cli("add", tmp_path / "run", file, *out)
    (line,) = answer.err.splitlines()
    assert answer.code == 2
    assert "tasks.near.train" in line
    assert "gone.csv: no such file" in line
    frozen = config(f"[encoder]\nmode = 'frozen'\n{CONFIG}", "frozen")
    answer = accord_cli("add", finished, frozen, *out)
    assert "--joint trains the encoder" in answer.err
    assert not (tmp_path / "out").exists()


def test_what_is_refused(
    finished, config, accord_cli, tmp_path, encoder_folder, make_project, train
):
    """One line each, and nothing is written."""
    other = write_encoder(tmp_path / "other", seed=9)
    (tmp_path / "there").mkdir()
    out = ["--out", tmp_path / "out", "--quiet"]
    texts = {
        r"--replace mood puts this one": CONFIG.replace("tone", "mood"),
        "is another one": f'[encoder]\npath = "{other}"\n{CONFIG}',
        "'finetune' trains": f"[encoder]\nmode = 'finetune'\n{CONFIG}",
        "the model's is 32": f"[encoder]\nmax_length = 12\n{CONFIG}",
        "reinit_layers": f"[encoder]\nreinit_layers = 1\n{CONFIG}",
        "'own-layers' copies": CONFIG + PARTS.format("own-layers"),
        "in one stage": CONFIG + '[[stages]]\ntasks = ["tone"]\n',
        "none.csv": CONFIG.replace("mood-train", "none"),
    }
    cases = [
        ([finished, config(text, f"c{number}"), *out], message)
        for number, (message, text) in enumerate(texts.items())
    ]
    plain = config(CONFIG, "plain")
    cases += [
        ([finished, plain, *out, "--replace", "moood"], "did you mean 'mood'"),
        ([finished, plain, *out, "--replace", "mood"], "plain.toml: no task 'mood'; allowed: tone"),
        ([finished, plain, "--out", tmp_path / "there"], "already exists"),
        ([encoder_folder, plain, *out], "holds no accord.json"),
        ([finished, tmp_path / "no.toml", *out], "no such config file"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in cases:
        answer = accord_cli("add", *arguments)
        assert (answer.code, answer.out) == (2, ""), answer
        (line,) = answer.err.splitlines()
        assert re.search(message, line), line
    for names, message in (
        (["moood"], "did you mean 'mood'"),
        (["mood", "same", "near"], "leaves none"),
    ):
        answer = accord_cli("remove", finished, *names, "--quiet", "--out", tmp_path / "out")
        (line,) = answer.err.splitlines()
        assert answer.code == 2
        assert message in line
    assert sorted(tmp_path.rglob("*")) == before


def test_layers_of_their_own_and_ensembles_are_refused(
    unbroken, finished, config, accord_cli, tmp_path
):
    copied = unbroken({"sharing.schemes": ["own-encoder"], "training.epochs": 1})
    answer = accord_cli("add", copied, config(), "--out", tmp_path / "out", "--quiet")
    assert answer.code == 2
    assert "what they share there was never trained" in answer.err
    accord_cli("ensemble", finished, copied, "--out", tmp_path / "both")
    answer = accord_cli("add", tmp_path / "both", config(), "--out", tmp_path / "out", "--quiet")
    assert answer.code == 2
    assert "is an ensemble" in answer.err
    assert not (tmp_path / "out").exists()


def test_stopped_training_leaves_nothing(finished, config, accord_cli, tmp_path, monkeypatch):
    for error, code, says in (
        (lambda run: KeyboardInterrupt(), 130, None),
        (lambda run: Stopped(f"SIGTERM; 'accord resume {run.path}' goes on", 143), 143, "SIGTERM"),
        (lambda run: OSError(28, "No space left on device"), 1, "No space left on device"),
    ):

        def stop(setup, run, *others, error=error):
            raise error(run)

        monkeypatch.setattr("accord.training.run.take_steps", stop)
        answer = accord_cli("add", finished, config(), "--out", tmp_path / "out", "--quiet")
        assert answer.code == code
        assert [*tmp_path.iterdir()] == []
        if says is not None:
            assert says in answer.err
            assert answer.err.endswith("; nothing was written\n")


def test_what_a_killed_process_left_is_removed_by_the_next(finished, config, accord_cli, tmp_path):
    """But never while the other process is at work; nothing of it is at --out."""
    out = tmp_path / "some" / "out"
    scratch = tmp_path / ".accord-add-some-out"
    shutil.copytree(finished, scratch / "run")
    (scratch / "encoder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with hold(scratch):
        answer = accord_cli("add", finished, config(), "--out", out, "--quiet")
    assert answer.code != 0
    (line,) = answer.err.splitlines()
    assert f"{scratch}: is being written to by" in line
    assert {*before} <= {*tmp_path.rglob("*")}
    for more in ([], ["--joint"]):
        answer = accord_cli("add", finished, config(), "--out", out, "--quiet", *more)
        assert answer.code == 0, answer.err
        assert [file.name for file in tmp_path.iterdir()] == ["some"]
        assert [file.name for file in out.parent.iterdir()] == ["out"]
        shutil.rmtree(out.parent)
        shutil.copytree(finished, scratch / "run")


def test_formats_are_read_or_refused_by_name(finished, accord_cli, tmp_path):
    shutil.copytree(finished / "model", tmp_path / "old")
    file = Path(tmp_path / "old" / "accord.json")
    table = json.loads(file.read_text())
    older = [
        {name: value for name, value in task.items() if name != "made"} for task in table["tasks"]
    ]
    file.write_text(json.dumps({**table, "format": 1, "tasks": older}))
    assert logits(tmp_path / "old") == logits(finished)
    assert accord_cli("remove", tmp_path / "old", "near", "--out", tmp_path / "new").code == 0
    for given, says in ((3, "a newer version of Accord reads it"), (0, "reads formats 1 to 2")):
        file.write_text(json.dumps({**table, "format": given}))
        answer = accord_cli("remove", tmp_path / "old", "near", "--out", tmp_path / "no")
        assert answer.code == 2
        assert f"is of another format, {given}; this version reads formats 1 to 2" in answer.err
        assert says in answer.err
