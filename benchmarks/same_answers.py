"""Do Python, files, ONNX and transformers give the same answers?

    python benchmarks/same_answers.py RUN ... [--texts N]

RUN is a finished run whose dev files are there. Up to N of each task's dev texts are answered

together       by one `answer` of all tasks that read such
csv, jsonl     by `accord predict --probabilities`, from and to such a file
onnx           by the exported graph in onnxruntime, tokenised as docs/export.md has it
transformers   by a pipeline of the exported task, where that class can hold it

and compared with `predict` and `predict_proba` of the task: how many labels differ (of tags: of
words), and the largest difference of probabilities (of values: as a share of their range). A list
of words is a text to CSV and pipelines; `predict` is then asked for the same text. Tags' files have
probabilities of entities, and pipelines those of each word's likeliest tag.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import transformers
from click.testing import CliRunner
from prediction import quieten
from tokenizers import Tokenizer

import accord
from accord.cli.predict import predict as predict_command
from accord.data.examples import Given
from accord.derived.export import export
from accord.derived.to_onnx import export_onnx
from accord.errors import ModelError
from accord.evaluation.dev_texts import plan_of, read_dev_texts
from accord.evaluation.predict import Predictor
from accord.kinds import kind_of, labelled_kind
from accord.tasks import Task

BATCH = 32
AS_STRINGS = ("csv", "transformers")
LIMITS = {"onnx": 1e-4}
LIMIT = 1e-5
OUTSIDE = "O"


@dataclass(frozen=True)
class Said:
    """What a side says of a task's rows.

    Attributes:
        labels: of each row; of tags a list for each.
        numbers: all probabilities, or values, in order.
        form: which: 'shares' of all classes, those of 'entities', or of the 'likeliest' tag.
    """

    labels: list[Any]
    numbers: list[float]
    form: str = "shares"


def words(task: Task) -> bool:
    """Whether the task labels words."""
    return kind_of(task).units == "words"


def wanted(model: Predictor, task: Task, rows: Sequence[Given], form: str) -> Said:
    """What Python says, in a form that a side has."""
    if not words(task):
        labels = list(model.predict(task.name, rows))
        if not labelled_kind(task).probability_names(task):
            return Said(labels, labels)
        shares = model.predict_proba(task.name, rows)
        return Said(labels, [value for row in shares for value in row.values()])
    details = model.details(task.name, rows)
    labels = [each["prediction"] for each in details]
    if form == "entities":
        numbers = [entity["probability"] for each in details for entity in each["entities"]]
    else:
        tokenized = zip(rows, model.logits(task.name, rows), strict=True)
        shares = [one[seen_words(model.tokenizer, task, row)].softmax(-1)
                  for row, one in tokenized]  # fmt: skip
        every = [each.max(-1).values if form == "likeliest" else each for each in shares]
        numbers = [value for each in every for value in each.flatten().tolist()]
    return Said(labels, numbers, form)


def together(model: Predictor, task: Task, rows: Sequence[Given], folder: Path) -> Said:
    """One call for all tasks that read such rows."""
    names = [other.name for other in model.tasks if other.texts == task.texts]
    if any(isinstance(row, tuple) for row in rows) and task.texts == 1:
        names = [other.name for other in model.tasks if words(other)]  # others take no lists
    answers = [answer[task.name] for answer in model.answer(rows, names)]
    if words(task):
        entities = wanted(model, task, rows, "entities")
        return Said(answers, entities.numbers, "entities")
    if not labelled_kind(task).probability_names(task):
        return Said(answers, answers)
    shares = [answer[task.name] for answer in model.answer(rows, names, probabilities=True)]
    return Said(answers, [value for row in shares for value in row.values()])


def by_csv(model: Predictor, task: Task, rows: Sequence[Given], folder: Path) -> Said:
    """A CSV file, and the answers in one."""
    source, target = folder / "rows.csv", folder / "answers.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(model.inputs[task.name].text)
        writer.writerows([row] if isinstance(row, str) else row for row in rows)
    predict_file(model, task, source, target, "--quoting", "csv")
    with target.open(encoding="utf-8", newline="") as file:
        return from_file(task, list(csv.DictReader(file)))


def by_jsonl(model: Predictor, task: Task, rows: Sequence[Given], folder: Path) -> Said:
    """A file of JSON lines, and the answers in one."""
    source, target = folder / "rows.jsonl", folder / "answers.jsonl"
    columns = model.inputs[task.name].text
    with source.open("w", encoding="utf-8") as file:
        for row in rows:
            values = [row] if len(columns) == 1 else row
            print(json.dumps(dict(zip(columns, values, strict=True))), file=file)
    predict_file(model, task, source, target)
    lines = target.read_text(encoding="utf-8").splitlines()
    return from_file(task, [json.loads(line) for line in lines])


def predict_file(model: Predictor, task: Task, source: Path, target: Path, *more: str) -> None:
    """Call `accord predict`, with more options."""
    arguments = [str(model.folder), "--task", task.name, "--input", str(source),
                 "--output", str(target), "--probabilities", "--suffix", ".said", "--force",
                 "--quiet", *more]  # fmt: skip
    result = CliRunner().invoke(predict_command, arguments)
    if result.exit_code:
        raise SystemExit(f"accord predict: {result.output} {result.exception}")


def from_file(task: Task, records: Sequence[dict[str, Any]]) -> Said:
    """Read the columns of answers."""
    name = f"{task.name}.said"

    def value(cell: Any) -> Any:
        return json.loads(cell) if isinstance(cell, str) else cell

    if words(task):
        tags = [each[name] for each in records]
        entities = [entity for each in records for entity in value(each[f"{name}.entities"])]
        labels = [value(each) for each in tags]
        return Said(labels, [each["probability"] for each in entities], "entities")
    labels = [each[name] for each in records]
    classes = labelled_kind(task).probability_names(task)
    if not classes:
        values = [*map(float, labels)]
        return Said(values, values)
    if any(isinstance(label, list) for label in labels) or task.kind == "multi-label":
        labels = [value(label) for label in labels]
    return Said(labels, [float(each[f"{name}.{one}"]) for each in records for one in classes])


def by_onnx(model: Predictor, task: Task, rows: Sequence[Given], folder: Path) -> Said:
    """The graph, by a reader who has the folder alone."""
    graphs = folder / "graphs"
    about = json.loads((graphs / "onnx.json").read_text(encoding="utf-8"))
    entry = about["tasks"][task.name]
    tokenizer = Tokenizer.from_file(str(graphs / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokenizer.enable_padding(pad_id=about["pad_token_id"])
    session = onnxruntime.InferenceSession(str(graphs / entry["graph"]))
    labels: list[Any] = []
    numbers: list[float] = []
    for start in range(0, len(rows), BATCH):
        chosen = [split(task, row) if words(task) else row for row in rows[start : start + BATCH]]
        read = tokenizer.encode_batch(chosen, is_pretokenized=words(task))
        every = {
            "input_ids": [one.ids for one in read],
            "attention_mask": [one.attention_mask for one in read],
            "token_type_ids": [one.type_ids for one in read],
        }
        feed = {name: np.array(every[name], dtype=np.int64) for name in about["inputs"]}
        for one, output in zip(read, session.run([entry["answers"]], feed)[0], strict=True):
            if words(task):
                seen = sorted({number for number in one.word_ids if number is not None})
                shares = output[[one.word_ids.index(number) for number in seen]]
                tags = [OUTSIDE] * len(chosen[len(labels) - start])  # of words without a token
                for number, best in zip(seen, shares.argmax(-1), strict=True):
                    tags[number] = entry["labels"][best]
                labels.append(begun(tags) if entry["scheme"] == "bio" else tags)
            elif "labels" not in entry:
                labels.append(float(output))
            elif entry.get("thresholds"):
                chosen_labels = zip(entry["labels"], output, entry["thresholds"], strict=True)
                labels.append([name for name, share, least in chosen_labels if share >= least])
            else:
                labels.append(entry["labels"][output.argmax()])
            numbers += np.asarray(shares if words(task) else output).flatten().tolist()
    return Said(labels, numbers)


def begun(tags: Sequence[str]) -> list[str]:
    """Tags in which an `I-x` that continues no entity of x is a `B-x`, as docs/export.md says."""
    named: list[str] = []
    for tag in tags:
        goes_on = bool(named) and named[-1][2:] == tag[2:]
        named.append(f"B-{tag[2:]}" if tag.startswith("I-") and not goes_on else tag)
    return named


def seen_words(tokenizer: Tokenizer, task: Task, row: Given) -> list[int]:
    """The numbers of words that have tokens."""
    read = tokenizer.encode(split(task, row), is_pretokenized=True)
    return sorted({number for number in read.word_ids if number is not None})


def split(task: Task, row: Given) -> list[str]:
    """A row's words."""
    if not isinstance(row, str):
        return list(row)
    places = kind_of(task).word_places(labelled_kind(task).reading(task), row)
    return [row[start:stop] for start, stop in places]


