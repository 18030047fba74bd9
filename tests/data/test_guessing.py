import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from accord.data.guessing import group_files, guess_tasks
from accord.errors import DataError


def write(folder: Path, name: str, header: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["sst-train.csv", "sst-dev.csv"], {"sst": ["train", "dev"]}),
        (["a.train.tsv", "a_valid.tsv", "a test.tsv"], {"a": ["train", "dev", "test"]}),
        (["reviews.csv"], {"reviews": ["train"]}),
        (["imdb/train.csv", "imdb/test.csv"], {"imdb": ["train", "test"]}),
        (["x/d.csv", "y/d.csv"], {"d": ["train"], "y-d": ["train"]}),
        (["Größe.csv"], {"gr-e": ["train"]}),
    ],
)
def test_files_of_a_task_find_each_other(names, groups):
    actual = group_files([Path(name) for name in names])
    assert {task: list(files) for task, files in actual.items()} == groups


def test_two_files_for_one_split():
    with pytest.raises(DataError, match="looks like the dev file of 'a'"):
        group_files([Path("a-train.csv"), Path("a-dev.csv"), Path("a-valid.csv")])


def test_no_training_file():
    with pytest.raises(DataError, match="no training file beside it"):
        group_files([Path("a-dev.csv")])


TEXTS = ["what a fine film", "a dull long film", "I liked it a lot", "not for me at all"]


def test_columns_without_telling_names(tmp_path):
    rows = [f"k{i}\t{text}\t{'up' if i % 2 else 'down'}" for i, text in enumerate(TEXTS)]
    (task,) = guess_tasks([write(tmp_path, "d.tsv", "key\tphrase\tverdict", *rows)])
    assert (task.kind, task.text, task.label, task.id) == (
        "classification", ("phrase",), "verdict", None,
    )  # fmt: skip
    assert task.labels == ("down", "up")
    assert any("longest texts" in reason for reason in task.reasons)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["0.0", "1.0", "1", "0"], "classification"),
        (["0.5", "1", "2", "3"], "regression"),
        ([str(i) for i in range(21)], "regression"),
        (["pos", "neg", "1", "2"], "classification"),
    ],
)
def test_the_kind_follows_from_the_labels(tmp_path, values, kind):
    rows = [f"{TEXTS[i % 4]},{value}" for i, value in enumerate(values)]
    (task,) = guess_tasks([write(tmp_path, "d.csv", "text,label", *rows)])
    assert task.kind == kind


def test_two_columns_of_running_text_are_a_pair(tmp_path):
    rows = [f"{text}\t{text} too\t{i / 3}" for i, text in enumerate(TEXTS)]
    (task,) = guess_tasks([write(tmp_path, "d.tsv", "left\tright\tscore", *rows)])
    assert (task.kind, task.text, task.range) == ("pair-regression", ("left", "right"), (0, 1))


def test_labels_that_stand_in_dev_alone_count(tmp_path):
    train = write(tmp_path, "d-train.csv", "text,label", "a,x", "b,y")
    dev = write(tmp_path, "d-dev.csv", "text,label", "c,z")
    assert guess_tasks([train, dev])[0].labels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("id,number", "1,2", "no column looks like a text"),
        ("text,other", "a,b c d", "no column looks like a label"),
    ],
)
def test_nothing_to_guess_from(tmp_path, header, row, message):
    with pytest.raises(DataError, match=message):
        guess_tasks([write(tmp_path, "d.csv", header, row)])


def test_too_many_names_are_no_labels(tmp_path):
    rows = [f"some text here,l{i}" for i in range(1_001)]
    with pytest.raises(DataError, match="so it is no label"):
        guess_tasks([write(tmp_path, "d.csv", "text,label", *rows)])


COLUMNS = {
    "tone": (["up", "down", ""], "classification"),
    "isSpam": (["0", "1"], "classification"),
    "urgency": (["0.5", "1.25", "3", ""], "regression"),
    "topic_label": ([f"t{i}" for i in range(30)], "classification"),
    "label": (["a", "b"], "classification"),
    "user_id": ([f"u{i}" for i in range(9)], None),
    "created_at": (["2024-01-01", "2024-01-02"], None),
    "tone_confidence": (["0.5", "0.7"], None),
    "upvotes": ([str(i) for i in range(25)], None),
    "town": ([f"town{i}" for i in range(25)], None),
    "constant": (["x"], None),
    "blank": ([""], None),
}


def table(folder: Path, name: str, columns: Sequence[str]) -> Path:
    rows = [
        ",".join([f"some words, here {i}".replace(",", ""),
                  *(COLUMNS[column][0][i % len(COLUMNS[column][0])] for column in columns)])
        for i in range(100)
    ]  # fmt: skip
    return write(folder, name, ",".join(["text", *columns]), *rows)


