"""Label sets: how files hold them, what is wrong with some, and where they come out again."""

import csv
import json
import random
import warnings
from pathlib import Path

import numpy as np
import projects
import pytest
from planned import planned

import accord
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import files_of
from accord.data.resolving import resolve_task
from accord.data.values import list_cell
from accord.errors import ConfigError
from accord.kinds import get_kind, labelled_kind, task_section
from accord.kinds._label_sets import label_names
from accord.statistics.crossed import Side, against_constant, difference
from accord.tasks import Task


def written(folder: Path, head: list[str], rows: list[list[str]], name: str = "train.csv") -> str:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return str(path)


def records_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter=delimiter))


def texts_and(labels: list[str]) -> list[list[str]]:
    return [[f"a text {i}", label] for i, label in enumerate(labels)]


def found(folder: Path, labels: list[str], **keys) -> tuple[str, ...]:
    train = written(folder, ["text", "label"], texts_and(labels))
    return resolve_task("t", planned(kind="multi-label", text="text", train=train, **keys)).labels


def test_generated_sets_are_read_back_from_every_way_to_write_them(tmp_path) -> None:
    rng = random.Random(0)
    for number in range(20):
        names = rng.sample(["ab", "c d", "é", "7", "x-y", "not", "true", "Z"], rng.randint(2, 8))
        sets = [rng.sample(names, rng.randint(0, len(names))) for _ in range(30)] + [names]
        separator = rng.choice(["|", ";", " & ", ","])
        ways = {
            "joined": (["text", "y"], [[separator.join(one) or "none"] for one in sets]),
            "listed": (["text", "y"], [[json.dumps(one)] for one in sets]),
            "columns": (["text", *names], [
                [rng.choice((["0", "false", "0.0"], ["1", "True", "1.0"])[name in one])
                 for name in names]
                for one in sets
            ]),
        }  # fmt: skip
        for way, (head, rows) in ways.items():
            lines = [[f"text {i}", *row] for i, row in enumerate(rows)]
            train = written(tmp_path, head, lines, f"{way}-{number}.csv")
            label = names if way == "columns" else "y"
            more = {} if way == "columns" else {"empty": "none", "separator": separator}
            plan = planned(kind="multi-label", text="text", train=train, label=label, **more)
            task = resolve_task("t", plan)
            if way == "columns":
                assert list(task.labels) == names
            else:
                assert list(task.labels) == sorted(names)
            files = files_of(plan, train)
            examples = list(read_examples(files, plan, task, labelled=True))
            assert all(isinstance(example, Example) for example in examples)
            targets = np.array([example.label for example in examples])
            answers = get_kind("multi-label").answers(task, targets)
            assert [set(answer) for answer in answers] == [set(one) for one in sets]


def test_a_list_of_a_typed_file_is_taken_as_it_is() -> None:
    listed = list_cell(["b", 1, 2.0, True], "y")
    assert label_names(listed, "|", "y") == ["b", "1", "2", "true"]
    assert label_names(json.dumps(["b", 1, 2.0, True]), "|", "y") == ["b", "1", "2", "true"]
    assert label_names([], "|", "y") == []
    task = resolve_task("t", planned(kind="multi-label", text="t", train="x", labels=["b", "1"]))
    parser = labelled_kind(task).parser(planned(kind="multi-label", text="t", train="x"), task)
    values = {"label": "of no use"}
    assert parser.of_row(values, {"label": ["1"]}) == [0, 1]
    assert parser.of_row(values, {"label": []}) == [0, 0]
    with pytest.raises(ValueError, match="twice"):
        parser.of_row(values, {"label": ["1", "1"]})
    assert not parser.leaves_out(values, {"label": []})


@pytest.mark.parametrize(
    ("cells", "line", "words"),
    [
        (["1", "0", "2"], 4, "'b' is '2', neither 0 nor 1"),
        (["0", "1", ""], 4, "'b' is '', neither 0 nor 1"),
        (["yes", "1", "1"], 2, "'b' is 'yes', neither 0 nor 1"),
        (["1", "0.5", "1"], 3, "'b' is '0.5', neither 0 nor 1"),
    ],
)
def test_a_cell_of_a_column_is_0_or_1(tmp_path, cells, line, words) -> None:
    rows = [[f"t {i}", "1", cell] for i, cell in enumerate(cells)]
    train = written(tmp_path, ["text", "a", "b"], rows)
    plan = planned(kind="multi-label", text="text", train=train, label=["a", "b"])
    files = files_of(plan, train)
    bad = [
        row
        for row in read_examples(files, plan, resolve_task("t", plan), labelled=True)
        if isinstance(row, BadRow)
    ]
    assert [(row.line, row.reason) for row in bad] == [(line, words)]


