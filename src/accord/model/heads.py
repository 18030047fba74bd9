"""A task's head: from the encoder's vectors to logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accord.kernels.dropout import DropoutKey, dropout
from accord.model.popart import TargetScale
from accord.optim.averaging import Averages
from accord.tasks import Task


class TaskHead(nn.Module):
    """What a step and a checkpoint ask of any task's head.

    Attributes:
        scale: of the targets that it follows; None where losses count as they are.
        pretrained: whether it came with the encoder.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale: TargetScale | None = None
        self.pretrained = False

    def begin(self, targets: Tensor) -> None:
        """Begin with all training targets [n, ...] in sight."""

    def hold(self, targets: Tensor) -> None:
        """Learn no more; losses still count in units of targets [n, ...]."""
        self.requires_grad_(False)

    def observe(self, targets: Tensor, averages: Averages | None = None) -> None:
        """Follow a step's targets [n, ...]; averages of the weights follow too."""

    def scaled(self, losses: Tensor) -> Tensor:
        """Return losses [n] in the units in which the head learns."""
        return losses if self.scale is None else self.scale.losses(losses)

    def plain_state(self) -> dict[str, Tensor]:
        """Return the weights of a head without a moving scale that says the same, by name."""
        return dict(self.state_dict())

    def named_views(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each name in an encoder's checkpoint with the tensor that it is here; nothing for
        heads that no checkpoint has."""
        yield from ()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a pretrained head's tensors, by the names of `named_views`."""
        with torch.no_grad():
            for name, view in self.named_views():
                view.copy_(tensors[name])
        self.pretrained = True


class Head(TaskHead):
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
        if task.targets == "popart":
            self.scale = TargetScale()
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
            return self.finish(self.linear(dropout(x, self.task.dropout, key)))

    @property
    def layer(self) -> nn.Linear | None:
        """The linear layer that the head begins with, on vectors [V, H] as they are pooled; None
        where it does something else before."""
        return self.linear if self.task.sequences != 2 else None

    def finish(self, outputs: Tensor) -> Tensor:
        """Make logits of the linear layer's outputs [n, m]."""
        return outputs if self.scale is None else self.scale.outputs(outputs)

    def begin(self, targets: Tensor) -> None:
        """Begin with the scale of all training targets [n], where there is one."""
        if self.scale is not None:
            self.scale.begin(targets)

    def hold(self, targets: Tensor) -> None:
        """Learn no more; losses still count in units of targets [n], where there is a scale."""
        super().hold(targets)
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
        return {f"linear.{name}": tensor for name, tensor in self.scale.folded(self.linear).items()}
