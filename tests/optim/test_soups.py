"""Greedy soups: never worse than the best model, and the mean of what is in them."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from accord.optim.soups import Soup, greedy_soup

MODELS = 6


@dataclass(frozen=True)
class Evaluation:
    sum: float


def models(seed: int) -> list[list[Tensor]]:
    drawn = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(3, 2, generator=drawn), torch.randn(4, generator=drawn)] for _ in range(MODELS)
    ]


def evaluate(weights: list[Tensor]) -> Evaluation:
    """Rugged, so that some averages are better and some are worse."""
    flat = torch.cat([own.flatten() for own in weights])
    return Evaluation(float(-flat.square().sum() + torch.sin(9 * flat).sum()))


def soup_of(own: list[list[Tensor]]) -> Soup[Evaluation]:
    return greedy_soup(
        [evaluate(weights) for weights in own],
        lambda i: [part.clone() for part in own[i]],
        evaluate,
    )


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_worse_than_the_best_model(seed: int) -> None:
    own = models(seed)
    soup = soup_of(own)
    assert soup.evaluated.sum >= max(evaluate(weights).sum for weights in own)
    assert soup.members[0] == max(range(MODELS), key=lambda i: evaluate(own[i]).sum)
    assert soup.evaluated == evaluate(soup.weights)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_mean_of_its_members(seed: int) -> None:
    own = models(seed)
    soup = soup_of(own)
    for place, part in enumerate(soup.weights):
        mean = torch.stack([own[i][place] for i in soup.members]).mean(0)
        torch.testing.assert_close(part, mean)


def test_these_cases_are_not_all_alike() -> None:
    sizes = {len(soup_of(models(seed)).members) for seed in range(20)}
    assert len(sizes) > 2


@pytest.mark.parametrize("seed", range(5))
def test_against_the_paper_s_recipe_written_out(seed: int) -> None:
    """Recipe 1 with the average made anew from all ingredients each time."""
    own = models(seed)

    def average(members: list[int]) -> list[Tensor]:
        parts = zip(*(own[i] for i in members), strict=True)
        return [torch.stack(part).mean(0) for part in parts]

    order = sorted(range(MODELS), key=lambda i: evaluate(own[i]).sum, reverse=True)
    ingredients: list[int] = []
    for i in order:
        before = evaluate(average(ingredients)).sum if ingredients else float("-inf")
        if evaluate(average([*ingredients, i])).sum >= before:
            ingredients.append(i)
    assert list(soup_of(own).members) == ingredients


def test_equals_come_in_their_order_and_join() -> None:
    same = [[torch.ones(2)] for _ in range(3)]
    assert soup_of(same).members == (0, 1, 2)


def test_weights_that_give_no_numbers_don_t_join() -> None:
    own = models(0)
    soup = greedy_soup(
        [evaluate(weights) for weights in own], lambda i: [part.clone() for part in own[i]],
        lambda weights: None,
    )  # fmt: skip
    assert len(soup.members) == 1
