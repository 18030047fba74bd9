"""Gradient methods called by themselves, on gradients that somebody has."""

import numpy as np
import pytest
import torch

import accord
from accord.errors import UsageError
from accord.gradients import METHODS, Combiner, combine, method_names, weights
from accord.methods import Signals, keyed_generator

PLAIN = [name for name in method_names() if not METHODS.get(name).remembers]


def drawn(tasks: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(tasks, 7, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PLAIN)
def test_a_method_by_itself_is_what_a_run_applies(name):
    J, method = drawn(), METHODS.get(name)
    of_package = getattr(accord.gradients, name.replace("-", "_"))
    generator = keyed_generator(5, 0)
    if method.uses_jacobian:
        wanted, _ = method.function(J, method.initial_state(3), generator)
        assert torch.equal(of_package(J, seed=5), wanted)
        assert torch.equal(combine(J, name, seed=5), wanted)
        return
    G = J @ J.t()
    wanted, _ = method.function(Signals.of(G), method.initial_state(3), generator)
    assert torch.equal(of_package(G, seed=5), wanted)
    assert torch.equal(weights(G, name, seed=5), wanted)
    torch.testing.assert_close(combine(J, name, seed=5).double(), wanted @ J.double())


def test_worked_by_hand():
    G = torch.tensor([[1.0, -1.0], [-1.0, 4.0]])
    assert accord.gradients.pcgrad(G).tolist() == [2.0, 1.25]
    J = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.bfloat16)
    assert combine(J, "pcgrad").tolist() == [0.5, 1.5]
    assert combine(J, "mean").dtype == torch.float32  # sums of bfloat16 would lose the rest


def test_whatever_says_which_tasks_are_memories():
    J = drawn()
    flags = [False, True, False]
    wanted = combine(J, "gem", memories=flags)
    for given in (torch.tensor(flags), np.array(flags)):
        assert torch.equal(combine(J, "gem", memories=given), wanted)


def test_a_method_of_the_gradients_themselves_is_in_float32_too():
    J = drawn().bfloat16()
    assert torch.equal(combine(J, "graddrop"), combine(J.float(), "graddrop"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: weights(torch.tensor(3.0), "pcgrad"), r"G has shape \[\]"),
        (lambda: combine(torch.tensor(3.0), "pcgrad"), r"J has shape \[\]"),
        (lambda: combine(torch.ones(2, 3, dtype=torch.int64), "graddrop"), "allowed: float dtypes"),
    ],
)
def test_what_is_no_matrix_of_gradients_is_said(call, said):
    with pytest.raises(UsageError, match=said):
        call()


def test_what_is_learned_is_kept_from_step_to_step():
    J, method = drawn(), METHODS.get("gradvac")
    combiner, state = Combiner("gradvac", 3, seed=2, beta=0.5), method.initial_state(3)
    for step in range(3):
        G = (J + step) @ (J + step).t()
        wanted, state = method.function(
            Signals.of(G, step=step), state, keyed_generator(2, step), beta=0.5
        )
        assert torch.equal(combiner.weights(G), wanted)


def test_a_memory_s_loss_does_not_rise():
    J = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    direction = combine(J, "a_gem", memories=[False, True])
    assert direction @ J[1] >= -1e-6
    with pytest.raises(UsageError, match="a-gem: no task is a memory"):
        combine(J, "a-gem")
    with pytest.raises(UsageError, match="memories: 1 flags for 2 tasks"):
        combine(J, "a-gem", memories=[True])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: combine(drawn(), "pcgard"), "no gradient method 'pcgard'; did you mean 'pcgrad'?"),
        (lambda: combine(drawn(), "cagrad", d=1), "methods.cagrad: has no option 'd'"),
        (lambda: combine(drawn(), "cagrad", c=-1.0), "methods.cagrad.c: "),
        (lambda: weights(drawn(), "pcgrad"), "G has shape [3, 7]; allowed: [3, 3], of J Jᵀ"),
        (lambda: weights(drawn(), "graddrop"), "graddrop needs the gradients themselves"),
        (lambda: Combiner("pcgrad", 2)(drawn()), "J has shape [3, 7]; allowed: [2, P]"),
    ],
)
def test_what_is_wrong_is_said(call, said):
    with pytest.raises(UsageError) as error:
        call()
    assert said in str(error.value)


def test_names_are_shown_and_the_nearest_is_named():
    assert {"pcgrad", "con_fig", "combine", "Combiner"} <= set(dir(accord.gradients))
    with pytest.raises(AttributeError, match=r"no attribute 'pcgard'; did you mean 'pcgrad'\?"):
        _ = accord.gradients.pcgard
    assert "Yu et al. 2020" in accord.gradients.pcgrad.__doc__
