"""One path to predictions: Python, the command line's formats, evaluation and training agree."""

import csv
import json
import random
import shutil

import pytest

import accord
from accord.errors import DataError, UsageError
from accord.evaluation.answer_columns import Naming
from accord.evaluation.answerable import Source
from accord.evaluation.output import Output
from accord.evaluation.passes import CPU_TOKENS
from accord.evaluation.predict_file import predict_file
from accord.report.record import read_run
from accord.report.texts import dev_texts, worst_errors

pytestmark = pytest.mark.filterwarnings("ignore:.* rows are cut to")


@pytest.fixture
def rows():
    """Read a delimited file as dictionaries."""

    def read(file):
        text = file.read_text(encoding="utf-8")
        separator = "\t" if "\t" in text.splitlines()[0] else ","
        return list(csv.DictReader(text.splitlines(), delimiter=separator))

    return read


@pytest.fixture
def project_folder(finished):
    return finished.parent / "project"


TASKS = [("mood", "mood-test.csv"), ("same", "same-dev.tsv"), ("near", "near-test.csv")]
TEXTS = {"mood": ["text"], "same": ["first", "second"], "near": ["s1", "s2"]}


@pytest.mark.parametrize(("task", "name"), TASKS)
def test_all_ways_agree(finished, project_folder, accord_cli, rows, tmp_path, task, name):
    source = project_folder / name
    given = rows(source)
    texts = [tuple(row[column] for column in TEXTS[task]) for row in given]
    model = accord.load(finished)
    expected = model.predict(task, texts if len(texts[0]) == 2 else [text for (text,) in texts])

    def predict(file, *options):
        answer = accord_cli(
            "predict", finished, "--task", task, "--input", source, "--output", tmp_path / file,
            *options,
        )  # fmt: skip
        assert (answer.code, answer.out) == (0, "")
        said = f"{len(given)} rows with answers of task '{task}' in {tmp_path / file}\n"
        assert answer.err == said
        return tmp_path / file

    shares = ["--probabilities", "--suffix", ".said"]  # files of 'mood' have a column 'mood'
    as_csv = rows(predict("out.csv", *shares))
    as_json = [json.loads(line) for line in predict("out.jsonl", *shares).read_text().splitlines()]
    head, *lines = predict("out.txt", "--format", "cs224n").read_text().splitlines()
    ids = [row["id"] for row in given]
    assert [row["id"] for row in as_csv] == [row["id"] for row in as_json] == ids
    answer = f"{task}.said"
    assert [row[answer] for row in as_json] == expected
    assert [row[answer] for row in as_csv] == [str(value) for value in expected]
    for row, carried, record in zip(given, as_csv, as_json, strict=True):
        assert [*carried][: len(row)] == [*record][: len(row)] == [*row]
        assert all(carried[name] == record[name] == value for name, value in row.items())
    assert lines == [f"{key} , {value} " for key, value in zip(ids, expected, strict=True)]
    columns = {
        "mood": "Predicted_Sentiment", "same": "Predicted_Is_Paraphrase",
        "near": "Predicted_Similiary",
    }  # fmt: skip
    assert head == f"id \t {columns[task]} "
    if task != "near":
        labels = {"mood": ["neg", "mixed", "pos"], "same": ["0", "1"]}[task]
        for row, record in zip(as_csv, as_json, strict=True):
            names = [f"{answer}.{label}" for label in labels]
            assert [*record][-len(labels) - 1 :] == [answer, *names]
            of_labels = [record[name] for name in names]
            assert sum(of_labels) == pytest.approx(1)
            assert labels[max(range(len(labels)), key=of_labels.__getitem__)] == record[answer]
            assert [float(row[name]) for name in names] == pytest.approx(of_labels, abs=1e-6)


@pytest.mark.quick("same")
@pytest.mark.parametrize("task", ["mood", "same", "near"])
def test_order_is_restored_whatever_the_lengths(finished, task):
    model = accord.load(finished)
    rng = random.Random(1)
    words = ["bright", "film", "grim", "road", "the", "warm"]

    def text():
        return " ".join(rng.choices(words, k=rng.randint(0, 40)))

    texts = [text() if task == "mood" else (text(), text()) for _ in range(400)]
    together = model.logits(task, texts)
    assert sum(len(str(text).split()) for text in texts) > CPU_TOKENS  # more than one pass
    alone = [model.logits(task, [text])[0] for text in texts[:60]]
    for i, logits in enumerate(alone):
        assert together[i].tolist() == pytest.approx(logits.tolist(), abs=1e-5), i
    assert len({tuple(row) for row in together.tolist()}) > 300


