"""Exported graphs, read as their description says and executed by onnxruntime, answer as Accord."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from sklearn.metrics import f1_score
from transformers import AutoTokenizer

import accord
from accord.cli.export import export as command
from accord.derived import to_onnx
from accord.derived.onnx_model import OnnxModel
from accord.derived.quantised import LabelledRows, quantise
from accord.derived.single import open_single
from accord.derived.to_onnx import export_onnx
from accord.encoders.pretrained import load_encoder
from accord.errors import ModelError, UsageError
from accord.kinds import labelled_kind
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model
from accord.sharing import scheme_names
from accord.tasks import Task

pytestmark = pytest.mark.filterwarnings("ignore:.* (rows are cut|words cut off)")

LONG = " ".join("abcdefghijklmnopqrstuvwxyz")  # longer than a sequence may be
SINGLE = ["a b c", "good as d", "z", LONG]
PAIRS = [("a b", "c"), ("good", "as as as"), ("q r s t", LONG), (LONG, LONG)]
ROWS = [("a b", ["c", "good d"]), (LONG, [LONG, "q", "as as", "z"]), ("x", ["y", "b c", LONG])]
TEXTS = ["a b c", "good as d", "z", "q r s", "b", "c s"]
CLASSES = [2, 0, 1, 2, 0, 1]
ROWS_OF_CLASSES = "x,label\n" + "".join(
    f"{text},{('bad', 'fair', 'good')[i]}\n" for text, i in zip(TEXTS, CLASSES, strict=True)
)


class Consumer:
    """What somebody writes who has the folder alone, and transformers' tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.description = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.sessions = {
            graph: onnxruntime.InferenceSession(str(folder / graph))
            for graph in self.description["graphs"]
        }

    def tokens(self, *texts: Sequence[Any], words: bool = False) -> Any:
        return self.tokenizer(
            *texts, padding=True, truncation=True, max_length=self.description["max_length"],
            return_tensors="np", is_split_into_words=words,
        )  # fmt: skip

    def run(self, task: str, tokens: Any, what: str = "answers") -> np.ndarray:
        entry = self.description["tasks"][task]
        feed = {name: np.asarray(tokens[name]) for name in self.description["inputs"]}
        (values,) = self.sessions[entry["graph"]].run([entry[what]], feed)
        return values

    def separate(self, pairs: Sequence[tuple[str, str]]) -> dict[str, np.ndarray]:
        tokens = self.tokens([text for pair in pairs for text in pair])
        return {name: x.reshape(len(pairs), 2, -1) for name, x in tokens.items()}


def same(consumer: Consumer, model: Any, task: Task) -> None:
    """Compare a task's answers with those of Accord."""
    kind = labelled_kind(task)
    if kind.units == "words":
        same_words(consumer, model, task)
    elif kind.units == "sequences":
        for (text, choices), ours in zip(ROWS, model.logits(task.name, ROWS), strict=True):
            theirs = consumer.run(task.name, consumer.tokens([text] * len(choices), choices))
            assert theirs == pytest.approx(ours[: len(choices), 0].numpy(), abs=1e-5)
    else:
        texts = SINGLE if task.texts == 1 else PAIRS
        tokens = (
            consumer.separate(PAIRS) if task.sequences == 2
            else consumer.tokens(texts) if task.texts == 1
            else consumer.tokens(*map(list, zip(*texts, strict=True)))
        )  # fmt: skip
        logits = model.logits(task.name, texts)
        assert consumer.run(task.name, tokens, "logits") == pytest.approx(logits.numpy(), abs=1e-4)
        shares = kind.probabilities(task, logits)
        span = 1 if task.labels else task.range[1] - task.range[0]
        wanted = kind.decode(task, logits) if shares is None else shares
        answers = consumer.run(task.name, tokens)
        assert answers == pytest.approx(wanted.numpy(), abs=1e-5 * span)


def same_words(consumer: Consumer, model: Any, task: Task) -> None:
    """Words are found in tokens: a word's logits are its first's, or the mean of its tokens'."""
    rows = [text.split() for text in SINGLE] + [["as", "good", "ass", "s"]]
    tokens = consumer.tokens(rows, words=True)
    of_tokens = consumer.run(task.name, tokens, "logits")
    for i, ours in enumerate(model.logits(task.name, rows)):
        numbers = np.array([-1 if word is None else word for word in tokens.word_ids(i)])
        for word in set(numbers.tolist()) - {-1}:
            places = np.flatnonzero(numbers == word)
            places = places[:1] if task.pooling == "first" else places
            theirs = of_tokens[i, places].mean(0)
            assert theirs == pytest.approx(ours[word].numpy(), abs=1e-4)
    same_tags(consumer, model, task, rows, tokens)


