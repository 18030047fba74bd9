"""What a resumed run relies on beside its checkpoint, and what may have happened to it."""

import json
import shutil
import socket
import time

import held
import pytest
import torch
from projects import PATIENCE

from accord.errors import AccordError, BusyError, TrainingError
from accord.runs.folder import RunFolder
from accord.runs.lock import is_locked, now
from accord.training.run import resume_run


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_don_t_push_out_new_ones(stopped, stop_after, unbroken, outcome, keep):
    """Steps after the damaged ones have lower numbers, and are the only sound ones."""
    changes = {"checkpoint.keep": keep, "training.steps_per_epoch": 3, "training.epochs": 3}
    run = stopped(changes, 7)
    for checkpoint in (run / "checkpoints").glob("step-*"):
        flip(checkpoint / "optimizer.safetensors")
    stop_after(5)
    with pytest.raises(AccordError, match="SIGTERM after step 5"):
        resume_run(run, quiet=True)
    assert (run / "checkpoints" / "step-5").is_dir()
    resume_run(run, quiet=True)
    assert "resuming after step 5" in (run / "log.txt").read_text()
    assert outcome(run) == outcome(unbroken(changes))


def test_a_file_that_can_t_be_read_now_is_no_reason_to_start_over(stopped_copy, monkeypatch):
    run = stopped_copy({"training.epochs": 1}, 4)

    def unreadable(path, *rest, **options):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("accord.durable._content", unreadable)
        with pytest.raises(AccordError, match=r"Permission denied"):
            resume_run(run, quiet=True)
    resume_run(run, quiet=True)
    assert "resuming after step 4" in (run / "log.txt").read_text()


@pytest.mark.quick("lost")
@pytest.mark.parametrize("what", ["flipped", "lost", "manifest"])
def test_a_damaged_best_model_is_made_again(stopped_copy, unbroken, outcome, accord_cli, what):
    run = stopped_copy({}, 8)
    best = max((run / "best").iterdir(), key=lambda own: int(own.name.split("-")[1]))
    if what == "flipped":
        flip(best / "model.safetensors")
    elif what == "lost":
        shutil.rmtree(best)
    else:
        (best / "manifest.json").write_text("{")
    shutil.rmtree(run / "model")
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    assert "is damaged and left out" in answer.err
    assert outcome(run) == outcome(unbroken())
    assert not (run / "best").exists()


@pytest.mark.parametrize("edited", ["model/model.safetensors", "predictions/mood-dev.csv"])
def test_what_the_run_folder_shows_is_mended_as_a_run_goes_on(
    stopped_copy, unbroken, outcome, edited
):
    run = stopped_copy({}, 8)
    (run / edited).unlink()
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(unbroken())


@pytest.mark.quick("", "{")
@pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
def test_a_status_that_a_power_cut_left_empty_is_a_killed_run(stopped_copy, accord_cli, text):
    run = stopped_copy({"training.epochs": 1}, 2)
    (run / "status.json").write_text(text)
    assert RunFolder(run).state() == "killed"
    assert accord_cli("resume", run, "--quiet").code == 0
    assert RunFolder(run).state() == "done"


@pytest.mark.quick("null")
@pytest.mark.parametrize("line", [b"\xff\xfe", b"[1]", b'{"kind": "step"', b"null"])
def test_damaged_metrics_are_a_warning(stopped_copy, accord_cli, line, metrics):
    run = stopped_copy({}, 8)
    file = run / "metrics.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], line, *lines[2:]]) + b"\n")
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    assert "1 lines can't be read; 7 of 8 steps are left" in answer.err
    assert len(metrics(run)) == 11


@pytest.mark.slow
def test_a_log_that_was_rotated_doesn_t_let_a_second_process_in(
    start_accord, wait_for_steps, project, tmp_path, accord_cli
):
    config, run = project(), tmp_path / "run"
    process = start_accord("train", config, "--out", run, before=held.before(4))
    wait_for_steps(process, run, 3)
    (run / "log.txt").rename(run / "log.txt.1")
    answer = accord_cli("resume", run)
    assert answer.code == 1
    assert f"process {process.pid} on" in answer.err


