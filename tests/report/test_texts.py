import dataclasses
import shutil
from pathlib import Path

import pytest

from accord.report.record import RunRecord, read_run
from accord.report.texts import dev_texts, worst_errors


def test_classes_by_the_probability_of_the_true_label(make_classes) -> None:
    classes = make_classes(
        [0, 1, 0, 1], [[0.4, 0.6], [0.9, 0.1], [0.8, 0.2], [0.9, 0.1]], ("n", "p")
    )
    table = worst_errors("w", "t", classes, {"r1": ("a  long\ntext",), "r3": ("x" * 300,)}, count=3)
    assert table.columns == ["id", "text", "true", "predicted", "probability of the true label"]
    assert table.rows == [
        ["r1", "a long text", "p", "n", "0.100"],
        ["r3", "x" * 199 + "…", "p", "n", "0.100"],
        ["r0", "–", "n", "p", "0.400"],
    ]
    assert table.left == 4
    assert table.note == "The 3 of 4 dev rows with the lowest probability of the true label."


def test_values_by_the_absolute_error(make_values) -> None:
    values = make_values([1, 2, 3.5], [1, 4, 0])
    table = worst_errors("w", "t", values, {"r2": ("one", "two")})
    assert table.columns == [
        "id", "first text", "second text", "true", "predicted", "absolute error"
    ]  # fmt: skip
    assert table.rows[0] == ["r2", "one", "two", "3.5", "0", "3.500"]
    assert [row[0] for row in table.rows] == ["r2", "r1", "r0"]
    assert table.left == 3


def test_without_texts_there_are_no_text_columns(make_values) -> None:
    table = worst_errors("w", "t", make_values([1], [2]), {})
    assert table.columns == ["id", "true", "predicted", "absolute error"]
    assert table.left == 1


def test_a_runs_dev_texts_are_those_of_its_predictions(record: RunRecord) -> None:
    texts = dev_texts(record, "mood")
    assert list(texts) == record.predictions("mood").ids
    assert len(texts) == 7  # its limit
    assert all(len(text) == 1 and text[0] for text in texts.values())
    assert all(len(text) == 2 for text in dev_texts(record, "same").values())
    assert len(worst_errors("w", "t", record.predictions("same"), dev_texts(record, "same")).rows)


def test_a_share_of_the_training_file_has_no_texts(record: RunRecord) -> None:
    assert dev_texts(record, "near") == {}


def with_dev(record: RunRecord, file: Path) -> RunRecord:
    model_copy = record.config.tasks["mood"].model_copy(update={"dev": str(file)})
    config = record.config.model_copy(update={"tasks": {**record.config.tasks, "mood": model_copy}})
    return dataclasses.replace(record, config=config)


@pytest.mark.parametrize("change", ["", "a text", "a label", "gone", "unusable"])
def test_a_file_that_is_not_what_it_was_has_no_texts(
    record: RunRecord, tmp_path: Path, change: str
) -> None:
    before = Path(record.config.tasks["mood"].dev or "").read_text()
    file = tmp_path / "dev.csv"
    lines = before.splitlines()
    if change == "a text":
        lines[1] = lines[1].replace(" ", " old ", 1)
    if change == "a label":
        lines[1] = lines[1].replace(",neg", ",pos")
    if change == "unusable":
        lines[0] = "x"
    if change != "gone":
        file.write_text("\n".join(lines) + "\n")
    assert bool(dev_texts(with_dev(record, file), "mood")) is (change == "")


def test_without_its_tokenizer_a_file_cannot_be_told_to_be_the_same(
    trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert dev_texts(read_run(run), "mood")
    shutil.rmtree(run / "model")
    assert dev_texts(read_run(run), "mood") == {}
