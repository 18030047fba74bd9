"""Masks: their rate, what they depend on, and that a gradient sees the same one."""

from collections.abc import Callable

import pytest
import torch
from scipy import stats

from accord.encoders.families.bert import BertEncoder
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.kernels.dropout import DropoutKey, dropout, dropout_add, kept_scale, masked

CPU = torch.device("cpu")
KEY = DropoutKey(seed=3, step=7, micro_batch=1, site=9)
MILLION = torch.Size([1000, 1000])


def deviation(draws: int, p: float) -> float:
    """Five standard deviations of the mean of so many Bernoulli draws."""
    return 5 * (p * (1 - p) / draws) ** 0.5


@pytest.mark.parametrize("p", [0.001, 0.1, 0.3, 0.5, 0.9])
def test_keep_rate(p: float) -> None:
    """To 2e-4 and better at 0.1, where a mask of bytes would be off by 1.6e-3."""
    for key in (KEY, KEY.at(10)):
        rate = float(key.keep_mask(MILLION, p, CPU).double().mean())
        assert abs(rate - (1 - p)) < deviation(10**6, p) + 2**-17


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_rate_holds_along_every_axis(p: float) -> None:
    mask = KEY.keep_mask(torch.Size([400, 400]), p, CPU).double()
    for axis in (0, 1):
        assert float((mask.mean(axis) - (1 - p)).abs().max()) < deviation(400, p)


@pytest.mark.quick("0.001-64", "0.1-7", "0.5-1000", "0.9-64")
@pytest.mark.parametrize("draws", [7, 64, 1000])
@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_kept_counts_are_binomial(p: float, draws: int) -> None:
    """Over 2000 keys, neither more nor less spread than independent draws at the exact rate."""
    shape, keep_rate = torch.Size([draws]), 1 / kept_scale(p)
    counts = torch.tensor([
        int(DropoutKey(0, step, 0, site).keep_mask(shape, p, CPU).sum())
        for step in range(100) for site in range(20)
    ]).double()  # fmt: skip
    low, high = stats.binom(2000 * draws, keep_rate).interval(1 - 1e-6)
    assert low <= int(counts.sum()) <= high
    variance = draws * keep_rate * (1 - keep_rate)
    kurtosis = 3 + (1 - 6 * keep_rate * (1 - keep_rate)) / variance
    spread = float((counts - draws * keep_rate).square().mean()) / variance
    assert abs(spread - 1) < 5 * ((kurtosis - 1) / 2000) ** 0.5


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_places_of_a_mask_are_independent(p: float) -> None:
    """Four draws come from each 64 random bits: neighbours agree as often as strangers."""
    mask = KEY.keep_mask(torch.Size([10**6]), p, CPU)
    drop = 1 - 1 / kept_scale(p)
    for distance in (1, 2, 3, 4, 1000):
        both = int((~mask[distance:] & ~mask[:-distance]).sum())
        expected = drop**2 * (len(mask) - distance)
        assert abs(both - expected) < 5 * (2 * expected) ** 0.5


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 1), (2, 3, 7)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    mask = KEY.keep_mask(torch.Size(shape), 0.5, CPU)
    assert mask.shape == shape
    assert mask.dtype == torch.bool


def test_mask_is_a_function_of_the_key() -> None:
    first = KEY.keep_mask(MILLION, 0.5, CPU)
    torch.rand(3)
    assert torch.equal(first, DropoutKey(3, 7, 1, 9).keep_mask(MILLION, 0.5, CPU))


def test_a_mask_is_the_same_in_every_process_and_release() -> None:
    """What a checkpoint of last year resumes with; these numbers must never change."""
    mask = KEY.keep_mask(torch.Size([4, 8]), 0.5, CPU)
    assert ["".join("01"[bit] for bit in row) for row in mask.int().tolist()] == [
        "10100011", "00111100", "00001110", "10110001",
    ]  # fmt: skip


def test_a_mask_depends_on_no_mask_before_it_and_on_no_thread_count() -> None:
    alone = KEY.keep_mask(torch.Size([1000]), 0.3, CPU)
    torch.manual_seed(9)
    torch.set_num_threads(2)
    for step in range(7):
        DropoutKey(3, step, 1, 9).keep_mask(torch.Size([77]), 0.3, CPU)
    assert torch.equal(alone, KEY.keep_mask(torch.Size([10, 100]), 0.3, CPU).flatten())


@pytest.mark.parametrize(
    "other",
    [
        DropoutKey(4, 7, 1, 9), DropoutKey(3, 8, 1, 9), DropoutKey(3, 7, 2, 9), KEY.at(10),
        DropoutKey(7, 3, 1, 9), DropoutKey(3, 7, 9, 1), DropoutKey(3, 7, 0, 0),
    ],
)  # fmt: skip
def test_every_part_of_the_key_matters(other: DropoutKey) -> None:
    """Other masks are not only different but independent."""
    first, second = (key.keep_mask(MILLION, 0.5, CPU) for key in (KEY, other))
    agreement = float((first == second).double().mean())
    assert abs(agreement - 0.5) < deviation(10**6, 0.5)


def test_at_keeps_seed_step_and_micro_batch() -> None:
    assert DropoutKey(1, 2, 3).at(4) == DropoutKey(1, 2, 3, 4)


