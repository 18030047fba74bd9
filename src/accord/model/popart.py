"""PopArt: a regression head that learns in units of its targets' own spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from accord.methods import Circumstances, Description
from accord.optim.averaging import Averages

BETA = 0.01  # share of a step's targets in the moving moments
_LEAST, _MOST = 1e-4, 1e6  # of the deviation, as the paper bounds it


class TargetScale(nn.Module):
    """Moving moments of a head's targets, and the head rescaled whenever they move.

    With targets y of a step, μ ← (1 − β) μ + β ȳ, ν likewise of y², σ² = ν − μ². The head's linear
    layer learns (y − μ)/σ. When μ and σ become μ' and σ', its weights become (σ/σ') w and its bias
    (σ b + μ − μ')/σ': in target units nothing it says has changed.

    *Source:* Hessel et al. 2019, Multi-task Deep Reinforcement Learning with PopArt, equations 2 to
    5. We differ in beginning with the moments of the whole training split.
    """

    first: Tensor
    second: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fixed_std: Tensor | None = None
        for name, value in (("first", 0.0), ("second", 1.0)):
            # Not in the state dict: a saved head is plain, these are folded into it.
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64), persistent=False)

    @property
    def mean(self) -> Tensor:
        """μ, 0 before any targets were seen."""
        return self.first.clone()

    @property
    def std(self) -> Tensor:
        """σ, 1 before any targets were seen."""
        square = self.second - self.first.square()
        return square.clamp(min=0).sqrt().clamp(_LEAST, _MOST)

    def begin(self, targets: Tensor) -> None:
        """Begin with the moments of some targets [n]: a new layer's outputs mean their units."""
        values = targets.double()
        self.first.copy_(values.mean())
        self.second.copy_(values.square().mean())

    @torch.no_grad()
    def observe(self, targets: Tensor, linear: nn.Linear, averages: Averages | None = None) -> None:
        """Move the moments by a step's targets [n], and the layer with them, its average too."""
        mean, std = self.mean, self.std
        values = targets.double()
        self.first.lerp_(values.mean().to(self.first), BETA)
        self.second.lerp_(values.square().mean().to(self.second), BETA)
        self._rescale(linear, mean, std)
        if averages is not None:
            with averages.in_place():
                self._rescale(linear, mean, std)

    def _rescale(self, linear: nn.Linear, mean: Tensor, std: Tensor) -> None:
        """Let the layer say what it said with a former mean and deviation."""
        linear.weight.mul_((std / self.std).to(linear.weight))
        linear.bias.copy_((std * linear.bias.double() + mean - self.mean) / self.std)

    def outputs(self, logits: Tensor) -> Tensor:
        """Return the layer's outputs [n, 1] in target units."""
        return logits * self.std.to(logits) + self.mean.to(logits)

    def losses(self, losses: Tensor) -> Tensor:
        """Return squared errors [n] of target units in the layer's own."""
        std = self.std if self.fixed_std is None else self.fixed_std
        return losses / std.square().to(losses)

    def hold(self, targets: Tensor) -> None:
        """Leave the layer in target units, and count its losses in the spread of targets [n]."""
        spread = targets.double().std(correction=0).clamp(_LEAST, _MOST)
        self.fixed_std = spread.to(self.first.device)  # a step may not wait for its copy

    @torch.no_grad()
    def unfold(self, linear: nn.Linear) -> None:
        """Change a plain layer so that under this scale it says what it says by itself."""
        linear.weight.copy_(linear.weight.double() / self.std)
        linear.bias.copy_((linear.bias.double() - self.mean) / self.std)

    @torch.no_grad()
    def folded(self, linear: nn.Linear) -> dict[str, Tensor]:
        """Return the weights of a plain layer that says the same."""
        return {
            "weight": (linear.weight.double() * self.std).float(),
            "bias": (linear.bias.double() * self.std + self.mean).float(),
        }


def stays_put(options: Mapping[str, Any], run: Circumstances) -> Iterator[str]:
    """Say why the scale of a task's head must not move."""
    scaled = [name for name, target in run.targets.items() if target == "popart"]
    if scaled and run.averaging != "none":
        yield (
            "averaging.method: averages of weights whose scale moves mean nothing;"
            f" tasks.{scaled[0]}.targets is 'popart'"
        )


DESCRIPTION = Description(
    name="popart",
    function=TargetScale,
    paper="Hessel et al. 2019, Multi-task Deep Reinforcement Learning with PopArt",
    needs=("targets",),
    cost="none that shows",
    use="For regressions whose values are bunched in a small part of their range.",
    initial_state=lambda tasks: {},
    requires=stays_put,
)
