"""The fused kernels without a GPU: by Triton's interpreter, and compiled for GPUs.

Where Triton is not installed, as in the project's own environment on a CPU, these are skipped.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from accord.kernels.fused import activations

SCRIPT = Path(__file__).with_name("row_kernels_apart.py")
HALF = 2**-7  # bfloat16, as the interpreter rounds to it: towards 0

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


def apart(folder: Path, way: str, **variables: str) -> dict[str, Any]:
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join(sys.path)
    environment |= {"PYTHONPATH": path, "TRITON_CACHE_DIR": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, SCRIPT, way], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    return apart(tmp_path_factory.mktemp("triton"), "interpret", TRITON_INTERPRET="1")


@pytest.mark.parametrize(
    "case",
    [
        "bfloat16, 384 wide", "bfloat16, 1024 wide", "float32, 768 wide",
        "float32, 17 wide, nothing dropped", "bfloat16, 33 wide, nothing dropped",
    ],
)  # fmt: skip
def test_interpreted_they_give_what_the_formula_gives(
    errors: dict[str, dict[str, float]], case: str
) -> None:
    halves = {"rounded", "x"} if case.startswith("bfloat16") else {"rounded"}
    assert len(errors[case]) == (8 if "nothing" in case else 9)
    for name, error in errors[case].items():
        assert error <= (HALF if name in halves else 1e-6), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", activations.KINDS)
def test_interpreted_an_activation_is_the_formula_s(
    errors: dict[str, dict[str, float]], kind: str, dtype: str
) -> None:
    """Sums are of float32 before it is rounded, whatever the dtype."""
    cases = [case for case in errors if case.startswith(f"{kind}, {dtype}, ")]
    assert len(cases) == 3
    rounded = HALF if dtype == "bfloat16" else 2e-6
    for case in cases:
        assert errors[case]["y"] <= rounded, case
        assert errors[case]["x"] <= rounded, case
        assert errors[case]["sums"] <= 2e-6, case


@pytest.mark.parametrize("capability", ["80", "90"])
def test_they_compile_for_a_gpu_and_stay_in_registers(tmp_path: Path, capability: str) -> None:
    """As they would be launched."""
    spilt = apart(tmp_path, capability)
    assert len(spilt) == 10 + 20  # both kernels of each case, of each activation and dtype
    assert not any(spilt.values()), spilt
