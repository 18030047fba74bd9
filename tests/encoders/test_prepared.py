"""A prepared encoder gives what the encoder gives: any family, any lengths, from any thread."""

import threading
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from accord.encoders import Encoder
from accord.encoders.blocks import ACTIVATIONS, Attention, Block, FeedForward
from accord.encoders.families.bert import BertConfig, BertEmbeddings
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.encoders.prepared import Prepared
from accord.kernels.matmul import MatmulPolicy, computing
from accord.pertask import LayerNorm, RMSNorm
from accord.pertask.modules import Linear

VOCAB, HIDDEN, HEADS, INNER, LONGEST = 50, 12, 3, 20, 80
FLOAT32 = [MatmulPolicy(), MatmulPolicy(onednn=True)]
ROUNDED = MatmulPolicy(bfloat16=True, rounded=True)
POLICIES = [*FLOAT32, ROUNDED, MatmulPolicy(bfloat16=True)]
Sequences = Callable[..., list[TokenSequence]]
LENGTHS = [[1], [9], [LONGEST], [7, 7, 7], [1, 1], [1, 5, LONGEST, 12, 12], [3, 70, 2, 64, 65]]


class Gated(FeedForward):
    """A feed-forward network that blocks laid out know nothing of."""

    def __init__(self, *sizes: object) -> None:
        super().__init__(*sizes)  # type: ignore[arg-type]
        self.gate = Linear(HIDDEN, INNER, False, 0.3)

    def forward(self, x: Tensor, hooks: object) -> Tensor:
        return self.output(self.activation(self.intermediate(x)) * self.gate(x))


def encoders() -> Iterator[Encoder]:
    """Families: BERT's, and of every norm, with and without biases, norms before and after."""
    norms: list[Callable[[], nn.Module]] = [
        lambda: LayerNorm(HIDDEN), lambda: LayerNorm(HIDDEN, bias=False),
        lambda: RMSNorm(HIDDEN, eps=1e-6), nn.Identity,
    ]  # fmt: skip
    forms = [
        (activation, norms[i % 4], i % 3 == 0, i % 2 == 0, FeedForward)
        for i, activation in enumerate(ACTIVATIONS)
    ]
    for activation, norm, bias, pre_norm, kind in [*forms, ("gelu", norms[0], True, True, Gated)]:
        config = BertConfig(
            vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=3, num_attention_heads=HEADS,
            intermediate_size=INNER, max_position_embeddings=LONGEST,
        )  # fmt: skip
        blocks = [
            Block(
                Attention(HIDDEN, HEADS, 0.1, 0.3, bias),
                # one block of a kind that isn't known stands between others
                (kind if number == 1 else FeedForward)(HIDDEN, INNER, activation, 0.3, bias),
                norm(), norm(), 0.1, pre_norm=pre_norm,
            )
            for number in range(3)
        ]  # fmt: skip
        encoder = Encoder(
            config, BertEmbeddings(config), blocks, None, norm() if pre_norm else None
        )
        for parameter in encoder.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        yield encoder.eval()


