"""How large does SMART's perturbation have to be for bfloat16 to see it?

    python benchmarks/perturbation.py [--steps N] [--batches N] [--output FILE]

MiniLM on the sample's three tasks, trained for some steps in float32. For each ε, with σ = ε and
η = 100 ε as in the paper, over some batches, dropout on: how many entries of the first layer's
input differ in bfloat16 once δ is added; how far bfloat16's change of the logits is from
float32's, δ the same; and by how much bfloat16's own δ, and one of random signs, change what is
said, beside float32's δ, all evaluated in float32.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from workload import ROOT, minilm_folder

from accord.config.file import load_config
from accord.data.batches import StepBatch
from accord.encoders.packing import PackedBatch
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import computing
from accord.plan.making import plan_run
from accord.regularisers import Passes
from accord.regularisers.smart import worst_shift
from accord.training.objective import Objective
from accord.training.regularising import Regularisation
from accord.training.setup import prepare

FIGURES = ("differ", "error", "reached", "by_chance")
EPSILONS = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


def passes_of(objective: Objective, batch: StepBatch, key: DropoutKey) -> Passes:
    """What a regulariser sees of a batch."""
    (micro,), terms = batch.passes, Regularisation(objective.model, [])
    ask = partial(objective.logits, micro, batch.present)
    return terms.passes(ask, micro, batch.present, key)


def flat(logits: Sequence[Tensor]) -> Tensor:
    return torch.cat([logit.detach().flatten() for logit in logits])


def measure(
    exact: Objective, coarse: Objective, batch: StepBatch, step: int, epsilon: float
) -> Tensor:
    """Return the four figures of a batch."""
    (micro,), key = batch.passes, DropoutKey(0, step)
    assert isinstance(micro.inputs, PackedBatch)
    changes, shifts = [], []
    for objective in (exact, coarse):
        with computing(objective.matmul):
            passes = passes_of(objective, batch, key)
            shifts.append(worst_shift(passes, epsilon, epsilon, 100 * epsilon, 1))
    for objective in (exact, coarse):
        with computing(objective.matmul), torch.no_grad():
            passes = passes_of(objective, batch, key)
            changes.append(flat(passes.ask(key, shifts[0])) - flat(passes.logits))
    error = (changes[1] - changes[0]).norm() / changes[0].norm()
    with computing(exact.matmul), torch.no_grad():
        passes = passes_of(exact, batch, key)
        shifts.append(epsilon * torch.randn_like(shifts[0]).sign())
        exactly, coarsely, by_chance = (
            torch.cat(passes.divergences(passes.ask(key, shift), passes.logits)).double().sum()
            for shift in shifts
        )
        x = exact.model.encoder.embeddings(micro.inputs, None, key.at(0))
    differ = (x + shifts[0]).bfloat16() != x.bfloat16()
    reached = [coarsely / exactly, by_chance / exactly]
    return torch.stack([differ.double().mean(), error.double(), *reached])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    settings = [f"encoder.path={minilm_folder()}", "training.gradients=sum"]
    config = load_config(ROOT / "examples" / "accord.toml", settings)
    setup = prepare(plan_run(config).only)
    exact = setup.learner.objective
    for step in range(arguments.steps):
        setup.learner.step(step, setup.batch(step), 1.0)
    coarse = replace(exact, matmul=replace(exact.matmul, bfloat16=True))
    batches = [setup.batch(arguments.steps + i) for i in range(arguments.batches)]
    rows: list[dict[str, float]] = []
    print(" ".join(f"{name:>10}" for name in ("epsilon", *FIGURES)))
    for epsilon in EPSILONS:
        results = [measure(exact, coarse, batch, i, epsilon) for i, batch in enumerate(batches)]
        figures = torch.stack(results).mean(0).tolist()
        rows.append({"epsilon": epsilon, **dict(zip(FIGURES, figures, strict=True))})
        print(" ".join(f"{value:10.3g}" for value in rows[-1].values()), flush=True)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
