"""`accord reproduce` on files of the course's form, tiny: cells shared, resumed, reported."""

import csv
import json
import math
import random
import re
import shutil
import tomllib
from collections import defaultdict
from xml.etree import ElementTree

import pytest
from projects import BAD, GOOD, PLAIN

from accord.cli.experiments import experiment_json
from accord.cli.reproduce import EXPERIMENTS, SETTINGS
from accord.data.sampler import Sampler
from accord.experiments.reproduce import PAPER, cells_of, experiments, report
from accord.experiments.rows import load_results
from accord.experiments.submission import chosen_submissions
from accord.grids.amounts import Size, Sizes
from accord.grids.running import run_grid
from accord.sampling import Budget, get_rule

TASKS = ("sst", "quora", "sts")
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


def options_of(data, encoder, **changes):
    """The command's options, as they are without arguments except for some."""
    options = {name[2:].replace("-", "_"): default for name, default, _, _ in SETTINGS}
    assert not changes.keys() - options
    return {**options, "data": data, "encoder": str(encoder), **changes}


class Given(Sizes):
    """Sizes that no file has."""

    def __init__(self, rows, tokens=None):
        super().__init__(pytest.fail)
        self.sizes = {task: Size(own, (tokens or {}).get(task, 10.0)) for task, own in rows.items()}

    def of(self, plan):
        return {task: self.sizes[task] for task in plan.data.tasks}


@pytest.fixture(scope="module")
def reproduced(course, encoder_folder, tmp_path_factory):
    """Arguments of a whole reproduction of one epoch, its folder, done, and what it is of.

    The second experiment has a second seed, one more than the report is asked for.
    """
    out = tmp_path_factory.mktemp("reproduced") / "out"
    options = options_of(course, encoder_folder, epochs=1, batch_size=8, halves_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(out.parent / "cache"))
        sizes = Sizes(lambda text: None)
        run_grid(cells_of(experiments(["exp2"], {**options, "seeds": 2}, sizes)), out)
        given = experiments(EXPERIMENTS, options, sizes)
        run_grid(cells_of(given), out)
        report(out, given, options)
    arguments = ["--data", course, "--encoder", encoder_folder, "--out", out,
                 "--epochs", 1, "--batch-size", 8, "--halves-every", 2]  # fmt: skip
    return arguments, out, given


def rows_of(given, out, name):
    """The rows of an experiment of a reproduction, by label."""
    results = load_results(out, cells_of(given), other_seeds=True)
    return results.rows(next(own for own in given if own.name == name))


def read_csv(file):
    return list(csv.reader(file.read_text().splitlines()))


@pytest.mark.slow
def test_the_report_has_the_paper_s_tables_beside_ours(reproduced):
    _, out, _ = reproduced
    page = (out / "report.html").read_text()
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "How pairs are"):
        assert title in page
    rows = read_csv(out / "tables" / "table-3.csv")
    assert [row[0] for row in rows] == [
        "", "SST", "Quora", "STS", "SST + Quora", "SST + STS", "Quora + STS", "SST + Quora + STS",
        "each alone, frozen",
    ]  # fmt: skip
    by_label = {row[0]: row for row in rows}
    assert rows[0][:4] == ["", "runs", "SST Acc.", "paper"]
    assert by_label["SST + STS"][3] == "0.489 / 0.512"  # the paper's tables 3 and 4 disagree
    whole = by_label["SST + Quora + STS"]
    assert whole[1] == "2"  # a finished run of a seed that wasn't asked for counts, too
    assert re.fullmatch(r"-?0\.\d{3} ± \d\.\d{3}", whole[2])
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "<script" not in page
    figures = list((out / "figures").glob("*.svg"))
    assert {file.stem for file in figures} >= {
        "figure-1", "exp3-curves", "cosines", "confusion-sst", "calibration-quora", "scatter-sts",
        "exp4-differences",
    }  # fmt: skip
    for file in figures:
        ElementTree.parse(file)
        assert file.stat().st_size < 300 << 10
    text = (out / "report.md").read_text()
    assert "between halves of one task's batch" in text
    assert "28 finished runs" in text
    assert not (out / "tables" / "unfinished.csv").exists()


