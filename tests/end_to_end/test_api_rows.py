"""Rows in memory train, check, compare and evaluate as the same rows in files do."""

import csv
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import accord
from accord.errors import ConfigError, DataError, RunFolderError, Stopped, UsageError

Table = dict[str, Any]
SHORT = {"training.epochs": 1, "training.steps_per_epoch": 3}


def rows_of(file: Path) -> list[Table]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ","))


def in_memory(config: Path, form: Callable[[list[Table]], Any] = list) -> Table:
    """A config whose files are rows."""
    table = tomllib.loads(config.read_text())
    for task in table["tasks"].values():
        for split in {"train", "dev", "test"} & task.keys():
            task[split] = form(rows_of(config.parent / task[split]))
    return table


@pytest.fixture
def table(project) -> Table:
    """The config of a short run of one task, whose files are rows."""
    return in_memory(project({**SHORT, "tasks.mood.test": None}, ("mood",)))


@pytest.mark.parametrize("form", [list, pa.Table.from_pylist], ids=["mappings", "table"])
def test_rows_train_what_files_train(form, project, tmp_path):
    config = project(SHORT)
    accord.train(config, tmp_path / "file" / "run", quiet=True)
    accord.train(in_memory(config, form), tmp_path / "rows" / "run", quiet=True)
    for name in ("model/model.safetensors", "model/heads.safetensors", "scores.safetensors"):
        from_file, from_rows = (tmp_path / of / "run" / name for of in ("file", "rows"))
        assert from_file.read_bytes() == from_rows.read_bytes(), name
    predicted = [
        [row["prediction"] for row in rows_of(tmp_path / of / "run/predictions/mood-test.csv")]
        for of in ("file", "rows")
    ]
    assert predicted[0] == predicted[1]


def test_a_run_names_files_that_stay(table, tmp_path):
    run = accord.train(table, tmp_path / "run", quiet=True)
    written = tomllib.loads((run.folder / "config.toml").read_text())["tasks"]["mood"]
    files = {Path(written[split]) for split in ("train", "dev")}
    assert files == {*(tmp_path / "rows").iterdir()}
    again = accord.train(table, tmp_path / "again", quiet=True)
    assert len([*(tmp_path / "rows").iterdir()]) == 2
    assert (again.folder / "config.toml").read_bytes() == (run.folder / "config.toml").read_bytes()
    assert accord.evaluate(run.folder)["mood"].metric == run.results["metrics"]["mood"]


def test_another_process_resumes_a_run_by_its_folder(
    table, stop_after, start_accord, tmp_path, outcome
):
    accord.train(table, tmp_path / "whole", quiet=True)
    stop_after(2)
    with pytest.raises(Stopped):
        accord.train(table, tmp_path / "run", quiet=True)
    process = start_accord("resume", tmp_path / "run", "--quiet")
    process.communicate()
    assert process.returncode == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_tasks_of_the_same_rows_share_them(table, tmp_path):
    mood = table["tasks"]["mood"]
    table["tasks"]["other"] = {**mood}
    (source,) = accord.check(table).sources
    assert source.tasks == [["mood", "other"]]


