"""What a tutorial says to type works, block by block, with a tiny encoder."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from projects import write_encoder

from accord.demo import write_sample

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PORT = 18000 + os.getpid() % 2000
TYPED = {
    ":8000": f":{PORT}", "accord serve runs/all": f"accord serve runs/all --port {PORT}",
    "--margin 2": "--margin 2 --seeds 2", "seeds = 3": "seeds = 2", "epochs = 4": "epochs = 1",
    "training.gradients=cagrad": "training.gradients=cagrad --set methods.adapter.size=8",
}  # fmt: skip
"""What is typed in the place of what a page says: another port, fewer runs, a narrower part."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights that transformers opens too."""
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield a page's blocks of code, each with its language."""
    text = page.read_text(encoding="utf-8")
    for said, typed in TYPED.items():
        text = text.replace(said, typed)
    yield from re.findall(r"^```(sh|python|toml)\n(.*?)^```", text, re.M | re.S)


def script(page: Path, folder: Path) -> str:
    """Write a page's Python and TOML to files, and return all that is typed, in order."""
    lines = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, (language, text) in enumerate(blocks(page)):
        if language == "sh":
            lines.append(text)
        elif language == "python" and not lacking(text):
            (folder / f"block{number}.py").write_text(text, encoding="utf-8")
            lines.append(f"python block{number}.py")
        elif saved := re.match(r"# save as ([\w.-]+)\n", text):
            (folder / saved[1]).write_text(text, encoding="utf-8")
    return "\n".join(lines)


def lacking(code: str) -> list[str]:
    """Return the packages that a block imports and nobody installed: another library's way."""
    named = re.findall(r"^(?:from|import) (\w+)", code, re.M)
    return [name for name in named if find_spec(name) is None]


@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("[!i]*.md")), ids=lambda page: page.stem)
def test_a_tutorial(page: Path, encoder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "accord-demo")
    commands = tmp_path / "bin"
    commands.mkdir()
    for command, module in (("python", ""), ("accord", "-m accord")):
        (commands / command).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (commands / command).chmod(0o755)
    text = script(page, tmp_path)
    environment = {
        **os.environ, "ENCODER": str(encoder), "PATH": f"{commands}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "ACCORD_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    said = tmp_path / "said.txt"
    with said.open("wb") as output:
        done = subprocess.run(
            ["bash", "-c", text], cwd=tmp_path, env=environment, stdout=output,
            stderr=subprocess.STDOUT, timeout=280, check=False,
        )  # fmt: skip
    assert done.returncode == 0, said.read_text(encoding="utf-8")[-3000:]
