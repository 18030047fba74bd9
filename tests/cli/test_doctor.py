"""`accord doctor`: what it prints, as tables and as JSON, and what it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from accord.cli.doctor import doctor, render
from accord.doctor import Disk, Gpu, Memory, Processor, Rates, Report
from accord.errors import UsageError
from accord.kernels.matmul import MatmulPolicy, choose_matmul_policy

GIB = 1 << 30
CUDA = Report(
    processor=Processor("A long name " * 8, "AVX512", 64, 128, 8, 4, 2.5, 9.0, 8, "8"),
    memory=Memory(512 * GIB, None),
    gpus=(Gpu("Some GPU", 80 * GIB, "9.0", True), Gpu("Old GPU", 16 * GIB, "7.0", False)),
    torch_cuda="12.8",
    nvidia_driver=True,
    rates=Rates(600.0, 5000.0, 1.7e-03, 0.0123, None, 50_000.0, 600_000.0),
    flash_fault=None,
    fused_fault=None,
    activation_fault=None,
    matmul=MatmulPolicy(bfloat16=True),
    keeps_memory=False,
    disk=Disk("/a/folder" * 15, GIB, True),
    cache=Disk("/cache", GIB, False),
    versions={"python": "3.11.7", "torch": "2.13.0+cu128", "libc": ""},
)  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One real examination, as JSON, and the folder of the disk."""
    folder = tmp_path_factory.mktemp("disk")
    done = CliRunner().invoke(doctor, ["--json", str(folder)], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout), folder


def test_the_keys_of_its_json(measured):
    actual = measured[0]
    assert list(actual) == [
        "processor", "memory", "gpus", "torch_cuda", "nvidia_driver", "rates", "matmul",
        "flash_fault", "fused_fault", "activation_fault", "keeps_memory", "disk", "cache",
        "versions", "paths", "advice",
    ]  # fmt: skip
    assert set(actual["rates"]) == {
        "float32_default_gflops", "float32_onednn_gflops", "onednn_relative_error",
        "bfloat16_native_gflops", "bfloat16_accord_gflops", "gpu_float32_gflops",
        "gpu_bfloat16_gflops",
    }  # fmt: skip
    assert set(actual["memory"]) == {"total_bytes", "available_bytes"}
    assert set(actual["paths"]) == {
        "float32", "bfloat16", "attention", "norms", "activations", "AdamW", "memory"
    }  # fmt: skip


def test_its_values_are_this_machine_s(measured):
    actual, folder = measured
    assert actual["disk"]["path"] == str(folder)
    assert actual["processor"]["torch_threads"] == torch.get_num_threads()
    assert 1 <= actual["processor"]["usable_cpus"] <= actual["processor"]["logical_cores"]
    assert actual["versions"]["torch"] == torch.__version__
    assert actual["torch_cuda"] == torch.version.cuda
    chosen = choose_matmul_policy(torch.device("cpu"), "bfloat16")
    assert actual["matmul"] == chosen.__dict__
    assert actual["paths"]["bfloat16"].startswith("in float32") == (
        chosen.rounded and not actual["gpus"]
    )
    for key in ("float32_default_gflops", "bfloat16_native_gflops", "bfloat16_accord_gflops"):
        assert actual["rates"][key] > 0


@pytest.mark.parametrize("report", [CUDA, replace(CUDA, gpus=(), rates=Rates())])
def test_its_tables_fit_80_columns(capsys, report):
    render(report)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for text in (
        "this machine",
        "matrix products",
        "path taken",
        "What would help:",
        "not measured",
    ):
        assert text in out
    text = " ".join(out.split())
    assert "64 physical, 128 logical; usable here: 8, for 2.5 CPUs' time" in text
    assert "512.0 GiB, unknown available" in text
    assert "8 threads on 3 usable CPUs" in text
    assert "a C library that is not glibc" in text
    assert ("Old GPU, 16.0 GiB, compute capability 7.0, no bfloat16" in text) == bool(report.gpus)
    assert ("600000" in text) == bool(report.gpus)
    assert "free in " + "/a/folder" * 15 + ":" in out.replace("\n   ", "")


def test_nothing_to_advise(capsys):
    ours = replace(CUDA.processor, torch_threads=3, load_average=None)
    room = Disk("/data", 100 * GIB, True)
    render(replace(CUDA, processor=ours, disk=room, cache=room, rates=Rates()))
    out = capsys.readouterr().out
    assert "Nothing here needs a change." in out
    assert "What would help" not in out


@pytest.mark.parametrize(
    ("name", "problem"), [("none", "no such folder"), ("file", "is not a folder")]
)
def test_a_path_that_is_no_folder(tmp_path, name, problem):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(doctor, [str(tmp_path / name)])
    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code == 2
    assert str(done.exception) == f"{tmp_path / name}: {problem}"
    assert done.stdout == ""
