"""A tiny encoder, three tiny tasks, and the ways to run them: in this process or in another."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import projects
import pytest
from forked import Command, Forker
from grid_files import GRID
from killed import kill_and_resume
from projects import Table

from accord.cli import main
from accord.config.file import load_config
from accord.errors import Stopped
from accord.grids.comparison import comparison_cells
from accord.grids.running import run_grid
from accord.plan.making import plan_run
from accord.runs.signals import StopSignals
from accord.training import loop
from accord.training import run as training
from accord.training.stages import run as staged
from accord.training.step import Learner

Project = Callable[..., Path]


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' token stores stay out of the user's cache."""
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def write_encoder() -> Callable[..., Path]:
    """Write an encoder of random weights: (folder, pooler=True, seed=0, ...)."""
    return projects.write_encoder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return projects.write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def deep_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of two layers, where one is to differ from the other."""
    return projects.write_encoder(tmp_path_factory.mktemp("encoder") / "deep", layers=2)


@pytest.fixture(scope="session")
def make_project(encoder_folder: Path, deep_encoder_folder: Path) -> Project:
    """Write a folder with data files and accord.toml: (folder, {"training.epochs": 1, …}).

    Its encoder has one layer, or two if the changes say `"layers": 2`.
    """

    def make(
        folder: Path, changes: Mapping[str, Any] | None = None, tasks: tuple[str, ...] = ()
    ) -> Path:
        keys = dict(changes or {})
        encoder = encoder_folder if keys.pop("layers", 1) == 1 else deep_encoder_folder
        return projects.write_project(folder, encoder, keys, tasks)

    return make


@pytest.fixture
def project(make_project: Project, tmp_path: Path) -> Project:
    """Write the test's own project and return its accord.toml: ({"training.epochs": 1, …})."""

    def make(changes: Mapping[str, Any] | None = None, tasks: tuple[str, ...] = ()) -> Path:
        return make_project(tmp_path / "project", changes, tasks)

    return make


@pytest.fixture
def staged_project(project: Project) -> Project:
    """Write a project whose config ends with some stages: (toml, changes, tasks).

    Each stage has one epoch of three steps, where neither says otherwise.
    """
    few = {"training.epochs": 1, "training.steps_per_epoch": 3}

    def make(
        stages: str = projects.STAGES,
        changes: Mapping[str, Any] | None = None,
        tasks: tuple[str, ...] = (),
    ) -> Path:
        file = project({**few, **(changes or {})}, tasks)
        file.write_text(file.read_text() + stages)
        return file

    return make


@pytest.fixture(scope="session")
def run_stages() -> Callable[[Path, Path], Path]:
    """Train a project with stages in this process and return its run: (config, folder)."""

    def call(config: Path, out: Path) -> Path:
        source = config.read_text()
        return staged.start(plan_run(load_config(config)), out, source=source, quiet=True).folder

    return call


@pytest.fixture
def grid(project: Project) -> Project:
    """Write a grid file beside a project's config: (text, changes to the config)."""

    def call(text: str = GRID, changes: Mapping[str, Any] | None = None) -> Path:
        config = project(changes)
        file = config.parent / "grid.toml"
        file.write_text(text)
        return file

    return call


@pytest.fixture
def train() -> Callable[..., Path]:
    """Train a config to the end and return the run's folder: (config file, run folder)."""

    def call(config: Path, out: Path) -> Path:
        plan, source = plan_run(load_config(config)).only, config.read_text(encoding="utf-8")
        return training.start_run(plan, out, source=source, quiet=True).folder

    return call