def test_a_row_whose_columns_are_all_blank_or_hidden_has_no_label(tmp_path) -> None:
    rows = [["x", "1", "0"], ["y", "", ""], ["z", "-1", "-1"]]
    train = written(tmp_path, ["text", "a", "b"], rows)
    for missing, kinds in (
        ([], [Example, BadRow, BadRow]),
        (["", "-1"], [Example, "Unlabelled", "Unlabelled"]),
    ):
        plan = planned(
            kind="multi-label", text="text", train=train, label=["a", "b"], missing=missing
        )
        read = read_examples(files_of(plan, train), plan, resolve_task("t", plan), labelled=True)
        assert [type(row).__name__ for row in read] == [getattr(k, "__name__", k) for k in kinds]


def test_labels_are_found_sorted_and_without_what_means_none(tmp_path) -> None:
    assert found(tmp_path, ["b|a", "c", '["d", "a"]', "", "nan"]) == ("a", "b", "c", "d")
    assert found(tmp_path, ["10|9", "1.0"]) == ("1", "9", "10")
    assert found(tmp_path, ["a|b", "none"], empty="none") == ("a", "b")
    assert found(tmp_path, ["a b", "c"]) == ("a b", "c")
    assert found(tmp_path, ["one"]) == ("one",)
    with pytest.raises(ConfigError, match="holds no label"):
        found(tmp_path, ["", "none"], empty="none")
    with pytest.raises(ConfigError, match=r"holds more than 1000 different labels"):
        found(tmp_path, ["|".join(f"n{i}" for i in range(1001))])


def test_what_means_none_is_no_label_wherever_it_stands(tmp_path) -> None:
    """Alone it means none in a list too; beside others its row can't be used."""
    rng = random.Random(2)
    for number, empty in enumerate(["none", "-", "0", "n/a", "", "neutral"]):
        alone = [empty] * bool(empty), []
        sets = [rng.sample(["a", "b", "c"], rng.randint(1, 3)) for _ in range(20)] + [*alone]
        mixed = [[*one, empty] for one in sets[:3] if empty]
        cells = [
            json.dumps(one) if rng.random() < 0.5 or not one else "|".join(one)
            for one in sets + mixed
        ]
        train = written(tmp_path, ["text", "label"], texts_and(cells), f"{number}.csv")
        plan = planned(kind="multi-label", text="text", train=train, empty=empty)
        task = resolve_task("t", plan)
        assert Task.from_json(task.to_json()) == task  # as it is read from a model's folder
        assert task.labels == ("a", "b", "c")
        (*rows,) = read_examples(files_of(plan, train), plan, task, labelled=True)
        wanted = [[int(name in one) for name in task.labels] for one in sets]
        assert [row.label for row in rows[: len(sets)]] == wanted
        for row in rows[len(sets) :]:
            assert (
                row.reason == f"label: '{empty}' means no label at all, but others stand beside it"
            )


