"""What a killed run left that no checkpoint knows is not there once the run goes on."""

import json
import shutil

import pytest
from projects import folder_of

from accord.grids.cell_run import run_cell
from accord.plan.recorded import recorded_config
from accord.runs.folder import RunFolder
from accord.training.run import resume_run


@pytest.fixture
def killed_at(project, train, monkeypatch, tmp_path):
    """Fail at the N-th operation of a kind on a path that holds a text: (changes, text) -> run."""

    def call(changes, text):
        from accord import durable

        run, own = tmp_path / "killed", durable.reach

        def reach(operation, path):
            if text in str(path):
                raise KeyboardInterrupt
            own(operation, path)

        with monkeypatch.context() as patch:
            for module in ("accord.durable", "accord.training.best", "accord.runs.folder"):
                patch.setattr(f"{module}.reach", reach)
            with pytest.raises(KeyboardInterrupt):
                train(project(changes), run)
        return run

    return call


@pytest.mark.slow
def test_an_epoch_that_no_checkpoint_knows_leaves_nothing_behind(
    killed_at, project, train, tmp_path, outcome, accord_cli
):
    """Killed between the best model and its checkpoint, and gone on with at another rate."""
    short = {"training.epochs": 3, "training.steps_per_epoch": 3}
    run = killed_at({**short, "checkpoint.every_steps": 2}, "checkpoints/step-6")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.3"))
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    results = json.loads((run / "results.json").read_text())
    answer = accord_cli("evaluate", run, "--json")
    found = json.loads(answer.out)
    for task, value in results["metrics"].items():
        name = results["metric_names"][task]
        assert found[task][name] == pytest.approx(value, abs=1e-6), found


def test_what_a_kill_left_after_the_end_is_removed_by_resume(
    project, train, tmp_path, monkeypatch, accord_cli
):
    """Killed once the run was done, before it was tidied: of one without stages and of a grid's."""
    config = project({"training.epochs": 1, "training.steps_per_epoch": 2}, ("mood",))
    with monkeypatch.context() as patch:
        patch.setattr("accord.training.run.tidy", lambda run: None)
        run = train(config, tmp_path / "run")
    (run / ".results.json.77.aside").write_text("{")
    (run / "predictions" / ".mood-dev.csv.aside").write_text("")
    (run / "checkpoints" / ".new-step-2").mkdir()
    assert {"best", "kept"} <= {path.name for path in run.iterdir()}
    cell = tmp_path / "cell"
    shutil.copytree(run, cell)
    whole = folder_of(train(config, tmp_path / "whole"))
    assert accord_cli("resume", run, "--quiet").code == 0
    assert folder_of(run) == whole
    config = recorded_config(RunFolder(cell)).model_dump(mode="json", exclude_none=True)
    found = run_cell({"folder": str(cell), "config": config, "quiet": True})
    assert found["state"] == "found", found
    left = folder_of(cell)["paths"]
    assert left == [path for path in whole["paths"] if "step-" not in path]


def test_what_a_kill_left_aside_is_swept_away(stopped_copy):
    run = stopped_copy({"training.epochs": 1}, 2)
    (run / "checkpoints" / ".new-step-9").mkdir()
    (run / "checkpoints" / ".new-step-9" / "parameters.safetensors").write_bytes(b"half")
    resume_run(run, quiet=True)
    assert not list((run / "checkpoints").glob(".*"))


@pytest.mark.slow
def test_a_run_killed_as_it_dropped_old_checkpoints_keeps_no_more_of_them(
    project, train, tmp_path, monkeypatch, accord_cli
):
    """Also where its last step is taken already: no other checkpoint would drop them."""
    from accord.training import checkpoint

    class Killed(BaseException):
        pass

    plain = checkpoint.drop_old

    def die(folder, keep):
        if (folder / "step-12").exists():
            raise Killed
        plain(folder, keep)

    changes = {"checkpoint.every_steps": 3, "checkpoint.keep": 3}
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "drop_old", die)
        with pytest.raises(Killed):
            train(project(changes), run)
    assert len(list((run / "checkpoints").glob("step-*"))) == 4
    assert accord_cli("resume", run, "--quiet").code == 0
    left = {path.name for path in (run / "checkpoints").glob("step-*")}
    assert left == {"step-6", "step-9", "step-12"}