@pytest.fixture(scope="session")
def unbroken(make_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Train a project that nobody stops, once for all tests that read its run: (changes, tasks)."""
    runs: dict[str, Path] = {}

    def call(changes: Mapping[str, Any] | None = None, tasks: tuple[str, ...] = ()) -> Path:
        key = json.dumps([changes or {}, tasks], sort_keys=True)
        if key not in runs:
            folder = tmp_path_factory.mktemp("unbroken")
            config = make_project(folder / "project", changes, tasks)
            plan, source = plan_run(load_config(config)).only, config.read_text(encoding="utf-8")
            training.start_run(plan, folder / "run", source=source, quiet=True)
            runs[key] = folder / "run"
        return runs[key]

    return call


@pytest.fixture(scope="session")
def finished(make_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that tests read and do not change; its project is the folder beside it."""
    folder = tmp_path_factory.mktemp("finished")
    config = make_project(folder / "project", {"score": "cs224n", "training.epochs": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        plan, source = plan_run(load_config(config)).only, config.read_text(encoding="utf-8")
        training.start_run(plan, folder / "run", source=source, quiet=True)
    return folder / "run"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A finished run that the test may change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def accord_cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run a command in this process."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["accord", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capfd.readouterr()
        return Answer(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """What a shell starts in the background ignores Ctrl-C; what tests start is not to."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def forker(interruptible: None) -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture
def start_accord(forker: Forker) -> Iterator[Callable[..., Command]]:
    """Start a command as a process of its own: (arguments, before=code that runs first).

    What still runs after the test is killed.
    """
    started: list[Command] = []

    def call(*arguments: object, before: str = "") -> Command:
        started.append(forker.start(arguments, before))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait until something holds, while a process lives: (condition, process)."""

    def wait(holds: Callable[[], bool], process: Command) -> None:
        end = time.monotonic() + projects.PATIENCE
        while not holds():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait


@pytest.fixture
def wait_for_steps(wait_until: Callable[..., None]) -> Callable[..., None]:
    """Wait until a process has recorded so many steps: (process, run, steps)."""

    def wait(process: Command, run: Path, steps: int) -> None:
        metrics = run / "metrics.jsonl"

        def taken() -> bool:
            return metrics.exists() and metrics.read_bytes().count(b'"kind": "step"') >= steps

        wait_until(taken, process)

    return wait


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let SIGTERM come once, as a run in this process takes the given step, counted from 1."""
    entered: list[StopSignals] = []
    wanted: list[int] = []
    take_step = Learner.step

    class Recorded(StopSignals):
        def __enter__(self) -> "Recorded":
            entered.append(self)
            return super().__enter__()

    def step(self: Learner, step: int, *rest: Any) -> Any:
        if step + 1 in wanted:
            wanted.remove(step + 1)
            entered[-1]._remember(signal.SIGTERM, None)
        return take_step(self, step, *rest)

    def arrange(last: int) -> None:
        wanted.append(last)
        monkeypatch.setattr(loop, "StopSignals", Recorded)
        monkeypatch.setattr(Learner, "step", step)

    return arrange


@pytest.fixture
def stopped(
    project: Project, train: Callable[..., Path], stop_after: Callable[[int], None], tmp_path: Path
) -> Callable[..., Path]:
    """Train a project until a step and return its run: (changes, last step)."""

    def call(changes: Mapping[str, Any], last: int) -> Path:
        stop_after(last)
        with pytest.raises(Stopped, match=f"SIGTERM after step {last} of") as error:
            train(project(changes), tmp_path / "stopped")
        assert error.value.exit_code == 143
        assert not (tmp_path / "stopped" / "results.json").exists()
        return tmp_path / "stopped"

    return call


@pytest.fixture(scope="session")
def stopped_runs() -> dict[str, Path]:
    return {}


@pytest.fixture
def stopped_copy(
    stopped_runs: dict[str, Path],
    make_project: Project,
    train: Callable[..., Path],
    stop_after: Callable[[int], None],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> Callable[..., Path]:
    """Copy a run that was stopped after a step: (changes, last step, tasks) -> the test's copy.

    It is stopped once for all tests that ask for the same, so their project is not to be changed.
    """

    def call(changes: Mapping[str, Any], last: int, tasks: tuple[str, ...] = ()) -> Path:
        key = json.dumps([changes, last, tasks], sort_keys=True)
        if key not in stopped_runs:
            folder = tmp_path_factory.mktemp("stopped")
            stop_after(last)
            with pytest.raises(Stopped):
                train(make_project(folder / "project", changes, tasks), folder / "run")
            stopped_runs[key] = folder / "run"
        return shutil.copytree(stopped_runs[key], tmp_path / "stopped")

    return call


@pytest.fixture
def killed_and_resumed(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Train, and resume the run as it was after a step: (what trains to a folder, step) -> both."""
    return lambda train_to, last: kill_and_resume(train_to, tmp_path, last)


@pytest.fixture
def killed_and_whole(
    project: Project, train: Callable[..., Path], killed_and_resumed: Callable[..., Any]
) -> Callable[..., tuple[Path, Path]]:
    """Train a project, and resume its folder as it was after a step: (changes, step) -> both.

    Whether it goes on to the same bits takes few steps: two epochs of three.
    """

    def call(changes: Mapping[str, Any], last: int = 4) -> tuple[Path, Path]:
        short = {"training.epochs": 2, "training.steps_per_epoch": 3, "checkpoint.every_steps": 2}
        made = project({**short, **changes})
        killed, whole = killed_and_resumed(lambda folder: train(made, folder), last)
        assert (killed / "checkpoints" / f"step-{last}").is_dir()
        return killed, whole

    return call


@pytest.fixture(scope="session")
def outcome() -> Callable[[Path], Table]:
    """All that a run leaves for its user, without timings: equal if two runs were the same."""
    return projects.outcome_of


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], dict[str, bytes | None]]:
    """Every file and folder below a folder, with its content."""

    def call(folder: Path) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return call


@pytest.fixture(scope="session")
def metrics() -> Callable[..., list[Table]]:
    """The lines of a run's metrics.jsonl of one kind: (run, "step" or "dev")."""

    def call(run: Path, kind: str = "step") -> list[Table]:
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    return call


@pytest.fixture(scope="session")
def compared(make_project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a comparison of two tasks with two seeds, and its config."""
    folder = tmp_path_factory.mktemp("compared")
    config = make_project(folder / "project", {"training.epochs": 1}, ("mood", "near"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        run_grid(comparison_cells(load_config(config), 2, "test"), folder / "out")
    return folder / "out", config
