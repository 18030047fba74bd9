"""Which paths are taken and what is advised, on machines that are not here."""

import json
from dataclasses import replace

import pytest

from accord.doctor import Disk, Gpu, Memory, Processor, Rates, Report, advice, taken_paths
from accord.kernels.matmul import MatmulPolicy

GIB = 1 << 30
PROCESSOR = Processor(
    name="Some processor",
    instructions="AVX2",
    physical_cores=8,
    logical_cores=16,
    affinity_cpus=16,
    affinity_cores=8,
    quota_cpus=None,
    load_average=0.5,
    torch_threads=8,
    omp_num_threads=None,
)
WITHOUT_BFLOAT16 = Report(
    processor=PROCESSOR,
    memory=Memory(64 * GIB, 60 * GIB),
    gpus=(),
    torch_cuda=None,
    nvidia_driver=False,
    rates=Rates(200.0, 400.0, 2.5e-07, 1.2, 350.0),
    flash_fault="it takes a GPU",
    fused_fault="it takes a GPU",
    activation_fault="it takes a GPU",
    matmul=MatmulPolicy(bfloat16=True, onednn=True, rounded=True),
    keeps_memory=True,
    disk=Disk("/data", 100 * GIB, True),
    cache=Disk("/cache", 100 * GIB, True),
    versions={"python": "3.11.7", "torch": "2.13.0", "libc": "glibc 2.36"},
)
AMX = replace(
    WITHOUT_BFLOAT16,
    rates=Rates(600.0, 5000.0, 1.7e-03, 6000.0, 5900.0),
    matmul=MatmulPolicy(bfloat16=True),
)
CUDA = replace(
    WITHOUT_BFLOAT16,
    gpus=(Gpu("Some GPU", 80 * GIB, "9.0", True),),
    torch_cuda="12.8",
    nvidia_driver=True,
    rates=replace(
        WITHOUT_BFLOAT16.rates, gpu_float32_gflops=50_000.0, gpu_bfloat16_gflops=600_000.0
    ),
)
UNMEASURED = replace(WITHOUT_BFLOAT16, rates=Rates())


def with_processor(report=WITHOUT_BFLOAT16, **changes):
    return replace(report, processor=replace(report.processor, **changes))


def test_a_gpu_s_norms():
    apart = "dropout, sum and layer norm one after the other"
    assert taken_paths(WITHOUT_BFLOAT16)["norms"] == apart
    broken = taken_paths(replace(CUDA, fused_fault="No module named 'triton'"))["norms"]
    assert broken == f"{apart}; the kernel of all three can't be used: No module named 'triton'"
    assert taken_paths(replace(CUDA, fused_fault=None))["norms"] == (
        f"in steps recorded as CUDA graphs and in answers one kernel; elsewhere {apart}"
    )


def test_a_gpu_s_activations():
    apart = "bias and activation one after the other"
    assert taken_paths(WITHOUT_BFLOAT16)["activations"] == apart
    broken = taken_paths(replace(CUDA, activation_fault="it is not repeatable"))["activations"]
    assert broken == f"{apart}; the kernel of both can't be used: it is not repeatable"
    assert taken_paths(replace(CUDA, activation_fault=None))["activations"] == (
        f"in steps recorded as CUDA graphs and in answers one kernel; elsewhere {apart}"
    )


def test_a_processor_without_bfloat16():
    paths = taken_paths(WITHOUT_BFLOAT16)
    assert paths["float32"] == (
        "oneDNN: its result is float32's in full (relative error 2.5e-07),"
        " at 2 times the default library's rate"
    )
    assert paths["bfloat16"] == (
        "in float32 from rounded operands: this processor's bfloat16 products run at 1.2 GFLOP/s"
        ' against 400 in float32; precision = "bfloat16" saves memory but no time here'
    )
    assert advice(WITHOUT_BFLOAT16) == []


def test_a_processor_with_amx():
    paths = taken_paths(AMX)
    assert paths["float32"] == (
        "torch's default library: oneDNN's result would be bfloat16's (relative error 1.7e-03)"
    )
    assert paths["bfloat16"] == (
        "the processor's own instructions: they run at 10 times float32's rate"
    )
    assert advice(AMX) == ['training.precision = "bfloat16": products at 9.8 times float32\'s rate']


