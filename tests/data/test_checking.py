import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from accord.cli.check import check
from accord.config.file import load_config, parse_config
from accord.data.checking import check_data
from accord.data.template import Template
from accord.encoders.pretrained import resolve_encoder_folder, save_encoder
from accord.errors import ConfigError
from accord.plan.making import plan_run
from accord.tasks import Task


def check_config(config):
    plan = plan_run(config)
    encoder = plan.only.encoder
    return check_data(plan.data, resolve_encoder_folder(encoder.path, encoder.revision))


ROWS = {
    "train": ["a a\tb\t0", "a  A\tb\t1", "b\ta a\t1", "c\td\t2"],
    "dev": ["a a\tb\t0", "b\tA A\t0", "c\te\t1", "f\tg\t2"],
}


@pytest.fixture
def folder(tiny_tokenizer, tiny_encoder, tmp_path, monkeypatch) -> Path:
    """A folder with two tasks, and an encoder of sequences of at most 16 tokens."""
    save_encoder(tiny_encoder(max_position_embeddings=16), tmp_path / "tiny")
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    for split, rows in ROWS.items():
        (tmp_path / f"{split}.tsv").write_text("\n".join(["x\ty\tlabel", *rows]) + "\n")
    return tmp_path


def config(folder: Path, **tasks):
    tasks = tasks or {"pairs": pairs(folder), "single": single(folder)}
    return parse_config({"encoder": {"path": str(folder / "tiny")}, "tasks": tasks})


def pairs(folder: Path, **keys):
    files = {split: str(folder / f"{split}.tsv") for split in ("train", "dev")}
    return {"kind": "pair-classification", "text": ["x", "y"], **files, **keys}


def single(folder: Path, **keys):
    return {"kind": "regression", "text": "x", "train": str(folder / "train.tsv"), **keys}


def test_rows_labels_and_lengths(folder):
    report = check_config(config(folder))
    task, other = report.tasks
    train, dev = task.splits
    assert report.max_length == 16
    assert (task.task.labels, task.taken_from_data) == (("0", "1", "2"), ["labels"])
    assert (train.rows, train.labels) == (4, {"0": 1, "1": 2, "2": 1})
    assert (train.tokens.min, train.tokens.median, train.tokens.max) == (5, 6, 6)
    assert (dev.rows, dev.share, dev.truncated) == (4, None, 0)
    assert [split.split for split in other.splits] == ["train", "dev"]
    assert [split.share for split in other.splits] == [None, 0.1]
    assert [split.rows for split in other.splits] == [3, 1]
    assert other.splits[0].targets.max <= 2


def test_duplicates_and_leaks(folder):
    report = check_config(config(folder))
    train, dev = report.tasks[0].splits
    # The third row of train is its first the other way round.
    assert (train.duplicates.exact, train.duplicates.normalised) == (1, 2)
    assert (dev.duplicates.exact, dev.duplicates.normalised) == (0, 1)
    found = {(one.train_task, one.dev_task): one for one in report.overlaps}
    assert len(found) == 4
    own = found["pairs", "pairs"]
    assert (own.dev_rows, own.examples.exact, own.examples.normalised) == (4, 1, 2)
    assert (own.texts.exact, own.texts.normalised) == (3, 3)
    across = found["single", "pairs"]
    assert (across.examples.exact, across.examples.normalised) == (0, 0)
    assert across.texts.normalised > 0


def test_truncation_is_of_the_encoding(folder):
    def cut(**keys) -> int:
        loaded = config(folder, pairs=pairs(folder, **keys))
        encoder = loaded.encoder.model_copy(update={"max_length": 5})
        report = check_config(loaded.model_copy(update={"encoder": encoder}))
        return report.tasks[0].splits[0].truncated

    assert (cut(), cut(encoding="separate")) == (3, 0)


def test_lengths_count_the_special_tokens():
    lengths, framing = np.array([[3, 4]]), Template.of_bert(1, 2)
    task = Task("t", "pair-regression", "mse", "pearson", encoding="separate")
    assert framing.sequence_lengths(lengths, task.layout).tolist() == [[5, 6]]
    joint = Task("t", "pair-regression", "mse", "pearson")
    assert framing.sequence_lengths(lengths, joint.layout).tolist() == [[10]]


def test_a_length_beyond_the_encoder(folder):
    loaded = config(folder)
    encoder = loaded.encoder.model_copy(update={"max_length": 17})
    with pytest.raises(ConfigError, match=r"encoder\.max_length: 17 is more than the encoder's 16"):
        check_config(loaded.model_copy(update={"encoder": encoder}))


def toml(folder: Path) -> Path:
    path = folder / "accord.toml"
    path.write_text(
        '[encoder]\npath = "./tiny"\n[tasks.one]\nkind = "classification"\n'
        'text = "x"\ntrain = "train.tsv"\ndev = "dev.tsv"\non_bad_row = "skip"\n'
    )
    return path


def test_the_command_shows_what_was_found(folder):
    with (folder / "train.tsv").open("a") as file:
        file.write("\tx\t1\n")
    result = CliRunner().invoke(check, [str(toml(folder))], catch_exceptions=False)
    assert result.exit_code == 0
    assert "one: classification, labels 0, 1, 2 (from the training file)" in result.stdout
    assert f"skipped {folder / 'train.tsv'}:6: 'x' is empty" in result.stdout
    assert "whole example" in result.stdout


def test_the_command_prints_json(folder):
    arguments = [str(toml(folder)), "--json", "--set", "tasks.one.on_bad_row=stop"]
    result = CliRunner().invoke(check, arguments, catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["tasks"][0]["splits"][0]["labels"] == {"0": 1, "1": 2, "2": 1}
    layers = report.pop("layers_computed")
    assert (layers["encoder"], layers["computed"], layers["alone"]) == (2, 2, 2)
    assert report == check_config(load_config(toml(folder))).to_json()
