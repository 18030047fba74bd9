"""Figures say what they are: whose F1, and that a constant prediction would get as much."""

import json

import pytest
from projects import write_encoder

from accord.config.file import load_config


@pytest.fixture
def fraud(tmp_path):
    """A task of 6 frauds among 60 rows, and dev rows of which 3 of 30 are: a config's path."""
    encoder = write_encoder(tmp_path / "encoder")
    for split, count in (("train", 60), ("dev", 30)):
        rows = [f"the {'abcdefghij'[i % 10]} {'klmnopqrst'[i // 10]} film,"
                f"{'fraud' if i % 10 == 0 else 'ok'}\n" for i in range(count)]  # fmt: skip
        (tmp_path / f"fraud-{split}.csv").write_text("text,label\n" + "".join(rows))
    file = tmp_path / "accord.toml"
    file.write_text(
        f'[encoder]\npath = "{encoder}"\n[training]\nepochs = 1\nlr = 1e-9\nbatch_size = 16\n'
        '[tasks.fraud]\nkind = "classification"\ntext = "text"\ntrain = "fraud-train.csv"\n'
        'dev = "fraud-dev.csv"\nmetric = "f1"\n'
    )
    return file


def test_f1_is_named_everywhere_and_compared_with_a_constant(fraud, accord_cli, tmp_path):
    name, run = "F1 of 'fraud'", tmp_path / "run"
    assert name in accord_cli("check", fraud).out
    answer = accord_cli("train", fraud, "--out", run)
    assert answer.code == 0, answer.err
    assert name in answer.out
    assert name in answer.err  # of each epoch
    results = json.loads((run / "results.json").read_text())
    ours = results["heldout"]["fraud"]
    assert results["metric_names"]["fraud"] == ours["metric"] == name
    assert ours["constant"] == pytest.approx(2 * 3 / (30 + 3))
    if ours["value"] <= ours["constant"]:
        line = f"fraud: {name} {ours['value']:.4f} is no better than always saying 'fraud'"
        assert line in answer.out.splitlines()
    figures = json.loads(accord_cli("evaluate", run, "--json").out)["fraud"]
    assert figures == results["figures"]["fraud"]
    assert set(figures) == {"accuracy", name, "macro F1", "constant", "loss"}
    assert name in accord_cli("evaluate", run).out


def test_a_model_that_finds_no_fraud_says_so(fraud, accord_cli, tmp_path):
    """Its head says 'ok' to all: .9 of accuracy, 0 of F1."""
    import torch
    from safetensors.torch import load_file, save_file

    run = tmp_path / "run"
    sets = ("--set", "tasks.fraud.metric=accuracy")
    assert accord_cli("train", fraud, "--out", run, *sets).code == 0
    heads = load_file(run / "model" / "heads.safetensors")
    for tensor in heads.values():
        tensor.copy_(torch.tensor([-9.0, 9.0]) if tensor.shape == (2,) else torch.zeros(()))
    save_file(heads, run / "model" / "heads.safetensors")
    answer = accord_cli("evaluate", run)
    assert "fraud: accuracy 0.9000 is no better than always saying 'ok'" in answer.out
    figures = json.loads(accord_cli("evaluate", run, "--json").out)["fraud"]
    assert figures["accuracy"] == figures["constant"] == pytest.approx(0.9)
    assert figures["macro F1"] == pytest.approx((2 * 27 / 57) / 2)
    assert "F1 of 'fraud'" not in figures  # nobody asked whose


@pytest.mark.parametrize("keys", [{"metric": "macro_f1"}, {"positive": "ok"}])
def test_a_chosen_f1_is_named_in_the_results(fraud, accord_cli, tmp_path, keys):
    sets = [part for key, value in keys.items() for part in ("--set", f"tasks.fraud.{key}={value}")]
    answer = accord_cli("train", fraud, "--out", tmp_path / "run", *sets, "--json")
    assert answer.code == 0, answer.err
    name = "macro F1" if "metric" in keys else "F1 of 'ok'"
    assert json.loads(answer.out)["metric_names"] == {"fraud": name}


def test_warnings_are_said_logged_and_kept_and_strict_refuses_them(fraud, accord_cli, tmp_path):
    (dev := tmp_path / "fraud-dev.csv").write_text(
        "text,label\nTHE  a k film,fraud\nthe b z film,ok\nthe c z film,ok\n"
    )
    answer = accord_cli("check", fraud, "--json")
    lines = json.loads(answer.out)["warnings"]
    assert [line.split("; ")[0] for line in lines] == [
        f"{dev}: 1 of 3 dev rows of 'fraud' stand in its training rows too, case and spaces aside:"
        " figures of them are too good",
        f"{dev}: 3 dev rows of 'fraud' can't tell a good model from a bad one",
    ]
    assert answer.err.splitlines() == [f"warning: {line}" for line in lines]
    run = tmp_path / "run"
    for command in (("check", fraud), ("train", fraud, "--out", run)):
        strict = accord_cli(*command, "--strict")
        assert strict.code == 2
        assert strict.err.splitlines()[-1] == f"accord: --strict: {lines[0]} (1 of 2 warnings)"
        assert not run.exists()
    answer = accord_cli("train", fraud, "--out", run)
    said = [line for line in answer.err.splitlines() if line.startswith("warning: ")]
    assert said == [f"warning: {line}" for line in lines]
    assert json.loads((run / "resolved.json").read_text())["warnings"] == lines
    log = (run / "log.txt").read_text()
    assert all(log.count(line) == 1 for line in lines)
    assert "warning" not in accord_cli("train", fraud, "--out", tmp_path / "b", "--quiet").err


@pytest.mark.slow
def test_stages_warn_before_the_first_begins(staged_project, accord_cli, tmp_path):
    file = staged_project()
    config = load_config(file)
    run = tmp_path / "run"
    assert accord_cli("train", file, "--out", run, "--strict").code == 2
    assert not run.exists()
    answer = accord_cli("train", file, "--out", run)
    assert answer.code == 0, answer.err
    begun = answer.err.index("stage 1/2")
    for task in config.tasks.values():
        assert answer.err.count(f"warning: {task.dev}: ") == 1
        assert answer.err.index(f"warning: {task.dev}: ") < begun


def test_predict_says_what_it_cut(finished, accord_cli, tmp_path):
    texts = ["a fine film", "a very old road " * 20, "grim " * 31, "warm"]
    source = tmp_path / "new.csv"
    source.write_text("text\n" + "".join(f"{text}\n" for text in texts))
    call = ("predict", finished, "--task", "mood", "--input", source, "--output")
    with pytest.warns(UserWarning, match="^2 of 4 rows are cut to 32 tokens$"):
        assert accord_cli(*call, tmp_path / "out.csv", "--quiet").code == 0
    source.write_text("text\nwarm\n")
    assert accord_cli(*call, tmp_path / "quiet.csv", "--quiet").err == ""
