"""Tasks whose rows have candidates, from their files to their predictions."""

import csv
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import projects
import pytest
from candidates import config, rows_of, write_files
from sklearn.metrics import ndcg_score

import accord
from accord.config.file import parse_config
from accord.data.loader import TaskData
from accord.kinds import labelled_kind
from accord.plan.making import plan_run
from accord.training.run import Run
from accord.training.setup import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("candidates"))


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Train the three tasks, once for all tests that ask for the same: (changes by section)."""
    runs: dict[str, Run] = {}

    def call(**changes: dict) -> Run:
        key = json.dumps(changes, sort_keys=True)
        if key not in runs:
            given = config(folder, **changes.pop("training", {}))
            for section, table in changes.items():
                given.setdefault(section, {}).update(table)
            with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                patch.setenv("ACCORD_CACHE", str(folder / "cache"))
                runs[key] = accord.train(given, out=folder / f"run{len(runs)}", quiet=True)
        return runs[key]

    return call


def stores(folder: Path) -> dict[str, TaskData]:
    setup = prepare(plan_run(parse_config(config(folder))).only)
    return {part.task.name: part for part in setup.data.train}


def test_a_table_of_candidates_holds_what_lists_of_them_hold(folder: Path) -> None:
    """Rows of one id are one query, wherever they stand."""

    def content(part: TaskData) -> list:
        rows = []
        for row in range(len(part.store)):
            texts = [tuple(part.store.segment(row, i)) for i in range(part.texts(row))]
            grades = part.store.labels[np.array([row])][0].tolist()
            pairs = zip(texts[1:], grades, strict=True)
            rows.append((texts[0], sorted(pairs)))
        return sorted(rows)

    parts = stores(folder)
    assert content(parts["rank"]) == content(parts["flat"])
    (why,) = parts["rank"].store.left_out
    assert parts["flat"].store.left_out == {why: parts["rank"].store.left_out[why]}
    equal = [len(set(row["grades"])) < 2 for row in rows_of(folder / "rank-train.jsonl")]
    assert parts["rank"].store.left_out[why] == sum(equal) > 0


def test_a_run_s_figures_are_those_of_its_predictions(folder: Path, trained: Callable) -> None:
    """NDCG as scikit-learn has it, of the queries that have something to rank."""
    run = trained()
    best = max(run.results["epochs"], key=lambda record: record["sum"])["figures"]
    said = rows_of(run.folder / "predictions" / "pick-dev.csv")
    hits = [row["prediction"] == row["label"] for row in said]
    assert best["pick"]["accuracy"] == pytest.approx(np.mean(hits))
    for row in said:
        shares = json.loads(row["probabilities"])
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert int(row["prediction"]) == np.argmax(shares)
    for name in ("rank", "flat"):
        values = []
        for row in rows_of(run.folder / "predictions" / f"{name}-dev.csv"):
            grades, scores = json.loads(row["label"]), json.loads(row["prediction"])
            values.append(ndcg_score([grades], [scores]))
            assert json.loads(row["order"])[0] == np.argmax(scores)
        assert best[name]["NDCG"] == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.slow
def test_files_are_predicted_in_every_form(folder: Path, trained: Callable, accord_cli, tmp_path):
    run = trained()
    model = accord.load(run.folder)
    for name, file in (("pick", "pick-dev.jsonl"), ("rank", "rank-dev.jsonl"),
                       ("flat", "flat-dev.csv")):  # fmt: skip
        said = {}
        for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
            out = tmp_path / f"{name}.{ending}"
            answer = accord_cli(
                "predict",
                run.folder,
                "--task",
                name,
                "--input",
                folder / file,
                "--output",
                out,
                "--probabilities",
            )
            assert answer.code == 0, answer.err
            said[ending] = read_table(out)
        assert said["json"] == said["jsonl"] == said["parquet"]
        assert said["csv"] == said["tsv"]
        for cells, values in zip(said["csv"], said["json"], strict=True):
            assert list(cells) == list(values)
            for column in (name, f"{name}.order", f"{name}.probabilities"):
                if column in values and name != "flat":
                    wanted = values[column]
                    read = cells[column] if isinstance(wanted, str) else json.loads(cells[column])
                    assert read == wanted
        if name == "flat":
            assert_scores_stand_by_their_rows(
                lambda queries: model.predict("flat", queries), rows_of(folder / file), said["json"]
            )
            continue
        rows = rows_of(folder / file)
        others = "options" if name == "pick" else "docs"
        answers = model.predict(name, [(row["q"], row[others]) for row in rows])
        flat_answers = model.predict(name, [(row["q"], *row[others]) for row in rows])
        assert answers == flat_answers
        for row, record, predicted in zip(rows, said["json"], answers, strict=True):
            assert record[name] == pytest.approx(predicted, abs=1e-5)
            if name == "pick":
                assert record["pick.choice"] == row["options"][int(predicted)]


def assert_scores_stand_by_their_rows(predict: Callable, given: list, records: list) -> None:
    queries: dict[str, tuple[str, list[str]]] = {}
    for row in given:
        queries.setdefault(row["qid"], (row["q"], []))[1].append(row["doc"])
    answers = map(iter, predict([*queries.values()]))
    scores = dict(zip(queries, answers, strict=True))
    for row, record in zip(given, records, strict=True):
        assert record.pop("flat") == pytest.approx(next(scores[row["qid"]]), abs=1e-5)
        assert record == row


def read_table(file: Path) -> list[dict]:
    if file.suffix == ".parquet":
        from pyarrow.parquet import read_table as read

        return read(file).to_pylist()
    if file.suffix == ".json":
        return json.loads(file.read_text(encoding="utf-8"))
    if file.suffix == ".tsv":
        with file.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    return rows_of(file)


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits(folder, monkeypatch, killed_and_resumed):
    monkeypatch.setenv("ACCORD_CACHE", str(folder / "cache"))
    given = {**config(folder), "checkpoint": {"every_steps": 2}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        killed, whole = killed_and_resumed(lambda out: accord.train(given, out=out, quiet=True), 5)
    assert projects.outcome_of(killed) == projects.outcome_of(whole)


@pytest.mark.slow
def test_several_runs_say_the_mean(folder, trained, accord_cli, tmp_path):
    """Of probabilities of choices, of scores of candidates."""
    runs = [trained(), trained(training={"seed": 1})]
    answer = accord_cli("ensemble", *(run.folder for run in runs), "--out", tmp_path / "both")
    assert answer.code == 0, answer.err
    together, alone = accord.load(tmp_path / "both"), [accord.load(run.folder) for run in runs]
    for name, others in (("pick", "options"), ("rank", "docs")):
        file = folder / f"{name}-dev.jsonl"
        texts = [(row["q"], row[others]) for row in rows_of(file)]
        task = together.task(name)
        kind = labelled_kind(task)
        each = [kind.details(task, one.logits(name, texts), None) if name == "pick"
                else {"probabilities": one.predict(name, texts)} for one in alone]  # fmt: skip
        both = (kind.details(task, together.logits(name, texts), None) if name == "pick"
                else {"probabilities": together.predict(name, texts)})  # fmt: skip
        for row, wanted in enumerate(zip(*(one["probabilities"] for one in each), strict=True)):
            assert both["probabilities"][row] == pytest.approx(np.mean(wanted, 0), abs=1e-5)
    souped = accord_cli("soup", *(run.folder for run in runs), "--out", tmp_path / "soup")
    assert souped.code == 0, souped.err
    report = accord_cli("compare", *(run.folder for run in runs), "--report", tmp_path / "report")
    assert report.code == 0, report.err