def encoded(prepared: Prepared, batch: PackedBatch, cls_only: bool = False) -> Tensor:
    """Encode a batch block by block."""
    x, last = prepared.embed(batch), len(prepared.blocks) - 1
    for i in range(last):
        x = prepared.block(i, x, batch)
    x = prepared.last(x, batch) if cls_only else prepared.block(last, x, batch)
    return prepared.encoder.finish(x, batch, cls_only)


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@torch.inference_mode()
def test_a_prepared_encoder_is_the_encoder(random_sequences: Sequences) -> None:
    """For all lengths, all tokens or first ones, in every precision; twice the same bits."""
    for number, encoder in enumerate(encoders()):
        for i in {(number + step) % len(LENGTHS) for step in (0, 1, 3)}:
            lengths = LENGTHS[i]
            batch = pack([random_sequences(lengths, seed=i, high=VOCAB)], 32 * (i % 2) or 1)
            expected = [encoder(batch, cls_only=cls_only) for cls_only in (False, True)]
            for policy in POLICIES:
                prepared = Prepared(encoder, policy)
                with computing(policy), policy.autocast(torch.device("cpu")):
                    errors = [
                        distance(encoder(batch, cls_only=bool(i)), wanted)
                        for i, wanted in enumerate(expected)
                    ]
                for cls_only, wanted in enumerate(expected):
                    limit = 2 * errors[cls_only] if policy.bfloat16 else 1e-5
                    actual = encoded(prepared, batch, bool(cls_only))
                    assert actual.dtype == torch.float32
                    assert actual.shape == wanted.shape
                    assert distance(actual, wanted) < limit, (lengths, policy)
                    assert torch.equal(actual, encoded(prepared, batch, bool(cls_only)))
            # what was prepared shares its weights with the encoder, which is what it was
            for cls_only, wanted in enumerate(expected):
                assert torch.equal(encoder(batch, cls_only=bool(cls_only)), wanted)


@torch.inference_mode()
def test_one_may_go_on_with_other_sequences(random_sequences: Sequences) -> None:
    """After any block: a batch that repeats a sequence gives each its rows."""
    for encoder in encoders():
        prepared = Prepared(encoder, FLOAT32[0])
        short, long = random_sequences([4, 11], high=VOCAB)
        batch, repeated = pack([[short], [long]]), pack([[long], [short], [long]])
        expected = encoder(repeated)
        for stop in range(4):
            x = prepared.embed(batch)
            for i in range(stop):
                x = prepared.block(i, x, batch)
            x = torch.cat([x[4:], x])
            for i in range(stop, 3):
                x = prepared.block(i, x, repeated)
            assert distance(encoder.finish(x, repeated), expected) < 1e-5


@torch.inference_mode()
def test_parameters_stay_what_they_are() -> None:
    for encoder in encoders():
        before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        prepared = Prepared(encoder, FLOAT32[0])
        for name, tensor in encoder.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        one, attention = prepared.blocks[0], encoder.layers[0].attention
        assert one is not None
        parts = [attention.query.weight, attention.key_value.weight]
        parts += [one.weights[name][0] for name in ("all", "query", "key_value")]
        assert len({part.untyped_storage().data_ptr() for part in parts}) == 1


@torch.inference_mode()
def test_neither_autocast_nor_a_way_of_multiplying_around_it_matters(
    random_sequences: Sequences,
) -> None:
    batch = pack([random_sequences([5, 80], high=VOCAB)])
    for encoder in encoders():
        for policy in (*FLOAT32, ROUNDED):
            prepared = Prepared(encoder, policy)
            expected = encoded(prepared, batch)
            with computing(ROUNDED), ROUNDED.autocast(torch.device("cpu")):
                assert torch.equal(encoded(prepared, batch), expected)


def test_threads_with_other_policies_get_their_own_results(random_sequences: Sequences) -> None:
    """Each gives, beside the other, what it gives alone; torch's setting is as before."""
    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before, encoder = setting.fp32_precision, next(encoders())
    batches = [pack([random_sequences(lengths, high=VOCAB)]) for lengths in LENGTHS]
    sides = [Prepared(encoder, policy) for policy in (FLOAT32[1], ROUNDED)]

    @torch.inference_mode()
    def run(number: int) -> list[Tensor]:
        return [encoded(sides[number], batch, cls_only=True) for batch in batches]

    alone, wrong = [run(0), run(1)], list[str]()
    sides = [Prepared(encoder, policy) for policy in (FLOAT32[1], ROUNDED)]  # laid out in threads
    ready = threading.Barrier(4)

    def repeat(number: int) -> None:
        ready.wait()
        for _ in range(8):
            same = map(torch.equal, run(number), alone[number])
            wrong.extend(f"side {number}" for equal in same if not equal)

    threads = [threading.Thread(target=repeat, args=(i % 2,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert setting.fp32_precision == before
