"""What trackers are told, and that none of them can stop or slow a run."""

import math
import threading
import time
from types import SimpleNamespace

import pytest

from accord.errors import UsageError
from accord.installed import need
from accord.tracking import Place, Trackers, _trackers, check_installed, tracker_names, values_of

STEP = {
    "kind": "step", "step": 10, "losses": {"a": 1.0, "b": None}, "loss_weights": {"a": 0.5},
    "gradient_norm": 2.0, "lr": [1e-4, 1e-3], "task_gradient_norms": {"a": 3.0, "b": 4.0},
    "gramian": [[9.0], [-6.0, 16.0]], "method_weights": {"a": 1.0, "b": [1.0, 2.0]},
    "seconds": 0.5, "tokens_per_second": 100.0, "tokens": 50, "epoch": 1,
}  # fmt: skip


class Fake:
    """A tracker that keeps what it is told, or does worse."""

    def __init__(self, place, fails=(), hangs=None):
        self.place, self.fails, self.hangs = place, fails, hangs
        self.identity, self.told, self.done = "known", [], None

    def log(self, step, values):
        if self.hangs is not None:
            self.hangs.wait(30)
        if step in self.fails:
            raise OSError("https://somebody:secret@host/ is gone\nand more")
        self.told.append((step, values))

    def finish(self, done):
        self.done = done


@pytest.fixture
def fakes(monkeypatch):
    """Trackers by name, in place of the real ones."""
    made = {}
    monkeypatch.setattr(_trackers, "_module", lambda name: SimpleNamespace(
        begin=lambda place: made.setdefault(name, made.pop(f"new {name}", Fake)(place))
    ))  # fmt: skip
    return made


def trackers(tmp_path, names, **more):
    said, kept = [], {}
    place = Place(tmp_path, "project", "run", {"training": {"lr": 1e-4}})
    made = Trackers(names, place, more.pop("identities", {}), more.pop("every", 10), said.append,
                    kept.__setitem__)  # fmt: skip
    return made, said, kept


def end(made, done):
    made.done = done
    made.end()


def test_the_numbers_of_a_line():
    assert values_of(STEP) == {
        "loss/a": 1.0, "loss_weight/a": 0.5, "gradient_norm/a": 3.0, "gradient_norm/b": 4.0,
        "gradient_weight/a": 1.0, "gradient_norm": 2.0, "tokens_per_second": 100.0, "seconds": 0.5,
        "lr": 1e-4, "cosine/a,b": -0.5,
    }  # fmt: skip
    assert values_of({"kind": "step", "step": 1, "losses": {"a": math.inf}}) == {}
    dev = {"kind": "dev", "step": 4, "score": 0.5, "figures": {"a": {"accuracy": 0.25, "rows": 8}}}
    assert values_of(dev) == {"dev/score": 0.5, "dev/a/accuracy": 0.25, "dev/a/rows": 8.0}


def test_every_tracker_is_told_some_steps_and_all_evaluations(tmp_path, fakes):
    made, said, kept = trackers(tmp_path, ["one", "two"], identities={"two": "before"})
    for step in range(1, 21):
        made.tell({**STEP, "step": step})
    made.tell({"kind": "dev", "step": 20, "score": 0.5})
    made.tell({"kind": "halves", "step": 20})
    end(made, done=True)
    for name in ("one", "two"):
        assert [step for step, _ in fakes[name].told] == [10, 20, 20]
        assert fakes[name].told[2][1] == {"dev/score": 0.5}
        assert fakes[name].done is True
    assert (fakes["one"].place.identity, fakes["two"].place.identity) == (None, "before")
    assert fakes["one"].place.flat == {"training.lr": 1e-4}
    assert (said, kept) == ([], {"one": "known", "two": "known"})


def test_one_that_fails_is_told_nothing_more_and_no_secret_is_said(tmp_path, fakes):
    fakes["new bad"] = lambda place: Fake(place, fails=(2,))
    made, said, _ = trackers(tmp_path, ["bad", "good"], every=1)
    for step in range(1, 5):
        made.tell({**STEP, "step": step})
    end(made, done=False)
    assert said == ["bad is told nothing more: OSError: https://host/ is gone"]
    assert [step for step, _ in fakes["bad"].told] == [1]
    assert [step for step, _ in fakes["good"].told] == [1, 2, 3, 4]
    assert (fakes["bad"].done, fakes["good"].done) == (None, False)


def test_one_that_cannot_begin_is_left_out(tmp_path, fakes):
    def refuse(place):
        raise ValueError("no login")

    fakes["new bad"] = refuse
    made, said, kept = trackers(tmp_path, ["bad"])
    made.tell(STEP)
    end(made, done=True)
    assert (said, kept) == (["bad is told nothing more: ValueError: no login"], {})


def test_one_that_hangs_is_not_waited_for_and_holds_up_no_other(tmp_path, fakes, monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(_trackers, "_PATIENCE", 0.5)
    monkeypatch.setattr(_trackers, "_WAITING", 3)
    fakes["new slow"] = lambda place: Fake(place, hangs=free)
    made, said, kept = trackers(tmp_path, ["slow", "good"], every=1)
    for step in range(1, 11):
        made.tell({**STEP, "step": step})
        while len(getattr(fakes.get("good"), "told", ())) < step:
            time.sleep(0.001)
    end(made, done=True)
    assert said[0].startswith("slow is too slow: ")
    assert said[1:] == ["slow has not ended after 0.5 s; nobody waits for it"]
    assert (len(fakes["good"].told), fakes["good"].done) == (10, True)
    fakes["slow"].fails = range(20)
    free.set()
    made._threads[0]._thread.join()
    assert len(said) == 2  # the run is over, and nobody holds its log any more
    assert kept == {"slow": "known", "good": "known"}


def test_one_whose_identity_cannot_be_kept_is_said(tmp_path, fakes):
    said = []

    def full(name, identity):
        raise OSError(28, "No space left on device")

    place = Place(tmp_path, "project", "run", {})
    made = Trackers(["one"], place, {}, 1, said.append, full)
    end(made, done=True)
    assert said == ["one is told nothing more: OSError: [Errno 28] No space left on device"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("https://user:p@ss@host/ is gone", "https://host/ is gone"),
        ("https://user:a/b@host/x", "https://host/x"),
        ("GET /api?token=abc&run=1 failed", "GET /api?token=&run=1 failed"),
        ("api_key=abc is wrong", "api_key= is wrong"),
    ],
)
def test_no_secret_is_said(tmp_path, fakes, error, shown):
    def refuse(place):
        raise ValueError(error)

    fakes["new bad"] = refuse
    made, said, _ = trackers(tmp_path, ["bad"])
    end(made, done=True)
    assert said == [f"bad is told nothing more: ValueError: {shown}"]


def test_nothing_is_begun_where_nothing_is_asked(tmp_path):
    made, said, _ = trackers(tmp_path, [])
    made.tell(STEP)
    end(made, done=True)
    assert made._threads == []
    assert said == []


def test_a_folder_of_its_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "no_such_tracker").mkdir()  # as W&B leaves one where it ran
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="a run needs no_such_tracker"):
        need("a run", "trackers", "no_such_tracker")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    assert tracker_names() == ("mlflow", "tensorboard", "trackio", "wandb")
    monkeypatch.setattr("accord.installed.find_spec", lambda name: None)
    for name in tracker_names():
        with pytest.raises(UsageError) as error:
            check_installed([name])
        assert str(error.value) == (
            f"track.to = '{name}' needs {name}: pip install \"accord-mtl[trackers]\""
        )
