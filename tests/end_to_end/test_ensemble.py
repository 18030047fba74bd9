"""Several runs as one model: its answers are the mean of theirs, whichever way it is asked."""

import csv
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import torch
from projects import shapes_of

import accord
from accord.config.file import load_config
from accord.errors import UsageError
from accord.kinds import labelled_kind
from accord.metrics import get_metric
from accord.model.saved import read_origins
from accord.plan.making import plan_run
from accord.training import run as training

# What may differ from run to run: the seed, and how a task's texts are read and pooled.
OTHER = {
    "training.seed": 4, "tasks.mood.pooling": "cls", "tasks.near.encoding": "separate",
    "encoder.max_length": 12,
}  # fmt: skip
TEXTS = {
    "mood": ["a lovely film", "grim and stale", "", "the old road with a new song"],
    "same": [("a film", "a meal"), ("warm", "warm"), ("", "dull road")],
    "near": [("a film", "a film"), ("grim", "bright song under the road"), ("x", "")],
}


@pytest.fixture(scope="module")
def second(make_project, tmp_path_factory):
    """Another run of the same tasks, with the tasks in another order."""
    folder = tmp_path_factory.mktemp("second")
    changes = {**OTHER, "training.epochs": 1}
    config = make_project(folder / "project", changes, ("near", "mood", "same"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        plan, source = plan_run(load_config(config)).only, config.read_text(encoding="utf-8")
        training.start_run(plan, folder / "run", source=source, quiet=True)
    return folder / "run"


@pytest.fixture
def both(finished, second, accord_cli, tmp_path):
    answer = accord_cli("ensemble", finished, second, "--out", tmp_path / "both")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"2 members written to {tmp_path / 'both'}\n"
    return tmp_path / "both"


def test_it_says_what_all_its_members_are_made_from(both, finished, second):
    """Of each task a hash of the runs, and the rows that all members share."""
    each = [read_origins(folder) for folder in (finished / "model", second / "model")]
    for name, origin in read_origins(both).items():
        runs = " ".join(known[name].run for known in each)
        assert origin.run == hashlib.sha256(runs.encode()).hexdigest()
        assert {origin.data} == {known[name].data for known in each}
    assert read_origins(both).keys() == each[0].keys()


def test_its_answers_are_the_mean_of_its_members(both, finished, second):
    model = accord.load(both)
    members = [accord.load(finished), accord.load(second)]
    for name in ("mood", "same"):
        task = model.task(name)
        kind = labelled_kind(task)
        own = [kind.probabilities(task, one.logits(name, TEXTS[name])) for one in members]
        found = kind.probabilities(task, model.logits(name, TEXTS[name]))
        torch.testing.assert_close(found, (own[0] + own[1]) / 2, rtol=0, atol=1e-6)
        best = [model.task(name).labels[i] for i in found.argmax(1).tolist()]
        assert model.predict(name, TEXTS[name]) == best
    values = [one.predict("near", TEXTS["near"]) for one in members]
    assert model.predict("near", TEXTS["near"]) == pytest.approx(np.mean(values, 0).tolist())
    assert values[0] != pytest.approx(values[1], abs=1e-3)  # the members do differ


def test_a_copy_elsewhere_without_the_runs_is_the_same_model(both, tmp_path):
    before = {name: accord.load(both).logits(name, TEXTS[name]) for name in TEXTS}
    shutil.copytree(both, tmp_path / "elsewhere")
    shutil.rmtree(both)
    model = accord.load(tmp_path / "elsewhere")
    assert all(torch.equal(model.logits(name, TEXTS[name]), own) for name, own in before.items())


def test_a_member_opens_by_itself(both, encoder_folder):
    one = accord.load(both / "members" / "0")
    assert one.predict("mood", TEXTS["mood"])
    assert shapes_of(both / "members" / "1") == shapes_of(encoder_folder)


def test_predict_writes_its_files_and_the_leaderboard_s(both, finished, accord_cli, tmp_path):
    project = finished.parent / "project"
    model = accord.load(both)
    texts = [row["text"] for row in csv.DictReader(
        (project / "mood-test.csv").read_text().splitlines())]  # fmt: skip
    source = ["--task", "mood", "--input", project / "mood-test.csv", "--quiet",
              "--probabilities", "--suffix", ".said"]  # fmt: skip
    for form, name in (("csv", "out.csv"), ("jsonl", "out.jsonl"), ("cs224n", "out.txt")):
        target = tmp_path / name
        answer = accord_cli("predict", both, *source, "--output", target, "--format", form)
        assert (answer.code, answer.err) == (0, "")
    expected = model.predict("mood", texts)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["mood.said"] for line in lines] == expected
    head, *rows = (tmp_path / "out.txt").read_text().splitlines()
    assert head == "id \t Predicted_Sentiment "
    assert [row.split(" , ")[1].strip() for row in rows] == expected
    names = [f"mood.said.{label}" for label in model.task("mood").labels]
    for record in map(json.loads, lines):
        assert sum(record[name] for name in names) == pytest.approx(1, abs=1e-6)


def test_evaluate_evaluates_the_mean(both, finished, accord_cli):
    project = finished.parent / "project"
    answer = accord_cli("evaluate", both, "--config", project / "accord.toml", "--json")
    assert answer.code == 0, answer.err
    found, model = json.loads(answer.out), accord.load(both)

    def rows(name):
        text = (project / name).read_text().splitlines()
        return list(csv.DictReader(text, delimiter="\t" if "\t" in text[0] else ","))

    mood, near = rows("mood-dev.csv"), rows("near-dev.csv")
    wanted = np.array([["neg", "mixed", "pos"].index(row["mood"]) for row in mood])
    said = model.predict("mood", [row["text"] for row in mood])
    indices = np.array([["neg", "mixed", "pos"].index(own) for own in said])
    assert found["mood"]["accuracy"] == pytest.approx(get_metric("accuracy")(indices, wanted))
    values = np.array(model.predict("near", [(row["s1"], row["s2"]) for row in near]))
    scores = np.array([float(row["score"]) for row in near])
    r = get_metric("pearson")(values, scores)
    assert found["near"]["pearson"] == pytest.approx(r, abs=1e-5)
    alone = accord_cli(
        "evaluate", both, "--task", "mood", "--input", project / "mood-dev.csv", "--json"
    )
    assert json.loads(alone.out)["mood"] == pytest.approx(found["mood"], abs=1e-6)


@pytest.fixture
def refused(accord_cli, tmp_path):
    def call(*arguments):
        answer = accord_cli("ensemble", *arguments, "--out", tmp_path / "out")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".new-*"))
        return answer.err

    return call


