"""Tasks of every kind trained together: what the run says is what its model says afterwards."""

import csv
import json
import random
import warnings
from pathlib import Path

import numpy as np
import projects
import pytest
from huggingface_hub import ModelCard
from killed import kill_and_resume
from kind_cases import Case, all_cases

import accord
from accord.config.file import toml
from accord.derived.adding import add_tasks
from accord.derived.joint import add_jointly
from accord.derived.removing import remove_tasks
from accord.evaluation.evaluate import evaluate_run
from accord.evaluation.predict import Predictor
from accord.publishing.card import card
from accord.publishing.known import know
from accord.runs.folder import RunFolder
from accord.training.run import Run

LABELLED, ALL = all_cases(labelled=True), all_cases()
WORDS = [*projects.GOOD, *projects.BAD, *projects.PLAIN]


def written(folder: Path, case: Case, rows: int) -> str:
    """Write a file of a case's labels beside random texts, and return its path."""
    rng, labels = random.Random(case.task.name), list(case.good)
    path = folder / f"{case.task.name}-{rows}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*case.columns, case.section.label])
        for i in range(rows):
            label = labels[i % len(labels)]
            count = len(case.text(label).split()) if case.kind.units == "words" else 0
            texts = [
                " ".join(rng.choices(WORDS, k=count or rng.randint(2, 8))) for _ in case.columns
            ]
            if case.candidates is not None:
                texts[1] = case.row(label)["two"]
            writer.writerow([*texts, label])
    return str(path)


