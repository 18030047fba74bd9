"""What a run says of rows that no choice has seen, computed again from what it left."""

import csv
import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import pearsonr

from accord.errors import RunFolderError
from accord.report.record import read_run
from accord.training.run import resume_run

# Steps so large that the epochs differ, and the halves choose different ones.
LIVELY = {"training.lr": 3e-3, "training.epochs": 5, "training.steps_per_epoch": 3}
METRICS = {"mood": "accuracy", "same": "accuracy", "near": "pearson"}


def results_of(run):
    return json.loads((run / "results.json").read_text())


def predicted(task, logits):
    """Predictions of the projects' tasks: argmax, argmax, and 5 times the output."""
    return logits.argmax(-1).astype(float) if task != "near" else 5.0 * logits[..., 0]


def metric(task, logits, labels):
    own = predicted(task, logits)
    if task != "near":
        return float((own == labels).mean())
    return pearsonr(own, labels).statistic


def rows_of(run, task):
    text = (run / "predictions" / f"{task}-heldout.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def by_hand(run, tasks=tuple(METRICS), count=None):
    """Cross-fit a run's scores: the epochs that the halves choose, and each task's value."""
    tensors = load_file(run / "scores.safetensors")
    epochs = {task: tensors[f"epochs/{task}"].astype(float) for task in tasks}
    labels = {task: tensors[f"labels/{task}"] for task in tasks}
    halves = {task: tensors[f"halves/{task}"] for task in tasks}
    chosen = []
    for half in (0, 1):
        sums = [
            sum(
                metric(task, epochs[task][e][halves[task] == half],
                       labels[task][halves[task] == half])
                for task in count or tasks
            )
            for e in range(len(epochs["mood"]))
        ]  # fmt: skip
        chosen.append(int(np.argmax(sums)))
    values = {}
    for task in tasks:
        parts = []
        for half in (0, 1):
            mask = halves[task] == half
            own = epochs[task][chosen[1 - half]][mask]
            parts.append((mask.mean(), metric(task, own, labels[task][mask])))
        values[task] = sum(share * own for share, own in parts)  # accuracy is a mean as well
    return [own + 1 for own in chosen], values


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


def label_test_rows(config, labels):
    """Give the project's file of test rows labels."""
    file = config.parent / "mood-test.csv"
    header, *lines = file.read_text().splitlines()
    lines = [f"{line},{labels[i % len(labels)]}" for i, line in enumerate(lines)]
    file.write_text("\n".join([f"{header},mood", *lines]) + "\n")


def test_test_rows_with_labels_are_held_out(project, train, tmp_path, accord_cli):
    config = project(LIVELY)
    label_test_rows(config, ["neg", "pos", "mixed", "neg"])
    checked = accord_cli("check", config)
    assert "neg: 6, mixed: 3, pos: 3" in checked.out
    run = train(config, tmp_path / "run")
    results, rows = results_of(run), rows_of(run, "mood")
    own, (_, values) = results["heldout"]["mood"], by_hand(run)
    assert (own["on"], own["rows"], own["epochs"]) == ("test", 12, [results["best_epoch"]])
    assert own["value"] == np.mean([row["label"] == row["prediction"] for row in rows])
    assert own["crossfit"] == pytest.approx(values["mood"])
    assert {(row["half"], row["epoch"]) for row in rows} == {("0", str(results["best_epoch"]))}
    plain = list(csv.DictReader((run / "predictions" / "mood-test.csv").read_text().splitlines()))
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in plain]
    assert "label" not in plain[0]
    assert results["heldout"]["near"]["on"] == "dev, cross-fitted"
    record = read_run(run)
    assert record.heldout("mood").on == "test"
    assert record.heldout_content("mood") != record.contents.data("mood", "dev")
    before = json.loads((run / "resolved.json").read_text())["data"]["mood.test labels"]
    file = config.parent / "mood-test.csv"
    file.write_text(file.read_text().replace(",neg\n", ",mixed\n", 1))
    config.write_text(config.read_text().replace("epochs = 5", "epochs = 1"))
    again = train(config, tmp_path / "again")
    assert json.loads((again / "resolved.json").read_text())["data"]["mood.test labels"] != before


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([""], None),
        (["-1"], None),
        (["pos"], "every row's label is 'pos'"),
        (
            ["pos", "", "neg", "neg"],
            "3 of 12 rows have no label, the first in line 3"
            ' (missing = [""] would leave such rows out)',
        ),
        (["pos", "negative"], "line 3: mood: unknown label 'negative'; allowed: neg, mixed, pos"),
    ],
)
def test_test_rows_without_labels_that_can_be_used(project, accord_cli, tmp_path, labels, reason):
    config = project({"training.epochs": 1, "training.steps_per_epoch": 1}, ("mood",))
    label_test_rows(config, labels)
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if "not used" in line]
    line = (
        f"warning: {config.parent / 'mood-test.csv'}: its labels are not used: {reason};"
        " dev is cross-fitted instead"
    )
    assert said == ([] if reason is None else [line])
    assert results_of(tmp_path / "run")["heldout"]["mood"]["on"] == "dev, cross-fitted"
    assert (line in accord_cli("check", config).err.splitlines()) == (reason is not None)


