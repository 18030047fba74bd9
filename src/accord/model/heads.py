"""A task's head: from the encoder's vectors to logits, and from logits to predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accord.kernels.dropout import DropoutKey, dropout
from accord.model.popart import TargetScale
from accord.optim.averaging import Averages
from accord.tasks import Task

_LEAST = 1e-15  # a probability whose logarithm is still a number of some use


class Head(nn.Module):
    """Dropout and a linear layer over a task's pooled vectors; or a pair's cosine.

    A pair that is encoded separately comes as [u, v, |u - v|] (Reimers & Gurevych 2019).

    Args:
        task: whose head.
        hidden: the encoder's width H.
        std: of the initial weights.
    """

    def __init__(self, task: Task, hidden: int, std: float = 0.02) -> None:
        super().__init__()
        self.task = task
        self.linear: nn.Linear | None = None
        self.scale = TargetScale() if task.targets == "popart" else None
        if task.head == "linear":
            self.linear = nn.Linear(hidden * (3 if task.sequences == 2 else 1), task.outputs)
            nn.init.normal_(self.linear.weight, std=std)
            nn.init.zeros_(self.linear.bias)

    def forward(self, pooled: Tensor, key: DropoutKey | None = None) -> Tensor:
        """Compute logits.

        Args:
            pooled: [n * sequences, H], a pair's two vectors next to each other.
            key: names the dropout mask; None is evaluation.

        Returns:
            float32 [n, outputs].
        """
        x = pooled.float()
        if self.task.sequences == 2:
            u, v = x.view(-1, 2, x.shape[1]).unbind(1)
            if self.linear is None:
                return F.cosine_similarity(u, v)[:, None]
            x = torch.cat([u, v, (u - v).abs()], dim=1)
        assert self.linear is not None  # a cosine head has pairs encoded separately
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.linear(dropout(x, self.task.dropout, key))
        return logits if self.scale is None else self.scale.outputs(logits)

    def begin(self, targets: Tensor) -> None:
        """Begin with the scale of all training targets [n], where there is one."""
        if self.scale is not None:
            self.scale.begin(targets)

    def hold(self, targets: Tensor) -> None:
        """Learn no more; losses still count in units of targets [n], where there is a scale."""
        self.requires_grad_(False)
        if self.scale is not None and len(targets):
            self.scale.hold(targets)

    def observe(self, targets: Tensor, averages: Averages | None = None) -> None:
        """Follow a step's targets [n] with the scale, where there is one that is not held."""
        if self.scale is not None and self.linear is not None and self.linear.weight.requires_grad:
            self.scale.observe(targets, self.linear, averages)

    def plain_state(self) -> dict[str, Tensor]:
        """Return the weights of a head without a moving scale that says the same, by name."""
        if self.scale is None or self.linear is None:
            return dict(self.state_dict())
        return {f"linear.{name}": own for name, own in self.scale.folded(self.linear).items()}


def decode(logits: Tensor, task: Task) -> Tensor:
    """Turn logits into predictions.

    Args:
        logits: [n, outputs].
        task: whose logits.

    Returns:
        float64 [n]: a class index, or a value in the task's own units. A binary label under
        MSE is 1 at 0.5 and above. Values may lie slightly outside the range, as the linear
        layer gives them.
    """
    if task.loss == "cross_entropy":
        return logits.argmax(dim=1).double()
    share = _share(logits, task)
    if task.is_classification:
        return (share >= 0.5).double()
    low, high = task.range
    return low + (high - low) * share


def probabilities(logits: Tensor, task: Task) -> Tensor:
    """Return each class's probability, float64 [n, labels]; an MSE head's value is clamped.

    Args:
        logits: [n, outputs].
        task: a classification task.
    """
    if task.loss == "cross_entropy":
        return torch.softmax(logits.double(), dim=1)
    share = _share(logits, task).clamp(0, 1)
    return torch.stack([1 - share, share], dim=1)


def mean_logits(members: Sequence[Tensor], task: Task) -> Tensor:
    """Return the logits that say the mean of what several models say.

    p = Σ_m p_m / M for class probabilities, y = Σ_m y_m / M for a regression's values.

    *Source:* Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation
    using deep ensembles, section 2.4.

    Args:
        members: each model's logits, [n, outputs].
        task: whose, in all of them.

    Returns:
        float32 [n, outputs], from which `decode` and `probabilities` give that mean.

    Example:
        >>> own = Task("t", "classification", "cross_entropy", "accuracy", labels=("a", "b"))
        >>> one, other = (torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log())
        >>> probabilities(mean_logits([one, other], own), own)
        tensor([[0.7000, 0.3000]], dtype=torch.float64)
    """
    if len(members) == 1:
        return members[0]
    if task.loss == "cross_entropy":
        mean = torch.stack([probabilities(own, task) for own in members]).mean(0)
        return mean.clamp(min=_LEAST).log().float()
    shares = torch.stack([_share(own, task) for own in members])
    mean = (shares.clamp(0, 1) if task.is_classification else shares).mean(0)
    logits = torch.logit(mean, eps=_LEAST) if task.loss == "binary_cross_entropy" else mean
    return logits.float()[:, None]


def _share(logits: Tensor, task: Task) -> Tensor:
    value = logits.squeeze(1).double()
    return torch.sigmoid(value) if task.loss == "binary_cross_entropy" else value