def table(folder: Path, case: Case) -> dict:
    """Return a case's `[tasks.NAME]`; tasks without labels take the others' texts."""
    ours = {"kind": case.task.kind, **case.keys}
    if not case.task.labelled:
        return ours
    return {**ours, "train": written(folder, case, 24), "dev": written(folder, case, 12),
            "text": case.text_key}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("kinds")
    config = {
        "encoder": {"path": str(projects.write_encoder(folder / "encoder"))},
        "tasks": {case.task.name: table(folder, case) for case in ALL},
        "training": {"epochs": 2, "batch_size": 6, "steps_per_epoch": 3, "gradients": "pcgrad"},
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        return accord.train(config, out=folder / "run", quiet=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_every_task_is_evaluated_by_its_metrics(run: Run) -> None:
    best = max(run.results["epochs"], key=lambda record: record["sum"])
    assert set(best["figures"]) == {case.task.name for case in ALL}
    assert set(run.results["heldout"]) == {case.task.name for case in LABELLED}
    for figures in best["figures"].values():
        assert all(np.isfinite(value) for value in figures.values())


@pytest.mark.slow
def test_the_model_says_what_the_run_said(run: Run) -> None:
    model: Predictor = accord.load(run.folder)
    best = max(run.results["epochs"], key=lambda record: record["sum"])
    evaluated = evaluate_run(run.folder, RunFolder(run.folder)).tasks
    for case in LABELLED:
        name, dev = case.task.name, run.folder.parent / f"{case.task.name}-12.csv"
        rows = rows_of(run.folder / "predictions" / f"{name}-dev.csv")
        texts = [tuple(row[column] for column in case.columns) for row in rows_of(dev)]
        if case.candidates is not None:
            texts = [(text, json.loads(others)) for text, others in texts]
        answers = model.predict(name, [text if len(text) > 1 else text[0] for text in texts])
        task, kind = model.task(name), case.kind
        said = kind.read_answers(task, [row["prediction"] for row in rows])
        again = kind.read_answers(task, [kind.cell(task, answer) for answer in answers])
        np.testing.assert_allclose(again, said, atol=1e-4)
        labels = kind.target_form(task).array(
            [case.good[label] for label in (list(case.good) * 12)[:12]]
        )
        np.testing.assert_array_equal(
            kind.read_answers(task, [row["label"] for row in rows]), labels
        )
        expected = best["figures"][name]
        assert evaluated[name].figures == pytest.approx(expected, abs=1e-4)
        if not kind.tunes(task):  # thresholds are cross-fitted on the rows that chose them alone
            figures = model.evaluate_file(name, dev).figures
            assert figures == pytest.approx(expected, abs=1e-4)


def test_a_run_s_files_say_what_the_model_says_of_their_texts(run: Run) -> None:
    """Of every kind; where answers quote texts, these stand beside them as they were given."""
    model: Predictor = accord.load(run.folder)
    for case in LABELLED:
        name, kind = case.task.name, case.kind
        rows = rows_of(run.folder / "predictions" / f"{name}-dev.csv")
        given = rows_of(run.folder.parent / f"{name}-12.csv")
        texts = [tuple(row[column] for column in case.columns) for row in given]
        if case.candidates is not None:
            texts = [(text, *json.loads(others)) for text, others in texts]
        assert [int(row["line"]) for row in rows] == [*range(2, 14)]
        if kind.quotes_texts:
            wanted = [text[0] if len(text) == 1 else json.dumps(text) for text in texts]
            assert [row["text"] for row in rows] == wanted
        asked = [text if len(text) > 1 else text[0] for text in texts]
        for row, said in zip(rows, model.details(name, asked), strict=True):
            assert row.keys() >= said.keys() - {"probabilities", "prediction"}
            if "choice" in said:
                assert row["choice"] == said["choice"]
                place = kind.read_answers(model.task(name), [row["prediction"]])[0]
                assert json.loads(row["text"])[1 + int(place)] == row["choice"]
            for entity, wanted in zip(
                json.loads(row.get("entities", "[]")), said.get("entities", []), strict=True
            ):
                assert {**entity, "probability": 0} == {**wanted, "probability": 0}
                assert entity["probability"] == pytest.approx(wanted["probability"], abs=1e-4)
                assert row["text"][entity["start"] : entity["end"]] == entity["text"]
            if "order" in said:
                assert json.loads(row["order"]) == said["order"]


SETTINGS = {
    "in passes": {"training": {"micro_batch_tokens": 200, "precision": "bfloat16",
                               "gradients": "gradvac", "balancing": "uncertainty"}},
    "souped": {"training": {"regularisers": ["r-drop", "smart"]}, "sharing": {"schemes": ["lora"]},
               "averaging": {"method": "soup"}},
    "frozen": {"encoder": {"mode": "frozen"}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_of_all_kinds_that_was_killed_and_resumed_leaves_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    config = {
        "encoder": {"path": str(projects.write_encoder(tmp_path / "encoder"))},
        "training": {"epochs": 2, "batch_size": 4, "steps_per_epoch": 2},
        "tasks": {
            case.task.name: table(tmp_path, case)
            for case in LABELLED
            if case.task.targets == "range" or name != "souped"  # moving scales have no average
        },
        "checkpoint": {"every_steps": 1},
    }
    for section, keys in SETTINGS[name].items():
        config[section] = {**config.get(section, {}), **keys}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        killed, whole = kill_and_resume(
            lambda out: accord.train(config, out=out, quiet=True), tmp_path, 3
        )
    assert projects.outcome_of(killed) == projects.outcome_of(whole)
    check_card(whole)


def check_card(run: Path) -> None:
    """Every task's figure is on the run's card, with an interval around it, if it has any."""
    known = know(run)
    read = ModelCard(card(known))
    results = {each.dataset_config: each.metric_value for each in read.data.eval_results}
    assert list(results) == [task.name for task in known.tasks]
    for task in known.tasks:
        interval = known.interval(task)
        if interval is not None:
            low, high = interval
            assert low - 1e-4 <= results[task.name] <= high + 1e-4, task.name
        assert f"| {task.name} | {task.kind} | " in read.text


def more(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a config of a further task of every kind, on the run's data."""
    monkeypatch.setenv("ACCORD_CACHE", str(run.folder.parent / "cache"))
    sections = {f"{case.task.name}-more": table(run.folder.parent, case) for case in LABELLED}
    training = {"epochs": 1, "batch_size": 6, "steps_per_epoch": 3}
    (folder / "more.toml").write_text(toml({"training": training, "tasks": sections}), "utf-8")
    return folder / "more.toml"


@pytest.mark.slow
def test_tasks_of_every_kind_are_added_and_taken_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old tasks say to the byte what they said."""
    file, names = more(run, tmp_path, monkeypatch), [case.task.name for case in LABELLED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        added = add_tasks(run.folder, file, tmp_path / "new", quiet=True)
    own = "answers equal to the byte on 12 dev texts of its own"
    assert added.proofs == tuple(f"{name}: {own}" for name in names)
    model = accord.load(tmp_path / "new")
    added_names = [f"{name}-more" for name in names]
    assert [task.name for task in model.tasks] == [*names, *added_names]
    copied = remove_tasks(tmp_path / "new", [*added_names, names[0]], tmp_path / "less")
    assert len(copied) == len(names) - 1


@pytest.mark.slow
def test_tasks_of_every_kind_move_where_they_are_trained_on_with_new_ones(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = more(run, tmp_path, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joint = add_jointly(run.folder, file, tmp_path / "joint", quiet=True)
    assert [*joint.moved] == [case.task.name for case in LABELLED]
    results = json.loads((run.folder / "results.json").read_text())["metrics"]
    for name, moved in joint.moved.items():
        assert moved.theirs[0] == pytest.approx(results[name], abs=1e-5)
        assert moved.ours[0] == pytest.approx(joint.results["metrics"][name], abs=1e-5)
