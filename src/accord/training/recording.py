"""Which runs take steps of static shapes, recorded once a size as CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from accord.kernels.attention import flash
from accord.kernels.recorder import CudaGraphs, Met, Recorder
from accord.kinds import kind_of
from accord.plan.run import StagePlan
from accord.plural import count
from accord.training.step import Learner

_SHARE = 0.25  # of a GPU's memory that recordings may hold beside the model and its passes


def recorder_of(device: torch.device) -> Recorder:
    """Return what runs static steps on a device: recorded on a GPU, as they are elsewhere."""
    if device.type != "cuda":
        return Recorder()
    total = torch.cuda.get_device_properties(device).total_memory
    return Recorder(CudaGraphs(device), limit_bytes=_SHARE * total)


def summary(recorder: Recorder) -> str:
    """Say what a process's steps had of recordings: of what sizes they were, and what it cost."""
    passes = recorder.met.get("passes", Met())
    return (
        f"static steps: {count(passes.times, 'step')} of {count(len(passes.sizes), 'size')},"
        f" {passes.again:,} of them run again; recorded {count(recorder.recorded, 'part')} of steps"
        f" in {recorder.seconds:.1f} s; recordings held up to"
        f" {recorder.most_bytes / 2**20:.1f} MiB beside the run"
    )


def rows_beside_steps(plan: StagePlan, sources: int) -> int:
    """Return how many rows of J a run asks for between its steps: two a source, for halves."""
    return 0 if plan.training.halves_every is None else 2 * sources


def records(plan: StagePlan, learner: Learner, device: torch.device) -> bool:
    """Whether a run's steps are of static shapes, as far as each step's examples allow."""
    return device.type == "cuda" and not any(obstacles(plan, learner, device))


def obstacles(plan: StagePlan, learner: Learner, device: torch.device) -> Iterator[str]:
    """Yield what of a run has shapes or steps of its own, in a user's words.

    Args:
        plan: of the run.
        learner: as the run has it.
        device: a GPU.
    """
    objective = learner.objective
    if not plan.encoder.frozen:
        yield from _of_sequences(plan, learner, device)
    if objective.regularisation is not None:
        yield "training.regularisers take passes of their own"
    if objective.unfreezing is not None:
        yield "training.unfreeze_over changes what is trained"
    if learner.model.parts is not None:
        yield "[sharing] gives tasks parts of the encoder"
    if not all(task.labelled for task in learner.model.tasks):
        yield "texts without labels differ in how many words they hide"


def exceptions(learner: Learner) -> str:
    """Say which steps of a run that records others have shapes of their own; '' if none have."""
    names = [task.name for task in learner.model.tasks if kind_of(task).units != "rows"]
    if not names:
        return ""
    return (
        f"steps with {', '.join(names)} run without CUDA graphs: how many words or candidates there"
        " are differs from step to step"
    )


def _of_sequences(plan: StagePlan, learner: Learner, device: torch.device) -> Iterator[str]:
    """Yield what of a run that encodes sequences in its steps has shapes of its own."""
    if not learner.objective.matmul.bfloat16 or not flash.works(device):
        yield "without training.precision = 'bfloat16', or flash attention, sequences are padded"
    if plan.training.micro_batch_tokens is not None:
        yield "training.micro_batch_tokens makes several passes"
