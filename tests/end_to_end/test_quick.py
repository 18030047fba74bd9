"""`accord compare --quick`: a first look, in seconds a run."""

import json

import pytest


@pytest.mark.slow
def test_a_first_look_is_one_short_run_of_each(project, tmp_path, accord_cli):
    config = project({"training.epochs": 3})
    out = tmp_path / "look"
    answer = accord_cli("compare", config, "--out", out, "--quick")
    assert answer.code == 0
    assert "a verdict takes two runs of each" in answer.out
    runs = [folder for folder in (out / "cells").iterdir() if folder.is_dir()]
    assert len(runs) == 4  # three tasks alone, all together
    for run in runs:
        steps = json.loads((run / "results.json").read_text())["steps"]
        assert steps <= 6  # of so few rows an epoch has no more, and there is one
        assert not [*run.glob("predictions/*-test.csv")]


def test_what_is_said_beside_it_holds(project, tmp_path, accord_cli):
    words = ["compare", project(), "--out", tmp_path / "look", "--quick", "--dry-run", "--json"]
    (cells, more) = (
        json.loads(accord_cli(*words, *given).out)["cells"]
        for given in ([], ["--seeds", 2, "--set", "training.steps_per_epoch=7"])
    )
    assert (len(cells), len(more)) == (4, 8)
    refused = accord_cli("compare", tmp_path, "--quick")
    assert refused.err == "accord: --quick is for a config, not for run folders\n"
