"""A resumed run multiplies as it began, whatever this machine would choose now."""

import dataclasses
import json
import shutil

import pytest

from accord.errors import RunFolderError
from accord.kernels.matmul import MatmulPolicy
from accord.training.run import resume_run


@pytest.fixture
def choosing(monkeypatch):
    """Let this machine choose how to multiply, and list what each step then goes by."""
    taken = []
    autocast = MatmulPolicy.autocast

    def spy(self, device):
        taken.append(self)
        return autocast(self, device)

    monkeypatch.setattr(MatmulPolicy, "autocast", spy)

    def call(matmul):
        monkeypatch.setattr(
            "accord.training.setup.choose_matmul_policy", lambda device, bfloat16: matmul
        )
        taken.clear()
        return taken

    return call


# A CPU without bfloat16 instructions makes native kernels for 10 s, so no test takes a native step.
NATIVE, ROUNDED = MatmulPolicy(bfloat16=True), MatmulPolicy(bfloat16=True, rounded=True)


SHORT = {
    "training.precision": "bfloat16", "training.epochs": 1, "training.steps_per_epoch": 3,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "none-yet"])
@pytest.mark.parametrize(("first", "later"), [(ROUNDED, NATIVE), (MatmulPolicy(), ROUNDED)])
def test_a_run_goes_on_multiplying_as_it_began(choosing, stopped, first, later, kept):
    """Though the machine, or another one, would now choose otherwise."""
    choosing(first)
    run = stopped(SHORT, 2)
    recorded = (run / "resolved.json").read_bytes()
    assert json.loads(recorded)["matmul"] == dataclasses.asdict(first)
    if not kept:
        shutil.rmtree(run / "checkpoints")
    taken = choosing(later)
    resume_run(run, quiet=True)
    assert set(taken) == {first}
    assert (run / "resolved.json").read_bytes() == recorded


@pytest.mark.slow
def test_another_choice_of_products_changes_no_byte_of_a_run_that_goes_on(
    choosing, stopped, project, train, tmp_path, outcome
):
    choosing(ROUNDED)
    whole = train(project(SHORT), tmp_path / "whole")
    run = stopped(SHORT, 2)
    choosing(NATIVE)
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(whole)


def test_a_run_whose_products_can_t_be_read_is_refused(choosing, stopped):
    run = stopped(SHORT, 2)
    table = json.loads((run / "resolved.json").read_text())
    table["matmul"] = {"unknown": True}
    (run / "resolved.json").write_text(json.dumps(table))
    with pytest.raises(RunFolderError, match="'matmul' can't be read"):
        resume_run(run, quiet=True)


def test_an_edited_precision_is_gone_on_in(choosing, stopped, accord_cli):
    choosing(MatmulPolicy())
    run = stopped({"training.epochs": 1, "training.precision": "float32"}, 2)
    config = run / "config.toml"
    config.write_text(config.read_text().replace('"float32"', '"bfloat16"'))
    taken = choosing(ROUNDED)
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    assert set(taken) == {ROUNDED}
    assert json.loads((run / "resolved.json").read_text())["matmul"]["bfloat16"]


def test_a_run_of_exact_onednn_products_goes_on_without_inexact_ones(
    choosing, stopped, monkeypatch, capsys
):
    choosing(MatmulPolicy(onednn=True))
    run = stopped({"training.epochs": 1}, 2)
    monkeypatch.setattr("accord.training.resuming.onednn_is_exact", lambda: False)
    taken = choosing(NATIVE)
    resume_run(run)
    assert set(taken) == {MatmulPolicy()}
    assert "goes on with torch's default ones, and its bits differ" in capsys.readouterr().err
