"""`accord reproduce` on files of the course's form, tiny: cells shared, resumed, reported."""

import csv
import json
import math
import random
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from projects import BAD, GOOD, PLAIN

from accord.data.sampler import Sampler
from accord.experiments.paper import TABLE_3, TABLE_4, TASKS
from accord.experiments.plan import EXPERIMENTS, Options, Size, _epoch, plan, settings_of
from accord.experiments.results import load_results
from accord.sampling import Budget, get_rule

SIZES = {"sst": 40, "quora": 60, "sts": 24, "cfimdb": 24}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with the course's files, of made-up sentences."""
    folder, rng = tmp_path_factory.mktemp("course"), random.Random(2)

    def text(words):
        return " ".join(rng.choice([*PLAIN, *words]) for _ in range(6))

    def write(name, columns, rows):
        lines = ["\t".join(["", "id", *columns])]
        lines += ["\t".join([str(i), f"{name}-{i}", *row]) for i, row in enumerate(rows)]
        (folder / name).write_text("\n".join(lines) + "\n")

    for task, size in SIZES.items():
        for split, count in (("train", size), ("dev", 12), ("test-student", 6)):
            labels = {"sst": 5, "cfimdb": 2}.get(task)
            if labels:
                rows = [[text(GOOD if i % 2 else BAD), str(i % labels)] for i in range(count)]
                name, columns = f"ids-{task}-{split}.csv", ["sentence", "sentiment"]
            else:
                last = "is_duplicate" if task == "quora" else "similarity"
                rows = [
                    [text(GOOD), text(BAD), str(float(i % 2)) if task == "quora" else str(i % 6)]
                    for i in range(count)
                ]
                name, columns = f"{task}-{split}.csv", ["sentence1", "sentence2", last]
            if split == "test-student":
                columns, rows = columns[:-1], [row[:-1] for row in rows]
            write(name, columns, rows)
    return folder


@pytest.fixture(scope="module")
def reproduced(course, encoder_folder, tmp_path_factory):
    """Arguments of a whole reproduction of one epoch and two seeds, and its folder, done."""
    from accord.experiments.reproduce import planned, reproduce
    from accord.runs.progress import Console

    out = tmp_path_factory.mktemp("reproduced") / "out"
    names = list(EXPERIMENTS)
    options = Options(course, str(encoder_folder), (0, 1), epochs=1, batch_size=8, halves_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(out.parent / "cache"))
        reproduce(planned(names, options, Console(True)), out, console=Console(True))
    return ["reproduce", "all", "--data", course, "--encoder", encoder_folder, "--out", out,
            "--epochs", 1, "--batch-size", 8, "--halves-every", 2], out, options  # fmt: skip


def test_the_report_has_the_paper_s_tables_beside_ours(reproduced, accord_cli):
    arguments, out, _ = reproduced
    answer = accord_cli(*arguments, "--seeds", 2, "--report-only")
    assert answer.code == 0, answer.err
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "How pairs are"):
        assert title in answer.out
    rows = list(csv.reader((out / "tables" / "table-3.csv").read_text().splitlines()))
    assert len(rows) == 8
    head, pair = rows[0], next(row for row in rows if row[0] == "SST + STS")
    assert head[:4] == ["", "runs", "SST Acc.", "paper"]
    assert pair[1] == "2"
    assert pair[3] == "0.489 / 0.512"  # the paper's tables 3 and 4 disagree
    assert re.fullmatch(r"-?0\.\d{3} ± \d\.\d{3}", pair[2])
    page = (out / "report.html").read_text()
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "<script" not in page
    figures = list((out / "figures").glob("*.svg"))
    assert {file.stem for file in figures} >= {
        "figure-1", "learning-curves", "cosines", "confusion-sst", "calibration-quora",
        "scatter-sts",
    }  # fmt: skip
    for file in figures:
        ElementTree.parse(file)
        assert file.stat().st_size < 300 << 10
    assert "between halves of one task's batch" in (out / "report.md").read_text()
    assert len((out / "leaderboard" / "single-task" / "sts-test-output.csv").read_text()) > 50
    assert (out / "leaderboard" / "multitask" / "para-dev-output.csv").is_file()


