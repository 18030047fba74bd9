"""What a resumed run relies on beside its checkpoint, and what may have happened to it."""

import json
import shutil
import socket
import time

import held
import pytest
import torch
from projects import PATIENCE, folder_of

from accord.durable import FAULT
from accord.errors import AccordError, BusyError, TrainingError
from accord.grids.cell_run import run_cell
from accord.plan.recorded import recorded_config
from accord.runs.folder import RunFolder
from accord.runs.lock import is_locked, now
from accord.training.run import resume_run


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_don_t_push_out_new_ones(stopped, stop_after, unbroken, outcome, keep):
    """Steps after the damaged ones have lower numbers, and are the only sound ones."""
    changes = {"checkpoint.keep": keep, "training.steps_per_epoch": 3}
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


def test_an_epoch_that_no_checkpoint_knows_leaves_nothing_behind(
    killed_at, project, train, tmp_path, outcome, accord_cli
):
    """Killed between the best model and its checkpoint, and gone on with at another rate."""
    run = killed_at({"checkpoint.every_steps": 4}, "checkpoints/step-12")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.3"))
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    results = json.loads((run / "results.json").read_text())
    answer = accord_cli("evaluate", run, "--json")
    found = json.loads(answer.out)
    for task, value in results["metrics"].items():
        name = results["metric_names"][task]
        assert found[task][name] == pytest.approx(value, abs=1e-6), found


@pytest.mark.parametrize("what", ["flipped", "lost", "manifest"])
def test_a_damaged_best_model_is_made_again(stopped_copy, unbroken, outcome, accord_cli, what):
    run = stopped_copy({"checkpoint.keep": 9}, 14)
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
    assert outcome(run) == outcome(unbroken({"checkpoint.keep": 9}))
    assert not (run / "best").exists()


@pytest.mark.parametrize("edited", ["model/model.safetensors", "predictions/mood-dev.csv"])
def test_what_the_run_folder_shows_is_mended_as_a_run_goes_on(
    stopped_copy, unbroken, outcome, edited
):
    run = stopped_copy({}, 14)
    (run / edited).unlink()
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(unbroken())


@pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
def test_a_status_that_a_power_cut_left_empty_is_a_killed_run(stopped_copy, accord_cli, text):
    run = stopped_copy({"training.epochs": 1}, 2)
    (run / "status.json").write_text(text)
    assert RunFolder(run).state() == "killed"
    assert accord_cli("resume", run, "--quiet").code == 0
    assert RunFolder(run).state() == "done"


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[1]", b'{"kind": "step"', b"null"])
def test_damaged_metrics_are_a_warning(stopped_copy, accord_cli, line, metrics):
    run = stopped_copy({}, 8)
    file = run / "metrics.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], line, *lines[2:]]) + b"\n")
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    assert "1 lines can't be read; 7 of 8 steps are left" in answer.err
    assert len(metrics(run)) == 17


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


def test_no_more_steps_are_left_out_than_are_allowed_now(stopped, monkeypatch, accord_cli):
    from accord.training.objective import Objective

    own = Objective.example_losses

    def poisoned(self, micro, present, key):
        parts = own(self, micro, present, key)
        return [part * float("nan") for part in parts] if key.step in (2, 9, 12) else parts

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


def test_data_that_moved_is_found_where_the_run_s_config_says(
    stopped, tmp_path, accord_cli, outcome, unbroken
):
    whole = outcome(unbroken())
    run = stopped({}, 8)
    (tmp_path / "project").rename(tmp_path / "elsewhere")
    assert "mood-train.csv" in accord_cli("resume", run, "--quiet").err
    config = run / "config.toml"
    text = config.read_text().replace('"mood-', f'"{tmp_path}/elsewhere/mood-')
    text = text.replace('"same-', f'"{tmp_path}/elsewhere/same-')
    config.write_text(text.replace('"near-', f'"{tmp_path}/elsewhere/near-'))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 0, answer.err
    assert outcome(run) == whole


