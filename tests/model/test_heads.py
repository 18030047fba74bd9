import pytest
import torch
from torch.nn import functional as F

from accord.kernels.dropout import DropoutKey
from accord.kinds import labelled_kind
from accord.model.heads import Head
from accord.model.losses import LOSSES
from accord.tasks import Task

CLASSES = Task("sst", "classification", "cross_entropy", "accuracy", labels=("a", "b", "c"))
MSE_BINARY = Task("quora", "pair-classification", "mse", "accuracy", labels=("0", "1"))
BCE_BINARY = Task("q2", "pair-classification", "binary_cross_entropy", "f1", labels=("0", "1"))
SCORE = Task("sts", "pair-regression", "mse", "pearson", range=(1.0, 5.0))
LOGISTIC = Task("b", "regression", "binary_cross_entropy", "pearson", range=(0.0, 5.0))
SEPARATE = Task("s", "pair-regression", "mse", "pearson", encoding="separate", dropout=0.5)
COSINE = Task("c", "pair-regression", "mse", "pearson", encoding="separate", head="cosine")


def decode(logits: torch.Tensor, task: Task) -> torch.Tensor:
    return labelled_kind(task).decode(task, logits)


def probabilities(logits: torch.Tensor, task: Task) -> torch.Tensor:
    probabilities = labelled_kind(task).probabilities(task, logits)
    assert probabilities is not None
    return probabilities


def targets(labels: torch.Tensor, task: Task) -> torch.Tensor:
    return labelled_kind(task).targets(task, labels)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_linear_head_is_a_linear_layer() -> None:
    head, pooled = Head(CLASSES, hidden=4), torch.randn(5, 4)
    assert head.linear is not None
    assert head.linear.weight.shape == (3, 4)
    assert not head.linear.bias.any()
    torch.testing.assert_close(head(pooled), pooled @ head.linear.weight.t() + head.linear.bias)


@pytest.mark.parametrize("std", [0.02, 0.5])
def test_initial_weights_are_normal(std: float) -> None:
    head = Head(CLASSES, hidden=2000, std=std)
    assert head.linear is not None
    assert float(head.linear.weight.detach().std()) == pytest.approx(std, rel=0.05)


def test_separate_pair_sees_u_v_and_their_distance() -> None:
    """Rows 0 and 1 are the first example's two texts."""
    head = Head(SEPARATE, hidden=2)
    assert head.linear is not None
    assert head.linear.weight.shape == (1, 6)
    pooled = torch.tensor([[1.0, 2], [4, -3], [0, 1], [0, 1]])
    seen = torch.tensor([[1.0, 2, 4, -3, 3, 5], [0, 1, 0, 1, 0, 0]])
    torch.testing.assert_close(head(pooled), F.linear(seen, head.linear.weight))


def test_cosine_head_has_no_parameters() -> None:
    head = Head(COSINE, hidden=3)
    assert list(head.parameters()) == []
    pooled = torch.tensor([[1.0, 2, 3], [2, 4, 6], [1, 0, 0], [0, 5, 0], [1, 1, 0], [-1, -1, 0]])
    torch.testing.assert_close(head(pooled), column(1.0, 0.0, -1.0))
    torch.testing.assert_close(head(pooled, DropoutKey(0, 0)), head(pooled))


def test_dropout_only_with_a_key_and_scaled() -> None:
    head = Head(SEPARATE, hidden=400)
    assert head.linear is not None
    head.linear.weight.data.fill_(1.0)
    pooled = torch.ones(2, 400)  # |u - v| is 0: 800 ones
    assert head(pooled).item() == 800
    outputs = [head(pooled, DropoutKey(1, step)).item() for step in range(50)]
    assert len(set(outputs)) > 20
    assert all(value % 2 == 0 for value in outputs)  # every kept 1 counts as 2
    assert sum(outputs) / 50 == pytest.approx(800, abs=5 * (800 / 50) ** 0.5)


def test_head_is_float32_under_autocast() -> None:
    head = Head(CLASSES, hidden=4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(torch.randn(2, 4).bfloat16())
    assert logits.dtype == torch.float32


def test_decode_classes() -> None:
    logits = torch.tensor([[0.1, 0.3, 0.2], [9, -1, 2], [-3, -2, -1]])
    assert decode(logits, CLASSES).tolist() == [1.0, 0.0, 2.0]


def test_decode_binary_mse_is_1_from_a_half_on() -> None:
    half = torch.tensor(0.5)
    below = torch.nextafter(half, torch.tensor(0.0)).item()
    assert decode(column(0.5, below, 0.51, -3, 7), MSE_BINARY).tolist() == [1, 0, 1, 0, 1]


def test_decode_binary_cross_entropy_is_1_from_logit_0_on() -> None:
    assert decode(column(0.0, -0.01, 0.01, 0.4), BCE_BINARY).tolist() == [1, 0, 1, 1]


def test_decode_regression_in_the_tasks_units() -> None:
    decoded = decode(column(0.0, 1.0, 0.5, -0.25, 1.25), SCORE)
    assert decoded.dtype == torch.float64
    assert decoded.tolist() == [1.0, 5.0, 3.0, 0.0, 6.0]


def test_decode_logistic_regression_stays_in_range() -> None:
    decoded = decode(column(0.0, 100.0, -100.0), LOGISTIC)
    torch.testing.assert_close(decoded, torch.tensor([2.5, 5.0, 0.0], dtype=torch.float64))


def test_decode_undoes_targets() -> None:
    labels = torch.tensor([1.0, 4.2, 5.0, 2.75], dtype=torch.float64)
    wanted = targets(labels, SCORE)
    torch.testing.assert_close(decode(wanted[:, None], SCORE), labels, rtol=0, atol=1e-6)
    assert not LOSSES["mse"](wanted[:, None], wanted).any()


def test_probabilities_of_classes() -> None:
    logits = torch.randn(4, 3)
    torch.testing.assert_close(probabilities(logits, CLASSES), torch.softmax(logits.double(), 1))


def test_probabilities_of_binary_heads() -> None:
    clamped = probabilities(column(0.25, -0.5, 1.5), MSE_BINARY)
    assert clamped.tolist() == [[0.75, 0.25], [1.0, 0.0], [0.0, 1.0]]
    share = torch.sigmoid(torch.tensor(0.7, dtype=torch.float32).double()).item()
    (pair,) = probabilities(column(0.7), BCE_BINARY).tolist()
    assert pair == pytest.approx([1 - share, share])