@pytest.mark.slow
def test_looking_at_a_run_doesn_t_keep_it_from_starting(tmp_path):
    import threading

    run, going = RunFolder.create(tmp_path / "run"), True

    def look():
        while going:
            is_locked(tmp_path / "run")

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            with run.hold():
                pass
    finally:
        going = False
        looker.join()


def test_a_live_process_of_another_host_is_respected(stopped_copy, accord_cli):
    run = stopped_copy({"training.epochs": 1}, 2)
    status = json.loads((run / "status.json").read_text())
    status |= {"state": "running", "host": "node17", "heartbeat": now()}
    (run / "status.json").write_text(json.dumps(status))
    with pytest.raises(BusyError, match=r"process .* on node17"):
        resume_run(run, quiet=True)
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    (run / "status.json").write_text(json.dumps(status | {"heartbeat": old}))
    assert accord_cli("resume", run, "--quiet").code == 0
    assert json.loads((run / "status.json").read_text())["host"] == socket.gethostname()


@pytest.mark.slow
def test_no_more_steps_are_left_out_than_are_allowed_now(stopped, monkeypatch, accord_cli):
    from accord.training.objective import Objective

    own = Objective.example_losses

    def poisoned(self, micro, present, key):
        parts = own(self, micro, present, key)
        return [part * float("nan") for part in parts] if key.step in (2, 9, 11) else parts

    monkeypatch.setattr(Objective, "example_losses", poisoned)
    run = stopped({"training.max_skipped_steps": 1}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("max_skipped_steps = 1", "max_skipped_steps = 0"))
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code == 1
    assert "step 10: the loss of" in answer.err


def test_a_model_that_gives_no_numbers_is_neither_evaluated_nor_kept(
    project, train, tmp_path, monkeypatch
):
    from accord.training.step import Learner

    own = Learner.step

    def overflow(self, *rest):
        record = own(self, *rest)
        with torch.no_grad():
            next(self.model.heads["mood"].parameters()).fill_(float("nan"))
        return record

    monkeypatch.setattr(Learner, "step", overflow)
    config = project({"training.epochs": 1, "training.steps_per_epoch": 1}, ("mood",))
    with pytest.raises(TrainingError, match=r"epoch 1: the predictions of mood are not finite for"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.slow
def test_a_terminal_that_is_gone_ends_no_run(project, tmp_path, start_accord):
    config, run = project({"training.epochs": 1}), tmp_path / "run"
    process = start_accord("train", config, "--out", run)
    process.stderr.close()
    assert process.wait(PATIENCE) == 0
    assert RunFolder(run).state() == "done"


def test_an_output_below_a_file_is_refused_at_once(project, tmp_path, accord_cli, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("accord.training.building.load_encoder", pytest.fail)
    answer = accord_cli("train", project(), "--out", tmp_path / "file" / "run")
    assert answer.code == 2
    assert "file is not a folder" in answer.err


def test_an_encoder_folder_that_vanished_leaves_no_model_without_a_tokenizer(
    project, train, tmp_path, write_encoder, monkeypatch
):
    from accord.training.step import Learner

    folder, own = write_encoder(tmp_path / "encoder"), Learner.step

    def step(self, *rest):
        shutil.rmtree(folder, ignore_errors=True)
        return own(self, *rest)

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(TrainingError, match="the tokenizer's files are gone"):
        train(project({"encoder.path": str(folder)}), tmp_path / "run")


@pytest.mark.slow
def test_a_hang_up_saves_like_a_stop(project, tmp_path, start_accord, wait_for_steps):
    import signal

    run = tmp_path / "run"
    process = start_accord("train", project(), "--out", run, before=held.before(4))
    wait_for_steps(process, run, 3)
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert RunFolder(run).state() == "stopped"
    assert list((run / "checkpoints").iterdir())