def by_transformers(model: Predictor, task: Task, rows: Sequence[Given], folder: Path) -> Said:
    """A pipeline of the task's model, as transformers has it."""
    out = folder / "transformers"
    export(model.folder, out, task.name)
    if not words(task):
        classify = transformers.pipeline("text-classification", str(out), top_k=None)
        given = [row if isinstance(row, str) else {"text": row[0], "text_pair": row[1]}
                 for row in rows]  # fmt: skip
        by_row = [{each["label"]: each["score"] for each in answer}
                  for answer in classify(given, truncation=True)]  # fmt: skip
        names = labelled_kind(task).probability_names(task)
        if not names:
            values = [next(iter(each.values())) for each in by_row]
            return Said(values, values)
        labels: list[Any] = [max(each, key=each.__getitem__) for each in by_row]
        if labelled_kind(task).answer_is_list:
            least = dict(zip(names, task.thresholds or [0.5] * len(names), strict=True))
            labels = [[name for name in names if each[name] >= least[name]] for each in by_row]
        return Said(labels, [each[name] for each in by_row for name in names])
    tag = transformers.pipeline("token-classification", str(out), ignore_labels=[])
    labels, numbers = [], []
    for row in rows:
        assert isinstance(row, str)
        tokens = {each["start"]: each for each in tag(row)}
        places = kind_of(task).word_places(labelled_kind(task).reading(task), row)
        chosen = [tokens.get(start) for start, _ in places]
        tags = [each["entity"] if each else OUTSIDE for each in chosen]
        labels.append(begun(tags) if task.options["scheme"] == "bio" else tags)
        numbers += [float(each["score"]) for each in chosen if each]
    return Said(labels, numbers, "likeliest")