@pytest.mark.parametrize("other", [",", ";", "|"])
def test_labels_that_something_else_joins_are_refused_with_the_cure(tmp_path, other) -> None:
    separator = ";" if other == "|" else "|"
    joined = [other.join(parts) for parts in (["joy", "fear"], ["joy"], ["fear", "anger"])]
    with pytest.raises(ConfigError) as caught:
        found(tmp_path, joined, separator=separator)
    assert f"looks like labels joined by '{other}'" in str(caught.value)
    assert found(tmp_path, joined, separator=other) == ("anger", "fear", "joy")
    # Commas in names that stand nowhere else are part of them.
    assert found(tmp_path, ["food, drink", "inn"]) == ("food, drink", "inn")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"labels": ["a|b", "c"]}, r"labels: 'a\|b' holds the separator"),
        ({"labels": ["a", "b,c"], "separator": ","}, "labels: 'b,c' holds the separator ','"),
        ({"label": ["a", "b|c"]}, r"label: 'b\|c' holds the separator"),
        ({"label": ["a", "a"]}, "label: takes one or more different columns"),
        ({"label": []}, "label: takes one or more different columns"),
        ({"label": ["a", "b"], "labels": ["a", "b"]}, "labels: the columns of 'label' name them"),
        ({"label": ["a", "b"], "empty": "-"}, "empty: is for labels in one column"),
        ({"labels": ["a", "b", "a"]}, "labels: takes one or more different names"),
        ({"labels": []}, "labels: takes one or more different names"),
        ({"labels": ["a", "none"], "empty": "none"}, "empty: 'none' is one of 'labels'"),
        ({"missing": [""], "empty": ""}, "empty: '' is in 'missing'"),
        ({"separator": ""}, "at least 1"),
        ({"positive": "a"}, "positive: is for classification"),
        ({"metric": "f1"}, "metric: kind 'multi-label' is evaluated by micro_f1"),
        ({"loss": "mse"}, "loss: kind 'multi-label' takes 'binary_cross_entropy'"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"targets": "popart"}, "'popart' is for regression"),
        (
            {"kind": "pair-multi-label", "text": ["a", "b"], "encoding": "separate",
             "head": "cosine"},
            "head: kind 'pair-multi-label' takes 'linear'",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(keys, words) -> None:
    with pytest.raises(ValueError, match=words):
        task_section(**{"kind": "multi-label", "text": "text", **keys})


def reasons(folder, cells, **keys) -> list[str]:
    """Why rows of a file with these cells can't be used, with their numbers."""
    train = written(folder, ["text", "label"], texts_and(cells))
    plan = planned(kind="multi-label", text="text", train=train, **keys)
    read = read_examples(files_of(plan, [train]), plan, resolve_task("t", plan), labelled=True)
    return [f"{row.line - 2}: {row.reason}" for row in read if isinstance(row, BadRow)]


@pytest.mark.parametrize("separator", ["|", ",", " / "])
def test_names_of_lists_that_could_not_be_told_apart_are_refused(tmp_path, separator) -> None:
    one = f"a{separator}b"
    cells = ['["c"]', json.dumps([one, "c"]), "c", f"c{separator}b"]
    why = f"1: label: '{one}' holds the separator '{separator}'; set separator to what stands in no"
    for keys in ({}, {"labels": ["b", "c", "a"]}):
        (reason,) = reasons(tmp_path, cells, separator=separator, **keys)
        assert reason.startswith(why)
    assert found(tmp_path, cells[:2], separator=";") == tuple(sorted([one, "c"]))


@pytest.mark.parametrize("seed", range(6))
def test_labels_that_another_separator_joins_in_a_few_rows_are_refused_there(tmp_path, seed):
    """A name with a comma of which a part stands nowhere else is one label."""
    rng = random.Random(seed)
    names = rng.sample(["joy", "fear", "rage", "awe", "food, drink"], 4)
    separator, other = rng.sample(["|", ";"] + [","] * ("food, drink" not in names), 2)
    cells = [separator.join(rng.sample(names, rng.randint(1, 4))) for _ in range(30)] + names
    cells.append(separator.join(names[:2]))
    wrong = rng.randrange(len(cells))
    joined = f" {other} ".join(name for name in names if "," not in name)
    cells.insert(wrong, joined)
    (reason,) = reasons(tmp_path, cells, separator=separator)
    why = f"{wrong}: label: unknown label '{joined}'; it is labels joined by '{other}'"
    assert reason.startswith(why)
    assert found(tmp_path, cells, separator=separator) == tuple(sorted(names))
    assert reasons(tmp_path, cells, separator=separator, labels=[*names, joined]) == []


def test_a_row_counts_as_of_its_rarest_label() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 0]], np.uint8)
    assert get_kind("multi-label").strata(targets).tolist() == [1, 0, 2, 3, 1]