def same_tags(consumer: Consumer, model: Any, task: Task, rows: list[list[str]], t: Any) -> None:
    """A word's tag is its likeliest; where none is of its entity before it, I-x is B-x."""
    entry = consumer.description["tasks"][task.name]
    if task.pooling != "first" or entry["scheme"] == "iobes":
        return
    shares = consumer.run(task.name, t)
    for i, (row, wanted) in enumerate(zip(rows, model.predict(task.name, rows), strict=True)):
        numbers, tags = t.word_ids(i), ["O"] * len(row)
        for word in range(len(row)):
            if word in numbers:
                tags[word] = entry["labels"][shares[i, numbers.index(word)].argmax()]
                goes_on = word > 0 and tags[word - 1][1:] == tags[word][1:]
                if entry["scheme"] == "bio" and tags[word][:2] == "I-" and not goes_on:
                    tags[word] = f"B-{tags[word][2:]}"
        assert tags == wanted


def of_kinds(tasks: Sequence[Task], *kinds: str) -> list[Task]:
    """A task of each kind, named as it."""
    by_kind = {task.kind: task for task in tasks}
    return [replace(by_kind[kind], name=kind) for kind in kinds]


def run_page(library: str) -> dict[str, Any]:
    """The names that docs/export.md's example of a library leaves."""
    page = Path(__file__).parents[2] / "docs" / "export.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if f"import {library}" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    return names


@pytest.mark.slow
def test_a_graph_answers_as_the_model_and_says_what_int8_costs(
    saved, tasks, tmp_path, monkeypatch
) -> None:
    """One export serves all that is asked here, as it takes seconds."""
    some = of_kinds(tasks, "classification", "multi-label", "token-classification")
    some[1] = replace(some[1], name="input_ids")  # a task may have any name
    folder, out = saved(some, "own-layers"), tmp_path / "graphs"
    (tmp_path / "rows.csv").write_text(ROWS_OF_CLASSES)
    arguments = [str(folder), str(out), "--to", "onnx"]
    said = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    names = ", ".join(task.name for task in some)
    assert f"text.onnx: {names}; a pass computes 4 encoder layers\n" in said
    consumer, model = Consumer(out), accord.load(folder)
    for task in model.tasks:
        same(consumer, model, task)
    assert consumer.description["largest_difference"] < 1e-5
    # The first layer once, the second for each task.
    assert operations(out).count("Attention") == 1 + 3
    entry = consumer.description["tasks"]["input_ids"]
    assert len(entry["thresholds"]) == len(entry["labels"]) > 1

    monkeypatch.chdir(tmp_path)
    shown = run_page("onnxruntime")
    wanted = model.predict("classification", ["A warm, funny film.", "Dull."])
    assert shown["labels"] == {"classification": wanted}

    other = open_single(folder)
    other.model.heads["classification"].linear.bias += torch.tensor([1.0, 0.0, 0.0])
    with pytest.raises(ModelError, match=r"classification: the graph doesn't say what the model"):
        to_onnx.checked_difference(other, range(3), OnnxModel(out, consumer.description))

    rows = LabelledRows.of(open_single(folder), range(3), tmp_path / "rows.csv")
    assert list(rows.splits) == ["classification"]
    assert "label" in rows.unfit["input_ids"]
    before = consumer.run("classification", consumer.tokens(TEXTS))
    for i, text in enumerate(TEXTS):  # of any size, one by one too
        alone = consumer.run("classification", consumer.tokens([text]))
        assert alone[0] == pytest.approx(before[i], abs=1e-6)
    (cost,) = quantise(OnnxModel(out, consumer.description), rows).values()
    assert "MatMulInteger" in operations(out)
    after = Consumer(out).run("classification", consumer.tokens(TEXTS))
    assert 0 < np.abs(before - after).max() < 0.2
    figures = [f1_score(CLASSES, x.argmax(1), average="macro") for x in (before, after)]
    assert [cost.float32, cost.int8] == pytest.approx(figures)


def operations(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "text.onnx").graph.node]


