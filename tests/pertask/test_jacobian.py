"""J by itself: what is added, what is stale, what is written."""

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from accord.kernels.matmul import DEFAULT
from accord.pertask.bounds import TaskBounds
from accord.pertask.by_offsets import add_linear, add_lookup
from accord.pertask.jacobian import Jacobian
from accord.pertask.step import Step


@pytest.fixture
def table() -> Parameter:
    return Parameter(torch.zeros(10, 3))


@pytest.fixture
def matrix() -> Parameter:
    return Parameter(torch.zeros(2, 5))


@pytest.fixture
def vector() -> Parameter:
    return Parameter(torch.zeros(4))


def ids(*values: int) -> Tensor:
    return torch.tensor(values)


def rows_of(row: int, count: int) -> TaskBounds:
    return TaskBounds((row,), (count,))


def look_up(step: Step, table: Parameter, row: int, ids: Tensor, grad: Tensor) -> None:
    add_lookup(step, table, rows_of(row, len(ids)), grad, ids)


def test_columns_are_the_parameters_in_order_then_the_embedding(
    matrix: Parameter, vector: Parameter, table: Parameter
) -> None:
    jacobian = Jacobian([table, matrix, vector], table)
    step = jacobian.begin(2, ids(7, 2, 7))
    step.add(vector, 1, torch.full((4,), 2.0))
    step.add(matrix, 0, torch.arange(10.0).view(2, 5))
    look_up(step, table, 1, ids(7, 2, 7), torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 5]]))
    J = step.dense()
    assert J.shape == (2, 10 + 4 + 30)
    assert J[0].tolist() == [*range(10), *[0.0] * 34]
    expected = torch.zeros(10, 3)
    expected[7], expected[2] = torch.tensor([2.0, 0, 5]), torch.tensor([0.0, 1, 0])
    assert J[1].tolist() == [*[0.0] * 10, *[2.0] * 4, *expected.flatten().tolist()]
    torch.testing.assert_close(step.gramian(), (J @ J.t()).double())


def test_passes_add_up(matrix: Parameter, table: Parameter) -> None:
    jacobian = Jacobian([matrix, table], table)
    step = jacobian.begin(2, ids(0, 1))
    left, right = torch.randn(6, 2), torch.randn(6, 5)
    for part in (slice(0, 4), slice(4, 6)):
        add_linear(
            step, matrix, None, rows_of(1, 4 if part.start == 0 else 2), left[part], right[part],
            DEFAULT,
        )  # fmt: skip
        look_up(step, table, 0, ids(1), torch.ones(1, 3))
    J = step.dense()
    torch.testing.assert_close(J[1, :10].view(2, 5), left.t() @ right)
    assert J[0, 10:].view(10, 3)[1].tolist() == [2.0, 2.0, 2.0]


def test_half_precision_products_are_added_in_single(matrix: Parameter) -> None:
    jacobian = Jacobian([matrix])
    step = jacobian.begin(1, ids(0))
    left, right = torch.ones(1, 2).bfloat16(), torch.full((1, 5), 256.0).bfloat16()
    for _ in range(2):
        add_linear(step, matrix, None, rows_of(0, 1), left, right, DEFAULT)
    add_linear(step, matrix, None, rows_of(0, 1), left, right / 256, DEFAULT)
    assert step.dense().unique().tolist() == [513.0]  # bfloat16 would say 512


def test_a_new_step_forgets_the_last(
    matrix: Parameter, vector: Parameter, table: Parameter
) -> None:
    jacobian = Jacobian([matrix, vector, table], table)
    step = jacobian.begin(3, ids(1, 2, 3))
    for row in range(3):
        step.add(matrix, row, torch.full((2, 5), float("nan")))
        step.add(vector, row, torch.full((4,), 100.0))
        look_up(step, table, row, ids(1, 2, 3), torch.full((3, 3), 100.0))
    step.gramian()
    step.write(torch.ones(3))

    step = jacobian.begin(2, ids(5))
    step.add(vector, 1, torch.ones(4))
    assert step.gramian().tolist() == [[0.0, 0.0], [0.0, 4.0]]
    step.write(torch.tensor([5.0, 3.0]))
    assert matrix.grad is None
    assert table.grad is None
    assert vector.grad is not None
    assert vector.grad.tolist() == [3.0] * 4

    step = jacobian.begin(3, ids(5, 6))  # row 2 was last filled two steps ago
    step.add(matrix, 1, torch.ones(2, 5))
    look_up(step, table, 2, ids(6), torch.ones(1, 3))
    assert step.gramian().tolist() == [[0, 0, 0], [0, 10, 0], [0, 0, 3]]
    step.write(torch.tensor([1.0, 2.0, 4.0]))
    assert vector.grad is None
    assert matrix.grad is not None
    assert table.grad is not None
    assert matrix.grad.unique().tolist() == [2.0]
    assert table.grad.nonzero()[:, 0].unique().tolist() == [6]
    assert table.grad[6].tolist() == [4.0] * 3


