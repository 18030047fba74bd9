"""A file of answers is read again as labels of the task that gave them, whatever its kind."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kind_cases import Case, all_cases

import accord
from accord.errors import UsageError
from accord.evaluation.answer_columns import Naming
from accord.evaluation.answerable import Source
from accord.evaluation.labelled_file import read_labelled
from accord.evaluation.output import Output
from accord.evaluation.predict import Predictor
from accord.evaluation.predict_file import predict_file
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model

WORDS = ["film", "York", "é", "-", "=x", "12", '"', "[", "a,b", "film;"]
LABELLED = all_cases(labelled=True)


@pytest.fixture(scope="module")
def model(tiny_encoder: Callable, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"filmyork12-x"])
    )
    torch.manual_seed(3)
    made = MultitaskModel(tiny_encoder(), [case.task for case in LABELLED])
    with torch.no_grad():
        for case in LABELLED:
            for parameter in made.head(case.task.name).parameters():
                parameter.normal_(std=2.0)
    inputs = {case.task.name: InputFormat(tuple(case.columns)) for case in LABELLED}
    save_model(made, folder / "model", inputs, 40, folder)
    return accord.load(folder / "model")


def rows_of(case: Case, rng: random.Random, listed: bool) -> Iterator[dict[str, object]]:
    """Rows with the texts of a case, and other columns of theirs."""
    for number in range(9):
        texts: list[object] = [" ".join(rng.choices(WORDS, k=rng.randint(1, 5))) + " end"
                               for _ in case.columns]  # fmt: skip
        if listed:
            texts = [str(text).split() for text in texts]
        if case.candidates is not None:
            texts[1] = [f"choice {i} of {number}" for i in range(rng.randint(2, 4))]
        yield {"id": number, **dict(zip(case.columns, texts, strict=True)), "note": None}


def answered(model: Predictor, case: Case, source: Path, out: Path) -> list[object]:
    """Answer a file, read it again with the answers for labels, and return these."""
    task, name = model.task(case.task.name), case.task.name
    naming = Naming(probabilities=True, suffix=".said")
    output = Output.at(out, None, force=True)
    predict_file(model, [name], Source(source), output, naming=naming)
    if getattr(task, "columns", False):  # each label's column is no list
        task = replace(task, columns=False)  # type: ignore[call-arg]
    form = replace(model.inputs[name], label=f"{name}.said")
    examples = read_labelled(task, form, out, skip_bad_rows=False)
    assert [example.line for example in examples] == sorted(example.line for example in examples)
    target = case.kind.target_form(task)
    return [*case.kind.answers(task, np.asarray(target.array([one.label for one in examples])))]


@pytest.mark.slow
def test_answers_are_the_labels_that_are_read_again(model: Predictor, tmp_path: Path) -> None:
    """From JSON lines and CSV to every format; lists of words where a kind labels these."""
    for case in LABELLED:
        if case.task.kind == "ranking":  # scores may be below 0, which no grade is
            continue
        for listed in (False, True)[: 2 if case.kind.units == "words" else 1]:
            rows = [*rows_of(case, random.Random(len(case.task.name)), listed)]
            source = tmp_path / "in.jsonl"
            source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            details = model.details(case.task.name, [texts_of(row, case) for row in rows])
            wanted = [each["prediction"] for each in details]
            for ending in ("csv", "tsv", "json", "jsonl", "parquet"):
                if listed and ending in ("csv", "tsv"):  # there lists of words are texts
                    continue
                said = answered(model, case, source, tmp_path / f"out.{ending}")
                if getattr(case.task, "answer", None) == "text":
                    said = [row["two"][int(str(i))] for row, i in zip(rows, said, strict=True)]  # type: ignore[index]
                assert said == pytest.approx(wanted) if case.task.kind.endswith("regression") else (
                    said == wanted
                ), (case.task.name, ending)  # fmt: skip


def texts_of(row: dict[str, object], case: Case) -> object:
    texts = [row[column] for column in case.columns]
    return texts[0] if len(texts) == 1 else tuple(texts)


def test_two_columns_that_may_be_a_pair_or_choices_are_refused(
    model: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text('a,b\nx,"[""y"", ""z""]"\n')
    source = Source(tmp_path / "in.csv", text=("a", "b"))
    output = Output.at(tmp_path / "out.csv", None, force=False)
    with pytest.raises(UsageError, match=r"may be a pair of texts .* or a text and its candidates"):
        predict_file(model, None, source, output)
    assert not output.path.exists()
