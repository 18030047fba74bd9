"""What a run does: the same for the same seed, the best epoch kept, caps and shares as asked."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.config.file import load_config
from accord.encoders.pretrained import load_encoder
from accord.errors import ConfigError, EncoderError
from accord.evaluation.inference import Evaluation
from accord.model.losses import LOSSES
from accord.model.saved import load_model
from accord.plan.making import plan_run
from accord.training.setup import prepare


def test_the_same_seed_gives_the_same_bytes_and_another_others(project, train, tmp_path, outcome):
    changes = {
        "training.gradients": "pcgrad", "training.epochs": 1, "training.steps_per_epoch": 3,
    }  # fmt: skip
    first = outcome(train(project(changes), tmp_path / "first"))
    second = outcome(train(project(changes), tmp_path / "second"))
    other = outcome(train(project(changes | {"training.seed": 4}), tmp_path / "other"))
    assert first == second
    assert first.keys() == other.keys()
    for name in ("model/model.safetensors", "model/heads.safetensors", "metrics.jsonl"):
        assert first[name] != other[name]


@pytest.fixture
def metrics_of_epochs(monkeypatch):
    """Let the tasks' dev metrics be these, epoch after epoch."""

    def arrange(*epochs):
        values = iter([value for epoch in epochs for value in epoch])

        def evaluate(data, logits):
            return Evaluation(next(values), {"loss": 0.0}, logits)

        monkeypatch.setattr("accord.evaluation.dev.evaluate_dev", evaluate)

    return arrange


