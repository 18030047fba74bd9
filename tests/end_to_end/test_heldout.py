"""What a run says of dev rows that no choice has seen, computed again from what it left."""

import json

import numpy as np
import pytest
from heldout_by_hand import LIVELY, METRICS, by_hand, metric, results_of, rows_of
from safetensors.numpy import load_file

from accord.errors import RunFolderError
from accord.report.record import read_run
from accord.training.run import resume_run

EXTRAS = {
    "plain": {}, "frozen": {"encoder.mode": "frozen", "training.lr": 0.3},
    "ema": {"averaging.method": "ema", "averaging.decay": 0.5},
    "swa": {"averaging.method": "swa", "averaging.start": 0.2},
}  # fmt: skip


@pytest.mark.quick("plain")
@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_dev_is_cross_fitted(unbroken, extra):
    run = unbroken({**LIVELY, **extra})
    results, (chosen, values) = results_of(run), by_hand(run)
    assert set(results["heldout"]) == set(METRICS)
    for task, own in results["heldout"].items():
        assert own["metric"] == METRICS[task]
        assert own["on"] == "dev, cross-fitted"
        assert own["epochs"] == chosen
        assert own["value"] == own["crossfit"] == pytest.approx(values[task])
        assert own["gap"] == pytest.approx(own["dev"] - own["crossfit"])
        rows = rows_of(run, task)
        assert own["rows"] == len(rows)
        assert [*rows[0]][-2:] == ["half", "epoch"]
        assert all(int(row["epoch"]) == chosen[1 - int(row["half"])] for row in rows)
        if task != "near":
            right = np.mean([row["label"] == row["prediction"] for row in rows])
            assert right == pytest.approx(own["value"])
            assert own["dev"] == pytest.approx(results["metrics"][task])
    assert not (run / "kept").exists()
    record = read_run(run)
    assert record.heldout_values == {task: own["value"] for task, own in results["heldout"].items()}
    held = record.heldout("near")
    assert held.halves.tolist() == load_file(run / "scores.safetensors")["halves/near"].tolist()
    assert (held.on, held.ids) == ("dev, cross-fitted", record.predictions("near").ids)
    assert record.heldout_content("near") == record.contents.data("near", "dev") != ""


@pytest.mark.slow
def test_a_finished_task_is_cross_fitted_and_chooses_nothing(
    project, train, unbroken, killed_and_resumed, outcome
):
    before = unbroken({"training.epochs": 1}, ("mood",))
    memory = {"memory.finished": ["mood"], "memory.method": "replay", "memory.size": 6,
              "encoder.path": str(before / "model"), "encoder.heads": "keep"}  # fmt: skip
    config = project({**LIVELY, **memory}, ("mood", "near"))
    killed, run = killed_and_resumed(lambda folder: train(config, folder), 7)
    results, (chosen, values) = results_of(run), by_hand(run, ("mood", "near"), ("near",))
    for task, own in results["heldout"].items():
        assert own["epochs"] == chosen
        assert own["value"] == pytest.approx(values[task])
        assert all(int(row["epoch"]) == chosen[1 - int(row["half"])] for row in rows_of(run, task))
    assert outcome(killed) == outcome(run)


@pytest.mark.slow
def test_the_epochs_of_these_cases_differ(project, train, tmp_path):
    """Else nothing would be told from choosing on all of dev."""
    run = train(project({**LIVELY, "training.seed": 1}), tmp_path / "run")
    chosen, values = by_hand(run)
    results = results_of(run)
    assert len({*chosen, results["best_epoch"]}) > 1
    assert any(values[task] != results["heldout"][task]["dev"] for task in METRICS)


@pytest.mark.parametrize(("rows", "note"), [
    (1, "1 dev row is too few to cross-fit"), (3, "3 dev rows are too few to cross-fit"), (4, ""),
])  # fmt: skip
def test_dev_rows_that_are_too_few_to_cross_fit(project, accord_cli, tmp_path, rows, note):
    config = project({"training.epochs": 1}, ("near",))
    file = config.parent / "near-dev.csv"
    lines = [f"p{i},the film {'abcd'[i]},a song,{i}.0" for i in range(rows)]
    file.write_text("\n".join([file.read_text().splitlines()[0], *lines]) + "\n")
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    own = results_of(tmp_path / "run")["heldout"]["near"]
    if note:
        assert own["note"].startswith(f"{note}: ")
        assert f"near: {own['note']}\n" in answer.out
    else:
        assert "note" not in own
        assert "too few" not in answer.out


def test_a_task_without_training_rows_is_refused_by_both(project, accord_cli, tmp_path):
    config = project({"tasks.mood.train": None}, ("mood",))
    for command in (("check",), ("train", "--out", tmp_path / "run")):
        answer = accord_cli(command[0], config, *command[1:])
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "'tasks.mood.train' is missing" in answer.err