def test_torchs_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    dropout(torch.ones(100), 0.5, KEY)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("p", [0.1, 0.37, 0.5])
def test_the_mean_stays(p: float) -> None:
    kept = dropout(torch.ones(MILLION, dtype=torch.float64), p, KEY)
    assert set(kept.unique().tolist()) == {0.0, kept_scale(p)}
    assert kept_scale(p) == pytest.approx(1 / (1 - p), rel=1e-4)
    assert abs(float(kept.mean()) - 1) < deviation(10**6, p) / (1 - p)


def test_scale_is_exact_for_the_rate_drawn() -> None:
    """0.1 is drawn as 6554 / 65536; the mean stays to the last bit."""
    assert kept_scale(0.1) == 65536 / (65536 - 6554)
    assert kept_scale(0.5) == 2.0


@pytest.mark.parametrize(("p", "key"), [(0.0, KEY), (0.5, None)])
def test_without_dropout_nothing_is_copied(p: float, key: DropoutKey | None) -> None:
    x = torch.randn(4)
    assert dropout(x, p, key) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_gradient_sees_the_forward_mask(dtype: torch.dtype) -> None:
    x = torch.randn(30, 40).to(dtype).requires_grad_()
    y = dropout(x, 0.4, KEY)
    probe = torch.randn(30, 40).to(dtype)
    (gradient,) = torch.autograd.grad(y, x, probe)
    keep = KEY.keep_mask(x.shape, 0.4, CPU)
    assert y.dtype == gradient.dtype == dtype
    assert torch.equal(y, x * keep * kept_scale(0.4))
    assert torch.equal(gradient, probe * keep * kept_scale(0.4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_masked_is_multiplication_by_the_mask(dtype: torch.dtype) -> None:
    """To the bit and in x's dtype, of a transposed tensor and a part of a mask too."""
    x = (1e3 * torch.randn(40, 30)).to(dtype)
    keep = KEY.keep_mask(torch.Size([30, 50]), 0.4, CPU)[:, :40]
    for each, mask in ((x, keep.t()), (x.t(), keep), (x, keep.t().contiguous())):
        result = masked(each, mask)
        assert result.dtype == dtype
        assert torch.equal(result, each * mask.to(dtype))
        assert torch.equal(result, torch.where(mask, each, 0))


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_add_is_the_residual_plus_dropout(
    dtype: torch.dtype, key: DropoutKey | None
) -> None:
    """Of the residual's dtype, with the same mask in both passes."""
    x = torch.randn(30, 40).to(dtype).requires_grad_()
    residual = torch.randn(30, 40, requires_grad=True)
    y = dropout_add(x, residual, 0.4, key)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, residual + dropout(x.float(), 0.4, key))
    probe = torch.randn(30, 40)
    by_x, by_residual = torch.autograd.grad(y, (x, residual), probe)
    assert torch.equal(by_residual, probe)
    torch.testing.assert_close(by_x, dropout(probe, 0.4, key).to(dtype))


def batch_of(random_sequences: Callable[..., list[TokenSequence]]) -> PackedBatch:
    return pack([random_sequences([6, 9, 4]), random_sequences([3, 3], 1)])


@pytest.mark.parametrize(
    "rates", [{"hidden_dropout_prob": 0.2}, {"attention_probs_dropout_prob": 0.2}]
)
def test_either_rate_acts_in_the_encoder(
    tiny_encoder: Callable[..., BertEncoder],
    random_sequences: Callable[..., list[TokenSequence]],
    rates: dict[str, float],
) -> None:
    encoder, batch = tiny_encoder(**rates), batch_of(random_sequences)
    with torch.no_grad():
        plain, first = encoder(batch), encoder(batch, key=DropoutKey(0, 0))
        assert not torch.allclose(plain, first)
        assert torch.equal(first, encoder(batch, key=DropoutKey(0, 0)))
        assert not torch.allclose(first, encoder(batch, key=DropoutKey(0, 1)))
        assert torch.equal(plain, tiny_encoder()(batch))  # no key, no dropout
        encoder.set_dropout(0.0)
        assert torch.equal(plain, encoder(batch, key=DropoutKey(0, 0)))


def test_layers_draw_masks_of_their_own(
    tiny_encoder: Callable[..., BertEncoder],
    monkeypatch: pytest.MonkeyPatch,
    random_sequences: Callable[..., list[TokenSequence]],
) -> None:
    """Each mask of a pass comes from a site that no other mask has."""
    sites: list[int] = []
    draw = DropoutKey.keep_mask

    def spy(key: DropoutKey, *arguments: object) -> torch.Tensor:
        sites.append(key.site)
        return draw(key, *arguments)  # type: ignore[arg-type]

    encoder = tiny_encoder(num_hidden_layers=3)
    encoder.set_dropout(0.1)
    lengths = [1, 2, 4, 8, 16, 32, 48] * 2  # several attention buckets
    monkeypatch.setattr(DropoutKey, "keep_mask", spy)
    encoder(pack([random_sequences(lengths)]), key=DropoutKey(0, 0))
    assert len(sites) > 1 + 3 * (2 + 1)
    assert len(set(sites)) == len(sites)
