"""The estimate's parts against what they stand for: counted FLOP, tensors, a measured rate."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from accord.encoders.families.bert import BertConfig
from accord.encoders.packing import pack
from accord.runs.estimate import (
    Estimate,
    Workload,
    estimate,
    matrix_rate,
    pass_rate,
    product_side,
    token_flops,
)

CONFIG = BertConfig(
    vocab_size=1000,
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=256,
    max_position_embeddings=64,
)
WORK = Workload(
    parameters=300_000,
    tasks=3,
    steps=100,
    step_tokens=500.0,
    pass_tokens=500.0,
    encoded_tokens=10_000,
    mean_length=20.0,
    frozen=False,
    checkpointing=False,
)
RATE, PASSES = 1e9, 1e9


@pytest.mark.parametrize("length", [4, 32])
def test_a_token_s_flop_are_those_that_torch_counts(tiny_encoder, random_sequences, length):
    sizes = {"num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 256}
    encoder = tiny_encoder(num_hidden_layers=3, pooler=False, **sizes)
    batch = pack([random_sequences([length] * 8)])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(batch)
    expected = 8 * length * token_flops(encoder.config, length)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)


def seconds(**changes: object) -> float:
    return estimate(CONFIG, replace(WORK, **changes), RATE, PASSES).seconds


def test_time_is_steps_and_evaluation():
    training = seconds(encoded_tokens=0)
    evaluation = seconds(steps=0)
    assert seconds() == pytest.approx(training + evaluation)
    assert seconds(steps=200, encoded_tokens=0) == pytest.approx(2 * training)
    faster = estimate(CONFIG, WORK, 2 * RATE, 2 * PASSES).seconds
    assert faster == pytest.approx(seconds() / 2)
    # MatmulPolicy alone: a step reads 5 times the tokens, forward and backward, three forward passes.
    matmul = [
        estimate(CONFIG, replace(WORK, **only), RATE, float("inf")).seconds
        for only in ({"encoded_tokens": 0}, {"steps": 0})
    ]
    assert matmul[0] / matmul[1] == pytest.approx(3 * 100 * 500 / 10_000)
    assert training > matmul[0]
    assert seconds(checkpointing=True, encoded_tokens=0) == pytest.approx(training * 4 / 3)
    assert seconds(passes=2.5, encoded_tokens=0) == pytest.approx(2.5 * training)
    assert seconds(frozen=True) == pytest.approx(evaluation)


def test_memory_is_state_and_activations():
    def memory(**changes: object) -> int:
        return estimate(CONFIG, replace(WORK, **changes), RATE, PASSES).memory_bytes

    dense = 300_000 - 1000 * 64
    assert memory(tasks=4) - memory(tasks=3) == 4 * dense  # one more row of J
    assert memory(parameters=400_000) - memory() == 100_000 * 4 * (4 + 4)
    assert memory(graphs=2) == memory(pass_tokens=1000.0)
    assert memory(averaged=300_000) - memory() == 300_000 * 4
    assert memory(averaged=500, frozen=True) - memory(frozen=True) == 500 * 4
    assert memory(pass_tokens=1000.0) > memory() > memory(checkpointing=True) > memory(frozen=True)


def test_a_measured_rate_is_one_that_a_computer_has():
    rate = matrix_rate(torch.device("cpu"), seconds=0.05)
    assert 1e8 < rate < 1e15
    assert 1e6 < pass_rate(torch.device("cpu"), seconds=0.05) < 1e14


@pytest.mark.parametrize(
    ("free", "rate", "side"),
    [
        (78 << 30, 3e14, 8192),
        (78 << 30, 3e13, 4096),  # six products of 8192 would take 0.22 s
        (78 << 30, 1e10, 1024),  # nothing fits: the smallest
        (1 << 30, 3e14, 4096),  # three matrices of 8192 are 384 MiB
        (0, 3e14, 1024),
    ],
)
def test_a_gpu_is_measured_by_the_largest_product_that_fits(free, rate, side):
    assert product_side(free, rate, 0.2) == side


def test_it_reads_well():
    assert str(Estimate(95.4, 3 << 29)) == "about 1 min 35 s and 1.5 GiB of memory"