@pytest.mark.slow
def test_a_soup_is_chosen_by_either_half(project, train, tmp_path):
    changes = {**LIVELY, "averaging.method": "soup"}
    run = train(project(changes), tmp_path / "run")
    tensors, results = load_file(run / "scores.safetensors"), results_of(run)
    chosen = results["heldout"]["mood"]["epochs"]
    for half in (0, 1):
        masks = {task: tensors[f"halves/{task}"] == half for task in METRICS}

        def evaluated(logits, masks=masks):
            return sum(
                metric(task, logits(task).astype(float)[mask], tensors[f"labels/{task}"][mask])
                for task, mask in masks.items()
            )

        alone = [evaluated(lambda task, e=e: tensors[f"epochs/{task}"][e]) for e in range(5)]
        soup = evaluated(lambda task, half=half: tensors[f"chosen/{task}"][half])
        assert chosen[half][0] == int(np.argmax(alone)) + 1
        assert soup >= max(alone)
    for row in rows_of(run, "near"):
        assert row["epoch"] == "+".join(map(str, chosen[1 - int(row["half"])]))


@pytest.mark.slow
def test_killed_between_scores_and_checkpoint(
    project, train, unbroken, tmp_path, outcome, monkeypatch
):
    config = project(LIVELY)
    whole, run = outcome(unbroken(LIVELY)), tmp_path / "run"
    save, calls = "accord.training.loop.save_checkpoint", []

    def die(*rest, **options):
        calls.append(rest)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(save, die)
        with pytest.raises(MemoryError):
            train(config, run)
    assert (run / "kept" / "step-3" / "scores.safetensors").is_file()
    with monkeypatch.context() as patch:
        patch.setattr("accord.training.outcome.exposures", die)
        with pytest.raises(MemoryError):
            resume_run(run, quiet=True)
    assert (run / "kept" / "step-15").is_dir()
    resume_run(run, quiet=True)
    assert outcome(run) == whole
    assert {"predictions/mood-heldout.csv", "scores.safetensors"} <= set(whole)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "lost"])
def test_damaged_scores_of_an_epoch_are_made_again(stopped_copy, unbroken, outcome, harm):
    changes = {"training.epochs": 3, "training.steps_per_epoch": 3}
    run = stopped_copy(changes, 7)
    file = run / "kept" / "step-6" / "scores.safetensors"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    resume_run(run, quiet=True)
    assert "resuming after step 3 of 9" in (run / "log.txt").read_text()
    assert outcome(run) == outcome(unbroken(changes))


@pytest.mark.slow
def test_tasks_without_labels_have_no_held_out_figure(project, train, tmp_path, accord_cli):
    words = {"tasks.words.kind": "masked-lm", "training.epochs": 2}
    run = train(project(words, ("mood",)), tmp_path / "run")
    assert set(results_of(run)["heldout"]) == {"mood"}
    alone = {**words, "tasks.words.train": "mood-train.csv", "tasks.words.dev": "mood-dev.csv",
             "tasks.words.text": "text", "tasks.mood": None}  # fmt: skip
    answer = accord_cli("train", project(alone, ("mood",)), "--out", tmp_path / "bare")
    assert answer.code == 0, answer.err
    assert results_of(tmp_path / "bare")["heldout"] == {}
    assert "held out:" not in answer.out


def test_what_train_prints(project, accord_cli, tmp_path):
    answer = accord_cli("train", project(LIVELY), "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    results, lines = results_of(tmp_path / "run"), answer.out.splitlines()
    assert lines[1].split() == ["task", "metric", "dev", "held", "out", "on", "gap", "constant"]
    for task, own in results["heldout"].items():
        line = next(line for line in lines if line.strip().startswith(task))
        assert f"{results['metrics'][task]:.4f}" in line
        assert line.split()[3] == f"{own['value']:.4f}"
        assert f"{own['rows']} rows of dev, cross-fitted" in line
        assert line.split()[-2:] == [f"{own['gap']:+.4f}", f"{own['constant']:.4f}"]
    assert "held out: rows that chose nothing" in answer.out
    mean = np.mean([own["value"] for own in results["heldout"].values()])
    assert f"on dev, {mean:.4f} held out" in answer.err
    found = json.loads(accord_cli("resume", tmp_path / "run", "--json").out)
    assert found["heldout"] == results["heldout"]


def test_a_run_of_an_earlier_version_is_refused(project, train, tmp_path, accord_cli):
    run = train(project({"training.epochs": 1}, ("mood",)), tmp_path / "run")
    results = results_of(run)
    del results["heldout"]
    (run / "results.json").write_text(json.dumps(results))
    with pytest.raises(RunFolderError, match="by an earlier version; run it again"):
        read_run(run)
    answer = accord_cli("resume", run, "--quiet")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
