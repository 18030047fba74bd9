"""SIGINT and SIGTERM to `accord train`: a checkpoint within one step, and an honest exit code."""

import json
import signal

import held
import pytest
from projects import PATIENCE


@pytest.mark.quick("SIGTERM")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_saves_and_stops(
    start_accord, wait_for_steps, project, tmp_path, metrics, number, code
):
    run, config = tmp_path / "run", project({"checkpoint.keep": 1})
    process = start_accord("train", config, "--out", run, before=held.before(4))
    wait_for_steps(process, run, 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (code, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"accord: {number.name} after step ")
    assert last.endswith(f"'accord resume {run}' goes on")
    assert "Traceback" not in err
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["resumable"]) == ("stopped", True)
    steps = metrics(run)
    assert status["step"] == len(steps) == steps[-1]["step"]
    assert len(steps) in (3, 4)  # it came in the fourth step, or just before it
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step-{len(steps)}"]

    again = start_accord("resume", run, before=held.before(3))
    wait_for_steps(again, run, len(steps) + 2)
    again.send_signal(signal.SIGTERM)
    assert f"resuming after step {len(steps)} of 12" in again.communicate(timeout=PATIENCE)[1]
    assert again.returncode == 143
    numbers = [line["step"] for line in metrics(run)]
    assert numbers == list(range(1, len(numbers) + 1))


def wait_in(name: str) -> str:
    """Code that makes a function say that it was reached, and never return."""
    module, _, function = name.partition(":")
    return f"""
import time, {module}
def wait(*rest):
    print("reached", flush=True)
    time.sleep(600)
{module}.{function} = wait
"""


SAY_NOTED = """
from accord.runs.signals import StopSignals
remember = StopSignals._remember
def note(*rest):
    remember(*rest)
    print("noted", flush=True)
StopSignals._remember = note
"""


@pytest.mark.quick("train", "tune")
@pytest.mark.parametrize("command", ["train", "resume", "grid", "tune"])
def test_a_request_to_save_where_there_is_nothing_to_save_is_ignored(
    start_accord, project, tmp_path, command
):
    """Before a command knows what it is to do, and before the first run has begun."""
    config = project()
    before = """
import os, signal, sys
import accord.cli as cli
command = cli.accord.main
def early(*rest, **more):
    os.kill(os.getpid(), signal.SIGUSR1)
    print("reached", flush=True)
    return command(*rest, **more)
cli.accord.main = early
"""
    process = start_accord(
        command, config.parent / "none", "--out", tmp_path / "run", before=before
    )
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "reached\n"), err


def test_a_request_to_save_before_the_first_step_is_ignored(start_accord, project, tmp_path):
    before = wait_in("accord.training.setup:read_data")
    process = start_accord("train", project(), "--out", tmp_path / "run", before=before)
    assert process.stdout.readline() == "reached\n"
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


@pytest.mark.slow
def test_a_second_sigint_quits_at_once(start_accord, project, tmp_path):
    run = tmp_path / "run"
    before = wait_in("accord.training.step:Learner.step") + SAY_NOTED
    process = start_accord("train", project(), "--out", run, before=before)
    assert process.stdout.readline() == "reached\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noted\n"
    assert process.poll() is None  # it waits for the step to end
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert json.loads((run / "status.json").read_text())["state"] == "stopped"
    assert list((run / "checkpoints").glob("step-*")) == []


@pytest.mark.slow
def test_sigint_before_the_run_has_begun_leaves_nothing(start_accord, project, tmp_path):
    process = start_accord(
        "train",
        project(),
        "--out",
        tmp_path / "run",
        before=wait_in("accord.training.setup:read_data"),
    )
    assert process.stdout.readline() == "reached\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_frozen_encoder_reads(start_accord, project, tmp_path, number):
    """Before the first step there is nothing to save, but the folder must not say 'running'."""
    run = tmp_path / "run"
    config = project({"encoder.mode": "frozen"})
    before = wait_in("accord.training.setup:Setup.encode_data")
    process = start_accord("train", config, "--out", run, before=before)
    assert process.stdout.readline() == "reached\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["resumable"]) == ("stopped", True)