def test_options_of_the_command_line_are_no_edits(project, accord_cli, tmp_path, stop_after):
    run = tmp_path / "run"
    stop_after(8)
    options = ["--set", "training.epochs=4", "--task", "mood", "--task", "near"]
    assert accord_cli("train", project(), "--out", run, *options).code == 143
    config = run / "config.toml"
    config.write_text(config.read_text().replace("keep = 9", "keep = 7"))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert "changed since this run began: checkpoint.keep: 9 -> 7; --force" in answer.err
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert json.loads((run / "results.json").read_text())["epochs"][-1]["epoch"] == 4


def test_a_key_that_was_taken_out_of_the_config_is_an_edit(stopped_copy, accord_cli, metrics):
    run = stopped_copy({"training.schedule": "constant", "training.warmup": 0.0}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001\n", ""))
    answer = accord_cli("resume", run, "--quiet")
    assert "training.lr: 0.001 -> None" in answer.err
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert {line["step"]: line["lr"][0] for line in metrics(run)}[9] == 5e-5


@pytest.mark.parametrize("changed", ["hidden_dropout_prob", "weights"])
def test_an_encoder_that_changed_is_refused(stopped, accord_cli, write_encoder, tmp_path, changed):
    folder = write_encoder(tmp_path / "encoder")
    run = stopped({"encoder.path": str(folder)}, 8)
    if changed == "weights":
        write_encoder(folder, seed=1)
    else:
        table = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**table, changed: 0.6}))
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert "encoder's" in answer.err


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_fails_as_a_run_is_forced_on_is_one_line(
    stopped_copy, accord_cli, monkeypatch, fault, place
):
    run = stopped_copy({"training.epochs": 1}, 2)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.002"))
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv(FAULT, f"{fault}@{place}")
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code in (1, 2)
    assert answer.err.count("\n") == 1
    assert "fault of Accord's own" not in answer.err


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
    assert "file is no folder" in answer.err


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


def test_fewer_steps_than_were_taken_are_refused(stopped_copy, accord_cli):
    run = stopped_copy({}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("epochs = 3", "epochs = 1"))
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code == 2
    assert "is after step 8, but the run has 6 steps now" in answer.err


def test_what_a_kill_left_after_the_end_is_removed_by_resume(
    project, train, tmp_path, monkeypatch, accord_cli
):
    """Killed once the run was done, before it was tidied: of one without stages and of a grid's."""
    with monkeypatch.context() as patch:
        patch.setattr("accord.training.run.tidy", lambda run: None)
        run = train(project({"training.epochs": 1}), tmp_path / "run")
    (run / ".results.json.77.aside").write_text("{")
    (run / "predictions" / ".mood-dev.csv.aside").write_text("")
    (run / "checkpoints" / ".new-step-6").mkdir()
    assert {"best", "kept"} <= {path.name for path in run.iterdir()}
    cell = tmp_path / "cell"
    shutil.copytree(run, cell)
    whole = folder_of(train(project({"training.epochs": 1}), tmp_path / "whole"))
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


def test_a_hang_up_saves_like_a_stop(project, tmp_path, start_accord, wait_for_steps):
    import signal

    run = tmp_path / "run"
    process = start_accord("train", project(), "--out", run, before=held.before(4))
    wait_for_steps(process, run, 3)
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert RunFolder(run).state() == "stopped"
    assert list((run / "checkpoints").iterdir())


def test_a_run_killed_as_it_dropped_old_checkpoints_keeps_no_more_of_them(
    project, train, tmp_path, monkeypatch, accord_cli
):
    """Also where its last step is taken already: no other checkpoint would drop them."""
    from accord.training import checkpoint

    class Killed(BaseException):
        pass

    plain = checkpoint.drop_old

    def die(folder, keep):
        if (folder / "step-18").exists():
            raise Killed
        plain(folder, keep)

    changes = {"checkpoint.every_steps": 4, "checkpoint.keep": 3}
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "drop_old", die)
        with pytest.raises(Killed):
            train(project(changes), run)
    assert len(list((run / "checkpoints").glob("step-*"))) == 4
    assert accord_cli("resume", run, "--quiet").code == 0
    left = {path.name for path in (run / "checkpoints").glob("step-*")}
    assert left == {"step-12", "step-16", "step-18"}