@pytest.mark.slow
def test_contrasts_stand_beside_the_paper_s(reproduced):
    _, out, _ = reproduced
    head, *rows = read_csv(out / "tables" / "exp3-differences.csv")
    assert (head[3], head[-1]) == ("as in the paper?", "paper")
    found = {(row[0], row[1]): float(row[-1]) for row in rows}
    assert found[("SST + Quora + STS − alone", "quora")] == pytest.approx(0.662 - 0.749)
    assert found[("SST + STS − alone", "sst")] == pytest.approx(0.489 - 0.520)  # of one table
    assert len(rows) == len(found) == 9
    for name, count in (("exp1", 3), ("exp2", 6), ("exp4", 9), ("cfimdb", 2), ("pairs", 9)):
        assert len(read_csv(out / "tables" / f"{name}-differences.csv")) == 1 + count
    surgery = {(row[0], row[1]): row for row in read_csv(out / "tables" / "exp4-differences.csv")}
    none = surgery[("SST + Quora + STS: surgery − none", "sst")]
    assert (none[3], none[-1]) == ("the paper has none", "–")
    pair = surgery[("SST + STS: surgery − none", "sst")]
    assert float(pair[-1]) == pytest.approx(0.510 - 0.512)
    assert {row[4] for row in read_csv(out / "tables" / "exp2-differences.csv")[1:]} == {"2 and 2"}


@pytest.mark.slow
def test_nothing_is_run_twice_and_shared_cells_are_one(reproduced, accord_cli, monkeypatch):
    arguments, out, given = reproduced
    folders = {path.name for path in (out / "cells").iterdir()}
    assert len(folders) == 25 + 3
    assert {"sst,mode=finetune,examples=64,seed=0", "sst,mode=frozen,seed=0"} < folders
    answer = accord_cli("reproduce", "all", *arguments, "--dry-run")
    assert "25 cells, 0 to run" in answer.out
    monkeypatch.setattr("accord.training.run.start_run", pytest.fail)
    answer = accord_cli("reproduce", "exp2", *arguments)
    assert answer.code == 0, answer.err
    assert answer.err.count(": found") == 3
    assert "Table 2" in answer.out
    alone, shared = rows_of(given, out, "exp1"), rows_of(given, out, "exp3")
    whole = rows_of(given, out, "pairs")["separate, cls"].group
    assert whole is not None
    assert {run.path for run in whole.runs} == {
        run.path for run in shared["SST + Quora + STS"].group.runs
    }
    sides = [(alone["Fine-tune"].groups[task], shared[name].groups[task])
             for task, name in (("sts", "STS"), ("sst", "SST"))]  # fmt: skip
    assert [one.name == other.name for one, other in sides] == [True, False]


@pytest.mark.slow
def test_an_interrupted_part_is_reported_as_such(reproduced, accord_cli, tmp_path):
    arguments, out, _ = reproduced
    copy = shutil.copytree(out, tmp_path / "copy")  # others read this folder's report
    arguments = [copy if argument == out else argument for argument in arguments]
    out = copy
    answer = accord_cli("reproduce", "exp2", *arguments, "--seeds", 3, "--report-only", "--quiet")
    assert answer.code == 0
    _, *rows = read_csv(out / "tables" / "unfinished.csv")
    assert [row[1:] for row in rows] == [["not begun", "2"]] * 3  # one row per cell


@pytest.mark.slow
def test_runs_of_other_options_are_refused(reproduced, accord_cli):
    arguments, _, _ = reproduced
    answer = accord_cli("reproduce", "exp2", *arguments, "--lr", 1e-4, "--report-only")
    assert answer.code != 0
    assert "training.lr: 1e-05 -> 0.0001" in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_every_run_of_experiment_3_has_the_steps_of_the_smallest_task(reproduced):
    _, out, given = reproduced
    cap = math.ceil(SIZES["sts"] / 8)
    for row in rows_of(given, out, "exp3").values():
        for run in row.runs if row.label != "each alone, frozen" else ():
            assert run.results["steps"] == cap
            seen = run.results["exposure"]
            assert all(own["examples"] == SIZES["sts"] for own in seen.values())


