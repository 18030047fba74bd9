"""Tasks whose rows have candidates, from their files to their predictions and what is wrong."""

import csv
import json
import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import projects
import pytest
from sklearn.metrics import ndcg_score

import accord
from accord.config.file import parse_config
from accord.data.checking import check_data
from accord.data.examples import read_examples
from accord.data.files import files_of
from accord.data.loader import TaskData
from accord.data.resolving import resolve_task
from accord.errors import ConfigError, DataError
from accord.kinds import labelled_kind, task_section
from accord.plan.making import plan_run
from accord.plan.tasks import task_plan
from accord.training.run import Run
from accord.training.setup import prepare

TABLES = {
    "pick": {"kind": "multiple-choice", "text": ["q", "options"]},
    "rank": {"kind": "ranking", "text": ["q", "docs"], "label": "grades", "id": "qid"},
    "flat": {
        "kind": "ranking", "text": ["q", "doc"], "label": "grade", "id": "qid",
        "rows": "candidates", "loss": "pairwise", "metric": "mrr",
    },
}  # fmt: skip


def picks(rows: int, rng: random.Random) -> list[dict]:
    """The right choice has a good word, the others have a bad one."""
    made = []
    for _ in range(rows):
        options = [rng.choice(projects.BAD) for _ in range(rng.randint(1, 4))]
        label = rng.randint(0, len(options))
        options.insert(label, rng.choice(projects.GOOD))
        made.append({"q": " ".join(rng.sample(projects.PLAIN, 3)), "options": options})
        made[-1]["label"] = label
    return made


def queries(rows: int, rng: random.Random) -> list[dict]:
    """A candidate's grade is how many good words it has; some queries have equal ones."""
    made = []
    for number in range(rows):
        grades = [rng.randint(0, 2) for _ in range(rng.randint(1, 5))]
        docs = [
            " ".join([*rng.sample(projects.GOOD, g), *rng.sample(projects.BAD, 2 - g)])
            for g in grades
        ]
        made.append({"q": " ".join(rng.sample(projects.PLAIN, 3)), "docs": docs})
        made[-1] |= {"grades": grades, "qid": f"q{number}"}
    return made


def flat(rows: list[dict], rng: random.Random) -> list[dict]:
    """A row for each candidate, in any order."""
    made = [
        {"qid": row["qid"], "q": row["q"], "doc": doc, "grade": grade}
        for row in rows
        for doc, grade in zip(row["docs"], row["grades"], strict=True)
    ]
    rng.shuffle(made)
    return made


