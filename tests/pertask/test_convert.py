"""A converted module: J is what one backward pass for each task gives through the original."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from accord.pertask import Jacobian, TaskBounds, convert

N, L, H = 7, 4, 6


class Wrapped(nn.Module):
    """What is not a plain sequence: a function of a layer's result."""

    def __init__(self, layer: nn.Module, take: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer, self.take = layer, take

    def forward(self, x: Tensor) -> Tensor:
        return self.take(self.layer, x)


class Scaled(nn.Module):
    """Has a parameter of its own beside layers that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.inner = nn.Parameter(torch.randn(H)), nn.Linear(H, H)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * self.factor).tanh() * self.factor


class Tied(nn.Module):
    """A table by which words are read and told."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(9, H), nn.Linear(H, 9, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words(ids(x)).tanh())


class Twice(nn.Module):
    """One layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(H, H)
        self.other = nn.Sequential(nn.Tanh(), self.one)

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x))


def ids(x: Tensor) -> Tensor:
    return (x[..., 0].abs() * 100).long() % 9


def first(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)[0]


def last_state(layer: nn.Module, x: Tensor) -> Tensor:
    _, state = layer(x)
    return (state[0] if isinstance(state, tuple) else state)[-1]


def masked(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x, value=x, key_padding_mask=torch.zeros(N, L, dtype=torch.bool))[0]


def frozen(layer: nn.Linear) -> nn.Linear:
    layer.weight.requires_grad_(False)
    return layer


KNOWN: dict[str, Callable[[], nn.Module]] = {
    "perceptron": lambda: nn.Sequential(
        nn.Linear(H, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3, bias=False), nn.RMSNorm(3)
    ),
    "norms": lambda: nn.Sequential(
        nn.LayerNorm((L, H)), nn.LayerNorm(H, bias=False), nn.LayerNorm(H, elementwise_affine=False)
    ),
    "words": lambda: Wrapped(
        nn.Embedding(9, H, padding_idx=2), lambda layer, x: layer(ids(x)).tanh()
    ),
    "tied": Tied,
    "twice": Twice,
    "a frozen weight": lambda: nn.Sequential(nn.Linear(H, H), frozen(nn.Linear(H, H))),
    "dropout in evaluation": lambda: nn.Sequential(nn.Linear(H, 5), nn.Dropout(0.5)).eval(),
}
UNKNOWN: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Sequential(nn.Conv1d(L, 3, 2), nn.ReLU(), nn.Linear(H - 1, 2)),
    "first in a network": lambda: nn.Sequential(nn.Conv1d(L, 3, 2)),
    "group norm": lambda: nn.Sequential(nn.Linear(H, H), nn.GroupNorm(2, L), nn.PReLU()),
    "instance norm": lambda: nn.InstanceNorm1d(L, affine=True),
    "lstm": lambda: Wrapped(nn.LSTM(H, 5, 2, batch_first=True, bidirectional=True), first),
    "lstm's state": lambda: Wrapped(nn.LSTM(H, 5, 2, batch_first=True), last_state),
    "as many layers as examples": lambda: Wrapped(nn.GRU(H, 2, N, batch_first=True), last_state),
    "attention": lambda: Wrapped(nn.MultiheadAttention(H, 2, batch_first=True), masked),
    "transformer": lambda: nn.TransformerEncoderLayer(H, 2, 8, 0.0, batch_first=True),
    "in double precision": lambda: Wrapped(
        nn.Sequential(nn.Linear(H, 5), nn.LayerNorm(5), nn.Conv1d(L, 2, 2)).double(),
        lambda layer, x: layer(x.double()),
    ),
    "bilinear": lambda: Wrapped(nn.Bilinear(H, H, 3), lambda layer, x: layer(x, x.tanh())),
    "bag": lambda: Wrapped(nn.EmbeddingBag(9, H), lambda layer, x: layer(ids(x))),
    "sparse bag": lambda: Wrapped(
        nn.EmbeddingBag(9, H, sparse=True, mode="sum"), lambda layer, x: layer(ids(x))
    ),
    "a parameter of its own": Scaled,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(H, H, bias=False)),
    "old weight norm": lambda: nn.utils.weight_norm(nn.Linear(H, H)),
    "batch norm in evaluation": lambda: nn.Sequential(nn.Linear(H, 3), nn.BatchNorm1d(L)).eval(),
}


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


def examples() -> Tensor:
    return torch.randn(N, L, H, generator=torch.Generator().manual_seed(1))


def weighed(out: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return (out * torch.randn(out.shape, generator=generator).to(out)).flatten(1).sum(1)


def separate(model: nn.Module, index: list[int], rows: int) -> tuple[Tensor, Tensor]:
    x = examples().requires_grad_()
    parameters = [p for p in model.parameters() if p.requires_grad]
    losses, J = weighed(model(x)), []
    for row in range(rows):
        total = losses[torch.tensor(index) == row].sum() + 0 * losses.sum()
        grads = torch.autograd.grad(total, parameters, retain_graph=True, materialize_grads=True)
        J.append(torch.cat([g.to_dense().flatten() for g in grads]))
    (input_grad,) = torch.autograd.grad(losses.sum(), x, allow_unused=True, materialize_grads=True)
    return torch.stack(J).float(), input_grad


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`")
@pytest.mark.parametrize("static", [False, True], ids=["offsets", "tensors"])
@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
def test_one_backward_pass_is_one_for_each_task(name: str, static: bool) -> None:
    make = {**KNOWN, **UNKNOWN}[name]
    index = [0, 2, 2, 0, 3, 0, 2]  # task 1 is absent
    expected, input_grad = separate(made(make), index, 4)
    model = made(make)
    names = [name for name, _ in model.named_parameters()]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert convert(model) is model
        convert(model)  # a second time changes nothing
    assert [str(each.message).startswith("one vector-Jacobian") for each in said] == [
        True for _ in range(name in UNKNOWN)
    ]
    assert [name for name, _ in model.named_parameters()] == names
    copied = [copy.deepcopy(model)] if name != "old weight norm" else []  # which torch can't copy
    for each in (model, *copied):
        step = Jacobian(each.parameters()).begin(4, static=static)
        x = examples().requires_grad_()
        with step.collecting(TaskBounds.of_index(index)):
            out = each(x)
        weighed(out).sum().backward()
        torch.testing.assert_close(step.dense(), expected, rtol=1e-4, atol=1e-4)
        actual = torch.zeros_like(x) if x.grad is None else x.grad
        torch.testing.assert_close(actual, input_grad, rtol=1e-4, atol=1e-4)
        written = step.write(torch.ones(4)).norm()
        assert written == pytest.approx(float(expected.sum(0).norm()), rel=1e-4)
    # Outside of a step it is what it was, to the bit.
    assert torch.equal(model(examples()), made(make)(examples()))
    weighed(model(examples())).sum().backward()


@pytest.mark.parametrize("name", ["convolution", "transformer", "a parameter of its own"])
def test_a_step_that_has_some_parameters_leaves_autograd_the_others(name: str) -> None:
    index = [0, 0, 0, 1, 1, 1, 1]
    plain = made(UNKNOWN[name])
    weighed(plain(examples())).sum().backward()
    with pytest.warns(UserWarning, match="one vector-Jacobian"):
        model = convert(made(UNKNOWN[name]))
    some, *others = model.named_parameters()
    step = Jacobian([some[1]]).begin(2)
    with step.collecting(TaskBounds.of_index(index)):
        weighed(model(examples())).sum().backward()
    theirs = dict(plain.named_parameters())
    torch.testing.assert_close(step.dense().sum(0), theirs[some[0]].grad.flatten())  # type: ignore[union-attr]
    for other, parameter in others:
        torch.testing.assert_close(parameter.grad, theirs[other].grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"'1' \(BatchNorm1d\) mixes"),
        (lambda: nn.BatchNorm2d(2, affine=False), "^BatchNorm2d mixes"),
        (lambda: nn.BatchNorm1d(2, track_running_stats=False).eval(), "^BatchNorm1d mixes"),
        (lambda: nn.ModuleDict({"a": nn.Sequential(nn.SyncBatchNorm(2))}), r"'a\.0' \(SyncBatch"),
        (lambda: nn.LSTM(2, 2), "^LSTM: examples are dimension 1; set batch_first"),
        (lambda: nn.TransformerEncoderLayer(4, 2), r"'self_attn' \(MultiheadAttention\): examples"),
    ],
)
def test_what_mixes_examples_is_refused_by_name(make: Callable[[], nn.Module], said: str) -> None:
    model = make()
    kinds = [type(layer) for layer in model.modules()]
    with pytest.raises(ValueError, match=said):
        convert(model)
    assert [type(layer) for layer in model.modules()] == kinds  # nothing was changed


def test_batch_norm_that_goes_back_into_training_is_refused_then() -> None:
    for affine in (False, True):
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=affine)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert(model).train()
        model(torch.randn(4, 3))  # outside of a step it may
        step = Jacobian(model.parameters()).begin(1)
        bounds = TaskBounds.of_counts([4])
        with step.collecting(bounds), pytest.raises(ValueError, match="BatchNorm1d mixes"):
            model(torch.randn(4, 3))


def test_a_layer_that_turns_examples_away_is_refused() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.weight).t()

    with pytest.warns(UserWarning, match="Turned"):
        model = convert(Turned())
    step = Jacobian(model.parameters()).begin(1)
    bounds = TaskBounds.of_counts([5])
    with step.collecting(bounds), pytest.raises(ValueError, match=r"Turned returns \[3, 5\]"):
        model(torch.randn(5, 3))
