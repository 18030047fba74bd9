"""File systems that are too small or read-only: real ones where a test may mount them."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accord.durable import FAULT
from accord.errors import AccordError, TrainingError
from accord.training.run import resume_run

Mount = Callable[..., Path]


def _mount(*arguments: object) -> bool:
    """Call mount(8); False where that is not allowed."""
    if shutil.which("mount") is None:
        return False
    command = ["mount", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a tmpfs: (its mount options) -> folder."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def call(options: str) -> Path:
        if not _mount("-t", "tmpfs", "-o", options, "accord-test", folder):
            pytest.skip("this user may not mount a file system")
        return folder

    yield call
    subprocess.run(["umount", folder], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kib", [8, 100, 350])
def test_a_run_that_outgrows_its_disk_goes_on_when_there_is_room(
    project, train, unbroken, outcome, mount, kib
):
    """A run needs about 450 KB, so the sizes end it in its first save, in later ones."""
    changes = {"checkpoint.every_steps": 4}
    disk, config = mount(f"size={kib}k"), project(changes)
    with pytest.raises(AccordError, match=r"\A.*No space left.*\Z"):
        train(config, disk / "run")
    assert _mount("-o", "remount,size=64m", disk)
    if (disk / "run" / "status.json").exists():
        resume_run(disk / "run", quiet=True)
    else:
        train(config, disk / "run")
    assert outcome(disk / "run") == outcome(unbroken(changes))


def test_a_read_only_folder_is_refused_before_anything_is_loaded(
    project, mount, accord_cli, monkeypatch
):
    disk = mount("size=1m,ro")
    monkeypatch.setattr("accord.training.building.load_encoder", pytest.fail)
    answer = accord_cli("train", project(), "--out", disk / "run")
    assert (answer.code, answer.err) == (2, f"accord: {disk / 'run'}: can't be written to\n")


def test_a_finished_run_on_a_read_only_disk_can_be_read(finished, mount, accord_cli):
    disk = mount("size=4m")
    shutil.copytree(finished, disk / "run")
    assert _mount("-o", "remount,ro", disk)
    for command in (
        ("compare", disk / "run"),
        ("evaluate", disk / "run"),
        ("resume", disk / "run"),
    ):
        answer = accord_cli(*command)
        assert answer.code == 0, answer.err


@pytest.mark.quick("3")
@pytest.mark.parametrize("place", [3, 60])
def test_a_disk_that_turns_read_only_is_one_line_and_the_run_goes_on_later(
    project, train, unbroken, tmp_path, outcome, monkeypatch, place
):
    run = tmp_path / "run"
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv(FAULT, f"read-only@{place}")
    with pytest.raises(AccordError, match="Read-only file system") as raised:
        train(project(), run)
    assert isinstance(raised.value, TrainingError) or place == 3
    assert "\n" not in str(raised.value)
    monkeypatch.delenv(FAULT)
    if (run / "status.json").exists():
        resume_run(run, quiet=True)
    else:
        train(project(), run)
    assert outcome(run) == outcome(unbroken())
