"""A head for ordered classes: one weight vector, and a bias for each step to the next class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accord.model.heads import Head
from accord.tasks import Task

_LEAST = 1e-6  # between two biases, at the beginning


class OrdinalHead(Head):
    """z_k = w·x + b_k for the K − 1 steps from a class to the next.

    b_k = b_1 − Σ_{1 < j ≤ k} softplus(s_j)

    σ(z_k) is the probability of a class above the k-th. It falls with k whatever is learnt, as the
    biases do by what they are made of, so no class's probability is below 0.

    *Source:* Cao, Mirjalili & Raschka 2020, Rank consistent ordinal regression for neural networks
    with application to age estimation (CORAL). Theirs are free biases, which are in order where the
    loss is least. Ours begin with the logits of the training rows' shares above each class: under
    AdamW a bias moves by the learning rate a step, and would hardly get there.

    Args:
        task: whose head.
        hidden: the encoder's width H.
        std: of the initial weights.
    """

    def __init__(self, task: Task, hidden: int, std: float = 0.02) -> None:
        super().__init__(task, hidden, std)
        assert self.linear is not None  # a cosine is refused
        self.linear = nn.Linear(self.linear.in_features, 1, bias=False)
        nn.init.normal_(self.linear.weight, std=std)
        self.bias = nn.Parameter(torch.zeros(1))
        self.steps = nn.Parameter(torch.zeros(task.outputs - 1))
        self._settle(torch.ones(task.outputs + 1, dtype=torch.float64))

    @property
    def biases(self) -> Tensor:
        """b, float32 [K − 1], falling."""
        steps = F.softplus(self.steps)
        # Not cumsum, which on a GPU adds up in no fixed order.
        before = torch.ones(len(steps) + 1, len(steps), device=steps.device).tril(-1)
        return self.bias - (before * steps).sum(1)

    def finish(self, outputs: Tensor) -> Tensor:
        """Make logits [n, K − 1] of the products w·x, [n, 1]."""
        return super().finish(outputs) + self.biases

    def begin(self, targets: Tensor) -> None:
        """Begin with the shares of all training targets [n], each class counted once more, and as
        much as its weight says."""
        counts = torch.bincount(targets.long().cpu(), minlength=self.task.outputs + 1)
        weights = torch.tensor(self.task.class_weights or 1.0, dtype=torch.float64)
        self._settle((counts + 1) * weights)

    @torch.no_grad()
    def _settle(self, counts: Tensor) -> None:
        above = counts.flip(0).cumsum(0).flip(0)[1:] / counts.sum()
        biases = above.logit()
        self.bias.copy_(biases[:1])
        self.steps.copy_((biases[:-1] - biases[1:]).clamp(min=_LEAST).expm1().log())