SIDES: dict[str, Callable[[Predictor, Task, Sequence[Given], Path], Said]] = {
    "together": together,
    "csv": by_csv,
    "jsonl": by_jsonl,
    "onnx": by_onnx,
    "transformers": by_transformers,
}


def compared(run: Path, most: int) -> Iterator[list[str]]:
    """Yield a line of the table for each task of a run and each side."""
    model, plan = accord.load(run), plan_of(run)
    if plan is None:
        raise SystemExit(f"{run}: is no run folder")
    with tempfile.TemporaryDirectory() as scratch:
        export_onnx(model.folder, Path(scratch) / "graphs")
        for task in model.tasks:
            every = read_dev_texts(task, plan, model.folder)[:most]
            strings = [" ".join(row) if task.texts == 1 and isinstance(row, tuple) else row
                       for row in every]  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "graphs").symlink_to(Path(scratch) / "graphs")
                for side, answer in SIDES.items():
                    rows = strings if side in AS_STRINGS else every
                    try:
                        said = answer(model, task, rows, Path(folder))
                    except ModelError:  # the class can't hold it
                        yield [run.name, task.name, side, f"{len(rows)}", "–", "–", "refused"]
                        continue
                    yield [run.name, task.name, side, f"{len(rows)}", *distance(
                        task, side, said, wanted(model, task, rows, said.form)
                    )]  # fmt: skip


def distance(task: Task, side: str, said: Said, right: Said) -> list[str]:
    """Return how many labels differ, how far numbers are apart, and whether that is too much."""
    span = 1.0 if task.labels else task.range[1] - task.range[0]
    pairs = [(a, b) if words(task) else ([a], [b])
             for a, b in zip(said.labels, right.labels, strict=True)]  # fmt: skip
    unlike = sum(a != b for one in pairs for a, b in zip(*one, strict=True)) if task.labels else 0
    if len(said.numbers) != len(right.numbers):
        return [str(unlike), "other numbers", "NO"]
    apart = np.abs(np.array(said.numbers) - np.array(right.numbers)).max(initial=0) / span
    good = not unlike and apart <= LIMITS.get(side, LIMIT)
    return [str(unlike), f"{apart:.1e}", "yes" if good else "NO"]


def main() -> None:
    """Print the table; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--texts", type=int, default=500)
    options = parser.parse_args()
    quieten()
    print("| run | task | side | texts | unlike labels | largest difference | as it should be |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    failed = False
    for run in options.runs:
        for cells in compared(run, options.texts):
            print(f"| {' | '.join(cells)} |", flush=True)
            failed |= cells[-1] == "NO"
    sys.exit(failed)


if __name__ == "__main__":
    main()