@pytest.mark.parametrize("seed", range(12))
def test_each_label_column_of_a_table_is_a_task_and_others_are_left_with_a_reason(tmp_path, seed):
    rng = random.Random(seed)
    kinds = {name: kind for name, (_, kind) in COLUMNS.items()}
    labels = [name for name, kind in kinds.items() if kind and name != "label"]
    columns = [*rng.sample(labels, rng.randint(2, 4)),
               *rng.sample([name for name, kind in kinds.items() if not kind], 4)]  # fmt: skip
    rng.shuffle(columns)
    tasks = guess_tasks([table(tmp_path, "d.csv", columns)])
    expected = [(name, kinds[name]) for name in columns if kinds[name]]
    assert [(task.label, task.kind) for task in tasks] == expected
    assert [task.name for task in tasks] == [name.lower() for name, _ in expected]
    for task in tasks:
        values = {value for value in COLUMNS[task.label][0] if value}
        if task.kind == "classification":
            assert set(task.labels) == values
        else:
            assert task.range == (min(map(float, values)), max(map(float, values)))
    left = [reason for reason in tasks[0].reasons if reason.startswith("left")]
    assert {reason.split("'")[1] for reason in left} == {
        column for column in columns if not kinds[column]
    }


@pytest.mark.parametrize("others", [["tone"], ["urgency", "user_id"], ["constant", "upvotes"]])
def test_beside_a_column_that_is_called_the_label_there_is_no_other(tmp_path, others):
    (task,) = guess_tasks([table(tmp_path, "d.csv", [*others, "label"])])
    assert (task.name, task.label, task.labels) == ("d", "label", ("a", "b"))
    for other in others:
        assert any(reason.startswith(f"left '{other}': ") for reason in task.reasons)


def test_tasks_of_several_tables_have_different_names(tmp_path):
    paths = [table(tmp_path, f"{name}.csv", ["tone", "isSpam"]) for name in ("one", "tone", "a")]
    paths.append(table(tmp_path, "isspam.csv", ["tone"]))
    names = [task.name for task in guess_tasks(paths)]
    assert len(set(names)) == 7
    assert names[-1] == "isspam"


def test_the_dev_and_test_files_of_a_table_are_those_of_each_of_its_tasks(tmp_path):
    train = table(tmp_path, "d-train.csv", ["tone", "isSpam"])
    test = write(tmp_path, "d-test.csv", "text", "some words")
    tasks = guess_tasks([train, test])
    assert [task.files for task in tasks] == [{"train": (train,), "test": (test,)}] * 2


def test_a_column_of_decimal_commas_is_left_with_that_reason_unless_it_is_the_label(tmp_path):
    rows = [f"how is text {i};{'no' if i % 3 else 'yes'};{i % 5},5" for i in range(30)]
    path = tmp_path / "d.csv"
    path.write_text("\n".join(["text;label;score", *rows]) + "\n")
    (task,) = guess_tasks([path])
    assert task.label == "label"
    why = "left 'score': it holds numbers with a decimal comma, as '0,5'; numbers take a point"
    assert why in task.reasons
    path.write_text("\n".join(["text;other;score", *rows]) + "\n")
    with pytest.raises(DataError, match="column 'score' holds numbers with a decimal comma"):
        guess_tasks([path])


@pytest.mark.parametrize("seed", range(8))
def test_joined_names_are_sets_of_labels_and_commas_in_names_are_not(tmp_path, seed):
    rng = random.Random(seed)
    separator = rng.choice([";", "|"])
    names = rng.sample(["joy", "fear", "deep rage", "7", "love", "envy"], rng.randint(2, 6))
    cells = [separator.join(rng.sample(names, rng.randint(1, len(names)))) for _ in range(60)]
    rows = [f"how text number {i} feels,{cell}" for i, cell in enumerate([*names, *cells])]
    (task,) = guess_tasks([write(tmp_path, "d.csv", "text,emotions", *rows)])
    assert (task.kind, task.options, task.labels) == (
        "multi-label", {"separator": separator}, (),
    )  # fmt: skip
    assert f"multi-label, because 'emotions' holds names joined by '{separator}'" in task.reasons
    places = ["Lyon, France", "Paris, France", "Rome, Italy"]
    rows = [f'how text number {i} feels,"{places[i % 3]}"' for i in range(60)]
    (task,) = guess_tasks([write(tmp_path, "d.csv", "text,place", *rows)])
    assert (task.kind, task.labels) == ("classification", tuple(places))


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("False", "True")])
def test_several_columns_of_0_and_1_are_one_task(tmp_path, no, yes):
    rng = random.Random(0)
    rows = [
        [f"how text number {i} feels", rng.choice([no, yes]), rng.choice("ab"),
         rng.choice([no, yes]), rng.choice([no, yes]), rng.choice([no, yes, ""])]
        for i in range(60)
    ]  # fmt: skip
    head = "text,rude,tone,spam,long,partly"
    tasks = guess_tasks([write(tmp_path, "d.csv", head, *map(",".join, rows))])
    assert [(task.kind, task.name) for task in tasks] == [
        ("multi-label", "labels"), ("classification", "tone"), ("classification", "partly"),
    ]  # fmt: skip
    assert tasks[0].columns == ("rude", "spam", "long")
    alone = [",".join([row[0], row[1]]) for row in rows]
    (task,) = guess_tasks([write(tmp_path, "e.csv", "text,rude", *alone)])
    assert task.kind == "classification"
