"""Each tracker by its own library, without a network: what a run is told can be read back."""

import json
import sqlite3

import pytest

from accord.tracking import Place, Trackers

TOLD = {"loss/a": 1.5, "dev/a/F1 of 'yes, please'": 0.25}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Tell a tracker two steps, stop, resume with its identity, tell a third: (name)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("accord.tracking._trackers.values_of", lambda line: TOLD)

    def show(name):
        identities = {}
        for step, lines in ((0, (1, 2)), (2, (3,))):
            said = []
            config = {"training": {"lr": 1e-4}, "long": "x" * 9000}
            place = Place(tmp_path / "run", "project", "first", config, step=step)
            trackers = Trackers(
                [name], place, dict(identities), 1, said.append, identities.__setitem__
            )
            for line in lines:
                trackers.tell({"kind": "step", "step": line})
            trackers.done = step > 0
            trackers.end()
            assert said == []
        return identities.get(name)

    return show


@pytest.mark.slow
def test_tensorboard(shown, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert shown("tensorboard") is None
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for name, value in TOLD.items():
        assert [(each.step, each.value) for each in events.Scalars(name)] == [
            (1, value), (2, value), (3, value),
        ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # among the libraries that it is made of
def test_mlflow(shown, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # of its store in a file
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    identity = shown("mlflow")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.get_run(identity)
    assert run.info.status == "FINISHED"
    assert (run.info.run_name, run.data.params["training.lr"]) == ("first", "0.0001")
    assert run.data.metrics == {"loss/a": 1.5, "dev/a/F1 of _yes_ please_": 0.25}
    assert [each.step for each in client.get_metric_history(identity, "loss/a")] == [1, 2, 3]


@pytest.mark.slow
def test_trackio(shown, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # it reads it when it is imported
    pytest.importorskip("trackio")
    identity = shown("trackio")
    assert identity.startswith("first-")  # another run in a folder of that name is another run
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute(
            "select step, metrics from metrics where run_name = ? order by step", (identity,)
        ).fetchall()
    assert [step for step, _ in rows] == [1, 2, 3]
    assert all(json.loads(values)["loss/a"] == 1.5 for _, values in rows)


@pytest.mark.slow
def test_wandb(shown, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    identity = shown("wandb")
    files = sorted((tmp_path / "run" / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    assert len(files) == 2  # one for each time that the run was begun
    assert b"loss/a" in files[0].read_bytes()