def write_lines(file: Path, rows: list[dict]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_csv(file: Path, rows: list[dict]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all three tasks, beside an encoder."""
    folder, rng = tmp_path_factory.mktemp("candidates"), random.Random(0)
    projects.write_encoder(folder / "encoder")
    for split, rows in (("train", 40), ("dev", 24)):
        ranked = queries(rows, rng)
        write_lines(folder / f"pick-{split}.jsonl", picks(rows, rng))
        write_lines(folder / f"rank-{split}.jsonl", ranked)
        write_csv(folder / f"flat-{split}.csv", flat(ranked, rng))
    return folder


def config(folder: Path, **training: object) -> dict:
    """A config of all three."""
    ending = {"pick": "jsonl", "rank": "jsonl", "flat": "csv"}
    tasks = {
        name: {**table, "train": str(folder / f"{name}-train.{ending[name]}"),
               "dev": str(folder / f"{name}-dev.{ending[name]}")}
        for name, table in TABLES.items()
    }  # fmt: skip
    settings = {"epochs": 2, "batch_size": 6, "steps_per_epoch": 4, "lr": 1e-3, **training}
    return {"encoder": {"path": str(folder / "encoder")}, "tasks": tasks, "training": settings}


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


def rows_of(file: Path) -> list[dict]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


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


def test_files_are_predicted_in_every_form(folder: Path, trained: Callable, accord_cli, tmp_path):
    run = trained()
    model = accord.load(run.folder)
    for name, file in (("pick", "pick-dev.jsonl"), ("rank", "rank-dev.jsonl"),
                       ("flat", "flat-dev.csv")):  # fmt: skip
        said = {}
        for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
            out = tmp_path / f"{name}.{ending}"
            answer = accord_cli(
                "predict", run.folder, "--task", name, "--input", folder / file, "--output", out
            )
            assert answer.code == 0, answer.err
            said[ending] = read_table(out)
        assert said["json"] == said["jsonl"] == said["parquet"]
        assert said["csv"] == said["tsv"]
        for cells, values in zip(said["csv"], said["json"], strict=True):
            assert list(cells) == list(values)
            for column in ("prediction", "order", "probabilities"):
                if column in values:
                    wanted = values[column]
                    read = cells[column] if isinstance(wanted, str) else json.loads(cells[column])
                    assert read == wanted
        if name == "flat":
            assert len(said["json"]) == len({row["qid"] for row in rows_of(folder / file)})
            continue
        rows = rows_of(folder / file)
        others = "options" if name == "pick" else "docs"
        answers = model.predict(name, [(row["q"], row[others]) for row in rows])
        flat_answers = model.predict(name, [(row["q"], *row[others]) for row in rows])
        assert answers == flat_answers
        for row, record, predicted in zip(rows, said["json"], answers, strict=True):
            assert record["prediction"] == pytest.approx(predicted, abs=1e-5)
            if name == "pick":
                assert record["choice"] == row["options"][int(predicted)]


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


def test_a_run_goes_on_to_the_same_bits(folder, monkeypatch, killed_and_resumed):
    monkeypatch.setenv("ACCORD_CACHE", str(folder / "cache"))
    given = {**config(folder), "checkpoint": {"every_steps": 2}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        killed, whole = killed_and_resumed(lambda out: accord.train(given, out=out, quiet=True), 5)
    assert projects.outcome_of(killed) == projects.outcome_of(whole)


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


PICK = {"q": "the film", "options": ["fine", "dull"], "label": 0}
RANK = {"q": "the film", "docs": ["fine", "dull"], "grades": [1, 0], "qid": "a"}
BAD = [
    ("pick", PICK | {"options": ["fine"]}, "'options' holds 1 choice: at least 2 needed"),
    ("pick", PICK | {"options": []}, "'options' holds no choices: at least 2 needed"),
    ("pick", PICK | {"options": "fine"}, "'options' holds a text, not a list of choices"),
    ("pick", PICK | {"options": ["fine", " "]}, r"'options\[1\]' is empty"),
    ("pick", PICK | {"options": ["fine", None]}, r"'options\[1\]' is empty"),
    ("pick", PICK | {"options": ["fine", {"a": 1}]}, r"'options\[1\]' holds .*, not a text"),
    ("pick", PICK | {"options": None}, "'options' is empty"),
    ("pick", PICK | {"label": 2}, "label: '2' is none of the 2 choices, 0 to 1"),
    ("pick", PICK | {"label": -1}, "label: '-1' stands for a hidden label"),
    ("pick", PICK | {"label": [0]}, "'label' holds a list, not one label"),
    ("pick", PICK | {"q": ""}, "'q' is empty"),
    ("pick", PICK | {"q": ["a"]}, "'q' holds a list, not a text"),
    (
        "pick",
        PICK | {"options": ["1", "0"], "label": 0},
        "label: '0' is one choice's place and another's",
    ),
    ("rank", RANK | {"grades": [1]}, "'grades' holds 1 grade, but 'docs' 2 candidates"),
    ("rank", RANK | {"grades": [1, -1]}, r"grades\[1\]: -1 is below 0"),
    ("rank", RANK | {"grades": [1, None]}, r"'grades\[1\]' is empty: no grade"),
    ("rank", RANK | {"grades": [1, "good"]}, r"grades\[1\]: good is not a number"),
    ("rank", RANK | {"grades": 1}, "'grades' holds one grade, not a list of them"),
    ("rank", RANK | {"docs": []}, "'docs' holds no candidates: at least 1 needed"),
    ("rank", RANK | {"docs": ["fine", ""]}, r"'docs\[1\]' is empty"),
    (
        "flat",
        {"qid": "q0", "q": "another text", "doc": "x", "grade": "1"},
        "'q' is another text than in line",
    ),
    ("flat", {"qid": "", "q": "the film", "doc": "x", "grade": "1"}, "'qid' is empty"),
    ("flat", {"qid": "q0", "q": "", "doc": "x", "grade": "1"}, "'q' is empty"),
    ("flat", {"qid": "z", "q": "the", "doc": "", "grade": "1"}, "'doc' is empty"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": "good"}, "grade: good is not a number"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": "-2"}, "grade: -2 is below 0"),
    ("flat", {"qid": "z", "q": "the", "doc": "x", "grade": ""}, "'grade' is empty: no grade"),
]


@pytest.mark.parametrize(("name", "row", "words"), BAD, ids=[words for _, _, words in BAD])
def test_a_bad_row_is_one_line_and_can_be_skipped(folder, tmp_path, name, row, words):
    file = folder / f"{name}-train.{'csv' if name == 'flat' else 'jsonl'}"
    rows = rows_of(file)
    bad = tmp_path / file.name
    (write_csv if name == "flat" else write_lines)(bad, [*rows, row])
    given = config(folder)
    given["tasks"] = {name: given["tasks"][name] | {"train": str(bad)}}
    line = len(rows) + (2 if name == "flat" else 1)
    with pytest.raises(DataError, match=f"{re.escape(bad.name)}:{line}: {words}") as caught:
        check_data(plan_run(parse_config(given)).only.data, folder / "encoder")
    assert "\n" not in str(caught.value)
    given["tasks"][name]["on_bad_row"] = "skip"
    report = check_data(plan_run(parse_config(given)).only.data, folder / "encoder")
    (train, _) = report.tasks[0].splits
    assert len(train.skipped) == 1
    assert train.rows == check_data(
        plan_run(parse_config(config(folder))).only.data, folder / "encoder"
    ).tasks[["pick", "rank", "flat"].index(name)].splits[0].rows  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"encoding": "separate"}, "encoding: kind '{}' reads each"),
        ({"head": "cosine", "encoding": "separate"}, "encoding: kind '{}' reads each"),
        ({"targets": "popart"}, "targets: 'popart' is for regression"),
        ({"labels": ["a", "b"]}, "labels: is for classification"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"metric": "pearson"}, "metric: kind '{}' is evaluated by"),
        ({"text": "q"}, "text: kind '{}' takes a column"),
        ({"text": ["q", "q"]}, "text: names a column twice: q, q"),
        ({"loss": "mse"}, "loss: .*"),
    ],
)
def test_keys_of_other_kinds_are_refused(folder, keys, words):
    for name in ("pick", "rank"):
        given = config(folder)
        given["tasks"][name] |= keys
        with pytest.raises(ConfigError, match=words.format(given["tasks"][name]["kind"])):
            parse_config(given)
    with pytest.raises(ConfigError, match="pair-ranking"):
        parse_config({"encoder": {"path": "e"}, "tasks": {"t": {"kind": "pair-ranking"}}})


def test_a_table_of_candidates_needs_an_id(folder):
    given = config(folder)
    del given["tasks"]["flat"]["id"]
    with pytest.raises(ConfigError, match="id: is missing: rows = 'candidates' takes the column"):
        parse_config(given)


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        ([0, 1, 1, 0], "index"), (["A", "b", "A", "B"], "letter"),
        (["fine", "dull", "x y", "fine"], "text"), ([1, 2, 1, 2], None), ([True, False], "text"),
    ],
)  # fmt: skip
def test_what_labels_say_is_found_or_asked_for(folder, tmp_path, labels, answer):
    rows = [PICK | {"options": ["fine", "dull", "x y", "true", "false"], "label": label}
            for label in labels]  # fmt: skip
    file = write_lines(tmp_path / "train.jsonl", rows)
    section = {"kind": "multiple-choice", "train": str(file), "text": ["q", "options"]}
    plan = task_plan(task_section(**section))
    if answer is None:
        with pytest.raises(ConfigError, match=r"answer: is missing: .*'index'.*'number'.*'text'"):
            resolve_task("t", plan)
    else:
        assert resolve_task("t", plan).answer == answer


def test_a_column_for_each_choice_is_a_list_of_them(folder, tmp_path):
    rows = [
        {"q": "the film", "a": "fine", "b": "dull song", "c": "[x", "label": label}
        for label in ("0", "2")
    ]
    file = write_csv(tmp_path / "train.csv", rows)
    section = {"kind": "multiple-choice", "train": str(file), "text": ["q", "a", "b", "c"]}
    plan = task_plan(task_section(**section))
    task = resolve_task("t", plan)
    read = list(read_examples(files_of(plan, str(file)), plan, task, labelled=True))
    assert [(one.texts, one.label) for one in read] == [
        (("the film", "fine", "dull song", "[x"), 0), (("the film", "fine", "dull song", "[x"), 2),
    ]  # fmt: skip