def test_runs_are_compared_by_label_sets() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((200, 5)) < 0.4

    def side(noise: float) -> Side:
        return Side((0, 1), np.stack([labels ^ (rng.random(labels.shape) < noise) for _ in "ab"]))

    for metric in ("micro_f1", "macro_f1", "example_f1", "accuracy"):
        better = difference(metric, labels, side(0.05), side(0.3))
        assert better.interval()[0] > 0
        assert better.rows == 200
        assert against_constant(metric, labels, side(0.05)).lower() > 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a task with 0/1 columns and one with a JSON list, with labelled test files."""
    folder = tmp_path_factory.mktemp("sets")
    rng = random.Random(1)

    def rows(count: int) -> list[list[str]]:
        made = []
        for i in range(count):
            good, bad = rng.random() < 0.5, rng.random() < 0.3
            words = [*[rng.choice(projects.GOOD)] * good, *[rng.choice(projects.BAD)] * bad]
            names = ["good"] * good + ["bad"] * bad
            text = " ".join([*rng.choices(projects.PLAIN, k=8), *words])
            made.append([str(i), text, str(int(good)), str(int(bad)), json.dumps(names)])
        return made

    head = ["id", "text", "good", "bad", "all"]
    files = {split: written(folder, head, rows(n), f"{split}.csv")
             for split, n in (("train", 60), ("dev", 40), ("test", 30))}  # fmt: skip
    config = {
        "encoder": {"path": str(projects.write_encoder(folder / "encoder"))},
        "tasks": {
            "flags": {"kind": "multi-label", "text": "text", "label": ["good", "bad"], "id": "id",
                      **files},
            "lists": {"kind": "multi-label", "text": "text", "label": "all", "separator": "+",
                      "pooling": "pooler", **files},
        },
        "training": {"epochs": 2, "batch_size": 8},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        return accord.train(config, out=folder / "run", quiet=True)


def test_labelled_test_rows_are_held_out_and_evaluated_alike(run) -> None:
    model = accord.load(run.folder)
    for name in ("flags", "lists"):
        entry = run.results["heldout"][name]
        assert entry["on"] == "test"
        figures = model.evaluate_file(name, run.folder.parent / "test.csv").figures
        assert figures["micro F1"] == pytest.approx(entry["value"], abs=1e-6)
    assert model.task("lists").labels == ("bad", "good")


def test_every_format_says_the_same_sets(run, tmp_path) -> None:
    from pyarrow.parquet import read_table

    from accord.evaluation.answer_columns import Naming
    from accord.evaluation.answerable import Source
    from accord.evaluation.output import Output
    from accord.evaluation.predict_file import predict_file

    model, source = accord.load(run.folder), Source(run.folder.parent / "test.csv")
    texts = [row["text"] for row in records_of(source.path)]
    said = {}
    for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        output, naming = Output.at(out, None, force=False), Naming(suffix=".said")
        predict_file(model, ["lists"], source, output, naming=naming)
        if ending in ("csv", "tsv"):
            rows = records_of(out, "," if ending == "csv" else "\t")
            said[ending] = [json.loads(row["lists.said"]) for row in rows]
        elif ending == "parquet":
            said[ending] = read_table(out)["lists.said"].to_pylist()
        else:
            text = out.read_text()
            records = json.loads(text) if ending == "json" else map(json.loads, text.splitlines())
            said[ending] = [record["lists.said"] for record in records]
    assert all(sets == model.predict("lists", texts) for sets in said.values())
    assert len(texts) == 30


@pytest.mark.slow
def test_transformers_says_the_same_of_an_exported_model(run, tmp_path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from accord.derived.export import export

    export(run.folder, tmp_path / "alone", "lists")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "alone").eval()
    assert theirs.config.problem_type == "multi_label_classification"
    texts = [" ".join(projects.GOOD[:3]), projects.BAD[0]]
    tokens = AutoTokenizer.from_pretrained(tmp_path / "alone")(
        texts, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = theirs(**tokens).logits
    torch.testing.assert_close(
        logits, accord.load(run.folder).logits("lists", texts), atol=1e-4, rtol=0
    )


def test_check_counts_each_label_and_the_rows_with_none(run) -> None:
    from accord.config.file import parse_config
    from accord.data.checking import check_data
    from accord.plan.making import plan_run
    from accord.untrusted import read_toml

    table = read_toml(run.folder / "config.toml")
    plan = plan_run(parse_config(table))
    report = check_data(plan.stages[-1].data, Path(table["encoder"]["path"]))
    rows = records_of(run.folder.parent / "train.csv")
    for task in report.tasks:
        train = task.splits[0]
        assert train.labels is not None
        for name in ("good", "bad"):
            assert train.labels[name] == sum(row[name] == "1" for row in rows)
        assert train.labels["(none)"] == sum(row["all"] == "[]" for row in rows)


def test_a_head_begins_with_the_shares_of_the_training_rows() -> None:
    import torch

    from accord.kinds.multi_label import MultiLabelTask
    from accord.model.label_sets import LabelSetHead

    labels = ("a", "b", "c")
    task = MultiLabelTask("t", "multi-label", "binary_cross_entropy", "micro_f1", labels=labels)
    head, counts = LabelSetHead(task, 6), torch.tensor([0, 30, 98])
    head.begin((torch.arange(98)[:, None] < counts).float())
    bias = head.linear.bias.detach()
    torch.testing.assert_close(bias.sigmoid(), (counts + 1) / 100, atol=1e-6, rtol=0)
