"""The course's recipe on its real files with a real encoder, cut to a few steps."""

import json
from pathlib import Path

import pytest

import accord

COLUMNS = {
    "sst": "Predicted_Sentiment", "quora": "Predicted_Is_Paraphrase", "sts": "Predicted_Similiary",
}  # fmt: skip
FILES = {"sst": "ids-sst", "quora": "quora", "sts": "sts"}
SUFFIXES = {"dev": "dev", "test": "test-student"}
ROWS = {
    "sst": {"dev": 1101, "test": 2210},
    "quora": {"dev": 2000, "test": 2000},
    "sts": {"dev": 863, "test": 1725},
}


@pytest.fixture(scope="module")
def course_data():
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the course's data is not at {folder}")
    return folder


@pytest.mark.slow
def test_the_recipe_runs(accord_cli, minilm, course_data, tmp_path, metrics):
    config, run = tmp_path / "accord.toml", tmp_path / "run"
    made = accord_cli(
        "init", "--recipe", "cs224n", "--data", course_data, "--encoder", minilm, "-o", config
    )
    assert (made.code, made.err) == (0, "")
    overrides = ["training.epochs=1", "training.steps_per_epoch=2", "encoder.max_length=24"]
    options = [part for override in overrides for part in ("--set", override)]
    trained = accord_cli("train", config, "--out", run, "--json", *options)
    assert trained.code == 0, trained.err
    assert "quora: " in trained.err
    assert "skipped; the first: " in trained.err
    assert "epoch 1/1  sst accuracy " in trained.err
    results = json.loads(trained.out)
    assert (results["best_epoch"], results["steps"], results["score_kind"]) == (1, 2, "cs224n")
    own = results["metrics"]
    expected = (own["sst"] + own["quora"] + (own["sts"] + 1) / 2) / 3
    assert results["score"] == pytest.approx(expected)
    assert 22_000_000 < results["parameters"] < 24_000_000
    assert [set(line["losses"]) for line in metrics(run)] == [{"sst", "quora", "sts"}] * 2

    for task, column in COLUMNS.items():
        for split in ("dev", "test"):
            file = run / "predictions" / f"{task}-{split}-leaderboard.csv"
            head, *lines = file.read_text(encoding="utf-8").splitlines()
            assert head == f"id \t {column} "
            assert len(lines) == ROWS[task][split]
            source = (course_data / f"{FILES[task]}-{SUFFIXES[split]}.csv").read_text("utf-8")
            given = [row.split("\t") for row in source.splitlines()[1:]]
            place = 2 if task == "sst" and split == "test" else 1
            assert all(line.count(" , ") == 1 and line.endswith(" ") for line in lines)
            assert [line.split(" , ")[0] for line in lines] == [row[place] for row in given]
    evaluated = accord_cli("evaluate", run, "--json")
    assert json.loads(evaluated.out)["sst"]["accuracy"] == pytest.approx(own["sst"], abs=2e-3)
    assert accord.load(run).predict("sst", ["a lovely film"])[0] in list("01234")