def test_nothing_is_run_twice_and_shared_cells_are_one(reproduced, accord_cli, monkeypatch):
    arguments, out, _ = reproduced
    folders = {path.name for path in (out / "cells").iterdir()}
    assert len(folders) == 2 * 25
    assert {
        "sst,mode=finetune,examples=64,seed=0",
        "sts,mode=finetune,examples=64,seed=1",
    } < folders
    monkeypatch.setattr("accord.training.run.start_run", pytest.fail)
    answer = accord_cli(*arguments, "--seeds", 2)
    assert answer.code == 0, answer.err
    assert answer.err.count(": found") == 50
    results = load_results(out, list(EXPERIMENTS), (0, 1), False)
    assert not results.unfinished
    one = results.together()
    assert one is not None
    assert one is results.pick(TASKS, batching="finish-smallest", gradients="sum")
    assert results.alone("sts") is results.alone_capped("sts")
    assert results.alone("sst") is not results.alone_capped("sst")


def test_an_interrupted_part_is_reported_as_such(reproduced, accord_cli):
    arguments, out, _ = reproduced
    answer = accord_cli(*arguments, "--seeds", 3, "--report-only", "--quiet")
    assert answer.code == 0
    table = (out / "tables" / "unfinished.csv").read_text()
    assert "not begun" in table
    assert table.count("\n") == 26  # one row per cell


def test_every_run_of_experiment_3_has_the_steps_of_the_smallest_task(reproduced):
    _, out, _ = reproduced
    results = load_results(out, ["exp3"], (0, 1), False)
    cap = math.ceil(SIZES["sts"] / 8)
    groups = [results.alone_capped(task) for task in TASKS]
    groups += [results.together(tasks) for tasks in TABLE_3 if len(tasks) > 1]
    for group in groups:
        for run in group.runs:
            assert run.results["steps"] == cap
            seen = run.results["exposure"]
            assert all(own["examples"] == SIZES["sts"] for own in seen.values())


def test_table_5_has_single_tasks_with_the_shared_model_s_exposure_too(reproduced, accord_cli):
    arguments, out, _ = reproduced
    assert accord_cli(*arguments, "--seeds", 2, "--report-only", "--quiet").code == 0
    rows = list(csv.reader((out / "tables" / "table-5.csv").read_text().splitlines()))
    labels = [row[0] for row in rows[1:]]
    assert labels[:2] == [
        "three single-task models", "the same, as many examples as the shared model",
    ]  # fmt: skip
    assert labels[2].startswith("one shared model (")
    results = load_results(out, list(EXPERIMENTS), (0, 1), False)
    for batching in ("finish-smallest", "finish-largest"):
        shared = results.together(batching=batching).runs[0].results["exposure"]
        for task in TASKS:
            alone = results.alone_as_shown(task, batching).runs[0].results["exposure"]
            assert alone[task]["examples"] == shared[task]["examples"]
    assert len((out / "leaderboard/single-task-equal/sts-test-output.csv").read_text()) > 50


@pytest.mark.parametrize("rows", [(101, 333, 77), (77, 101, 333), (64, 64, 64), (65, 95, 64)])
def test_experiment_3_shows_a_task_alone_as_often_as_together(course, encoder_folder, rows):
    """Whether or not the smallest task fills its last batch."""
    options = Options(course, str(encoder_folder), epochs=3)
    sizes = {task: Size(own, 10.0) for task, own in zip(TASKS, rows, strict=True)}
    seen = {}
    for cell in plan(["exp3"], options, sizes)["exp3"]:
        if cell.config.encoder.mode == "finetune":
            names, training = tuple(cell.config.tasks), cell.config.training
            budget = Budget(32, epochs=3, steps=training.steps_per_epoch)
            sizes_ = tuple(sizes[name].rows for name in names)
            sampler = Sampler(names, sizes_, get_rule(training.batching), budget, 0)
            for name, count in zip(names, sampler.examples(3), strict=True):
                seen.setdefault(name, set()).add(count)
    assert [len(seen[task]) for task in TASKS] == [1, 1, 1]


