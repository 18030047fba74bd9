"""A run whose figures are shown elsewhere is the same run, also where nobody listens any more."""

import json
from types import SimpleNamespace

import pytest

import accord
from accord.tracking import _trackers


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self, place):
        self.place, self.identity, self.told = place, place.identity or "fresh", []

    def log(self, step, values):
        self.told.append((step, sorted(values)))

    def finish(self, done):
        self.told.append(("done", done))


@pytest.fixture
def kept(monkeypatch):
    made = []

    def begin(place):
        made.append(Kept(place))
        return made[-1]

    module = SimpleNamespace(begin=begin, PACKAGES=())
    monkeypatch.setattr(_trackers, "_module", lambda name: module)
    return made


def test_a_run_is_shown_and_stays_what_it_is(project, tmp_path, kept):
    config = project()
    plain = accord.train(config, tmp_path / "plain", quiet=True)
    text = config.read_text(encoding="utf-8")
    config.write_text(f'{text}\n[track]\nto = ["trackio"]\nproject = "p"\nevery_steps = 1\n')
    shown = accord.train(config, tmp_path / "shown", quiet=True)
    weights = [run.folder / "model" / "model.safetensors" for run in (plain, shown)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    (tracker,) = kept
    assert (tracker.place.project, tracker.place.name) == ("p", "shown")
    assert tracker.told[-1] == ("done", True)
    lines = [json.loads(line) for line in (shown.folder / "metrics.jsonl").read_text().splitlines()]
    assert [step for step, _ in tracker.told[:-1]] == [
        line["step"] for line in lines if line["kind"] in ("step", "dev")
    ]
    assert json.loads((shown.folder / "tracking.json").read_text()) == {"trackio": "fresh"}
    same = [json.loads((run.folder / "resolved.json").read_text()) for run in (plain, shown)]
    assert same[0].get("fingerprint") == same[1].get("fingerprint")


def test_a_resumed_run_goes_on_where_its_tracker_knows_it(project, tmp_path, kept):
    config = project({"training.epochs": 2})
    text = config.read_text(encoding="utf-8")
    config.write_text(f'{text}\n[track]\nto = ["wandb"]\n')
    run = accord.train(config, tmp_path / "run", quiet=True)
    known = run.folder / "tracking.json"
    known.write_text('{"wandb": "known", "mlflow": "other"}')
    status = json.loads((run.folder / "status.json").read_text())
    (run.folder / "status.json").write_text(json.dumps({**status, "state": "stopped"}))
    accord.resume(run.folder, quiet=True)
    assert kept[-1].place.identity == "known"
    assert json.loads(known.read_text()) == {"wandb": "known", "mlflow": "other"}
