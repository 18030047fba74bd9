"""Masked language modelling against transformers' BertForMaskedLM, and how its head is spelt."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from accord.encoders.families import FAMILIES
from accord.encoders.families.bert import named_views
from accord.encoders.packing import MaskedWords, TokenSequence, pack
from accord.encoders.pretrained import load_encoder, load_predictions
from accord.errors import EncoderError
from accord.kinds.masked_lm import MaskedLMTask
from accord.model.auxiliary import MaskedLMHead
from accord.model.multitask import MultitaskModel
from accord.pertask.jacobian import Jacobian

TASK = MaskedLMTask("words", "masked-lm", "masked_lm", "likelihood", pooling="masked")
LENGTHS = [7, 4, 12, 9]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=40, max_position_embeddings=32, initializer_range=0.2,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def own_model(folder: Path) -> MultitaskModel:
    model = MultitaskModel(load_encoder(folder), [TASK])
    head = model.heads["words"]
    assert isinstance(head, MaskedLMHead)
    predictions = load_predictions(folder, dict(head.named_views()))
    assert predictions is not None
    head.load(predictions)
    return model


def random_texts() -> list[TokenSequence]:
    rng = np.random.default_rng(1)
    texts = []
    for length in LENGTHS:
        count = max(1, length // 4)
        at = np.sort(rng.choice(length, count, replace=False))
        weight = len(LENGTHS) / sum(max(1, each // 4) for each in LENGTHS)
        words = MaskedWords(at, rng.integers(0, 50, count), weight)
        texts.append(TokenSequence(rng.integers(1, 50, length), first=length, words=words))
    return texts


def theirs(folder: Path, texts: list[TokenSequence]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and every parameter's gradient of a padded run."""
    model = transformers.BertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.zeros(len(texts), max(LENGTHS), dtype=torch.int64)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for i, text in enumerate(texts):
        assert text.words is not None
        ids[i, : len(text.input_ids)] = torch.from_numpy(text.input_ids)
        mask[i, : len(text.input_ids)] = 1
        labels[i, text.words.positions] = torch.from_numpy(text.words.ids)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    grads = {name.removeprefix("bert."): p.grad for name, p in model.named_parameters()}
    return float(loss.detach()), {name: grad for name, grad in grads.items() if grad is not None}


@pytest.mark.parametrize("collected", [False, True], ids=["autograd", "J"])
def test_loss_and_gradients(folder: Path, collected: bool) -> None:
    texts = random_texts()
    loss, expected = theirs(folder, texts)
    model = own_model(folder)
    encoder, head = model.encoder, model.heads["words"]
    step = Jacobian(encoder.parameters(), encoder.embeddings.word).begin(1, torch.arange(50))
    batch = pack([texts])
    with step.collecting() if collected else contextlib.nullcontext():
        pooled = model.pooled(batch, [0])
        (ours,) = model.losses(pooled, [torch.zeros(len(texts))], [0], words=batch.words)
    ours.mean().backward()
    assert float(ours.detach().mean()) == pytest.approx(loss, rel=1e-5)
    if collected:
        step.write(torch.ones(1))
    assert isinstance(head, MaskedLMHead)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None
                            else parameter.grad)  # fmt: skip
    actual = {**dict(named_views(encoder)),
             **{f"cls.predictions.{name}": view for name, view in head.named_views()}}  # fmt: skip
    assert expected.keys() <= actual.keys()
    assert "cls.predictions.bias" in expected
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_both_spellings_are_read(folder: Path, tmp_path: Path) -> None:
    """The names of old checkpoints: gamma and beta, and the bias in its second place."""
    tensors = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta")
        .replace("predictions.bias", "predictions.decoder.bias"): value
        for name, value in tensors.items()
    }
    assert old.keys() != tensors.keys()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(old, tmp_path / "old" / "model.safetensors")
    new, again = own_model(folder), own_model(tmp_path / "old")
    for one, other in zip(new.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_encoder_without_such_a_head_has_none(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith("cls.")}
    save_file(plain, folder / "model.safetensors")
    head = MaskedLMHead(load_encoder(folder).config)
    assert load_predictions(folder, dict(head.named_views())) is None


def test_half_a_head_is_an_error(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["cls.predictions.transform.dense.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(EncoderError, match=r"'cls\.predictions\.transform\.dense\.bias' is missi"):
        own_model(folder)


def test_a_family_says_what_its_head_is_called(folder, monkeypatch):
    head = own_model(folder).heads["words"]
    names, wanted = dict(head.named_views()), load_predictions(folder, dict(head.named_views()))
    called = {name: (f"part{place}.w", f"old{place}.w") for place, name in enumerate(names)}
    file, places = folder / "model.safetensors", list(called.values())
    others = {name: value for name, value in load_file(file).items() if not name.startswith("cls.")}
    there = {f"lm_head.{places[i][i % 2]}": wanted[name] for i, name in enumerate(names)}
    family = replace(FAMILIES["bert"], predictions="lm_head.", prediction_names=called)
    monkeypatch.setitem(FAMILIES, "bert", family)
    for lost in (None, *there):
        left = {name: value.contiguous() for name, value in there.items() if name != lost}
        save_file({**others, **left}, file, {"format": "pt"})
        if lost is None:
            found = load_predictions(folder, names)
            assert all(torch.equal(found[name], wanted[name]) for name in names)
        else:
            with pytest.raises(EncoderError, match=r"tensor 'lm_head\.part\d\.w' is missing"):
                load_predictions(folder, names)
