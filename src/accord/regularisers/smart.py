"""SMART: outputs should stay the same for a perturbed input, and for averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from accord.regularisers._registry import ByTask, Options, Passes, regulariser

_NOISE_SITE = 1 << 25  # of the draws: beyond those of all heads' dropout

Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _work(options: Options) -> float:
    """A forward pass is a third of a step's; a backward pass without weights another third."""
    ascent = 1 + 2 / 3 * options["steps"] if options["lambda_s"] else 0
    return ascent + (1 / 3 if options["mu"] else 0)


@regulariser(
    "smart",
    paper="Jiang et al. 2020, SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural"
    " Language Models through Principled Regularized Optimization",
    use="For small data sets and long runs, where fine-tuning forgets what the encoder knew.",
    cost="a step's passes three times; a copy of the weights",
    needs=("draws", "state"),
    inside=True,
    work=_work,
    average=lambda options: options["beta"] if options["mu"] else None,
)
def smart(
    passes: Passes,
    *,
    lambda_s: Weight = 1.0,
    epsilon: Size = 0.01,
    sigma: Size = 0.01,
    eta: Size = 1.0,
    steps: Annotated[int, Field(ge=1)] = 1,
    mu: Weight = 1.0,
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.999,
) -> ByTask:
    """Add λ_s max_δ ℓ_s(f(x + δ), f(x)) + μ ℓ_s(f(x; θ), f(x; θ̃)), with ‖δ‖∞ ≤ ε.

    ℓ_s(p, q) = KL(p‖q) + KL(q‖p) for classes, the squared difference in the units of the loss for
    regressions and all outputs under MSE. δ is added to the first layer's input: noise N(0, σ²),
    moved by δ ← Π(δ + η g/‖g‖∞), where g is the gradient of ℓ_s for each sequence and Π the
    projection on ‖δ‖∞ ≤ ε. Both passes of a term have the plain pass's dropout masks, as else the
    term would measure these (that is R-Drop). Gradients reach θ through both sides, but through
    neither δ nor θ̃. θ̃ begins as θ, so that the second term begins at 0; its decay rises to β.

    *Source:* Jiang et al. 2020, section 3 and algorithm 1. They have ε = σ = 1e-5, η = 1e-3, one
    step of ascent, λ_s of 1 to 5, μ = 1, and β = 0.99, later 0.999. We differ in ε and σ, and keep
    their η/ε: in bfloat16 an ε of 1e-5 is lost, as the error of the logits' change is then ten
    times that change; with 0.001 it is 11 % of it, with 0.01 1 % (`benchmarks/perturbation.py`).

    Args:
        passes: the plain pass, and how to take others.
        lambda_s: λ_s; 0 leaves the first term out.
        epsilon: ε, the largest entry of δ.
        sigma: σ, of the noise that δ starts from.
        eta: η, how far a step moves δ where its gradient is largest.
        steps: of the ascent.
        mu: μ; 0 leaves the second term out.
        beta: the decay of θ̃, a moving average of the weights θ.
    """
    terms = [logit.new_zeros(len(logit)) for logit in passes.logits]
    if lambda_s:
        moved = passes.ask(passes.key, worst_shift(passes, epsilon, sigma, eta, steps))
        apart = passes.divergences(moved, passes.logits)
        terms = [
            term + lambda_s * divergence for term, divergence in zip(terms, apart, strict=True)
        ]
    if passes.average is not None:
        apart = passes.divergences(passes.logits, passes.average)
        terms = [term + mu * divergence for term, divergence in zip(terms, apart, strict=True)]
    return terms


def worst_shift(passes: Passes, epsilon: float, sigma: float, eta: float, steps: int) -> Tensor:
    """Look for the shift δ [N, H] of the first layer's input that changes most what is said.

    δ ~ N(0, σ²), then δ ← Π(δ + η g/‖g‖∞) a number of times, Π the projection on ‖δ‖∞ ≤ ε and g
    the divergence's gradient, normalised sequence by sequence.
    """
    wanted = [logit.detach() for logit in passes.logits]
    device = wanted[0].device
    generator = torch.Generator(device).manual_seed(passes.key.at(_NOISE_SITE).number())
    shape = (sum(passes.lengths), passes.width)
    shift = sigma * torch.randn(shape, generator=generator, device=device)
    for _ in range(steps):
        with torch.enable_grad(), passes.without_gradients():
            shift.requires_grad_()
            apart = passes.divergences(passes.ask(passes.key, shift), wanted)
            (gradient,) = torch.autograd.grad(torch.cat(apart).sum(), [shift])
        step = gradient / _largest(gradient, passes.lengths)
        shift = (shift.detach() + eta * step).clamp(-epsilon, epsilon)
    return shift


def _largest(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return for each row of x [N, H] the largest absolute value in its sequence, [N, 1]."""
    count = torch.tensor(lengths).to(x.device, non_blocking=True)
    sequence = torch.repeat_interleave(count, output_size=len(x))
    largest = x.new_zeros(len(count)).scatter_reduce_(0, sequence, x.abs().amax(1), "amax")
    # A filler's tokens, which nobody pools, have no gradient at all.
    return largest.clamp(min=torch.finfo(x.dtype).tiny)[sequence, None]
