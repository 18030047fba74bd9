from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.packing import TokenSequence, pack
from accord.kernels.dropout import DropoutKey

MakeEncoder = Callable[..., BertEncoder]
Sequences = Callable[..., list[TokenSequence]]


@pytest.mark.parametrize("cls_only", [False, True])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_gradient_checkpointing_changes_no_bit(
    tiny_encoder: MakeEncoder, random_sequences: Sequences, bfloat16: bool, cls_only: bool
) -> None:
    """With dropout on and plain autograd; layers run twice, masks are drawn twice alike."""
    encoder = tiny_encoder(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    batch = pack([random_sequences([4, 9, 1, 7])])

    def run(checkpointing: bool) -> list[Tensor]:
        encoder.gradient_checkpointing = checkpointing
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            hidden = encoder(batch, key=DropoutKey(0, 1), cls_only=cls_only)
        hidden.float().square().sum().backward()
        return [hidden, *(p.grad for p in encoder.parameters() if p.grad is not None)]

    plain, recomputed = run(False), run(True)
    assert len(plain) == len(recomputed) == 1 + sum(1 for _ in encoder.parameters()) - 2  # pooler
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed, strict=True))


def test_gradient_checkpointing_runs_layers_again(
    tiny_encoder: MakeEncoder, random_sequences: Sequences
) -> None:
    encoder, calls = tiny_encoder(), []
    encoder.layers[0].register_forward_pre_hook(lambda *_: calls.append(1))
    for checkpointing, expected in ((False, 1), (True, 2)):
        calls.clear()
        encoder.gradient_checkpointing = checkpointing
        encoder(pack([random_sequences([3])])).sum().backward()
        assert len(calls) == expected
    calls.clear()
    with torch.no_grad():
        encoder(pack([random_sequences([3])]))
    assert len(calls) == 1


def test_initial_weights_are_berts() -> None:
    config = BertConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=64, initializer_range=0.05,
    )  # fmt: skip
    for name, parameter in BertEncoder(config).named_parameters():
        if parameter.ndim == 2:
            assert parameter.detach().std().item() == pytest.approx(0.05, rel=0.25), name
        else:
            assert set(parameter.tolist()) == {1.0 if "norm.weight" in name else 0.0}, name


def test_pool_without_pooler_is_refused(tiny_encoder: MakeEncoder) -> None:
    with pytest.raises(ValueError, match="no pooler"):
        tiny_encoder(pooler=False).pool(torch.zeros(1, 8))


def test_encode_ids_is_evaluation(tiny_encoder: MakeEncoder) -> None:
    """Without dropout whatever the rates are, without gradients, and in the order given."""
    encoder = tiny_encoder(hidden_dropout_prob=0.5)
    sequences = [[1, 5, 2], [1, 7, 8, 9, 2], [1, 2]]
    encoded = encoder.encode_ids(sequences)
    assert [states.shape for states in encoded] == [(3, 8), (5, 8), (2, 8)]
    assert not any(states.requires_grad for states in encoded)
    for one, states in zip(sequences, encoded, strict=True):
        torch.testing.assert_close(encoder.encode_ids([one])[0], states, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1, 2], []], "sequence 1 has 0 tokens; allowed: 1 to"),
        ([[1] * 100], "sequence 0 has 100 tokens"),
        ([[-1]], "sequence 0 holds an id out of 0 to"),
        ([[3], [10**6]], "sequence 1 holds an id out of 0 to"),
    ],
)
def test_encode_ids_says_which_sequence_is_wrong(
    tiny_encoder: MakeEncoder, ids: list[list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_encoder().encode_ids(ids)