@pytest.mark.quick("epochs1-1")
@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.5, 0.2, 0.3), (0.4, 0.4, 0.4), (0.9, 0.1, 0.1)], 2),  # not the best single task
        ([(0.5, 0.5, 0.5), (0.4, 0.4, 0.4), (0.5, 0.5, 0.5)], 1),  # a tie keeps the earlier
        ([(-0.5, 0.1, 0.1), (-0.4, 0.1, 0.1), (0.0, 0.0, 0.0)], 3),
    ],
)
def test_the_best_epoch_by_the_sum_of_metrics_is_kept(
    project, train, tmp_path, metrics_of_epochs, metrics, epochs, best
):
    metrics_of_epochs(*epochs)
    run = train(project({"training.steps_per_epoch": 2, "training.epochs": 3}), tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    assert results["best_epoch"] == best
    assert tuple(results["metrics"].values()) == epochs[best - 1]
    assert [line["sum"] for line in metrics(run, "dev")] == [sum(epoch) for epoch in epochs]
    model, _, _ = load_model(run / "model")
    kept = dict(model.named_parameters())
    for epoch in (1, 2, 3):
        values = load_file(run / "checkpoints" / f"step-{2 * epoch}" / "parameters.safetensors")
        assert values.keys() == kept.keys()
        same = all(torch.equal(value, kept[name]) for name, value in values.items())
        assert same == (epoch == best)


@pytest.mark.slow
def test_the_best_epoch_is_named(project, accord_cli, tmp_path, metrics_of_epochs):
    metrics_of_epochs((0.1,), (0.3,), (0.2,))
    answer = accord_cli(
        "train", project({"training.epochs": 3}, ("mood",)), "--out", tmp_path / "run"
    )
    assert "epoch 2/3  mood accuracy 0.300  (best so far)" in answer.err
    assert "done: best epoch 2, mean score 0.3000" in answer.err
    rows = [line.split() for line in answer.out.splitlines() if line.strip()]
    shown = [row[:3] for row in rows if row[0] in ("task", "mood", "overall")]
    assert shown == [
        ["task", "metric", "dev"], ["mood", "accuracy", "0.3000"], ["overall", "mean", "0.3000"],
    ]  # fmt: skip


def test_before_it_trains_it_says_what_it_expects(project, accord_cli, tmp_path):
    answer = accord_cli("train", project(), "--out", tmp_path / "run")
    lines = answer.err.splitlines()
    expected = next(i for i, line in enumerate(lines) if line.startswith("expected: about "))
    assert lines[expected].endswith(" GiB of memory")
    assert expected < next(i for i, line in enumerate(lines) if line.startswith("epoch 1/2"))
    assert "mood 22 (dev 9), same 14 (dev 8), near 9 (dev 7)" in answer.err
    assert "2 epochs of 6 steps, finish-largest, sum, finetune, float32 on cpu" in answer.err


def test_quiet_says_nothing_and_json_is_one_object(project, accord_cli, tmp_path):
    config = project({"training.epochs": 1})
    answer = accord_cli("train", config, "--out", tmp_path / "run", "--quiet", "--json")
    assert (answer.code, answer.err, answer.out.count("\n")) == (0, "", 1)
    printed = json.loads(answer.out)
    assert printed.pop("run") == str(tmp_path / "run")
    assert printed == json.loads((tmp_path / "run" / "results.json").read_text())


def test_an_override_wins_and_is_noted(project, accord_cli, tmp_path, metrics):
    config, run = project(), tmp_path / "run"
    accord_cli("train", config, "--out", run, "--set", "training.epochs=1", "--quiet")
    assert len(metrics(run, "dev")) == 1
    noted = (run / "config.toml").read_text()
    assert noted == "# --set training.epochs=1\n" + config.read_text()
    resolved = json.loads((run / "resolved.json").read_text())
    assert resolved["config"]["training"]["epochs"] == 1


@pytest.mark.quick("finish-smallest")
@pytest.mark.parametrize(
    ("batching", "steps", "shares", "cap"),
    [
        pytest.param("proportional", 6, (4, 3, 2), None, marks=pytest.mark.slow),
        ("proportional", 6, (4, 3, 2), 2),
        pytest.param("finish-largest", 6, (4, 4, 4), None, marks=pytest.mark.slow),
        ("finish-largest", 6, (4, 4, 4), 99),
        ("finish-smallest", 3, (4, 4, 4), None),
        ("finish-smallest", 3, (4, 4, 4), 2),
    ],
)
def test_steps_of_an_epoch(project, train, tmp_path, metrics, batching, steps, shares, cap):
    changes = {"training.batching": batching, "training.epochs": 2}
    if cap is not None:
        changes["training.steps_per_epoch"] = cap
    run = train(project(changes), tmp_path / "run")
    capped = min(steps, cap or steps)
    epochs = [line["epoch"] for line in metrics(run)]
    assert epochs == [1] * capped + [2] * capped
    resolved = json.loads((run / "resolved.json").read_text())["epoch"]
    assert (resolved["steps"], tuple(resolved["shares"])) == (capped, shares)


@pytest.mark.slow
@pytest.mark.parametrize("gradients", ["sum", "pcgrad"])
def test_passes_form_the_same_step(project, train, tmp_path, metrics, encoder_folder, gradients):
    changes = {
        "encoder.dropout": 0.0, "training.gradients": gradients, "training.epochs": 1,
        "training.steps_per_epoch": 3,
        **{f"tasks.{name}.dropout": 0.0 for name in ("mood", "same", "near")},
    }  # fmt: skip
    whole = train(project(changes), tmp_path / "whole")
    split = train(project(changes | {"training.micro_batch_tokens": 40}), tmp_path / "split")
    for one, other in zip(metrics(whole), metrics(split), strict=True):
        assert one["tokens"] == other["tokens"] > 2 * 40
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-3)
        assert other["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)
    folders = (whole / "model", split / "model", encoder_folder)
    # All together: AdamW makes much of the rounding in a gradient that should be zero, as that of
    # the keys' biases, which moves as far as any other.
    one, other, before = (
        torch.cat([own.detach().flatten() for own in load_encoder(folder).parameters()])
        for folder in folders
    )
    assert (one - other).norm() <= 0.1 * (one - before).norm()


def whole(triangle):
    """The symmetric matrix of which a line of metrics.jsonl has the lower triangle."""
    size = len(triangle)
    found = np.zeros((size, size))
    for i, row in enumerate(triangle):
        found[i, : i + 1] = found[: i + 1, i] = row
    return found


def test_a_step_s_line_has_its_gram_matrix_to_six_digits(
    project, train, tmp_path, metrics, monkeypatch
):
    from accord.training import loop

    seen, own = [], loop.step_line

    def line(setup, progress, batch, record, seconds):
        seen.append(record.gramian.numpy())
        return own(setup, progress, batch, record, seconds)

    monkeypatch.setattr(loop, "step_line", line)
    run = train(project({"training.epochs": 1}), tmp_path / "run")
    for measured, written in zip(seen, metrics(run), strict=True):
        assert whole(written["gramian"]) == pytest.approx(measured, rel=5.1e-6)
        assert max(len(repr(value)) for row in written["gramian"] for value in row) <= 12


def test_a_step_s_record(finished, metrics):
    for line in metrics(finished):
        assert set(line["losses"]) == {"mood", "same", "near"}
        assert [*line["task_gradient_norms"]] == ["mood", "same", "near"]
        assert [len(row) for row in line["gramian"]] == [1, 2, 3]
        gramian, norms = whole(line["gramian"]), np.array([*line["task_gradient_norms"].values()])
        assert np.sqrt(gramian.diagonal()) == pytest.approx(norms, rel=1e-5)
        assert np.linalg.eigvalsh(gramian).min() >= -1e-5 * gramian.max()
        assert line["tokens_per_second"] == pytest.approx(line["tokens"] / line["seconds"])
        assert line["gradient_norm"] > 0
    rates = [max(line["lr"]) for line in metrics(finished)]
    assert np.argmax(rates) == 2  # it rises for a tenth of the 18 steps, then it falls
    assert rates[-1] < rates[2] / 5


def test_the_losses_fall(project, train, tmp_path, metrics):
    changes = {"training.epochs": 6, "training.lr": 3e-3, "training.head_lr": 0.02}
    run = train(project(changes), tmp_path / "run")
    lines = metrics(run)
    for name in ("mood", "same", "near"):
        start = np.mean([line["losses"][name] for line in lines[:6]])
        end = np.mean([line["losses"][name] for line in lines[-6:]])
        assert end < 0.9 * start, name


def test_without_a_dev_file_a_share_of_train_serves(project, accord_cli, tmp_path):
    changes = {"tasks.mood.dev": None, "training.dev_share": 0.25, "training.epochs": 1}
    config = project(changes)
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    file = config.parent / "mood-train.csv"
    said = f"mood: no dev file; 6 of 22 rows of {file} serve as one"
    assert f"{said} and are not trained on" in answer.err
    assert "mood 16 (dev 6), same 14 (dev 8)" in answer.err
    predicted = (tmp_path / "run" / "predictions" / "mood-dev.csv").read_text().splitlines()[1:]

    setup = prepare(plan_run(load_config(config)).only)
    train, dev = setup.data.train[0], setup.data.dev[0]
    assert sorted([*train.rows, *dev.rows]) == list(range(22))
    assert [line.split(",")[0] for line in predicted] == [dev.store.row_name(i) for i in dev.rows]
    drawn = {int(row) for step in range(18) for row in train.rows[setup.sampler.draw(step)[0]]}
    assert drawn == set(train.rows.tolist())
    other = prepare(plan_run(load_config(config, ["training.seed=4"])).only)
    assert other.data.dev[0].rows.tolist() == dev.rows.tolist()  # so that seeds can be compared


def test_bad_rows_are_skipped_and_counted(project, accord_cli, tmp_path):
    config = project({"tasks.mood.on_bad_row": "skip", "training.epochs": 1})
    file = config.parent / "mood-train.csv"
    file.write_text(file.read_text() + "x1,the film,\nx2,,pos\nx3,a road,wild\n")
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0
    assert f"mood: 3 rows of {file} skipped; the first: {file}:24: 'mood' is empty" in answer.err
    assert "mood 22 (dev 9)" in answer.err


def test_a_loss_that_is_not_finite_stops_the_run(
    project, accord_cli, unbroken, tmp_path, outcome, monkeypatch
):
    changes = {"checkpoint.every_steps": 2, "training.epochs": 1}
    config, run = project(changes), tmp_path / "run"
    calls, loss = [], LOSSES["mse"]

    def broken(logits, targets):
        calls.append(1)
        return loss(logits, targets) * (math.nan if len(calls) == 5 else 1)

    with monkeypatch.context() as patch:
        patch.setitem(LOSSES, "mse", broken)
        answer = accord_cli("train", config, "--out", run)
    assert answer.code == 1
    assert answer.err.splitlines()[-1].startswith(
        "accord: step 5: the loss of near is not finite; nothing was updated; near: examples p"
    )
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 4)
    assert "the loss of near" in status["reason"]
    assert not (run / "results.json").exists()

    # The cause gone, the run goes on where it was.
    assert accord_cli("resume", run).code == 0
    assert outcome(run) == outcome(unbroken(changes))