def test_training_s_own_prediction_files_are_the_model_s(finished, project_folder, rows, tmp_path):
    model = accord.load(finished / "model")
    for task, name in [("mood", "mood-dev.csv"), ("same", "same-dev.tsv"), *TASKS[::2]]:
        split = "dev" if "dev" in name else "test"
        output = Output.at(tmp_path / "own.csv", None, force=True)
        naming = Naming(probabilities=True, suffix=".said")
        predict_file(model, [task], Source(project_folder / name), output, naming=naming)
        trained = rows(finished / "predictions" / f"{task}-{split}.csv")
        for one, other in zip(rows(tmp_path / "own.csv"), trained, strict=True):
            for column, value in other.items():
                named = {"id": "id", "prediction": f"{task}.said"}
                shared = named.get(column, f"{task}.said.{column[2:-1]}")
                if column == "id" or (task != "near" and column == "prediction"):
                    assert one[shared] == value
                elif column != "label":
                    assert float(one[shared]) == pytest.approx(float(value), abs=3e-6)


def test_a_run_without_ids_names_lines(project, train, rows, tmp_path):
    """Its files have a column 'id', which the config doesn't name."""
    changes = {"tasks.mood.id": None, "training.epochs": 1, "score": "cs224n"}
    config = project(changes)
    run = train(config, tmp_path / "run")
    lines = (config.parent / "mood-test.csv").read_text(encoding="utf-8").splitlines()
    test = rows(run / "predictions" / "mood-test.csv")
    assert [row["line"] for row in test] == [str(i) for i in range(2, len(lines) + 1)]
    assert all("id" not in row for row in test)
    written = {file.name for file in (run / "predictions").iterdir()}
    assert "mood-test-leaderboard.csv" not in written
    assert "near-test-leaderboard.csv" in written
    record = read_run(run)
    dev, near = record.predictions("mood"), record.predictions("near")
    assert (dev.key, near.key) == ("line", "id")
    texts = dev_texts(record, "mood")
    given = (config.parent / "mood-dev.csv").read_text(encoding="utf-8").splitlines()
    assert [texts[line][0] for line in dev.ids] == [
        next(csv.DictReader([given[0], given[int(line) - 1]]))["text"].strip() for line in dev.ids
    ]
    assert worst_errors("w", "t", dev, texts).columns[0] == "line"


def test_a_run_folder_and_its_model_folder_are_one_model(finished, tmp_path):
    shutil.copytree(finished / "model", tmp_path / "elsewhere")
    texts = ["a lovely film", "", "grim and stale"]
    models = [
        accord.load(place) for place in (finished, str(finished / "model"), tmp_path / "elsewhere")
    ]
    logits = [model.logits("mood", texts).tolist() for model in models]
    assert logits[0] == logits[1] == logits[2]
    assert [[task.to_json() for task in model.tasks] for model in models[1:]] == [
        [task.to_json() for task in models[0].tasks]
    ] * 2


def test_files_with_other_columns_no_labels_and_empty_texts(finished, accord_cli, rows, tmp_path):
    source, target = tmp_path / "new.tsv", tmp_path / "out.csv"
    source.write_text("a\tb\tid\nthe film\t\tx\n\t\ty\n" + "warm " * 500 + "\tgrim\tz\n")
    answer = accord_cli(
        "predict", finished, "--task", "near", "--input", source, "--output", target,
        "--text", "a", "--text", "b", "--quiet",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, "")
    assert [row["id"] for row in rows(target)] == ["x", "y", "z"]
    expected = accord.load(finished).predict(
        "near", [("the film", ""), ("", ""), ("warm " * 500, "grim")]
    )
    assert [float(row["near"]) for row in rows(target)] == expected


def test_values_come_in_the_task_s_units(finished, project_folder):
    file = project_folder / "near-dev.csv"
    evaluation = accord.load(finished).evaluate_file("near", file)
    values = accord.load(finished).predict("near", [("a film", "a film"), ("a", "the road")])
    share = accord.load(finished).logits("near", [("a film", "a film"), ("a", "the road")])
    assert values == pytest.approx([5 * value for value in share[:, 0].tolist()])
    assert -1 <= evaluation.metric <= 1


def test_what_predict_refuses(finished, project_folder, tmp_path):
    model = accord.load(finished)
    with pytest.raises(UsageError, match="no task 'mod'; did you mean 'mood'"):
        model.predict("mod", ["x"])
    with pytest.raises(UsageError, match="text 1: task 'same' takes pairs"):
        model.predict("same", [("a", "b"), "ab"])
    with pytest.raises(UsageError, match="text 0: should be a string, got int"):
        model.predict("mood", [3])
    with pytest.raises(UsageError, match="text 1: holds a lone surrogate"):
        model.predict("mood", ["fine", "\ud800"])
    (tmp_path / "empty.csv").write_text("id,text\n")
    with pytest.raises(DataError, match=r"empty.csv: has no rows"):
        predict_file(
            model, ["mood"], Source(tmp_path / "empty.csv"),
            Output.at(tmp_path / "out.csv", None, force=False),
        )  # fmt: skip
    assert not (tmp_path / "out.csv").exists()
    assert model.predict("mood", []) == []


