"""The lock of a folder: one process at a time, named to others, however it ends."""

import os
import subprocess
import sys

import pytest

from accord.errors import BusyError, RunFolderError
from accord.runs.folder import RunFolder
from accord.runs.lock import HOLDER, LOCK, hold, is_locked

HOLDING = """
import sys, time
from pathlib import Path
from accord.runs.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def another(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_is_of_one_process_and_free_after_it(tmp_path):
    with (
        hold(tmp_path),
        pytest.raises(BusyError, match=f"process {os.getpid()} on"),
        hold(tmp_path),
    ):
        pass
    with pytest.raises(RuntimeError), hold(tmp_path):
        raise RuntimeError
    with hold(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert [own.name for own in tmp_path.iterdir()] == [LOCK]
    with pytest.raises(RunFolderError, match="holds no run"):
        RunFolder.open(tmp_path)


@pytest.mark.slow
def test_a_killed_process_lets_go_and_is_not_named_any_more(tmp_path, another):
    assert is_locked(tmp_path)
    with pytest.raises(BusyError, match=f"process {another.pid} on .* since 20"), hold(tmp_path):
        pass
    assert is_locked(tmp_path)  # nobody who was refused has taken it away
    another.kill()
    another.wait()
    assert not is_locked(tmp_path)
    assert (tmp_path / HOLDER).exists()
    with hold(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / HOLDER).read_text()
    assert not (tmp_path / HOLDER).exists()


def test_who_may_only_read_sees_whether_it_is_held(tmp_path, another):
    looking = f"""
import os, sys
from pathlib import Path
from accord.runs.lock import hold, is_locked
if os.getuid() == 0:
    os.setuid(65534)
print(is_locked(Path({str(tmp_path)!r})))
try:
    with hold(Path({str(tmp_path)!r})):
        pass
except OSError:
    print("may not write")
"""
    for folder in (tmp_path, *tmp_path.parents):  # pytest's own are for its user alone
        if "pytest-" in str(folder):
            folder.chmod(0o755)
    (tmp_path / LOCK).chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        for held in (True, False):
            said = subprocess.run([sys.executable, "-c", looking], capture_output=True, text=True,
                                  check=True)  # fmt: skip
            assert said.stdout == f"{held}\nmay not write\n", said.stderr
            another.kill()
            another.wait()
    finally:
        tmp_path.chmod(0o755)


def test_a_folder_without_a_lock_is_not_held_and_gets_none_by_looking(tmp_path):
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_words_that_can_t_be_read_name_nobody(tmp_path, another):
    for text in (b"\xff\xfe", None):
        if text is None:
            (tmp_path / HOLDER).unlink()
        else:
            (tmp_path / HOLDER).write_bytes(text)
        with pytest.raises(BusyError, match="is being written to by another process"):
            hold(tmp_path).__enter__()
