"""Whether a GPU may round float32 products to TF32: by its name alone, block by block."""

import contextlib
import threading

import pytest
import torch

from accord.kernels.matmul import MatmulPolicy, computing, has_tf32

CPU = torch.device("cpu")


def stopped(raises):
    return pytest.raises(KeyError) if raises else contextlib.nullcontext()


TF32, FULL = MatmulPolicy(tf32=True), MatmulPolicy()


@pytest.fixture
def gpu_setting():
    """torch's own of float32 products on a GPU, which needs none to be set."""
    actual = torch.backends.cuda.matmul
    before = actual.fp32_precision
    yield actual
    actual.fp32_precision = before


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("outside", ["none", "ieee", "tf32"])
@pytest.mark.parametrize(
    ("policy", "inside"),
    [
        (TF32, "tf32"),
        (FULL, "ieee"),
        (MatmulPolicy(onednn=True), "ieee"),
        (MatmulPolicy(bfloat16=True), "ieee"),
    ],
)
def test_a_gpu_uses_tf32_by_its_name_alone(gpu_setting, policy, inside, outside, raises):
    """Whatever torch is set to outside of the block, which it is again afterwards."""
    gpu_setting.fp32_precision = outside
    with stopped(raises), computing(policy):
        assert gpu_setting.fp32_precision == inside
        if raises:
            raise KeyError
    assert gpu_setting.fp32_precision == outside


@pytest.mark.parametrize(("outer", "inner"), [(TF32, FULL), (FULL, TF32)])
def test_the_innermost_of_a_thread_s_blocks_counts(gpu_setting, outer, inner):
    names = {TF32: "tf32", FULL: "ieee"}
    with computing(outer):
        with computing(inner):
            assert gpu_setting.fp32_precision == names[inner]
        assert gpu_setting.fp32_precision == names[outer]


def test_no_thread_s_float32_uses_the_tf32_of_another(gpu_setting):
    before, seen, inside, done = gpu_setting.fp32_precision, [], threading.Event(), []

    def other():
        with computing(FULL):
            seen.append(gpu_setting.fp32_precision)
            inside.set()
            done.pop().wait()

    with computing(TF32):
        done.append(threading.Event())
        leave = done[0]
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait()
        with computing(TF32):
            seen.append(gpu_setting.fp32_precision)
        leave.set()
        thread.join()
        seen.append(gpu_setting.fp32_precision)
    assert seen == ["ieee", "ieee", "tf32"]
    assert gpu_setting.fp32_precision == before


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_which_gpus_have_tf32(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_tf32(torch.device("cuda")) is expected
    assert not has_tf32(CPU)