def test_steps_that_were_broken_off_leave_nothing(matrix: Parameter) -> None:
    """A step that an error ended has begun, but asked for no Gram matrix."""
    jacobian = Jacobian([matrix])
    for row in (0, 1):
        step = jacobian.begin(3, ids(0))
        step.add(matrix, row, torch.ones(2, 5))
    step = jacobian.begin(3, ids(0))
    step.add(matrix, 2, torch.ones(2, 5))
    assert step.gramian().diag().tolist() == [0.0, 0.0, 10.0]


def test_more_rows_than_before(matrix: Parameter, vector: Parameter) -> None:
    jacobian = Jacobian([matrix, vector])
    step = jacobian.begin(1, ids(0))
    step.add(matrix, 0, torch.ones(2, 5))
    step.gramian()
    step.write(torch.ones(1))
    step = jacobian.begin(3, ids(0))
    step.add(vector, 2, torch.ones(4))
    assert step.gramian().tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 4]]
    step.write(torch.ones(3))
    assert matrix.grad is None


@pytest.mark.parametrize("rows", [1, 3])
def test_write_is_the_weighted_sum(
    rows: int, matrix: Parameter, vector: Parameter, table: Parameter
) -> None:
    jacobian = Jacobian([matrix, vector, table], table)
    step = jacobian.begin(rows, ids(4, 8))
    for row in range(rows):
        step.add(matrix, row, torch.randn(2, 5))
        step.add(vector, row, torch.randn(4))
        look_up(step, table, row, ids(8, 4), torch.randn(2, 3))
    weights = torch.tensor([0.5, -2.0, 3.0][:rows], dtype=torch.float64)
    expected = weights.float() @ step.dense()
    step.gramian()
    step.write(weights)
    written = torch.cat([p.grad.flatten() for p in (matrix, vector, table)])  # type: ignore[union-attr]
    torch.testing.assert_close(written, expected)


def test_padding_between_parameters_stays_out_of_the_gramian() -> None:
    """Parameters start on cache lines; the gap after 65 numbers is not part of J."""
    odd, last = Parameter(torch.zeros(65)), Parameter(torch.zeros(1))
    jacobian = Jacobian([odd, last])
    step = jacobian.begin(2, ids(0))
    for row in range(2):
        step.add(odd, row, torch.ones(65))
        step.add(last, row, torch.ones(1))
    assert step.gramian().tolist() == [[66.0, 66.0], [66.0, 66.0]]


def test_gramian_of_many_columns_and_scales() -> None:
    """More columns than one product takes, rows that are 1e18 apart."""
    wide = Parameter(torch.zeros(700_001))
    jacobian = Jacobian([wide])
    step = jacobian.begin(3, ids(0))
    base = torch.randn(3, 700_001)
    base[2] = base[0] + base[1]
    scales = torch.tensor([1e-9, 1.0, 1e9])
    for row in range(3):
        step.add(wide, row, base[row] * scales[row])
    exact = base.double() @ base.double().t()
    outer = torch.outer(scales, scales).double()
    torch.testing.assert_close(
        step.gramian() / outer, exact, rtol=1e-5, atol=1e-5 * float(exact.max())
    )


CHUNK = 16_384  # columns in one float32 sum


