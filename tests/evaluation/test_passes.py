"""How much a pass of prediction holds, by device and memory."""

from dataclasses import replace

import pytest
import torch

from accord.encoders.families.bert import BertConfig
from accord.evaluation.passes import CPU_TOKENS, GPU_TOKENS, tokens_of_a_pass, tokens_that_fit

LARGE = replace(
    BertConfig(), hidden_size=1024, intermediate_size=4096, num_attention_heads=16
)  # fmt: skip


def test_a_cpu_s_passes_fit_its_cache():
    assert tokens_of_a_pass(torch.device("cpu"), BertConfig()) == CPU_TOKENS == 2048


def test_a_gpu_takes_more_the_more_is_free():
    sizes = [tokens_that_fit(gib << 30, BertConfig()) for gib in (0, 1, 4, 16, 40, 80)]
    assert sizes == sorted(sizes)
    assert sizes[0] == GPU_TOKENS[-1]
    assert sizes[-1] == GPU_TOKENS[0] == 262_144
    assert set(sizes) <= set(GPU_TOKENS)


def test_what_fits_is_counted():
    each = 4 * (8 * 768 + 3 * 3072)  # bytes per token of bert-base
    assert tokens_that_fit(2 * 65_536 * each, BertConfig()) == 65_536
    assert tokens_that_fit(2 * 65_536 * each - 8, BertConfig()) == 16_384


@pytest.mark.parametrize("gib", [4, 16, 80])
def test_larger_encoders_and_told_words_take_more(gib):
    plain = tokens_that_fit(gib << 30, BertConfig())
    assert tokens_that_fit(gib << 30, LARGE) <= plain
    assert tokens_that_fit(gib << 30, BertConfig(), masked_share=0.15) <= plain
