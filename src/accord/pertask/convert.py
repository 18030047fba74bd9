"""Per-task gradients for a torch module of your own, changed in place: `convert`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.utils import _pytree as trees

from accord.pertask.bounds import TaskBounds
from accord.pertask.collecting import TaskRows, collected_by, collects, task_rows
from accord.pertask.modules import Embedding, LayerNorm, Linear, RMSNorm
from accord.pertask.step import Step

M = TypeVar("M", bound=nn.Module)

_KNOWN: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: Linear, nn.LayerNorm: LayerNorm, nn.RMSNorm: RMSNorm, nn.Embedding: Embedding,
}  # fmt: skip


def convert(module: M) -> M:
    """Make a module's gradients available by task, from one backward pass.

    Examples are dimension 0 of every layer's input and output, and none's output may depend on
    another. `nn.Linear`, `nn.LayerNorm`, `nn.RMSNorm` and `nn.Embedding` cost what an ordinary
    backward pass costs. Any other layer with parameters takes one vector-Jacobian product per task
    through that layer alone; a warning names these. Parameters stay the same tensors under the same
    names. Outside of `Step.collecting` the module is what it was.

    Args:
        module: changed in place.

    Returns:
        The module.

    Raises:
        ValueError: naming a layer that mixes examples, as batch normalisation in training does, or
            whose examples are another dimension.

    Example:
        >>> from accord.pertask import Jacobian, TaskBounds
        >>> model = convert(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1, bias=False)))
        >>> step = Jacobian(model.parameters()).begin(rows=2)
        >>> with step.collecting(TaskBounds.of_index([0, 1, 0, 1, 1])):
        ...     losses = model(torch.ones(5, 3)).square()
        >>> losses.sum().backward()
        >>> step.dense().shape  # one row per task, one column per parameter
        torch.Size([2, 20])
        >>> written = step.write(torch.tensor([1.0, 0.5]))
        >>> model[0].weight.grad.shape
        torch.Size([4, 3])
    """
    for name, layer in module.named_modules():
        _check(name, layer)
    unknown = list(_convert("", module))
    if unknown:
        warnings.warn(
            f"one vector-Jacobian product per task for each of: {', '.join(unknown)}", stacklevel=2
        )
    return module


def _check(name: str, layer: nn.Module) -> None:
    """Check that a layer keeps examples apart, as far as its kind tells.

    Raises:
        ValueError: if it doesn't.
    """
    if mixes_examples(layer):
        raise ValueError(
            f"{_named(name, layer)} mixes examples in training: use a layer or group norm, or"
            " put it into evaluation by .eval()"
        )
    if getattr(layer, "batch_first", True) is False:
        raise ValueError(f"{_named(name, layer)}: examples are dimension 1; set batch_first=True")


def mixes_examples(layer: nn.Module) -> bool:
    """Whether a layer's output for an example depends on the others', as batch norms' may."""
    return isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)


def _named(name: str, layer: nn.Module) -> str:
    kind = type(layer).__name__
    return f"'{name}' ({kind})" if name else kind


def _convert(name: str, layer: nn.Module) -> Iterator[str]:
    """Change a layer, and those in it; yield the names of those that aren't known."""
    known = _known(layer)
    if known is not None:
        layer.__class__ = known
    elif layer._parameters or is_parametrized(layer) or isinstance(layer, _BatchNorm):
        # What stands in it goes with it.
        base = type(layer)
        layer.__class__ = type(f"PerTask{base.__name__}", (_ByProducts, base), {})
        if any(True for _ in layer.parameters()):
            yield f"'{name}' ({base.__name__})" if name else base.__name__
    else:
        for part, inner in layer.named_children():
            yield from _convert(f"{name}.{part}" if name else part, inner)


def _known(layer: nn.Module) -> type[nn.Module] | None:
    """Return what does for a layer; None where it isn't torch's own through and through."""
    names = {name for name, parameter in layer._parameters.items() if parameter is not None}
    if issubclass(type(layer), (*_KNOWN.values(), _ByProducts)):
        return type(layer)
    if type(layer) not in _KNOWN or "weight" not in names or names > {"weight", "bias"}:
        return None
    if isinstance(layer, nn.Embedding) and (layer.max_norm or layer.scale_grad_by_freq):
        return None
    return _KNOWN[type(layer)]