USES = {
    "check": accord.check,
    "train": lambda table: accord.train(table, "out/run", quiet=True),
    "compare": lambda table: accord.compare(table, "out/run", quiet=True),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_bad_row_is_named_and_nothing_is_left(use, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = in_memory(project(SHORT, ("mood", "near")))
    table["tasks"]["mood"]["train"][3]["mood"] = "angry"
    with pytest.raises(DataError) as error:
        use(table)
    assert str(error.value) == (
        "row 3 of tasks.mood.train: mood: unknown label 'angry'; allowed: neg, mixed, pos"
        ' (on_bad_row = "skip" would leave it out)'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


@pytest.mark.parametrize(
    ("label", "reason"),
    [(None, "'mood' is empty: no label"), (float("nan"), "'mood' is empty: no label"),
     (..., "'mood' is empty: no label"), (2, "mood: unknown label '2'")],
    ids=["None", "NaN", "missing", "number"],
)  # fmt: skip
def test_a_row_without_a_label(label, reason, table):
    row = table["tasks"]["mood"]["train"][0]
    row.pop("mood") if label is ... else row.update(mood=label)
    with pytest.raises(DataError, match=f"^row 0 of tasks.mood.train: {reason}"):
        accord.check(table)


def test_a_report_names_rows_by_their_key(table):
    mood = table["tasks"]["mood"]
    mood["on_bad_row"] = "skip"
    del mood["train"][2]["text"]
    report = accord.check(table)
    ((train, dev),) = (task.splits for task in report.tasks)
    assert (train.path, dev.path) == ("tasks.mood.train", "tasks.mood.dev")
    assert list(map(str, train.skipped)) == ["tasks.mood.train:2: key 'text' is missing"]
    assert report.notes == [
        "mood: 1 row of tasks.mood.train skipped; the first: row 2 of tasks.mood.train: key 'text'"
        " is missing"
    ]
    assert report.warnings[0].startswith("tasks.mood.dev: 9 dev rows")


def test_wrong_configs_are_refused_as_ever(table, tmp_path):
    table["tasks"]["mood"]["knid"] = 1
    with pytest.raises(ConfigError, match=r"^config: .*knid"):
        accord.train(table, tmp_path / "run", quiet=True)
    for tasks in (3, {"mood": 3}):
        with pytest.raises(ConfigError, match="should be a table, got 3"):
            accord.check({**table, "tasks": tasks})


@pytest.mark.slow
def test_a_comparison_goes_on_with_the_same_rows_alone(project, tmp_path):
    table = in_memory(project(SHORT, ("mood", "near")))
    first = accord.compare(table, tmp_path / "out", seeds=1, quiet=True)
    begun = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("results.json")}
    assert len(begun) == 3
    again = accord.compare(in_memory(tmp_path / "project/accord.toml"), tmp_path / "out", seeds=1,
                           quiet=True)  # fmt: skip
    assert [each.difference for each in again.sharing] == [
        each.difference for each in first.sharing
    ]
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    table["tasks"]["mood"]["train"] = table["tasks"]["mood"]["train"][1:]
    with pytest.raises(RunFolderError, match=r"another config \(.*-> tasks.mood.train\)"):
        accord.compare(table, tmp_path / "out", seeds=1, quiet=True)
    assert len([*(tmp_path / "rows").iterdir()]) == 6  # train, dev, test of both, near has all


def test_labelled_rows_are_evaluated(finished):
    file = finished.parent / "project" / "mood-dev.csv"
    rows = rows_of(file)
    expected = accord.evaluate(finished, "mood", file)["mood"].figures
    for source in (rows, pa.Table.from_pylist(rows)):
        assert accord.evaluate(finished, "mood", source)["mood"].figures == expected
    rows[4] |= {"mood": "angry"}
    with pytest.raises(DataError, match=r"^row 4 of source: mood: unknown label 'angry'"):
        accord.evaluate(finished, "mood", rows)
    with pytest.warns(UserWarning, match=r"^1 row skipped; the first: row 4 of source: mood: unk"):
        accord.evaluate(finished, "mood", rows, skip_bad_rows=True)
    with pytest.raises(UsageError, match="a source needs a task"):
        accord.evaluate(finished, source=rows)


def words_of(text: str) -> list[str]:
    """What a text says, without the lines of its tables."""
    return [word for word in text.split() if set(word) != {"─"}]


def test_results_show_what_the_commands_print(finished, accord_cli):
    project = finished.parent / "project" / "accord.toml"
    said = str(accord.check(project)).partition("\nwarning: ")[0]
    printed = words_of(accord_cli("check", project).out)
    assert words_of(said) == printed[: len(words_of(said))]
    said = str(accord.evaluate(finished, "mood"))
    assert words_of(said) == words_of(accord_cli("evaluate", finished, "--task", "mood").out)


def test_a_comparison_shows_its_verdicts(compared):
    out, config = compared
    result = accord.compare(config, out, seeds=2, quiet=True)
    lines = str(result).splitlines()
    begin = lines.index("Was sharing worth it?")
    assert [line.split()[0] for line in lines[begin + 1 : begin + 4]] == ["task", "mood", "near"]
    assert result._repr_html_().count(f">{result.sharing[0].verdict.kind}</td>") >= 1


def test_rows_are_answered_by_their_columns(finished):
    model = accord.load(finished)
    rows = rows_of(finished.parent / "project" / "mood-test.csv")
    texts = [row["text"] for row in rows]
    expected = model.predict("mood", texts)
    for given in (rows, pa.Table.from_pylist(rows)):
        assert model.predict("mood", given) == expected
        assert model.answer(given) == [{"mood": label} for label in expected]
    assert model.predict_proba("mood", rows) == model.predict_proba("mood", texts)
    assert model.details("mood", rows) == model.details("mood", texts)
    pairs = rows_of(finished.parent / "project" / "near-test.csv")
    both = [
        {**row, "first": pair["s1"], "second": pair["s2"], **pair}
        for row, pair in zip(rows, pairs, strict=False)
    ]
    answers = model.answer(both)
    assert [[*answer] for answer in answers] == [["mood", "same", "near"]] * 6
    assert [answer["mood"] for answer in answers] == expected[:6]
    near = [(row["s1"], row["s2"]) for row in both]
    assert [answer["near"] for answer in answers] == model.predict("near", near)
    records = model.records(both, ["near"])
    assert [record["near"]["answer"] for record in records] == model.predict("near", near)


def test_rows_that_no_task_can_answer(finished):
    model = accord.load(finished)
    with pytest.raises(UsageError, match=r"^texts: hold the columns of no task; theirs: a"):
        model.answer([{"a": "b"}])
    with pytest.raises(DataError, match=r"^texts: no column 'text'; allowed: a"):
        model.answer([{"a": "b"}], ["mood"])
    with pytest.raises(DataError, match=r"^row 1 of texts: key 'text' is missing"):
        model.predict("mood", [{"text": "a film"}, {"a": "b"}])


def test_columns_of_frames_are_texts(finished):
    pandas = pytest.importorskip("pandas")
    model = accord.load(finished)
    column = pandas.Series(["a fine film", "a grim meal"], index=[5, 3])
    assert model.predict("mood", column) == model.predict("mood", [*column])
    assert model.answer(column) == model.answer([*column])
    frame = pandas.DataFrame({"text": column})
    assert model.answer(frame) == model.answer([*column])


def test_overrides_are_for_mappings_too_and_leave_them_as_they_are(table):
    before = {**table["training"]}
    with pytest.raises(ConfigError, match=r"training\.epochs"):
        accord.check(table, ["training.epochs=0"])
    assert table["training"] == before


def test_paths_may_stand_in_a_mapping(project, tmp_path):
    config = project(SHORT, ("mood",))
    table = tomllib.loads(config.read_text())
    mood = table["tasks"]["mood"]
    mood["train"], mood["dev"] = config.parent / mood["train"], (config.parent / mood["dev"],)
    del mood["test"]
    table["encoder"]["path"] = Path(table["encoder"]["path"])
    run = accord.train(table, tmp_path / "run", quiet=True)
    assert (run.folder / "model").is_dir()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda table: accord.train(None, quiet=True), "config: takes a TOML file's path, or a"),
        (lambda table: accord.check(["a.toml"]), "or a mapping, got list"),
        (lambda table: accord.check(table, "training.epochs=0"), r"training\.epochs' should be at"),
        (lambda table: accord.compare(table, "out", seeds=0), "seeds: should be at least 1, got 0"),
        (lambda table: accord.compare(table, "out", workers=0), "workers: should be at least 1"),
        (lambda table: accord.compare(table, "out", margin=0), "margin: should be above 0"),
    ],
)
def test_wrong_arguments_are_said(call, said, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        call(table)
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_where_its_rows_are(table, tmp_path):
    with pytest.raises(RunFolderError, match="is where rows in memory are kept"):
        accord.train(table, tmp_path / "rows", quiet=True)
    assert not (tmp_path / "rows").exists()