@pytest.mark.slow
def test_every_kind_pooled_in_every_way(saved, tasks, tmp_path) -> None:
    folder = saved(tasks)
    written = export_onnx(folder, tmp_path / "graphs")
    assert sorted(written.graphs) == ["pair.onnx", "separate.onnx", "text.onnx"]
    assert set(written.layers.values()) == {2}  # heads share all of them
    consumer, model = Consumer(tmp_path / "graphs"), accord.load(folder)
    for task in model.tasks:
        same(consumer, model, task)
    assert {name for names in written.graphs.values() for name in names} == {
        task.name for task in tasks
    }


@pytest.mark.slow
@pytest.mark.parametrize("schemes", [("lora", "adapter"), *((name,) for name in scheme_names())])
def test_every_part_that_tasks_have(saved, tasks, tmp_path, schemes) -> None:
    folder = saved(of_kinds(tasks, "classification", "token-classification"), *schemes)
    export_onnx(folder, tmp_path / "graphs")
    consumer, model = Consumer(tmp_path / "graphs"), accord.load(folder)
    for task in model.tasks:
        same(consumer, model, task)


@pytest.mark.slow
def test_minilm_with_a_head_says_the_same(minilm, tmp_path) -> None:
    """A real encoder, on sentences of several lengths; of one task of two."""
    task = Task("mood", "classification", "cross_entropy", "accuracy", labels=("a", "b"))
    model = MultitaskModel(load_encoder(minilm), [task, replace(task, name="other")])
    columns = InputFormat(("x",))
    save_model(model, tmp_path / "model", {"mood": columns, "other": columns}, 128, minilm)
    written = export_onnx(tmp_path / "model", tmp_path / "graphs", ["mood"])
    assert written.graphs == {"text.onnx": ["mood"]}
    consumer = Consumer(tmp_path / "graphs")
    texts = ["Fine.", "A film that nobody who has seen it will forget.", "word " * 300]
    logits = accord.load(tmp_path / "model").logits("mood", texts)
    answers = consumer.run("mood", consumer.tokens(texts))
    assert answers == pytest.approx(logits.softmax(1).numpy(), abs=1e-5)


@pytest.mark.slow
def test_the_command_says_what_int8_costs_each_task(saved, tasks, tmp_path, monkeypatch) -> None:
    """Of one of two tasks, from a file that fits it; as of a model that one file can't hold."""
    monkeypatch.setattr(to_onnx, "_PROTOBUF_BYTES", 0)
    folder, file = saved(of_kinds(tasks, "classification", "regression")), tmp_path / "rows.csv"
    file.write_text(ROWS_OF_CLASSES)
    arguments = [folder, tmp_path / "graphs", "--to", "onnx", "--quantize", "int8", "--data", file]
    result = CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert re.search(r"classification: macro F1 0\.\d+ in float32, 0\.\d+ in int8", result.output)
    assert "accord: regression: int8 not measured: " in result.stderr
    about = json.loads((tmp_path / "graphs" / "onnx.json").read_text(encoding="utf-8"))
    assert about["weights"] == "int8"
    assert not list((tmp_path / "graphs").glob("*.data"))
    assert "MatMulInteger" in operations(tmp_path / "graphs")


def test_what_cant_be_exported_is_one_line_and_nothing_is_written(
    saved, tasks, tmp_path, monkeypatch
) -> None:
    folder, out = saved(of_kinds(tasks, "classification", "multi-label")), tmp_path / "out"
    (tmp_path / "rows.csv").write_text("x,y\na,b\n")
    (tmp_path / "there").mkdir()
    for arguments, said in (
        ((folder, out, ["clasification"]), "no task 'clasification'; did you mean"),
        ((tmp_path, out), "holds no accord.json"),
        ((folder, tmp_path / "there"), "already exists"),
        ((folder, out, [], tmp_path / "rows.csv"), "rows of none of the tasks: classification: "),
        ((folder, out, [], tmp_path / "none.csv"), "no such file"),
    ):
        with pytest.raises(UsageError, match=said) as error:
            export_onnx(*arguments)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(
        "accord.installed.find_spec",
        lambda name: None if name == "onnxscript" else find_spec(name),
    )
    with pytest.raises(UsageError, match=r'needs onnxscript: pip install "accord-mtl\[onnx\]"'):
        export_onnx(folder, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".new-*"))
