"""A run in stages that was stopped goes on, whichever stage it was in, and says what changed."""

import json
import shutil

import pytest
from projects import STAGES

from accord.errors import Stopped
from accord.training.stages import run as staged


@pytest.fixture
def whole_outcome(outcome):
    """What a run and all its stages leave, without timings."""

    def call(run):
        results = json.loads((run / "results.json").read_text())
        for row in results["stages"]:
            row.pop("train_seconds")
        folders = sorted((run / "stages").iterdir())
        mine = outcome(run)
        mine["results.json"]["stages"] = results["stages"]
        return [mine, *map(outcome, folders)]

    return call


@pytest.fixture
def stop_in(stop_after):
    """Let a run of two stages be stopped in a stage, or as the second begins: (kind, patch)."""

    def arrange(kind, patch):
        start, begun = staged.start_run, []

        def start_stage(own, folder, **options):
            begun.append(folder.name)
            if kind == "between" and len(begun) == 2:
                raise KeyboardInterrupt
            if len(begun) == {"first": 1, "second": 2}.get(kind):
                stop_after(2)
            return start(own, folder, **options)

        patch.setattr(staged, "start_run", start_stage)

    return arrange


@pytest.mark.slow
def test_stopped_and_resumed_is_as_never_stopped(
    staged_project, run_stages, stop_in, tmp_path, whole_outcome, monkeypatch, accord_cli
):
    memory = '[memory]\nmethod = "gem"\nsize = 6\nchoice = "balanced"\n'
    config = staged_project(STAGES + memory, {"checkpoint.every_steps": 2})
    text = config.read_text().replace(', gradients = "pcgrad"', "")
    config.write_text(text)
    whole = whole_outcome(run_stages(config, tmp_path / "whole"))
    for kind in ("first", "between", "second"):
        run = tmp_path / kind
        with monkeypatch.context() as patch:
            stop_in(kind, patch)
            with pytest.raises(KeyboardInterrupt if kind == "between" else Stopped) as stopped:
                run_stages(config, run)
        if kind != "between":
            assert str(stopped.value).startswith("stage ")
            assert "SIGTERM after step 2 of" in str(stopped.value)
            assert f"'accord resume {run}' goes on" in str(stopped.value)
        assert json.loads((run / "status.json").read_text())["state"] == "stopped", kind
        answer = accord_cli("resume", run)
        assert answer.code == 0, answer.err
        assert "[stage 2/2 pairs] " in answer.err, kind
        assert whole_outcome(run) == whole, kind
        assert accord_cli("resume", run).err.count("this run is done; nothing to resume;") == 1


@pytest.mark.slow
def test_a_stopped_run_may_move(staged_project, run_stages, stop_after, tmp_path, whole_outcome):
    config, start = staged_project(), staged.start_run
    stop_after(2)
    with pytest.raises(Stopped):
        run_stages(config, tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    staged.resume(tmp_path / "moved", quiet=True)
    assert staged.start_run is start
    whole = run_stages(config, tmp_path / "whole")
    assert whole_outcome(tmp_path / "moved") == whole_outcome(whole)


@pytest.mark.slow
def test_data_that_changed_before_a_later_stage(
    staged_project, run_stages, stop_after, tmp_path, accord_cli
):
    config = staged_project()
    stop_after(2)
    with pytest.raises(Stopped):
        run_stages(config, tmp_path / "run")
    file = config.parent / "near-dev.csv"
    file.write_text(file.read_text().replace("4.5", "3.5"))
    answer = accord_cli("resume", tmp_path / "run")
    assert answer.code == 2
    assert "changed since this run began: data near.dev: content; --force" in answer.err
    assert accord_cli("resume", tmp_path / "run", "--force").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("stop_in", [1, 2])
def test_a_change_is_forced_once_and_recorded(
    staged_project, run_stages, stop_after, accord_cli, tmp_path, monkeypatch, stop_in
):
    """Also one of data that the stage alone reads which is under way."""
    run, start = tmp_path / "run", staged.start_run

    def arranged(own, folder, **options):
        if folder.name.startswith(str(stop_in)):
            stop_after(2)
        return start(own, folder, **options)

    monkeypatch.setattr(staged, "start_run", arranged)
    config = staged_project(changes={"checkpoint.every_steps": 1, "training.epochs": 2})
    with pytest.raises(Stopped):
        run_stages(config, run)
    monkeypatch.setattr(staged, "start_run", start)
    before = json.loads((run / "resolved.json").read_text())
    file = run / "config.toml"
    file.write_text(file.read_text().replace("lr = 0.001", "lr = 0.002"))
    data = config.parent / ("mood-train.csv" if stop_in == 1 else "near-train.csv")
    data.write_text(data.read_text() + data.read_text().splitlines()[-1] + "\n")
    refused = accord_cli("resume", run)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "training.lr: 0.001 -> 0.002" in refused.err
    stop_after(4)
    stopped = accord_cli("resume", run, "--force")
    assert stopped.code == 143, stopped.err
    said = "warning: stage 1 is done and stays as it was"
    assert (said in stopped.err) == (stop_in == 2)
    after = json.loads((run / "resolved.json").read_text())
    assert after["config"]["training"]["lr"] == 0.002
    (forced,) = after["forced"]
    assert forced["changes"][0] == "training.lr: 0.001 -> 0.002"
    assert len(forced["changes"]) == 2
    assert forced["fingerprint_before"] == before["fingerprint"] != after["fingerprint"]
    changed = [name for name, own in after["data"].items() if own != before["data"][name]]
    assert changed == [data.stem.replace("-", ".")]
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    own = json.loads((run / "stages" / "2-pairs" / "resolved.json").read_text())
    assert own["config"]["training"]["lr"] == 0.002
    assert accord_cli("compare", run).code == 0