@pytest.mark.slow
def test_table_5_has_single_tasks_with_the_shared_model_s_exposure_too(reproduced):
    _, out, given = reproduced
    rows = read_csv(out / "tables" / "table-5.csv")
    labels = [row[0] for row in rows[1:]]
    assert labels[0] == "three single-task models"
    assert labels[1].startswith("the same, as many examples as the shared model (finish-")
    assert labels[2].startswith("one shared model (finish-")
    assert labels[1].split("(")[1] == labels[2].split("(")[1]
    assert rows[-1] == ["the paper's, on the test set", "0.513", "0.797", "0.332", "0.659"]
    known = rows_of(given, out, "leaderboard")
    scores = {}
    for batching in ("finish-smallest", "finish-largest"):
        shared = known[f"one shared model ({batching})"].group.runs
        scores[batching] = max(float(run.results["score"]) for run in shared)
        alone = known[f"the same, as many examples as the shared model ({batching})"].groups
        for task in TASKS:
            seen = alone[task].runs[0].results["exposure"][task]["examples"]
            assert seen == shared[0].results["exposure"][task]["examples"]
    assert labels[2] == f"one shared model ({max(scores, key=scores.get)})"
    experiment = next(each for each in given if each.name == "leaderboard")
    chosen = list(chosen_submissions(experiment, known))
    assert [each.row for each in chosen] == labels[:3]
    assert [f"{each.values['overall']:.3f}" for each in chosen] == [row[-1] for row in rows[1:4]]
    assert json.loads(json.dumps(experiment_json(experiment, out)))["submissions"]
    for folder in ("single-task", "single-task-equal", "multitask"):
        for file in ("sts-test", "para-dev", "sst-test"):
            assert len((out / "leaderboard" / folder / f"{file}-output.csv").read_text()) > 50


@pytest.mark.parametrize("rows", [(101, 333, 77), (77, 101, 333), (64, 64, 64), (65, 95, 64)])
def test_experiment_3_shows_a_task_alone_as_often_as_together(course, encoder_folder, rows):
    """Whether or not the smallest task fills its last batch."""
    options = options_of(course, encoder_folder, epochs=3)
    sizes = dict(zip(TASKS, rows, strict=True))
    seen = defaultdict(set)
    for cell in experiments(["exp3"], options, Given(sizes))[0].cells:
        if cell.config.encoder.mode == "finetune":
            names, training = tuple(cell.config.tasks), cell.config.training
            budget = Budget(32, epochs=3, steps=training.steps_per_epoch)
            rule = get_rule(training.batching)
            sampler = Sampler(names, tuple(map(sizes.get, names)), rule, budget, 0)
            drawn = [sampler.draw(step) for step in range(3 * sampler.steps)]
            for i, name in enumerate(names):
                seen[name].add(sum(len(own[i]) for own in drawn))
    assert [len(seen[task]) for task in TASKS] == [1, 1, 1]


def test_the_paper_s_settings_are_the_defaults(course, encoder_folder):
    options = options_of(course, encoder_folder)
    for cell in cells_of(experiments(EXPERIMENTS, options, Given(SIZES))):
        training, mode = cell.config.training, cell.config.encoder.mode
        assert training.lr == training.head_lr == (1e-3 if mode == "frozen" else 1e-5)
        assert (training.epochs, training.batch_size) == (10, 32)
        assert (training.schedule, training.warmup, training.clip) == ("constant", 0, 0)
        assert (training.halves_every is None) == (len(cell.config.tasks) == 1)
        for name, task in cell.config.tasks.items():
            assert task.loss == ("mse" if name in ("quora", "sts") else None)
            if "pairs" not in cell.settings:
                assert task.encoding == ("separate" if name in ("quora", "sts") else "joint")


