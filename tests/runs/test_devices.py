"""Which precision a device takes, said of devices that are not here."""

import pytest
import torch

from accord.errors import ConfigError
from accord.runs.devices import check_precision, takes_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(params=[(7, 0), (8, 6)], ids=["without TF32", "with TF32"])
def capability(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: request.param)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    return request.param


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_any_device_takes_what_needs_no_tf32(capability, precision):
    for device in (CPU, GPU):
        check_precision(precision, device)
        assert takes_precision(precision, device)


def test_tf32_is_refused_where_there_is_none(capability):
    with pytest.raises(ConfigError) as refused:
        check_precision("tf32", CPU, "training.precision")
    assert str(refused.value) == (
        "training.precision: 'tf32' takes a GPU with TF32 (compute capability 8.0 and higher), and"
        " this runs on a CPU; allowed here: float32, bfloat16"
    )
    assert not takes_precision("tf32", CPU)
    if capability >= (8, 0):
        check_precision("tf32", GPU)
        assert takes_precision("tf32", GPU)
    else:
        with pytest.raises(ConfigError, match="runs on Tesla V100"):
            check_precision("tf32", GPU)
        assert not takes_precision("tf32", GPU)
