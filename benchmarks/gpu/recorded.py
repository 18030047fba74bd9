"""Whether a step that was recorded, and runs again, changes no bit; if it does, where first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from workload import encoder, our_step, workload

from accord.data.batches import StepBatch
from accord.kernels.recorder import Met
from accord.kernels.recorder import Recorder as StepRecorder
from accord.runs.repeatable import in_one_order
from accord.training.recording import obstacles
from accord.training.step import Learner
from gpu.figures import Figure, Recorder
from gpu.pieces import masks
from gpu.settings import Settings, clear
from gpu.variants import Table, ready

STEPS, AGAIN = 24, 5
GRAPHS: dict[str, Table] = {
    "pcgrad": {"training": {"gradients": "pcgrad"}},
    "the sum": {"training": {"gradients": "sum"}},
    "one gradient for all": {"training": {"gradients": "sum", "gramian": False}},
    "graddrop, which takes J": {"training": {"gradients": "graddrop"}},
    "layers apart": {"training": {"gradients": "mgda", "granularity": "layer"}},
    "famo, which looks back": {"training": {"balancing": "famo"}},
    "gradnorm, by the last layer": {"training": {"balancing": "gradnorm"}},
    "ema": {"averaging": {"method": "ema"}},
    "swa": {"averaging": {"method": "swa"}},
    "layers computed twice": {"encoder": {"gradient_checkpointing": True}},
    "a frozen encoder": {"encoder": {"mode": "frozen"}},
}
"""What a graph differs by; methods and rules that weigh J's rows on the host differ in nothing."""


def recordings(recorder: Recorder, settings: Settings, base: Table) -> None:
    """Try them: MiniLM in several sizes first, then each of `GRAPHS` on the tiny encoder."""
    if settings.gpu:
        name = "a recording draws the step's masks"
        recorder.check(name, partial(masks, recorder, settings, name), law=True)
    name = "recorded steps change no bit"
    recorder.check(name, partial(sizes, recorder, settings, name), law=True)
    for each, changes in GRAPHS.items():
        name = f"recorded: {each}"
        law = partial(one_graph, recorder, settings, name, base, changes)
        recorder.check(name, law, law=True)


def sizes(recorder: Recorder, settings: Settings, name: str) -> None:
    """Train some steps of several sizes that come again, recorded and as they are."""
    work, device = workload(settings.data, batch_size=settings.examples(32)), settings.device
    one, other = (
        our_step(work, encoder(settings.size("minilm")), joint=False, bfloat16=True, device=device)
        for _ in range(2)
    )
    other.learner.recorder = StepRecorder()
    batches = [one.batch(step).to(device) for step in range(STEPS)]
    compared(recorder, settings, name, (one.learner, other.learner), batches)


def one_graph(
    recorder: Recorder, settings: Settings, name: str, base: Table, changes: Table
) -> None:
    """Take a batch's step again and again, recorded and as it is."""
    table = {**base, **{
        section: {**base.get(section, {}), **change} for section, change in changes.items()
    }}  # fmt: skip
    table["encoder"] = {**table["encoder"], "dropout": 0.1}
    one, other = (ready(table, str(settings.device), "bfloat16") for _ in range(2))
    for setup in (one, other):
        if setup.plan.encoder.frozen:
            setup.encode_data()
    if settings.gpu and not one.static:
        why = "; ".join(obstacles(one.plan, one.learner, one.device))
        recorder.add(Figure(name, 1.0, "law", 0.0, note=f"is not recorded: {why}"))
        return
    other.learner.recorder = StepRecorder()
    compared(recorder, settings, name, (one.learner, other.learner), [one.batch(0)] * AGAIN)


def compared(
    recorder: Recorder, settings: Settings, name: str, learners: tuple[Learner, Learner],
    batches: list[StepBatch],
) -> None:  # fmt: skip
    """Take the same steps with both; the figure is 0 where all is equal to the bit."""
    difference = ""
    for learner in learners:
        learner.model.train()
    for step, batch in enumerate(batches):
        seen = []
        for learner in learners:
            with in_one_order(settings.gpu):
                record = learner.step(step, batch, 1.0)
            seen.append(dict(left_by(learner, record.losses, record.gramian)))
        difference = first_difference(*seen)
        if difference:
            difference = f"first in step {step + 1}: {difference}"
            break
    again = learners[0].recorder.met.get("passes", Met()).again
    if settings.gpu and not difference and not again:
        difference = "no step ran from a recording"
    note = difference or f"{again} of {len(batches)} steps ran from recordings"
    recorder.add(Figure(name, float(bool(difference)), "law", 0.0, note=note))
    clear(settings.device)


def left_by(
    learner: Learner, losses: dict[str, float], gramian: Tensor | None
) -> Iterator[tuple[str, Tensor]]:
    """Yield what a step leaves, in the order in which it comes to be."""
    yield "losses", torch.tensor([*losses.values()])
    if gramian is not None:
        yield "the Gram matrix", gramian
    named = list(learner.model.named_parameters())
    for parameter, tensor in named:
        if tensor.grad is not None:
            yield f"the gradient of {parameter}", tensor.grad.detach()
    for parameter, tensor in named:
        yield f"the value of {parameter}", tensor.detach()


def first_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> str:
    """Say what differs first; '' where nothing does.

    Example:
        >>> x, y = torch.zeros(2), torch.tensor([0.0, 0.5])
        >>> first_difference({"losses": x, "J": y}, {"losses": x, "J": x})
        'J by up to 0.5'
    """
    for name, tensor in one.items():
        if name not in other or other[name].shape != tensor.shape:
            return f"{name} is there in one alone"
        if not torch.equal(tensor, other[name]):
            return f"{name} by up to {float((tensor - other[name]).abs().max()):.2g}"
    missing = [name for name in other if name not in one]
    return f"{missing[0]} is there in one alone" if missing else ""