def test_pairs_are_named_where_they_are_not_as_in_all_cells(course, encoder_folder):
    for pairs in ("separate", "joint"):
        options = options_of(course, encoder_folder, pairs=pairs, pooling="mean")
        (given,) = experiments(["pairs"], options, Given(SIZES))
        (plain,) = experiments(["exp2"], options, Given(SIZES))
        (same,) = {cell.model for cell in given.cells} & {cell.model for cell in plain.cells}
        assert given.rows[f"{pairs}, mean"]["sst"] == same
        assert {"pairs", "pooling"} & {
            key for cell in plain.cells for key in cell.settings
        } == set()
        for cell in given.cells:
            encoding = {cell.config.tasks[task].encoding for task in ("quora", "sts")}
            assert encoding == {cell.settings.get("pairs", pairs)}


@pytest.mark.quick("tokens-exp2", "steps-cfimdb", "examples-exp2")
@pytest.mark.parametrize("name", ["exp2", "exp3", "leaderboard", "cfimdb"])
@pytest.mark.parametrize("budget", ["tokens", "steps", "examples"])
def test_with_an_equal_budget_every_cell_gets_the_same(course, encoder_folder, budget, name):
    rows = {task: 50 * size for task, size in SIZES.items()}
    tokens = {task: 10.0 + len(task) for task in SIZES}

    def amount(cell):
        training, tasks = cell.config.training, list(cell.config.tasks)
        rule = get_rule(training.batching).function
        shape = rule([rows[task] for task in tasks], Budget(8, steps=training.steps_per_epoch))
        per_step = {
            "steps": 1.0,
            "examples": sum(shape.shares),
            "tokens": sum(n * tokens[task] for n, task in zip(shape.shares, tasks, strict=True)),
        }[budget]
        return training.epochs * shape.steps * per_step

    plain = options_of(course, encoder_folder, batch_size=8, epochs=4)
    (before,) = experiments([name], plain, Given(rows, tokens))
    (after,) = experiments([name], {**plain, "equal_budget": budget}, Given(rows, tokens))
    counted = [cell for cell in before.cells if cell.config.training.examples is None]
    largest = max(map(amount, counted))
    assert list(map(amount, after.cells)) == pytest.approx([largest] * len(after.cells), rel=0.02)
    assert all(cell.config.training.examples is None for cell in after.cells)


def test_the_paper_s_shared_cells_agree_but_where_it_disagrees_with_itself():
    numbers = tomllib.loads((PAPER / "numbers.toml").read_text())
    for name in ("table-3", "table-4"):
        twice = [
            (row, task) for row, figures in numbers[name].items()
            for task, own in figures.items() if isinstance(own, list)
        ]  # fmt: skip
        assert sorted(twice) == [("SST + Quora", "sst"), ("SST + STS", "sst")]
    plain = {row: own for row, own in numbers["table-4"].items() if "GS" not in row}
    for row, figures in plain.items():
        for task, own in figures.items():
            other = numbers["table-3"][row][task]
            assert own == (other[::-1] if isinstance(other, list) else other)


@pytest.mark.slow
def test_every_experiment_has_cells(course, encoder_folder):
    options = options_of(course, encoder_folder)
    given = experiments(EXPERIMENTS, options, Given(SIZES))
    assert {own.name: len(own.cells) for own in given} == {
        "exp1": 6, "exp2": 3, "exp3": 10, "exp4": 8, "cfimdb": 4, "leaderboard": 8, "pairs": 4,
    }  # fmt: skip
    assert {file.stem for file in PAPER.glob("*.toml")} == {*EXPERIMENTS, "config", "numbers"}


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


@pytest.mark.slow
def test_a_small_try_takes_few_rows(course, encoder_folder, accord_cli, tmp_path):
    out = tmp_path / "out"
    answer = accord_cli(
        "reproduce", "exp2", "--data", course, "--encoder", encoder_folder, "--out", out,
        "--epochs", 1, "--limit", 5, "--quiet",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    runs = list((out / "cells").iterdir())
    assert len(runs) == 3
    for run in runs:
        exposure = json.loads((run / "results.json").read_text())["exposure"]
        assert {task: seen["rows"] for task, seen in exposure.items()} == dict.fromkeys(TASKS, 5)
