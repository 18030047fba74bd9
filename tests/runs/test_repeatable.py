"""Sums in one order: the settings that decide it, in time and restored, without a GPU."""

import os
import subprocess
import sys

import pytest
import torch

from accord.runs.repeatable import VARIABLE, claim_workspace, in_one_order, order_fault, unordered

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The variable is not set, and is not afterwards."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


def started(monkeypatch, yes):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: yes)


def test_before_cuda_starts_the_workspace_is_claimed(monkeypatch):
    started(monkeypatch, False)
    assert order_fault(GPU) == ""
    assert os.environ[VARIABLE] == ":4096:8"
    started(monkeypatch, True)
    assert order_fault(GPU) == ""  # it was in time


def test_a_cpu_needs_none(monkeypatch):
    started(monkeypatch, True)
    assert order_fault(CPU) == ""
    assert VARIABLE not in os.environ


def test_after_cuda_started_it_is_too_late(monkeypatch):
    started(monkeypatch, True)
    fault = order_fault(GPU)
    assert "not repeatable to the bit: CUDA started without CUBLAS_WORKSPACE_CONFIG" in fault
    assert "set CUBLAS_WORKSPACE_CONFIG=:4096:8 before Python starts" in fault
    assert "\n" not in fault
    assert VARIABLE not in os.environ  # a later run must not take it for set in time


@pytest.mark.parametrize(
    ("value", "fine"), [(":4096:8", True), (":16:8", True), (":8:8", False), ("", False)]
)
def test_what_the_environment_says_stays(monkeypatch, value, fine):
    monkeypatch.setenv(VARIABLE, value)
    started(monkeypatch, False)
    assert (order_fault(GPU) == "") is fine
    claim_workspace()
    assert os.environ[VARIABLE] == value


def test_the_command_line_claims_it_before_torch_is_loaded():
    code = (
        "import os, sys; sys.argv = ['accord', '--version']; from accord.cli import main\n"
        "try: main()\n"
        "except SystemExit:\n"
        "    print(os.environ.get('CUBLAS_WORKSPACE_CONFIG'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ":4096:8 False"


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


@pytest.fixture(params=[(False, False), (True, True), (True, False)])
def before(request):
    """What whoever calls has set."""
    enabled, only_warned = request.param
    torch.use_deterministic_algorithms(enabled, warn_only=only_warned)
    yield settings()
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("raises", [False, True])
def test_torch_s_settings_are_restored(before, raises):
    try:
        with in_one_order():
            assert settings() == (True, False, False)
            if raises:
                raise KeyError
    except KeyError:
        assert raises
    assert settings() == before


def test_what_is_not_wanted_changes_nothing(before):
    with in_one_order(wanted=False):
        assert settings() == before


def test_torch_s_own_error_is_known():
    """Of an operation that has no such algorithm on a CPU either."""
    with in_one_order(), pytest.raises(RuntimeError) as raised:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    assert unordered(raised.value) == "put_"
