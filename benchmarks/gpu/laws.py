"""What must hold on a GPU as on a CPU."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from workload import encoder, step_batch, workload

from accord.gradients import get_method
from accord.kernels import fused
from accord.kernels.dropout import DropoutStream
from accord.kernels.matmul import choose_matmul_policy
from accord.model.multitask import MultitaskModel
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.training.combining import Combination
from accord.training.objective import Objective
from accord.training.step import Learner
from gpu.apart import check_apart
from gpu.figures import Figure, Recorder
from gpu.pieces import pieces, relative
from gpu.recorded import recordings
from gpu.repeating import repeatability
from gpu.settings import Settings, clear
from gpu.variants import project, variants

ROW_ERROR = {False: 2e-5, True: 5e-3}  # bfloat16 rounds sums of other orders to other neighbours
KERNELS_ERROR = {False: 2e-5, True: 3e-2}  # where kernels of ours don't round between products
PACKED_ERROR = 1e-4
RECORDINGS_SECONDS, REPEATABILITY_SECONDS = 40.0, 25.0  # on a GPU; a CPU may take its time


def measure(recorder: Recorder, settings: Settings) -> None:
    """Try every law."""
    limit = 1 if settings.gpu else 10
    pieces(recorder, settings)
    for bfloat16 in (False, True):
        for static, kernels in ((False, False), (True, False), (True, True))[: 2 + settings.gpu]:
            name = f"one backward is T backwards, {'bfloat16' if bfloat16 else 'float32'}"
            name += ", static shapes" if static else ""
            name += " and fused kernels" if kernels else ""
            with ExitStack() as stack:
                if not kernels:
                    for each in ("kernels_for", "activations_for"):
                        stack.enter_context(patch.object(fused, each, lambda *_: None))
                law = partial(one_backward, recorder, settings, name, bfloat16, static, kernels)
                recorder.check(name, law, law=True)
    recorder.check(
        "packed is transformers", partial(packed, recorder, settings, "packed is transformers"),
        law=transformers_there(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gpu-laws-") as folder:
        base: dict[str, Any] = {}
        tiny = "a tiny encoder"
        recorder.check(tiny, lambda: base.update(project(settings, Path(folder))), law=True)
        # What records steps stands apart: a recording that fails takes no other law with it.
        if base:
            check_apart(
                recorder, "recordings", partial(recordings, settings=settings, base=base),
                seconds=limit * RECORDINGS_SECONDS, law=True,
            )  # fmt: skip
        check_apart(
            recorder, "repeatability",
            partial(repeatability, settings=settings, folder=Path(folder)),
            seconds=limit * REPEATABILITY_SECONDS, law=True,
        )  # fmt: skip
        if base:
            variants(recorder, settings, base, Path(folder))


def transformers_there() -> bool:
    """Whether the peer is installed."""
    from importlib.util import find_spec

    return find_spec("transformers") is not None


def one_backward(
    recorder: Recorder, settings: Settings, name: str, bfloat16: bool, static: bool, kernels: bool
) -> None:
    """Hold J of one backward pass beside autograd's gradient of each task's loss, for which
    operations stand one after the other."""
    device = settings.device
    work = workload(settings.data, batch_size=settings.examples(16), batches=1)
    model = MultitaskModel(encoder(settings.size("minilm")), work.tasks).to(device).train()
    jacobian = Jacobian(model.encoder.parameters(), model.encoder.embeddings.word)
    matmul = choose_matmul_policy(device, "bfloat16" if bfloat16 else "float32")
    groups = parameter_groups([(model.named_parameters(), 0.0)], 0.0)
    learner = Learner(
        model, AdamW(groups), Objective(model, matmul=matmul),
        Combination.of(work.tasks, get_method("pcgrad")), jacobian,
    )  # fmt: skip
    words = model.encoder.config.vocab_size if static else None
    batch = step_batch(work.batches[0], matmul.row_multiple, device, words)
    learner.gramian(0, batch)
    assert jacobian.step is not None
    ours = jacobian.step.dense()
    if static:  # seeds the stream that masks come from, as the step did
        DropoutStream(learner.objective.seed, 0).begin(device)
    (losses,) = learner.objective.means(0, batch)
    word = model.encoder.embeddings.word
    columns = [p for p in model.encoder.parameters() if p is not word] + [word]
    errors = [relative(ours[t], flat_gradient(loss, columns)) for t, loss in enumerate(losses)]
    limit = (KERNELS_ERROR if kernels else ROW_ERROR)[bfloat16]
    recorder.add(Figure(name, max(errors), "law", limit, note="relative, worst task"))
    clear(device)


def flat_gradient(loss: Tensor, columns: list[nn.Parameter]) -> Tensor:
    """A loss's gradient by autograd as one vector."""
    gradients = torch.autograd.grad(loss, columns, retain_graph=True, allow_unused=True)
    return torch.cat([
        (torch.zeros_like(p) if each is None else each).float().flatten()
        for p, each in zip(columns, gradients, strict=True)
    ])  # fmt: skip


@torch.inference_mode()
def packed(recorder: Recorder, settings: Settings, name: str) -> None:
    """Hold our packed sequences' vectors beside transformers', each task padded, in float32."""
    from peers import bert, padded

    device, size = settings.device, settings.size("minilm")
    work = workload(settings.data, batch_size=settings.examples(32), batches=1)
    ours, peer = encoder(size), bert(size).eval().to(device)
    if size != "minilm":  # random weights: ours are put there
        from accord.encoders.families.bert import named_views

        state = peer.state_dict()
        for key, view in named_views(ours):
            if key in state:
                state[key].copy_(view)
    model = MultitaskModel(ours, work.tasks).to(device).eval()
    batch = step_batch(work.batches[0], 1, device)
    vectors = model.pooled(batch.passes[0].inputs, batch.present)
    worst = 0.0
    for sequences, vector in zip(work.batches[0].sequences, vectors, strict=True):
        inputs = {key: value.to(device) for key, value in padded(sequences).items()}
        worst = max(worst, relative(vector, peer(**inputs).last_hidden_state[:, 0]))
    recorder.add(Figure(name, worst, "law", PACKED_ERROR, note="relative, worst task"))
