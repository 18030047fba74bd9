"""Each task's gradient from one backward pass, in a loop of your own: two tasks on one network.

    python examples/own_loop.py

`convert` makes any network's gradients available by task; a method of `accord.gradients` says how
they become one. Heads are ordinary modules: each gets its own task's gradient.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from accord.gradients import Combiner
from accord.pertask import Jacobian, TaskBounds, convert

ROWS, STEPS = 32, 200


def main() -> None:
    torch.manual_seed(0)
    trunk = convert(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()))
    heads = nn.ModuleList([nn.Linear(16, 1), nn.Linear(16, 3)])
    optimizer = torch.optim.AdamW([*trunk.parameters(), *heads.parameters()], lr=1e-2)
    jacobian = Jacobian(trunk.parameters())
    method = Combiner("cagrad", tasks=2)
    for number in range(STEPS):
        x = torch.randn(2 * ROWS, 10)  # the first half is the first task's
        value, label = x[:ROWS].sum(1), x[ROWS:, :3].argmax(1)
        optimizer.zero_grad()
        step = jacobian.begin(rows=2)
        with step.collecting(TaskBounds.of_counts([ROWS, ROWS])):
            hidden = trunk(x)
        losses = [
            F.mse_loss(heads[0](hidden[:ROWS]).squeeze(1), value),
            F.cross_entropy(heads[1](hidden[ROWS:]), label),
        ]
        sum(losses, torch.zeros(())).backward()
        gramian = step.gramian()  # of J Jᵀ: how the two gradients lie to each other
        step.write(method.weights(gramian))  # sets the trunk's `.grad`
        optimizer.step()
        if number % 50 == 49:
            cosine = gramian[0, 1] / (gramian[0, 0] * gramian[1, 1]).sqrt()
            said = ", ".join(f"{loss:.3f}" for loss in losses)
            print(f"step {number + 1}: losses {said}; cosine of the gradients {cosine:.2f}")


if __name__ == "__main__":
    main()
