"""A head for label sets: each label begins as frequent as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.model.heads import Head


class LabelSetHead(Head):
    """`Head` whose biases begin at the logits of the labels' shares of the training rows.

    Of many labels most are rare, and a head that begins at a half spends its first steps on saying
    no to all.

    *Source:* Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.3.
    """

    @torch.no_grad()
    def begin(self, targets: Tensor) -> None:
        """Begin with the shares of all training targets [n, labels], each counted once more."""
        assert self.linear is not None  # a cosine is refused
        shares = (targets.double().sum(0) + 1) / (len(targets) + 2)
        self.linear.bias.copy_(shares.logit())
