"""A frozen encoder: not a bit of it changes, it reads the data once, and without dropout."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.encoders.families.bert import BertEncoder
from accord.plan.making import plan_run
from accord.training.setup import prepare


@pytest.fixture
def tokens_read(monkeypatch):
    """Record the tokens of every pass of the encoder, fillers left out, and whether it had dropout.

    Some processors' products take rows by the 32, which fillers make up.
    """
    passes, embed = [], BertEncoder.embed

    def counted(self, batch, key=None, *rest, **options):
        tokens = sum(sum(batch.lengths[start:stop]) for start, stop in batch.task_sequences)
        passes.append((tokens, key is not None))
        return embed(self, batch, key, *rest, **options)

    monkeypatch.setattr(BertEncoder, "embed", counted)
    return passes


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_encoder_reads_the_data_once(project, train, tmp_path, tokens_read, epochs):
    config = project({"encoder.mode": "frozen", "training.epochs": epochs})
    data = prepare(plan_run(load_config(config)).only).data
    distinct = [
        {
            (sequence.input_ids.tobytes(), sequence.first): len(sequence.input_ids)
            for part in split
            for sequence in data.assembler.sequences(part, range(len(part)))
        }
        for split in (data.train, data.dev, data.test)
    ]
    train(config, tmp_path / "run")
    assert sum(tokens for tokens, _ in tokens_read) == sum(
        sum(lengths.values()) for lengths in distinct
    )
    assert not any(dropout for _, dropout in tokens_read)


def test_fine_tuning_has_dropout_in_these_counts(project, train, tmp_path, tokens_read):
    train(project({"training.epochs": 1}), tmp_path / "run")
    assert [dropout for _, dropout in tokens_read].count(True) == 6


def test_the_encoder_keeps_every_bit(project, train, tmp_path, encoder_folder, metrics):
    run = train(project({"encoder.mode": "frozen"}), tmp_path / "run")
    before = load_file(encoder_folder / "model.safetensors")
    after = load_file(run / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    assert "pooler.dense.weight" in after
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all("gramian" not in line for line in metrics(run))
    lines = metrics(run)
    assert lines[-1]["losses"] != lines[0]["losses"]


@pytest.mark.slow
def test_the_encoder_s_dropout_is_off_and_the_heads_is_on(project, train, tmp_path):
    def heads(name: str, **changes: object) -> bytes:
        run: Path = train(
            project({"encoder.mode": "frozen", "training.epochs": 1, **changes}), tmp_path / name
        )
        return (run / "model" / "heads.safetensors").read_bytes()

    plain = heads("plain")
    assert heads("encoder", **{"encoder.dropout": 0.5}) == plain
    assert heads("head", **{"tasks.mood.dropout": 0.0}) != plain


@pytest.mark.slow
def test_frozen_heads_learn_at_their_own_rate(project, train, tmp_path, metrics):
    run = train(project({"encoder.mode": "frozen", "training.lr": None}), tmp_path / "run")
    assert max(max(line["lr"]) for line in metrics(run)) == 1e-3
    tuned = train(project({"training.lr": None}), tmp_path / "tuned")
    assert {max(line["lr"]) for line in metrics(tuned)} >= {1e-3}
    assert max(min(line["lr"]) for line in metrics(tuned)) == 5e-5
