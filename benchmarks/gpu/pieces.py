"""Each piece that a step on a GPU is made of, by itself: what is wrong has its name."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from workload import encoder, our_step, workload

from accord.encoders.packing import TokenSequence
from accord.encoders.static import StaticBatch, pack_static
from accord.kernels import fused
from accord.kernels.attention import flash, segments
from accord.kernels.dropout import DropoutStream
from accord.kernels.fused import activations
from accord.kernels.matmul import grouped_matmul, grouped_works
from accord.kernels.recorder import CudaGraphs
from accord.optim.adamw import AdamW
from accord.pertask.bounds import DeviceBounds
from gpu.figures import Figure, Recorder
from gpu.settings import Settings, clear, wait

GROUPED = (9, 10)  # compute capabilities that should multiply groups in one product
FLASH, GROUPS = "flash attention works", "grouped products work"
FUSED, ACTIVATION = "fused sums and norms work", "fused bias and activation work"
BFLOAT16 = 0.02  # relative, of several roundings
LENGTHS = ((5, 1, 32, 17, 9), (40,), (3, 3, 64))
Law = Callable[[Recorder, Settings, str], None]


def pieces(recorder: Recorder, settings: Settings) -> None:
    """Try them all; those that take a GPU are left out without one."""
    laws: dict[str, Law] = {
        "attention of few shapes is its formula": attention,
        "groups of any sizes are products of each": groups,
        "AdamW by the device's numbers is AdamW": adamw,
    }
    if settings.gpu:
        recorder.check(FUSED, partial(own_kernels, recorder, settings), law=True)
        laws = {FLASH: flash_works, GROUPS: groups_work, **laws,
                "a recorded step waits once": partial(waits, bfloat16=True),
                "a step without graphs waits once": partial(waits, bfloat16=False)}  # fmt: skip
    for name, law in laws.items():
        recorder.check(name, partial(law, recorder, settings, name), law=True)


def own_kernels(recorder: Recorder, settings: Settings) -> None:
    """Try the kernels of our own as a run does, which goes on without them where they fail: here
    that is a law that does not hold."""
    fault = fused.fault(settings.device)
    assert fused.works(settings.device) == (fault is None)
    recorder.add(Figure(FUSED, float(fault is not None), "law", 0.0, note=fault or ""))
    cases = [*((kind, torch.bfloat16) for kind in activations.KINDS), ("gelu", torch.float32)]
    tried = {
        f"{kind} in {dtype}": fused.activation_fault(settings.device, kind, dtype)
        for kind, dtype in cases
    }
    faults = [f"{name}: {fault}" for name, fault in tried.items() if fault is not None]
    recorder.add(Figure(ACTIVATION, float(len(faults)), "law", 0.0, note="; ".join(faults)))


def flash_works(recorder: Recorder, settings: Settings, name: str) -> None:
    """A run without it has no static steps, and says so: here that is a law that does not hold."""
    fault = flash.fault(settings.device)
    recorder.add(Figure(name, float(fault is not None), "law", 0.0, note=fault or ""))


def groups_work(recorder: Recorder, settings: Settings, name: str) -> None:
    """Likewise, where a GPU should have them."""
    major, minor = torch.cuda.get_device_capability(settings.device)
    missing = major in GROUPED and not grouped_works(settings.device)
    note = f"compute capability {major}.{minor}"
    recorder.add(Figure(name, float(missing), "law", 0.0, note=note))


def attention(recorder: Recorder, settings: Settings, name: str) -> None:
    """Hold what attends in a static step beside the formula, fillers and empty ones among the
    sequences: from all tokens and from first ones, forward and backward."""
    device, heads, width = settings.device, 4, 32
    dtype = torch.bfloat16 if settings.gpu else torch.float32
    batch = static_batch().to(device)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for plan in (batch.plan, batch.cls_plan):
        rows = batch.sequences if plan.cls_queries else len(batch.input_ids)
        query, key_value, grad = (
            torch.randn(shape, generator=generator).to(device, dtype)
            for shape in ((rows, heads * width), (len(batch.input_ids), 2 * heads * width),
                          (rows, heads * width))
        )  # fmt: skip
        if plan.cls_queries:  # what an empty filler's row attends to is nobody's
            grad = grad * (batch.starts.diff() > 0)[:, None]
        found = []
        for attend in (flash.attend if settings.gpu else segments.attend, segments.attend):
            exact = attend is segments.attend
            inputs = [(x.float() if exact else x).detach().requires_grad_()
                      for x in (query, key_value)]  # fmt: skip
            out = attend(*inputs, plan, heads)
            kept = out.detach() * (grad != 0)
            found.append([kept, *torch.autograd.grad(out, inputs, grad.to(out.dtype))])
        worst = max(worst, *(relative(a, b) for a, b in zip(*found, strict=True)))
    recorder.add(Figure(name, worst, "law", BFLOAT16, note="relative, the worst tensor"))


def static_batch() -> StaticBatch:
    """Pack a few sequences in static shapes."""
    ids = torch.arange(5, 5 + max(max(of) for of in LENGTHS)).numpy()
    return pack_static(
        [[TokenSequence(ids[:length], first=length) for length in of] for of in LENGTHS], 256
    )


def groups(recorder: Recorder, settings: Settings, name: str) -> None:
    """Hold products of groups, of odd sizes and empty ones too, beside one product of each."""
    ends, generator = [31, 31, 77, 200], torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(200, width, generator=generator).to(settings.device, torch.bfloat16)
        for width in (64, 128)
    )
    device_ends = torch.tensor(ends, dtype=torch.int32, device=settings.device)
    bounds = DeviceBounds.of_ends(range(len(ends)), device_ends, len(left))
    product = grouped_matmul(left, right, device_ends, bounds.hot_on(settings.device))
    expected = torch.stack([
        left[start:stop].float().t() @ right[start:stop].float()
        for start, stop in zip([0, *ends], ends, strict=False)
    ])  # fmt: skip
    recorder.add(Figure(name, relative(product, expected), "law", BFLOAT16, note="relative"))


def adamw(recorder: Recorder, settings: Settings, name: str) -> None:
    """Take three steps by rates and counts that the device holds, and by the formula."""
    trained = []
    for by_device in (False, True):
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(70, 33, generator=generator).to(settings.device).requires_grad_()
        optimizer = AdamW([torch.nn.Parameter(weight.detach())], lr=1e-2, fused=False)
        (parameter,) = optimizer.param_groups[0]["params"]
        for step in range(1, 4):
            parameter.grad = torch.randn(70, 33, generator=generator).to(settings.device)
            buckets = optimizer.advance()
            if by_device:
                rates, counts = (
                    torch.full((1,), value, device=settings.device) for value in (1e-2, float(step))
                )
                optimizer.update(buckets, rates, counts)
            else:
                optimizer.finish(buckets)
        trained.append(parameter.detach())
    recorder.add(Figure(name, relative(*trained), "law", 1e-6, note="relative"))


def masks(recorder: Recorder, settings: Settings, name: str) -> None:
    """Draw masks in a recording and without one, for two steps."""
    device, shape = settings.device, torch.Size((300, 40))
    graphs = CudaGraphs(device)

    def work() -> Tensor:
        return DropoutStream(0, 0).keep_mask(shape, 0.1, device)

    expected = []
    for step in (0, 1):
        DropoutStream(0, step).begin(device)
        with graphs.running():
            expected.append(work().clone())
    with graphs.running():
        drawn, again = graphs.record(work)
    differ = 0
    for step, each in enumerate(expected):
        DropoutStream(0, step).begin(device)
        with graphs.running():
            again()
        differ += int((drawn != each).sum())
    recorder.add(Figure(name, float(differ), "law", 0.0, note="entries that differ"))


def waits(recorder: Recorder, settings: Settings, name: str, bfloat16: bool) -> None:
    """Count how often torch says that a step made the host wait, and where."""
    work, device = workload(settings.data, batch_size=8, batches=1), settings.device
    step = our_step(work, encoder("tiny"), joint=False, bfloat16=bfloat16, device=device)
    for i in range(4):
        step(i)
    wait(device)
    with Synchronisations() as seen:
        step(4)
        step(5)
    note = "; ".join(dict.fromkeys(seen.places))
    recorder.add(Figure(name, len(seen.places) / 2, "law", 1.0, note=note))
    clear(device)


class Synchronisations:
    """Notes each operation for which the host waits for the GPU, as torch tells them.

    Attributes:
        places: the innermost line of Accord's that asked, of each.
    """

    def __init__(self) -> None:
        self.places: list[str] = []
        self._warned = warnings.catch_warnings()

    def __enter__(self) -> Synchronisations:
        self._warned.__enter__()
        warnings.simplefilter("always")
        warnings.showwarning = self._note
        torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *error: object) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self._warned.__exit__(*error)

    def _note(self, message: Warning | str, *rest: object, **more: object) -> None:
        if "synchroniz" in str(message):
            ours = [frame for frame in traceback.extract_stack() if "accord" in frame.filename]
            frame = ours[-1] if ours else traceback.extract_stack()[0]
            self.places.append(f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})")


def relative(ours: Tensor, expected: Tensor) -> float:
    """The difference's norm over the norm."""
    return float((ours.double() - expected.double()).norm() / expected.double().norm())