def test_weights_that_are_not_finite_are_refused(project, train, write_encoder, tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][0] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"output\.dense\.bias' holds values that aren't finite"):
        train(project({"encoder.path": str(folder)}), tmp_path / "run")


def test_averages_of_a_head_whose_scale_moves_are_refused(project, accord_cli, tmp_path):
    changes = {"averaging.method": "ema", "tasks.near.targets": "popart"}
    answer = accord_cli("train", project(changes), "--out", tmp_path / "run")
    assert answer.code == 2
    assert "averaging.method: averages of weights whose scale moves mean nothing" in answer.err


@pytest.mark.slow
def test_popart_trains_a_head_whose_scale_is_that_of_its_targets(project, tmp_path, train):
    setup = prepare(plan_run(load_config(project({"tasks.near.targets": "popart"}))).only)
    head, own = setup.learner.model.head("near"), setup.data.train[2]
    targets = own.targets(np.arange(len(own))).double()
    assert float(head.scale.mean) == pytest.approx(float(targets.mean()))
    assert float(head.scale.std) == pytest.approx(float(targets.std(correction=0)))
    short = {"training.epochs": 1, "training.steps_per_epoch": 2}
    runs = [
        train(project({**short, "tasks.near.targets": kind}), tmp_path / kind)
        for kind in ("range", "popart")
    ]
    one, other = (load_file(run / "model" / "heads.safetensors") for run in runs)
    assert one.keys() == other.keys()
    assert not torch.equal(one["near.linear.weight"], other["near.linear.weight"])


