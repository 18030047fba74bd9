"""How much a pass of prediction holds, by device and memory."""

from dataclasses import replace

import pytest
import torch

from accord.encoders.families.bert import BertConfig
from accord.evaluation.passes import CPU_TOKENS, GPU_TOKENS, tokens_of_a_pass, tokens_that_fit

GIB = 1 << 30
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


@pytest.fixture
def card(monkeypatch):
    """A GPU of 80 GiB, so much of which is free, beside what torch keeps: (free, idle)."""

    def give(free: int, idle: int = 0) -> None:
        segments = [
            {"device": 1, "segment_pool_id": (0, 0), "total_size": idle + 7, "allocated_size": 7},
            {"device": 1, "segment_pool_id": (0, 3), "total_size": 30 * GIB, "allocated_size": 5},
            {"device": 0, "segment_pool_id": (0, 0), "total_size": 30 * GIB, "allocated_size": 0},
        ]  # fmt: skip
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * GIB))
        monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda: segments)

    return give


def test_a_recorded_step_s_memory_is_not_free(card):
    """Nor is another GPU's. bert-base's 262,144 tokens take 15 GiB, so 30 have to be free."""
    device = torch.device("cuda", 1)
    for free, idle, expected in (
        (10, 0, 65_536), (10, 19, 65_536), (10, 20, 262_144), (0, 8, 65_536), (0, 0, 4096),
    ):  # fmt: skip
        card(free * GIB, idle * GIB)
        assert tokens_of_a_pass(device, BertConfig()) == expected


def test_while_most_of_a_card_is_free_it_alone_decides(card):
    device = torch.device("cuda", 1)
    wide = replace(LARGE, hidden_size=1300, intermediate_size=5200)  # 262,144 take 25.4 GiB
    for free, expected in ((79, 65_536), (49, 65_536), (12, 16_384)):
        card(free * GIB)
        assert tokens_of_a_pass(device, wide) == expected


def test_what_fits_is_counted():
    each = 4 * (8 * 768 + 3 * 3072)  # bytes per token of bert-base
    assert tokens_that_fit(2 * 65_536 * each, BertConfig()) == 65_536
    assert tokens_that_fit(2 * 65_536 * each - 8, BertConfig()) == 16_384


@pytest.mark.parametrize("gib", [4, 16, 80])
def test_larger_encoders_and_told_words_take_more(gib):
    plain = tokens_that_fit(gib << 30, BertConfig())
    assert tokens_that_fit(gib << 30, LARGE) <= plain
    assert tokens_that_fit(gib << 30, BertConfig(), masked_share=0.15) <= plain