def test_what_can_be_no_ensemble(refused, both, finished, second, project, train, tmp_path):
    assert "takes two or more runs, got 1" in refused(finished)
    assert "is named twice" in refused(finished, second, finished / "model")
    assert "none: no such folder" in refused(finished, tmp_path / "none")
    assert "is an ensemble itself" in refused(finished, both)
    assert "is an ensemble itself" in refused(both, finished)
    shutil.copytree(second, tmp_path / "harmed")
    (tmp_path / "harmed" / "model" / "heads.safetensors").write_bytes(b"\x10")
    assert "heads.safetensors: can't be read" in refused(finished, tmp_path / "harmed")
    one = train(project({"training.epochs": 1}, ("mood",)), tmp_path / "one")
    assert "has no task 'same'" in refused(finished, one)
    assert "has a task 'near'" in refused(one, finished)


def test_tasks_that_are_not_alike(refused, finished, second, tmp_path):
    shutil.copytree(second, tmp_path / "other")
    file = tmp_path / "other" / "model" / "accord.json"
    table = json.loads(file.read_text())
    mood = next(task for task in table["tasks"] if task["name"] == "mood")
    for name, value in (("labels", ["mixed", "neg", "pos"]), ("metric", "macro_f1")):
        before = mood[name]
        mood[name] = value
        file.write_text(json.dumps(table))
        assert f"task 'mood' has another {name}" in refused(finished, tmp_path / "other")
        mood[name] = before