def write_test_rows(config, *parts):
    """Make the project's labelled test rows of some of its other rows: (split, first, last)."""
    lines = []
    for split, first, last in parts:
        lines += (config.parent / f"mood-{split}.csv").read_text().splitlines()[first:last]
    header = (config.parent / "mood-dev.csv").read_text().splitlines()[0]
    (config.parent / "mood-test.csv").write_text("\n".join([header, *lines]) + "\n")


def lines_of(config, split):
    return (config.parent / f"mood-{split}.csv").read_text().splitlines()[1:]


def test_test_rows_that_stand_in_dev_are_left_out(project, accord_cli, tmp_path):
    """They chose the epoch. What stands in train stays, and is said."""
    config = project({"training.epochs": 2}, ("mood",))
    new = ["n1,a grim old road,neg", "n2,very lovely with a warm song,pos"]
    write_test_rows(config, ("dev", 1, 4), ("train", 1, 6))
    file = config.parent / "mood-test.csv"
    file.write_text(file.read_text() + "\n".join(new) + "\n")
    texts = {split: {line.split(",")[1] for line in lines_of(config, split)}
             for split in ("train", "dev")}  # fmt: skip
    rows = [line.split(",") for line in lines_of(config, "test")]
    kept = [row for row in rows if row[1] not in texts["dev"]]
    seen = sum(row[1] in texts["train"] for row in rows)
    assert len(rows) == 10
    assert len(kept) <= 7
    assert seen >= 5
    lines = [
        f"warning: {file}: {len(rows) - len(kept)} of its 10 test rows stand in the dev rows, which"
        " choose the model: left out; take them out of either",
        f"warning: {file}: {seen} of its 10 test rows stand in the training rows: figures of them"
        " are too good; take them out of either",
    ]
    checked = accord_cli("check", config)
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    for line in lines:
        assert line in checked.err.splitlines()
        assert line in answer.err.splitlines()
    own = results_of(tmp_path / "run")["heldout"]["mood"]
    assert (own["on"], own["rows"]) == ("test", len(kept))
    evaluated = rows_of(tmp_path / "run", "mood")
    assert [[row["id"], row["label"]] for row in evaluated] == [[row[0], row[2]] for row in kept]
    assert own["value"] == np.mean([row["label"] == row["prediction"] for row in evaluated])
    file = tmp_path / "run" / "predictions" / "mood-test.csv"
    whole = [row["prediction"] for row in csv.DictReader(file.read_text().splitlines())]
    wanted = [own for own, row in zip(whole, rows, strict=True) if row in kept]
    assert [row["prediction"] for row in evaluated] == wanted


@pytest.mark.quick("all")
@pytest.mark.parametrize(("rest", "reason"), [
    ([], "{n} of its {n} rows stand in the dev rows"),
    (["n1,a grim old road,neg"],
     "{n} of its {m} rows stand in the dev rows, and all others have one label"),
], ids=["all", "one label is left"])  # fmt: skip
def test_a_test_file_that_is_the_dev_file_is_not_held_out(
    project, accord_cli, tmp_path, rest, reason
):
    config = project({"training.epochs": 2, "training.lr": 3e-3}, ("mood",))
    write_test_rows(config, ("dev", 1, None))
    file = config.parent / "mood-test.csv"
    n = len(lines_of(config, "test"))
    file.write_text(file.read_text() + "".join(f"{line}\n" for line in rest))
    line = f"warning: {file}: its labels are not used: {reason.format(n=n, m=n + 1)}; dev is cross"
    assert line in accord_cli("check", config).err
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert line in answer.err
    own = results_of(tmp_path / "run")["heldout"]["mood"]
    assert (own["on"], own["rows"]) == ("dev, cross-fitted", n)


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