class _ByProducts(nn.Module):
    """Stands before a layer's own class: takes its gradients by one product per task."""

    def forward(self, *arguments: Any, **options: Any) -> Any:
        name = type(self).__mro__[2].__name__
        if collects() and mixes_examples(self):
            raise ValueError(f"{name} mixes examples in training")
        leaves, form = trees.tree_flatten((arguments, options))
        tensors = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)}
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        count = len(next(iter(tensors.values()))) if tensors else 0
        rows = task_rows(count, *parameters, partly=True)
        if rows is None:
            return super().forward(*arguments, **options)
        results: list[Any] = []

        def apply(*inputs: Tensor) -> list[Tensor]:
            given = dict(zip(tensors, inputs, strict=True))
            positional, named = trees.tree_unflatten(
                [given.get(i, leaf) for i, leaf in enumerate(leaves)], form
            )
            with collected_by(None):
                results[:] = trees.tree_flatten(
                    super(_ByProducts, self).forward(*positional, **named)
                )
            return [output for output in results[0] if isinstance(output, Tensor)]

        layer = _Layer(name, apply, parameters, isinstance(self, nn.RNNBase))
        products = _Products.apply(layer, rows, len(tensors), *tensors.values(), *parameters)  # type: ignore[no-untyped-call]
        outputs = iter(products)
        flat = [next(outputs) if isinstance(output, Tensor) else output for output in results[0]]
        return trees.tree_unflatten(flat, results[1])


class _Layer(NamedTuple):
    """A layer that isn't known: its forward pass, of tensors to tensors, and its parameters.

    `recurrent`: all outputs but the first are states, whose examples are dimension 1.
    """

    name: str
    apply: Callable[..., list[Tensor]]
    parameters: list[Parameter]
    recurrent: bool

    def examples(self, place: int) -> int:
        """Return which dimension of an output is the examples'."""
        return int(self.recurrent and place > 0)

    def check(self, outputs: Sequence[Tensor], count: int) -> None:
        """Check that outputs hold the examples where they are looked for.

        Raises:
            ValueError: if one doesn't.
        """
        for place, out in enumerate(outputs):
            at = self.examples(place)
            if out.requires_grad and (out.ndim <= at or out.shape[at] != count):
                raise ValueError(
                    f"{self.name} returns {list(out.shape)}, of which dimension {at} is not the"
                    f" {count} examples"
                )


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layer: _Layer, rows: TaskRows, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            inputs = [
                tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors[:count]
            ]
            outputs = layer.apply(*inputs)
        layer.check(outputs, len(rows.bounds))
        ctx.layer, ctx.rows, ctx.inputs, ctx.outputs = layer, rows, inputs, outputs
        ctx.set_materialize_grads(False)
        detached = tuple(output.detach() for output in outputs)
        pairs = zip(detached, outputs, strict=True)
        ctx.mark_non_differentiable(*(result for result, out in pairs if not out.requires_grad))
        return detached

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        layer, (step, bounds) = ctx.layer, ctx.rows
        present = {place: grad for place, grad in enumerate(grads) if grad is not None}
        outputs, vectors = [ctx.outputs[place] for place in present], list(present.values())
        owned = [parameter for parameter in layer.parameters if step.owns(parameter)]
        for group, (row, count) in enumerate(zip(bounds.rows, bounds.counts, strict=True)):
            if count or step.static:
                masks = [
                    _of_group(bounds, group, vector, layer.examples(place))
                    for place, vector in present.items()
                ]
                _add(step, row, owned, _products(outputs, owned, masks))
        others = [*ctx.inputs, *layer.parameters]
        kept = {id(parameter) for parameter in owned}
        wanted = [other for other in others if other.requires_grad and id(other) not in kept]
        gradients = iter(_products(outputs, wanted, vectors))
        return (
            None,
            None,
            None,
            *(
                next(gradients) if other.requires_grad and id(other) not in kept else None
                for other in others
            ),
        )


def _products(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Return the vector-Jacobian products of outputs, by a vector for each, with some inputs."""
    if not outputs or not inputs:
        return [None] * len(inputs)
    return torch.autograd.grad(outputs, inputs, vectors, retain_graph=True, allow_unused=True)


def _of_group(bounds: TaskBounds, group: int, grad: Tensor, dimension: int) -> Tensor:
    """Return a gradient that is zero except for one group's examples."""
    mask = bounds.restored(bounds.hot_on(grad.device)[group])
    shape = [-1 if at == dimension else 1 for at in range(grad.ndim)]
    return grad * mask.view(shape).to(grad.dtype)


def _add(
    step: Step, row: int, parameters: Sequence[Parameter], values: Sequence[Tensor | None]
) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        if value is not None:
            step.add(parameter, row, value.to_dense() if value.is_sparse else value)