@pytest.mark.parametrize("width", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 1234])
def test_gramian_is_j_jt_with_the_embedding_s_part(width: int) -> None:
    """Whatever is left over after whole chunks, of the matrix and of the tokens' vectors."""
    wide, words = Parameter(torch.zeros(width)), Parameter(torch.zeros(50, width // 20))
    jacobian = Jacobian([wide, words], words)
    used = torch.arange(0, 50, 2)
    step = jacobian.begin(4, used)
    step = jacobian.begin(3, used)  # a row of the larger matrix stays out
    for row in range(3):
        step.add(wide, row, torch.randn(width))
        look_up(step, words, row, used, torch.randn(25, width // 20))
    J = step.dense().double()
    norms, words_share = J.norm(dim=1), J[:, width:].norm(dim=1) / J.norm(dim=1)
    assert float(words_share.min()) > 0.5
    error = (step.gramian() - J @ J.t()) / torch.outer(norms, norms)
    assert float(error.abs().max()) < 1e-6


@pytest.mark.parametrize("column", [CHUNK, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 4])
def test_chunks_add_up_in_double_precision(column: int) -> None:
    """A 1 beside 2^26 in another chunk: float32 would forget it."""
    wide = Parameter(torch.zeros(2 * CHUNK + 5))
    jacobian = Jacobian([wide])
    step = jacobian.begin(2, ids(0))
    value = torch.zeros_like(wide)
    value[CHUNK - 1], value[column] = 2**13, 1
    step.add(wide, 0, value)
    step.add(wide, 1, -value)
    assert step.gramian().tolist() == [
        [2**26 + 1, -(2**26) - 1], [-(2**26) - 1, 2**26 + 1],
    ]  # fmt: skip


def test_the_embedding_s_part_adds_up_in_double_precision(
    matrix: Parameter, table: Parameter
) -> None:
    jacobian = Jacobian([matrix, table], table)
    step = jacobian.begin(1, ids(4, 4, 9))
    value = torch.zeros(2, 5)
    value[0, 0] = 2**13
    step.add(matrix, 0, value)
    look_up(step, table, 0, ids(9), torch.tensor([[0.0, 1.0, 0.0]]))
    assert step.gramian().tolist() == [[2**26 + 1]]


def test_an_encoder_whose_table_alone_is_trained(table: Parameter) -> None:
    jacobian = Jacobian([table], table)
    step = jacobian.begin(2, ids(4, 9))
    for row in range(2):
        look_up(step, table, row, ids(4, 9), torch.full((2, 3), row + 1.0))
    assert step.gramian().tolist() == [[6.0, 12.0], [12.0, 24.0]]


def test_parameters_without_gradient_are_left_out(matrix: Parameter, table: Parameter) -> None:
    still = Parameter(torch.zeros(3), requires_grad=False)
    jacobian = Jacobian([still, matrix, table], table.requires_grad_(False))
    assert jacobian.parameters == [matrix]
    assert jacobian.embedding is None
    step = jacobian.begin(2, ids(1))
    assert [step.owns(p) for p in (still, matrix, table)] == [False, True, False]
    step.add(matrix, 0, torch.ones(2, 5))
    assert step.dense().shape == (2, 10)
    assert step.gramian().tolist() == [[10.0, 0.0], [0.0, 0.0]]
    step.write(torch.ones(2))
    assert still.grad is None
    assert table.grad is None


@pytest.mark.parametrize("bounds", [((0, 1), (32, 96)), ((1, 2), (64, 96))])
def test_a_grouped_product_writes_what_one_product_a_task_writes(monkeypatch, bounds) -> None:
    weight, bias = Parameter(torch.zeros(16, 24)), Parameter(torch.zeros(16))
    grads, inputs = ([torch.randn(96, n).bfloat16() for _ in range(2)] for n in (16, 24))
    actual = []
    for grouped in (False, True):
        monkeypatch.setattr(
            "accord.pertask.by_offsets.fits_groups", lambda *_, grouped=grouped: grouped
        )
        jacobian = Jacobian([weight, bias])
        step = jacobian.begin(3, ids())
        for grad, x in zip(grads, inputs, strict=True):  # the second adds to the first
            add_linear(step, weight, bias, TaskBounds(*bounds), grad, x, DEFAULT)
        actual.append(step.dense())
    torch.testing.assert_close(*actual, rtol=0.01, atol=0.05)
    assert actual[0].norm() > 100


def test_a_grouped_product_leaves_alone_what_only_some_tasks_have_touched(monkeypatch) -> None:
    """Their parts of J hold this step's sums, the others' an earlier step's."""
    monkeypatch.setattr("accord.pertask.by_offsets.fits_groups", lambda *_: True)
    weight, bias = Parameter(torch.zeros(16, 24)), Parameter(torch.zeros(16))
    jacobian = Jacobian([weight, bias])
    grad, x = torch.randn(64, 16).bfloat16(), torch.randn(64, 24).bfloat16()
    step = jacobian.begin(2, ids())
    add_linear(step, weight, bias, rows_of(1, 64), grad, x, DEFAULT)
    step = jacobian.begin(2, ids())
    add_linear(step, weight, bias, rows_of(0, 32), grad[:32], x[:32], DEFAULT)
    add_linear(step, weight, bias, TaskBounds((0, 1), (32, 64)), grad, x, DEFAULT)
    half = [(grad[part].t() @ x[part]).float().flatten() for part in (slice(32), slice(32, 64))]
    J = step.dense()[:, : 16 * 24]
    torch.testing.assert_close(J[0], 2 * half[0], rtol=0.01, atol=0.05)
    torch.testing.assert_close(J[1], half[1], rtol=0.01, atol=0.05)