def test_a_task_that_would_never_be_drawn_is_named(project, accord_cli, tmp_path):
    changes = {
        "training.batching": "by-size", "training.tasks_per_step": "one",
        "training.steps_per_epoch": 1, "training.epochs": 1,
    }  # fmt: skip
    answer = accord_cli("train", project(changes), "--out", tmp_path / "run", "--quiet")
    assert answer.code == 2
    assert "training.batching: 'by-size' draws no example of 'same' in 1 steps" in answer.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_without_the_gramian_it_trains_alike_and_records_none(project, train, tmp_path, metrics):
    """One gradient, the sum as it comes, is the sum of the tasks' gradients but for rounding."""
    short = {"training.epochs": 1, "training.steps_per_epoch": 3}
    one, other = (
        train(project({**short, "training.gramian": own}), tmp_path / str(own))
        for own in (True, False)
    )
    assert all("gramian" in line for line in metrics(one))
    assert not any("gramian" in line for line in metrics(other))
    for mine, theirs in zip(metrics(one), metrics(other), strict=True):
        for task, loss in mine["losses"].items():
            assert theirs["losses"][task] == pytest.approx(loss, rel=1e-3)


def test_a_choice_that_can_t_work_is_refused_before_anything_is_read(project, monkeypatch):
    for name in ("read_data", "build_encoder", "resolve_encoder_folder"):
        monkeypatch.setattr(f"accord.training.setup.{name}", pytest.fail)
    config = load_config(project())
    training = config.training.model_copy(update={"gradients": "gem"})
    with pytest.raises(ConfigError, match="'gem' uses memories"):
        prepare(plan_run(config.model_copy(update={"training": training})).only)


def test_what_one_task_has_no_use_for_is_said(project, accord_cli, tmp_path):
    config = project({"training.epochs": 1, "training.gradients": "pcgrad"})
    answer = accord_cli("train", config, "--task", "mood", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "training.gradients is left out: there is one task" in answer.err