def test_the_paper_s_settings_are_the_defaults(course, encoder_folder):
    options = Options(course, str(encoder_folder))
    sizes = {task: Size(SIZES[task], 10.0) for task in TASKS}
    cells = [cell for own in plan(list(EXPERIMENTS), options, sizes).values() for cell in own]
    for cell in cells:
        training, mode = cell.config.training, cell.config.encoder.mode
        assert training.lr == training.head_lr == (1e-3 if mode == "frozen" else 1e-5)
        assert (training.epochs, training.batch_size) == (10, 32)
        assert (training.schedule, training.warmup, training.clip) == ("constant", 0, 0)
        for name, task in cell.config.tasks.items():
            assert task.loss == ("mse" if name in ("quora", "sts") else None)
            if "pairs" not in cell.settings:
                assert task.encoding == ("separate" if name in ("quora", "sts") else "joint")


@pytest.mark.parametrize("name", ["exp2", "exp3"])
@pytest.mark.parametrize("budget", ["tokens", "steps", "examples"])
def test_with_an_equal_budget_every_cell_gets_the_same(course, encoder_folder, budget, name):
    options = Options(course, str(encoder_folder), equal_budget=budget, batch_size=8, epochs=4)
    sizes = {task: Size(50 * SIZES[task], 10.0 + len(task)) for task in TASKS}
    plain = replace(options, equal_budget=None)
    amounts = []
    for cell in plan([name], options, sizes)[name]:
        training = cell.config.training
        parts = [sizes[task] for task in cell.config.tasks]
        rule = get_rule(training.batching).function
        shape = rule([part.rows for part in parts], Budget(8, steps=training.steps_per_epoch))
        each = {
            "steps": 1.0,
            "examples": sum(shape.shares),
            "tokens": sum(
                share * part.tokens for share, part in zip(shape.shares, parts, strict=True)
            ),
        }[budget]
        amounts.append(training.epochs * shape.steps * each)
    largest = max(
        amount * steps * 4 for steps, amount in (
            _epoch(cell.settings, options, sizes) for cell in plan([name], plain, sizes)[name]
        )
    )  # fmt: skip
    assert amounts == pytest.approx([largest] * len(amounts), rel=0.02)


def test_the_paper_s_shared_cells_agree_but_where_it_disagrees_with_itself():
    for (tasks, method), row in TABLE_4.items():
        if method == "sum":
            for task, value in row.items():
                agrees = TABLE_3[tasks][task] == value
                assert agrees != (task == "sst"), (tasks, task)


def test_every_experiment_has_cells(course, encoder_folder):
    options = Options(course, str(encoder_folder))
    sizes = {task: Size(SIZES[task], 10.0) for task in TASKS}
    assert {name: len(list(settings_of(name, options, sizes))) for name in EXPERIMENTS} == {
        "exp1": 6, "exp2": 3, "exp3": 10, "exp4": 8, "cfimdb": 4, "leaderboard": 8, "pairs": 4,
    }  # fmt: skip


def test_wrong_use_is_one_line(course, encoder_folder, accord_cli, tmp_path):
    base = ("--encoder", encoder_folder, "--out", tmp_path / "out")
    for arguments, message in (
        (("reproduce", "exp5", "--data", course, *base), "no experiment 'exp5'; did you mean"),
        (("reproduce", "exp1", "--data", tmp_path, *base), "ids-sst-train.csv: no such file"),
        (("reproduce", "exp1", "--data", course, *base, "--epochs", 0), "--epochs"),
    ):
        answer = accord_cli(*arguments)
        assert answer.code == 2, answer.err
        assert message in answer.err
        assert answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_small_try_takes_few_rows(course, encoder_folder, accord_cli, tmp_path):
    out = tmp_path / "out"
    answer = accord_cli(
        "reproduce", "exp1", "--data", course, "--encoder", encoder_folder, "--out", out,
        "--epochs", 1, "--limit", 5, "--quiet",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    results = json.loads((out / "cells" / "sst,mode=frozen,seed=0" / "results.json").read_text())
    assert results["exposure"]["sst"]["rows"] == 5
