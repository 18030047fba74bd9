"""Exported graphs, read as their description says and executed by onnxruntime, answer as Accord."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from transformers import AutoTokenizer

import accord
from accord.derived.to_onnx import export_onnx
from accord.kinds import kind_of, labelled_kind
from accord.tasks import Task

pytestmark = pytest.mark.filterwarnings("ignore:.* (rows are cut|words cut off)")

LONG = " ".join("abcdefghijklmnopqrstuvwxyz")  # longer than a sequence may be
SINGLE = ["a b c", "good as d", "z", LONG]
PAIRS = [("a b", "c"), ("good", "as as as"), ("q r s t", LONG), (LONG, LONG)]
ROWS = [("a b", ["c", "good d"]), (LONG, [LONG, "q", "as as", "z"]), ("x", ["y", "b c", LONG])]
LABELLED = "x,label\na b c,good\ngood as d,bad\nz,fair\nq r s,good\nb,bad\nc s,fair\n"


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


@pytest.fixture
def exported(saved, tasks, tmp_path):
    """One graph, of tasks that share a layer and then differ: (model folder, graphs)."""
    some = {
        task.kind: task for task in tasks if task.texts == 1 and kind_of(task).units != "sequences"
    }
    folder = saved([replace(task, name=task.kind) for task in some.values()], "own-layers")
    return folder, tmp_path / "graphs"


def test_a_graph_answers_as_the_model_and_its_int8_weights_say_what_they_cost(
    exported, tmp_path
) -> None:
    """One export serves all that is asked here: it takes the exporter seconds."""
    folder, out = exported
    (tmp_path / "rows.csv").write_text(LABELLED)
    written = export_onnx(folder, out)
    consumer, model = Consumer(out), accord.load(folder)
    for task in model.tasks:
        same(consumer, model, task)
    assert written.difference < 1e-5
    assert list(written.graphs) == ["text.onnx"]
    # the first layer once, the second for each task
    kinds = [node.op_type for node in onnx.load(out / "text.onnx").graph.node]
    assert kinds.count("Attention") == 1 + len(model.tasks) == written.layers["text.onnx"]
    entry = consumer.description["tasks"]["multi-label"]
    assert entry["labels"]
    assert len(entry["thresholds"]) == len(entry["labels"])


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