def test_a_gpu_s_paths_and_advice():
    paths = taken_paths(CUDA)
    assert "the GPU's own library" in paths["float32"]
    assert "50,000 GFLOP/s" in paths["float32"]
    assert paths["bfloat16"] == "the GPU's own instructions: they run at 12 times float32's rate"
    assert advice(CUDA) == ['training.precision = "bfloat16": products at 12 times float32\'s rate']


def test_a_gpu_without_bfloat16():
    old = replace(CUDA, gpus=(Gpu("Old GPU", 16 * GIB, "7.0", False),))
    assert "no instructions for it" in taken_paths(old)["bfloat16"]
    assert "no time" in taken_paths(old)["bfloat16"]
    assert advice(old) == []


def test_bfloat16_instructions_that_are_no_faster():
    report = replace(AMX, rates=replace(AMX.rates, bfloat16_native_gflops=606.0))
    assert taken_paths(report)["bfloat16"].endswith("saves memory but no time here")
    slow = replace(AMX, rates=replace(AMX.rates, bfloat16_accord_gflops=606.0))
    assert advice(slow) == []


def test_rates_that_a_busy_machine_got_wrong():
    """The choice was made by other measurements: the reason doesn't claim what it doesn't see."""
    wrong = replace(
        WITHOUT_BFLOAT16, rates=replace(WITHOUT_BFLOAT16.rates, bfloat16_native_gflops=900.0)
    )
    line = taken_paths(wrong)["bfloat16"]
    assert "900" not in line
    assert "on one core its bfloat16 products took longer than float32's" in line


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("gpus", [(), CUDA.gpus])
def test_where_nothing_was_measured_nothing_is_advised(onednn, rounded, gpus):
    report = replace(UNMEASURED, matmul=MatmulPolicy(True, onednn, rounded), gpus=gpus)
    assert all(taken_paths(report).values())
    assert advice(report) == []
    assert "None" not in json.dumps([taken_paths(report), advice(report)], allow_nan=False)


def test_memory_where_glibc_is_not():
    assert "glibc keeps" in taken_paths(AMX)["memory"]
    elsewhere = replace(AMX, keeps_memory=False, versions={**AMX.versions, "libc": ""})
    assert "which is not here" in taken_paths(elsewhere)["memory"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"torch_threads": 8}, None),  # a thread a physical core
        ({"torch_threads": 16}, None),
        (
            {"torch_threads": 2},
            "2 threads on 16 usable CPUs: set training.threads = 8 or OMP_NUM_THREADS=8",
        ),
        (
            {"torch_threads": 1, "omp_num_threads": "1"},
            "1 thread on 16 usable CPUs, as OMP_NUM_THREADS=1 has it: unset it, or set"
            " training.threads = 8",
        ),
        (
            {"quota_cpus": 1.5},
            "8 threads on 2 usable CPUs: they wait for each other; set training.threads = 2"
            " or OMP_NUM_THREADS=2",
        ),
        (
            {"quota_cpus": 0.5, "affinity_cores": None},
            "8 threads on 1 usable CPU: they wait for each other; set training.threads = 1"
            " or OMP_NUM_THREADS=1",
        ),
        (
            {"affinity_cpus": 4, "affinity_cores": 2},
            "8 threads on 4 usable CPUs: they wait for each other; set training.threads = 2"
            " or OMP_NUM_THREADS=2",
        ),
        (
            {"load_average": 9.0},
            "other processes are at work (load average 9.0 on 16 logical cores): the rates here"
            " may be too low",
        ),
        ({"load_average": None}, None),
    ],
)
def test_advice_on_threads(changes, line):
    assert advice(with_processor(**changes)) == ([] if line is None else [line])


def test_advice_on_a_gpu_that_torch_does_not_find():
    unseen = replace(WITHOUT_BFLOAT16, nvidia_driver=True)
    assert "install PyTorch's CUDA build" in advice(unseen)[0]
    assert "CUDA 12.8" in advice(replace(unseen, torch_cuda="12.8"))[0]
    assert advice(replace(WITHOUT_BFLOAT16, torch_cuda="12.8")) == []


def test_advice_on_disks():
    little = replace(WITHOUT_BFLOAT16, disk=Disk("/data", GIB, True))
    assert advice(little) == [
        "1.0 GiB free in /data: a run of BERT-base takes up to 4.7; checkpoint.keep = 1 needs less"
    ]
    closed = replace(WITHOUT_BFLOAT16, cache=Disk("/cache", 100 * GIB, False))
    assert advice(closed) == [
        "the token cache's folder /cache can't be written to: set ACCORD_CACHE to another"
    ]
