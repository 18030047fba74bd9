"""Systems that nobody of us has: a Python without what Windows lacks, and a Mac's GPU."""

import subprocess
import sys

import pytest
import torch

from accord.errors import ConfigError
from accord.runs.devices import card_of, check_precision, choose_device
from accord.runs.lock import hold, is_locked

LIKE_WINDOWS = """
import os, signal, sys
for module in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[module] = None  # importing it fails
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "pthread_sigmask"):
    delattr(signal, name)
for name in ("setsid", "sched_getaffinity", "geteuid", "getuid"):
    delattr(os, name)
"""


@pytest.fixture
def like_windows():
    """Run code, or a command, without what Windows lacks: (code)."""

    def run(code):
        command = [sys.executable, "-c", LIKE_WINDOWS + code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_a_python_without_what_windows_lacks_trains_resumes_and_answers(
    project, tmp_path, like_windows, accord_cli
):
    config = project({"training.epochs": 2, "training.steps_per_epoch": 3})
    run, answers = tmp_path / "run", tmp_path / "answers.csv"
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nA lovely film.\n")
    like_windows(f"""
from accord.cli import main
for words in (
    ["check", {str(config)!r}],
    ["train", {str(config)!r}, "--out", {str(run)!r}],
    ["predict", {str(run)!r}, "--task", "mood", "--input", {str(texts)!r}, "--output",
     {str(answers)!r}],
    ["doctor"],
):
    sys.argv = ["accord", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
""")
    assert answers.read_text().startswith("text,mood\n")
    assert accord_cli("train", config, "--out", tmp_path / "here").code == 0
    weights = [folder / "model" / "model.safetensors" for folder in (run, tmp_path / "here")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
def test_a_folder_is_one_process_own_there_too(tmp_path, like_windows):
    code = f"""
from pathlib import Path
from accord.runs.lock import is_locked
print(is_locked(Path({str(tmp_path)!r})))
"""
    assert like_windows(code) == "False\n"
    with hold(tmp_path):
        assert is_locked(tmp_path)
        assert like_windows(code) == "True\n"
    assert not is_locked(tmp_path)


def test_a_macs_gpu_answers_and_does_not_train(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = choose_device("mps")
    assert device.type == "mps"
    assert choose_device("auto").type != "mps"  # nobody has tried it
    assert card_of(device) == {}
    with pytest.raises(ConfigError, match=r"'mps' has no float64.*: auto, cpu, cuda, cuda:N$"):
        choose_device("mps", trains=True)
    with pytest.raises(ConfigError, match=r"this runs on mps"):
        check_precision("tf32", device)
