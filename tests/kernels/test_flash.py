"""What surrounds the GPU's attention kernel: its operators are played by the formula."""

import pytest
import torch

from accord.kernels.attention import flash, plan_attention, reference
from accord.kernels.dropout import DropoutStream

CPU, HEADS, HIDDEN = torch.device("cpu"), 2, 8
LENGTHS = (5, 1, 3, 3)


def by_formula(q, k, v, starts_q, starts_k, scale):
    parts = []
    for i in range(len(starts_q) - 1):
        ours = (x[s[i] : s[i + 1]].transpose(0, 1) for x, s in
               ((q, starts_q), (k, starts_k), (v, starts_k)))  # fmt: skip
        one, other, third = ours
        weights = torch.softmax(one @ other.transpose(1, 2) * scale, -1)
        parts.append((weights @ third).transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture
def kernel(monkeypatch):
    """Both operators, with the signatures of torch's."""

    def forward(  # noqa: PLR0917
        q, k, v, starts_q, starts_k, longest_q, longest_k, p, causal, debug, *, scale
    ):
        assert all(x.shape[-1] % 8 == 0 for x in (q, k, v)), "the kernel takes multiples of 8"
        assert starts_q.dtype == starts_k.dtype == torch.int32
        assert (longest_q, longest_k) == (int(starts_q.diff().max()), int(starts_k.diff().max()))
        assert (p, causal, debug) == (0.0, False, False)
        out = by_formula(q, k, v, starts_q, starts_k, scale)
        return out, *(torch.zeros(1) for _ in range(4))

    def backward(  # noqa: PLR0917
        grad, q, k, v, out, logsumexp, starts_q, starts_k, longest_q, longest_k, p, causal,
        state, unused, *, scale,
    ):  # fmt: skip
        with torch.enable_grad():
            ours = [x.detach().requires_grad_() for x in (q, k, v)]
            return torch.autograd.grad(by_formula(*ours, starts_q, starts_k, scale), ours, grad)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", forward)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_backward", backward)


@pytest.mark.parametrize("cls", [False, True])
def test_rows_go_to_the_kernel_and_come_back_as_the_reference_has_them(kernel, cls):
    rows = len(LENGTHS) if cls else sum(LENGTHS)
    plan = plan_attention(LENGTHS, CPU, cls_queries=cls)
    # HIDDEN / HEADS is 4, which the kernel doesn't take: it gets 8, and the scale of 4.
    tensors = [
        torch.randn(shape).requires_grad_()
        for shape in ((rows, HIDDEN), (sum(LENGTHS), 2 * HIDDEN))
    ]
    ours, expected = (way(*tensors, plan, HEADS) for way in (flash.attend, reference))
    torch.testing.assert_close(ours, expected)
    probe = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(ours, tensors, probe), torch.autograd.grad(expected, tensors, probe),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kept", [False, True])
def test_what_it_drew_is_kept_for_a_layer_that_is_computed_twice(kept, monkeypatch):
    calls = []

    def forward(q, *more, scale):
        calls.append(more[6])
        return torch.full_like(q, float(len(calls))), *(torch.zeros(1) for _ in range(4))

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", forward)
    key = DropoutStream(0, 0).kept() if kept else DropoutStream(0, 0)
    query, key_value = torch.zeros(4, 8), torch.zeros(12, 16)
    plan = plan_attention(LENGTHS, CPU, cls_queries=True)
    given = []
    for _ in range(2):
        if kept:
            key.begin_again()
        given.append([flash.attend(query, key_value, plan, 1, 0.25, key) for _ in range(2)])
    assert [[float(out[0, 0]) for out in each] for each in given] == (
        [[1, 2], [1, 2]] if kept else [[1, 2], [3, 4]]
    )
    assert set(calls) == {0.25}


def test_a_device_without_the_kernel_is_told_apart():
    assert flash.fault(CPU) == "it takes a GPU"
    assert not flash.works(CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="its kernels run on a GPU")
def test_the_kernel_agrees_with_the_reference():
    assert flash.fault(torch.device("cuda")) is None
