"""How tasks' gradients are kept apart in one backward pass, whatever the network.

    jacobian = Jacobian(network.parameters())
    step = jacobian.begin(rows=2)
    with step.collecting(TaskBounds.of_counts([3, 5])):
        losses = network(x)                     # rows 0 to 2 are the first task's
    losses.sum().backward()
    weights = method(step.gramian())            # of J Jᵀ, [2, 2]
    step.write(weights)                         # sets every `.grad`

The network is made of the layers here, or is your own and goes through `convert`.
"""

from accord.pertask.bounds import TaskBounds
from accord.pertask.convert import convert
from accord.pertask.jacobian import Jacobian
from accord.pertask.modules import Embedding, LayerNorm, Linear, RMSNorm, checkpoint
from accord.pertask.step import Step
from accord.pertask.written import Written

__all__ = [
    "Embedding", "Jacobian", "LayerNorm", "Linear", "RMSNorm", "Step", "TaskBounds", "Written",
    "checkpoint", "convert",
]  # fmt: skip
