"""Our BERT against transformers', on MiniLM's weights and on random configurations."""

from __future__ import annotations  # transformers builds a class when it is named: seconds

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from accord.encoders.blocks import ACTIVATIONS
from accord.encoders.families.bert import BertEncoder, named_views
from accord.encoders.packing import PackedBatch, TokenSequence, pack
from accord.encoders.pretrained import load_encoder, save_encoder

LENGTHS = [7, 1, 12, 3, 12, 20]


def theirs(folder: Path) -> transformers.BertModel:
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="eager")
    return model.eval()


def random_config(**changes: object) -> transformers.BertConfig:
    sizes = {
        "vocab_size": 50,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 32,
        "initializer_range": 0.2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return transformers.BertConfig(**{**sizes, **changes})


def random_folder(folder: Path, **changes: object) -> Path:
    """Save a transformers BERT whose biases and norms are random as well."""
    torch.manual_seed(3)
    model = transformers.BertModel(random_config(**changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def random_batch(vocab: int, types: int, lengths: list[int] = LENGTHS) -> PackedBatch:
    rng = np.random.default_rng(1)
    sequences = [TokenSequence(rng.integers(1, vocab, n), first=n) for n in lengths]
    half = len(lengths) // 2
    batch = pack([sequences[:half], sequences[half:]])
    return replace(batch, token_type_ids=torch.from_numpy(rng.integers(0, types, sum(lengths))))


def run_theirs(model: transformers.BertModel, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Hidden states of the real tokens [N, H] of a padded run, and the pooler's output [B, H]."""

    def padded(flat: Tensor) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(flat.split(list(batch.lengths)), batch_first=True)

    mask = padded(torch.ones_like(batch.input_ids))
    out = model(
        input_ids=padded(batch.input_ids),
        token_type_ids=padded(batch.token_type_ids),
        attention_mask=mask,
    )
    return out.last_hidden_state[mask.bool()], out.pooler_output


def by_their_names(encoder: BertEncoder, tensors: list[Tensor]) -> dict[str, Tensor]:
    """Name tensors that stand one for each parameter as transformers names its own."""
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter, tensor in zip(twin.parameters(), tensors, strict=True):
            parameter.copy_(tensor)
    return dict(named_views(twin))


def assert_parity(folder: Path, types: int, lengths: list[int] = LENGTHS) -> None:
    """States, CLS rows and pooler within 1e-5; every parameter's gradient too."""
    model, encoder = theirs(folder), load_encoder(folder)
    batch = random_batch(model.config.vocab_size, types, lengths)
    expected, expected_pooled = run_theirs(model, batch)
    hidden = encoder(batch)
    pooled = encoder.pool(hidden[batch.cls_rows])
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(pooled, expected_pooled, rtol=0, atol=1e-5)
    first = encoder(batch, cls_only=True)
    torch.testing.assert_close(first, hidden[batch.cls_rows], rtol=0, atol=1e-5)

    probe, probe_pooled = torch.randn_like(hidden), torch.randn_like(pooled)
    ((hidden * probe).sum() + (pooled * probe_pooled).sum()).backward()
    ((expected * probe).sum() + (expected_pooled * probe_pooled).sum()).backward()
    ours = by_their_names(encoder, [p.grad for p in encoder.parameters()])
    wanted = {name: p.grad for name, p in model.named_parameters()}
    assert ours.keys() == wanted.keys()
    for name, gradient in wanted.items():
        scale = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(
            ours[name] / scale, gradient / scale, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: n + m
        )


def test_minilm(minilm: Path) -> None:
    assert_parity(minilm, types=2, lengths=[9, 1, 40, 3, 17])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activation(tmp_path: Path, activation: str) -> None:
    assert_parity(random_folder(tmp_path, hidden_act=activation), types=2)


@pytest.mark.slow
@settings(max_examples=12)
@given(
    heads=st.sampled_from([1, 2, 3, 6, 12]),
    types=st.integers(1, 4),
    eps=st.sampled_from([1e-12, 1e-7, 1e-5]),
    layers=st.integers(1, 3),
    width=st.sampled_from([12, 24, 36]),
    inner=st.sampled_from([1, 13, 64]),
    lengths=st.lists(st.integers(1, 32), min_size=1, max_size=7),
)
def test_random_configurations(
    tmp_path_factory: pytest.TempPathFactory,
    heads: int,
    types: int,
    eps: float,
    layers: int,
    width: int,
    inner: int,
    lengths: list[int],
) -> None:
    folder = random_folder(
        tmp_path_factory.mktemp("bert"),
        num_attention_heads=heads,
        type_vocab_size=types,
        layer_norm_eps=eps,
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=inner,
    )
    assert_parity(folder, types, lengths)


def test_layer_norm_eps_is_heeded(tmp_path: Path) -> None:
    """The states differ by far more than the tolerance between the extremes of eps."""
    folder = random_folder(tmp_path, layer_norm_eps=1e-1)
    assert_parity(folder, types=2)
    batch = random_batch(50, 2)
    with torch.no_grad():
        loose = load_encoder(folder)(batch)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-12}))
        assert (load_encoder(folder)(batch) - loose).abs().max() > 1e-3


def test_encode_ids(tmp_path: Path) -> None:
    folder = random_folder(tmp_path)
    sequences = [[2, 7, 9, 3], [2, 3], [2, 40, 41, 42, 43, 44, 3]]
    encoded = load_encoder(folder).encode_ids(sequences)
    for ids, states in zip(sequences, encoded, strict=True):
        expected = theirs(folder)(input_ids=torch.tensor([ids])).last_hidden_state[0]
        assert states.shape == (len(ids), 24)
        assert states.dtype == torch.float32
        assert not states.requires_grad
        torch.testing.assert_close(states, expected.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooler", [True, False])
def test_saved_encoder_opens_bit_equal(
    tmp_path: Path, tiny_encoder: Callable[..., BertEncoder], pooler: bool
) -> None:
    encoder = tiny_encoder(pooler=pooler, layer_norm_eps=1e-6, hidden_act="relu")
    save_encoder(encoder, tmp_path / "a")
    model, info = transformers.AutoModel.from_pretrained(
        tmp_path / "a", add_pooling_layer=pooler, output_loading_info=True
    )
    assert not any(info.values()), info
    assert isinstance(model, transformers.BertModel)
    assert model.config.layer_norm_eps == 1e-6
    assert model.config.hidden_act == "relu"
    state = dict(model.named_parameters())
    views = dict(named_views(encoder))
    assert state.keys() == views.keys()
    assert all(torch.equal(state[name], view) for name, view in views.items())

    again = load_encoder(tmp_path / "a")
    assert again.config == encoder.config
    assert (again.pooler is None) is not pooler
    for ours, loaded in zip(encoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, loaded)


def test_their_saved_folder_reads_back_bit_equal(tmp_path: Path) -> None:
    """What transformers saves, we load and save to the same tensors under the same names."""
    folder = random_folder(tmp_path / "theirs")
    save_encoder(load_encoder(folder), tmp_path / "ours")
    before = load_file(folder / "model.safetensors")
    after = load_file(tmp_path / "ours" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_old_names_load(tmp_path: Path) -> None:
    """As in Google's first checkpoints: a `bert.` prefix, `gamma` and `beta`, other heads."""
    folder = random_folder(tmp_path)
    file = folder / "model.safetensors"
    new = load_file(file)
    old = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in new.items()
    }
    assert sum(name.endswith(("gamma", "beta")) for name in old) == 10
    old["cls.predictions.bias"] = torch.zeros(50)
    old["bert.embeddings.position_ids"] = torch.arange(32)
    save_file(old, file)
    views = dict(named_views(load_encoder(folder)))
    assert views.keys() == new.keys()
    assert all(torch.equal(views[name], tensor) for name, tensor in new.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = random_folder(tmp_path)
    tensors = {
        name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors")
    for name, view in named_views(load_encoder(folder)):
        assert view.dtype == torch.float32
        assert torch.equal(view, tensors[name].float())