def test_a_run_that_is_not_done_or_an_out_that_is_there(
    stopped, finished, both, refused, accord_cli
):
    run = stopped({}, 8)
    assert "the run is stopped, not done; 'accord resume" in refused(finished, run)
    answer = accord_cli("ensemble", finished, run, "--out", both)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "both: already exists" in answer.err


def test_a_full_disk_leaves_nothing(finished, second, accord_cli, tmp_path, monkeypatch):
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv("ACCORD_FAULT", "full@9")
    answer = accord_cli("ensemble", finished, second, "--out", tmp_path / "out")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "No space left" in answer.err
    assert not list(tmp_path.glob("*out*"))


def described(change):
    def harm(folder):
        table = json.loads((folder / "accord.json").read_text())
        change(table)
        (folder / "accord.json").write_text(json.dumps(table))

    return harm


def linked(folder):
    (folder / "members" / "1").rename(folder.parent / "outside")
    (folder / "members" / "1").symlink_to(folder.parent / "outside")


def nested(folder):
    shutil.copy(folder / "accord.json", folder / "members" / "1" / "accord.json")


def relabelled(folder):
    described(lambda table: table["tasks"][1].update(labels=["x", "y", "z"]))(
        folder / "members" / "1"
    )


HARMS = {
    **{f"{value!r} members": described(lambda table, value=value: table.update(members=value))
       for value in (0, 1, -2, True, 10**6, 10**30, "2", 2.0, None, ["../../x"], {"0": "/etc"})},
    "three members of two": described(lambda table: table.update(members=3)),
    "a member that is missing": lambda folder: shutil.rmtree(folder / "members" / "0"),
    "no members": lambda folder: shutil.rmtree(folder / "members"),
    "a member that is a file": lambda folder: [
        shutil.rmtree(folder / "members" / "1"), (folder / "members" / "1").touch()],
    "a member that is a link": linked,
    "members that are a link": lambda folder: [
        (folder / "members").rename(folder.parent / "outside"),
        (folder / "members").symlink_to(folder.parent / "outside")],
    "a stranger among the members": lambda folder: (folder / "members" / "x\ny").mkdir(),
    "a member too many": lambda folder: shutil.copytree(
        folder / "members" / "0", folder / "members" / "2"),
    "a member that is an ensemble": nested,
    "a member of other labels": relabelled,
    "a member without a description": lambda folder: (
        folder / "members" / "1" / "accord.json").unlink(),
    "a member whose weights are cut off": lambda folder: os.truncate(
        folder / "members" / "1" / "model.safetensors", 100),
    "tasks that no member has": described(
        lambda table: table["tasks"].append({**table["tasks"][0], "name": "x"})),
    "fewer tasks than the members": described(lambda table: table["tasks"].pop()),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMS)
def test_a_hostile_ensemble_is_refused_in_one_line(name, both, tmp_path):
    folder = tmp_path / "stranger"
    shutil.copytree(both, folder)
    HARMS[name](folder)
    with pytest.raises(UsageError) as error:
        accord.load(folder)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    assert str(folder) in text


def test_hidden_files_of_a_file_browser_do_no_harm(both):
    (both / "members" / ".DS_Store").touch()
    assert accord.load(both).predict("mood", ["a film"])


def test_what_takes_one_model_says_so(both, accord_cli, tmp_path):
    for form in ("transformers", "onnx", "sentence-transformers"):
        answer = accord_cli("export", both, tmp_path / "x", "--task", "mood", "--to", form)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "is an ensemble; a single model is needed here" in answer.err
        assert "'accord soup' makes one of several runs" in answer.err
