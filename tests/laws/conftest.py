"""What laws of steps share."""

import pytest


@pytest.fixture
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sizes differ by 32, so that a step has not all of a small vocabulary's words."""
    monkeypatch.setattr("accord.encoders.static._STEP", 32)
