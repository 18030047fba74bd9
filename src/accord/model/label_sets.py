"""A head for label sets: each label begins as frequent as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.model.heads import Head


class LabelSetHead(Head):
    """`Head` whose biases begin at the logits of the labels' shares of the training rows, as far as
    their weights count these.

    Of many labels most are rare, and a head that begins at a half spends its first steps on saying
    no to all.

    *Source:* Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.3.
    """

    @torch.no_grad()
    def begin(self, targets: Tensor) -> None:
        """Begin with the shares of all training targets [n, labels], each counted once more: the
        logits where the loss is least, log(w) higher under a weight w."""
        assert self.linear is not None  # a cosine is refused
        shares = (targets.double().sum(0) + 1) / (len(targets) + 2)
        weights = torch.tensor(self.task.class_weights or 1.0, dtype=torch.float64)
        self.linear.bias.copy_(shares.logit() + weights.log().to(shares.device))
