"""The names that `accord` promises, and what they need before they are used."""

import subprocess
import sys

import pytest
import torch

import accord
from accord.encoders.pretrained import save_encoder
from accord.installed import version


def test_every_promised_name_is_there():
    assert set(accord.__all__) == {
        "Predictor", "__version__", "add", "check", "compare", "evaluate", "load", "load_encoder",
        "remove", "resume", "train",
    }  # fmt: skip
    for name in accord.__all__:
        assert callable(getattr(accord, name)) or name == "__version__"
    assert accord.__version__ == version()
    assert set(accord.__all__) | set(accord._PACKAGES) == set(dir(accord))
    for name in accord._PACKAGES:
        assert getattr(accord, name).__name__ == f"accord.{name}"
    with pytest.raises(AttributeError, match=r"no attribute 'trian'; did you mean 'train'\?"):
        _ = accord.trian  # type: ignore[attr-defined]


USES = (
    "accord.optim.AdamW", "accord.encoders.BertEncoder", "accord.train", "accord.load",
    "accord.load_encoder", "accord.gradients.get_method('pcgrad')",
)  # fmt: skip
EACH_BY_ITSELF = """
import os, sys, accord
assert "torch" not in sys.modules
import torch  # once for all: it takes the most time
for use in sys.argv[1:]:
    if (process := os.fork()) == 0:
        eval(use)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, use
"""


@pytest.mark.slow
def test_one_import_is_enough():
    """Each in a process of its own: here another test may have imported the module already."""
    command = [sys.executable, "-c", EACH_BY_ITSELF, *USES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_optimizer_as_it_is_spelt():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = accord.optim.AdamW([weight], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    weight.sum().backward()
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.9] * 3)


def test_a_bare_encoder(tiny_encoder, tmp_path):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path / "encoder")
    loaded = accord.load_encoder(tmp_path / "encoder")
    rows = [[2, 7, 3], [2, 9, 11, 12, 3], [4]]
    hidden = loaded.encode_ids(rows)
    assert [tuple(each.shape) for each in hidden] == [(3, 8), (5, 8), (1, 8)]
    for each, expected, ids in zip(hidden, encoder.encode_ids(rows), rows, strict=True):
        assert each.dtype == torch.float32
        assert torch.equal(each, expected)
        assert torch.allclose(each, loaded.encode_ids([ids])[0], atol=1e-5)
