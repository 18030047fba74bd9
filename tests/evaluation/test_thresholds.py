"""A label's threshold: the best on the rows that choose it, and evaluated on others."""

import csv
import json
import random
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import projects
import pytest
import sklearn.metrics
import torch

import accord
from accord.data.labels import parse_number
from accord.derived.ensemble import ensemble
from accord.derived.run_soup import soup_runs
from accord.evaluation.evaluate import evaluate_run
from accord.evaluation.scores import read_scores
from accord.kinds import moved
from accord.kinds._thresholds import best_f1_thresholds
from accord.runs.folder import RunFolder
from accord.tasks import Task

LABELS = ("bad", "good", "new", "old")


def f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    right = (targets & predicted).sum()
    return float(2 * right / max(1, targets.sum() + predicted.sum()))


def test_no_cut_between_rows_has_a_higher_f1() -> None:
    """By trying all; also where logits tie, all rows have a label, one, or none."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = int(rng.integers(1, 25))
        targets = (rng.random((rows, 5)) < [0.0, 0.1, 0.5, 0.9, 1.0]).astype(np.uint8)
        logits = (3 * rng.normal(size=(rows, 5)) + 2 * targets - 2).astype(np.float32)
        if seed % 2:
            logits = np.round(logits)
        thresholds = best_f1_thresholds(targets, logits)
        said = moved(torch.from_numpy(logits), thresholds).numpy() >= 0
        for label in range(5):
            wanted, column = targets[:, label], logits[:, label]
            if not wanted.any():
                assert thresholds[label] == 0.5
                continue
            cuts = [f1(wanted, column >= cut) for cut in column]
            assert f1(wanted, said[:, label]) == pytest.approx(max(cuts))
            if f1(wanted, column >= 0) == pytest.approx(max(cuts)):
                assert (said[:, label] == (column >= 0)).all()
        order = rng.permutation(rows)
        assert best_f1_thresholds(targets[order], logits[order]) == thresholds
    assert best_f1_thresholds(np.zeros((0, 2), np.uint8), np.zeros((0, 2))) == (0.5, 0.5)


def test_moved_logits_say_what_the_probability_does() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(200, 3, generator=generator)
    thresholds = (0.03, 0.5, 0.97)
    above = logits.double().sigmoid() >= torch.tensor(thresholds, dtype=torch.float64)
    assert torch.equal(moved(logits, thresholds) >= 0, above)
    assert moved(logits, ()) is logits


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"thresholds": [0.5]}, "thresholds are"),
        ({"thresholds": [0.5, 1.0]}, "thresholds are"),
        ({"thresholds": [0.5, "x"]}, "thresholds are"),
        ({"tuned": False, "thresholds": [0.5, 0.5]}, "thresholds are"),
        ({"separator": ""}, "separator is"),
        ({"separator": "a"}, "separator is"),
        ({"empty": "ab"}, "empty is"),
        ({"labels": []}, "labels are"),
    ],
)
def test_a_stranger_s_task_is_checked(change, fault) -> None:
    from accord.kinds.multi_label import MultiLabelTask

    task = MultiLabelTask(
        "t", "multi-label", "binary_cross_entropy", "micro_f1", labels=("ab", "c")
    )
    good = {**task.to_json(), "thresholds": [0.25, 0.5]}
    read = Task.from_json(json.loads(json.dumps(good)))
    assert read == task
    assert read.thresholds == (0.25, 0.5)
    with pytest.raises(ValueError, match=fault):
        Task.from_json({**good, **change})
    plain = Task("t", "classification", "cross_entropy", "accuracy", labels=("a", "b"))
    with pytest.raises(ValueError, match="thresholds are"):
        Task.from_json({**plain.to_json(), "thresholds": [0.5, 0.5]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three runs on rows with labels of which some are rare."""
    folder, rng = tmp_path_factory.mktemp("thresholds"), random.Random(3)
    for split, count in (("train", 120), ("dev", 90), ("test", 40)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "label"])
            for i in range(count):
                names = [name for name, share in zip(LABELS, (0.2, 0.5, 0.1, 0.3), strict=True)
                         if rng.random() < share]  # fmt: skip
                words = [rng.choice(projects.BAD)] * ("bad" in names)
                words += [rng.choice(projects.GOOD)] * ("good" in names)
                text = " ".join([*rng.choices(projects.PLAIN, k=8), *words, *names])
                writer.writerow([f"{split}{i}", text, json.dumps(names)])
    encoder = str(projects.write_encoder(folder / "encoder"))
    files = {split: str(folder / f"{split}.csv") for split in ("train", "dev")}
    task = {"kind": "multi-label", "text": "text", "id": "id", **files}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        for name, seed, more, test in (
            ("one", 0, {}, {}),
            ("two", 1, {}, {"test": str(folder / "test.csv")}),
            ("soup", 0, {"averaging": {"method": "soup"}}, {}),
        ):
            accord.train(
                {
                    "encoder": {"path": encoder},
                    "tasks": {"moods": {**task, **test}},
                    "training": {"epochs": 3, "batch_size": 16, "seed": seed, "lr": 3e-3},
                    **more,
                },
                out=folder / name, quiet=True,
            )  # fmt: skip
        yield folder


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def sets_of(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([[name in row[column].split("|") for name in LABELS] for row in rows])


def saved_thresholds(folder: Path) -> tuple[float, ...]:
    table = json.loads((folder / "accord.json").read_text())
    return tuple(table["tasks"][0]["thresholds"])


def micro(targets: np.ndarray, said: np.ndarray) -> float:
    return float(sklearn.metrics.f1_score(targets, said, average="micro", zero_division=0))


@pytest.mark.parametrize("name", ["one", "two", "soup"])
def test_a_run_s_figures_are_of_rows_that_no_threshold_has_seen(folder, name) -> None:
    """All by hand: from the epochs' logits, halves and labels in `scores.safetensors`."""
    run = RunFolder(folder / name)
    results, scores = run.read_json("results.json"), read_scores(run.path)["moods"]
    halves, labels = scores.halves.numpy(), scores.labels.numpy()

    def said_by_halves(logits: torch.Tensor) -> np.ndarray:
        said = np.zeros(labels.shape, bool)
        for half in (0, 1):
            chosen = best_f1_thresholds(labels[halves == half], logits.numpy()[halves == half])
            other = halves != half
            said[other] = (logits.double().sigmoid() >= torch.tensor(chosen)).numpy()[other]
        return said

    for epoch, record in zip(scores.epochs, results["epochs"], strict=True):
        expected = micro(labels, said_by_halves(epoch))
        assert record["metrics"]["moods"] == pytest.approx(expected, abs=1e-9)
        assert micro(labels, epoch.numpy() >= 0) != pytest.approx(expected, abs=1e-3)
    again = evaluate_run(run.path, run).tasks["moods"]
    assert again.figures == pytest.approx(results["figures"]["moods"], abs=1e-6)

    entry = results["heldout"]["moods"]
    rows = rows_of(run.predictions / "moods-heldout.csv")
    value = micro(sets_of(rows, "label"), sets_of(rows, "prediction"))
    assert entry["value"] == pytest.approx(value, abs=1e-9)
    assert entry["dev"] == pytest.approx(results["metrics"]["moods"], abs=1e-9)
    if name == "one":  # what half h chose, epoch and thresholds, predicts the other half
        for half in (0, 1):
            mine = halves == half
            fitted = [
                micro(labels[mine], moved(
                    logits, best_f1_thresholds(labels[mine], logits.numpy()[mine])
                ).numpy()[mine] >= 0)
                for logits in scores.epochs
            ]  # fmt: skip
            best = int(np.argmax(fitted))
            chosen = best_f1_thresholds(labels[mine], scores.epochs[best].numpy()[mine])
            said = moved(scores.epochs[best], chosen).numpy() >= 0
            there = [i for i, row in enumerate(rows) if int(row["half"]) != half]
            np.testing.assert_array_equal(sets_of(rows, "prediction")[there], said[~mine])
            # Probabilities are the model's own.
            shares = [[parse_number(rows[i][f"p({label})"]) for label in LABELS] for i in there]
            expected = scores.epochs[best].sigmoid().numpy()[~mine]
            np.testing.assert_allclose(shares, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["one", "two", "soup"])
def test_a_saved_model_predicts_by_the_thresholds_that_all_of_dev_chose(folder, name) -> None:
    run, model = folder / name, accord.load(folder / name)
    dev, source = rows_of(run / "predictions" / "moods-dev.csv"), rows_of(folder / "dev.csv")
    logits = model.logits("moods", [row["text"] for row in source])
    labels = sets_of(dev, "label")
    thresholds = saved_thresholds(run / "model")
    assert len(set(thresholds)) > 1
    np.testing.assert_allclose(
        thresholds, best_f1_thresholds(labels.astype(np.uint8), logits.numpy()), atol=1e-4
    )
    said = logits.double().sigmoid() >= torch.tensor(thresholds, dtype=torch.float64)
    np.testing.assert_array_equal(sets_of(dev, "prediction"), said.numpy())
    answers = model.predict("moods", [row["text"] for row in source])
    assert answers == [row["prediction"].split("|") * bool(row["prediction"]) for row in dev]
    figures = model.evaluate_file("moods", folder / "dev.csv").figures
    assert figures["micro F1"] == pytest.approx(micro(labels, said.numpy()), abs=1e-9)
    if name == "two":
        test = rows_of(run / "predictions" / "moods-test.csv")
        texts = [row["text"] for row in rows_of(folder / "test.csv")]
        joined = ["|".join(answer) for answer in model.predict("moods", texts)]
        assert joined == [row["prediction"] for row in test]


def test_an_ensemble_has_the_mean_of_its_members_thresholds(folder, tmp_path) -> None:
    ensemble([folder / "one", folder / "two"], tmp_path / "both")
    each = [saved_thresholds(folder / name / "model") for name in ("one", "two")]
    thresholds = saved_thresholds(tmp_path / "both")
    assert thresholds == pytest.approx(np.mean(each, axis=0).tolist())
    model, texts = (
        accord.load(tmp_path / "both"),
        [row["text"] for row in rows_of(folder / "dev.csv")],
    )
    said = model.logits("moods", texts).double().sigmoid() >= torch.tensor(thresholds)
    answers = [[name in answer for name in LABELS] for answer in model.predict("moods", texts)]
    assert answers == said.tolist()


def test_a_soup_of_runs_has_thresholds_of_its_own(folder, tmp_path) -> None:
    made = soup_runs([folder / "one", folder / "two"], tmp_path / "soup")
    model = accord.load(tmp_path / "soup")
    rows = rows_of(folder / "dev.csv")
    logits = model.logits("moods", [row["text"] for row in rows]).numpy()
    labels = np.array([[name in json.loads(row["label"]) for name in LABELS] for row in rows])
    expected = best_f1_thresholds(labels.astype(np.uint8), logits)
    np.testing.assert_allclose(model.task("moods").thresholds, expected, atol=1e-4)
    for alone, name in zip(made.alone, ("one", "two"), strict=True):
        figures = RunFolder(folder / name).read_json("results.json")["figures"]["moods"]
        assert alone.figures["moods"] == pytest.approx(figures, abs=1e-6)


def test_a_task_is_the_same_by_other_thresholds() -> None:
    from accord.kinds.multi_label import MultiLabelTask

    task = MultiLabelTask("t", "multi-label", "binary_cross_entropy", "micro_f1", labels=("a",))
    assert replace(task, thresholds=(0.25,)) == task