def test_evaluation_gives_training_s_figures(finished, project_folder, accord_cli, tmp_path):
    trained = json.loads((finished / "results.json").read_text())["figures"]

    def evaluate(*arguments):
        answer = accord_cli("evaluate", *arguments, "--json")
        assert (answer.code, answer.err) == (0, "")
        return json.loads(answer.out)

    def check(evaluated, names):
        overall = evaluated.pop("overall", {})
        assert bool(overall) == (len(names) == 3)
        if overall:
            results = json.loads((finished / "results.json").read_text())
            assert overall["mean"] == pytest.approx(results["mean"], rel=1e-5)
        assert list(evaluated) == names
        for name in names:
            assert evaluated[name] == pytest.approx(trained[name], rel=1e-5)

    config = project_folder / "accord.toml"
    check(evaluate(finished), ["mood", "same", "near"])
    check(evaluate(finished / "model"), ["mood", "same", "near"])
    check(evaluate(finished, "--task", "near"), ["near"])
    shutil.copytree(finished / "model", tmp_path / "model")
    check(evaluate(tmp_path / "model", "--config", config), ["mood", "same", "near"])
    file = project_folder / "same-dev.tsv"
    check(evaluate(tmp_path / "model", "--task", "same", "--input", file), ["same"])


def test_evaluation_prints_a_table(finished, accord_cli):
    answer = accord_cli("evaluate", finished, "--task", "mood")
    rows = [line.rsplit(maxsplit=1) for line in answer.out.splitlines() if line[:6] == " mood "]
    names = ["accuracy", "macro F1", "constant", "loss"]
    assert [" ".join(row[0].split()) for row in rows] == [f"mood {name}" for name in names]
    trained = json.loads((finished / "results.json").read_text())["figures"]["mood"]
    assert [float(row[1]) for row in rows] == pytest.approx(list(trained.values()), abs=6e-5)


def test_evaluation_on_the_seeded_share(project, train, accord_cli, tmp_path):
    changes = {"tasks.mood.dev": None, "training.dev_share": 0.3, "training.epochs": 1}
    run = train(project(changes), tmp_path / "run")
    evaluated = json.loads(accord_cli("evaluate", run, "--json").out)
    trained = json.loads((run / "results.json").read_text())["figures"]
    assert evaluated["mood"] == pytest.approx(trained["mood"], rel=1e-5)


@pytest.mark.slow
def test_evaluation_in_the_run_s_precision(project, train, accord_cli, tmp_path):
    changes = {"training.precision": "bfloat16", "training.epochs": 1}
    run = train(project(changes), tmp_path / "run")
    evaluated = json.loads(accord_cli("evaluate", run, "--json").out)
    trained = json.loads((run / "results.json").read_text())["figures"]
    for name, figures in trained.items():
        assert evaluated[name] == pytest.approx(figures, rel=1e-5)


def test_a_model_trained_in_tf32_is_evaluated_in_float32_where_there_is_none(
    finished, accord_cli, tmp_path
):
    run = shutil.copytree(finished, tmp_path / "run")
    begun = json.loads((run / "resolved.json").read_text())
    begun["config"]["training"]["precision"] = "tf32"
    (run / "resolved.json").write_text(json.dumps(begun))
    evaluated = json.loads(accord_cli("evaluate", run, "--json").out)
    assert evaluated == json.loads(accord_cli("evaluate", finished, "--json").out)


def test_tf32_is_no_precision_of_answers_on_a_cpu(finished, accord_cli, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nfine\n")
    out = tmp_path / "out.csv"
    options = ("--input", rows, "--output", out, "--task", "mood", "--precision", "tf32")
    answer = accord_cli("predict", finished, *options)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "precision: 'tf32' takes a GPU with TF32" in answer.err


def test_labels_in_another_order_mean_the_same(finished, make_project, accord_cli, tmp_path):
    """A config to evaluate on may list the labels otherwise than the model's did."""
    changes = {"tasks.mood.labels": ["mixed", "pos", "neg"], "tasks.same.labels": None}
    other = make_project(tmp_path / "other", changes)
    answer = accord_cli("evaluate", finished, "--config", other, "--json")
    trained = json.loads((finished / "results.json").read_text())["figures"]
    assert json.loads(answer.out)["mood"] == pytest.approx(trained["mood"], rel=1e-5)


def test_another_kind_of_task_is_refused(finished, make_project, accord_cli, tmp_path):
    changes = {"tasks.near.kind": "pair-classification", "tasks.near.range": None}
    other = make_project(tmp_path / "other", changes)
    answer = accord_cli("evaluate", finished, "--config", other)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "tasks.near.kind" in answer.err
    assert "'pair-regression'" in answer.err
