"""An exported folder answers, read by Accord and executed by onnxruntime, as the model does."""

import json
import warnings

import pytest

from accord.derived.graphs import load_graphs
from accord.derived.onnx_model import OnnxModel
from accord.derived.to_onnx import export_onnx
from accord.errors import ModelError, UsageError
from accord.evaluation.loading import load
from accord.evaluation.texts import forms
from accord.tasks import Task

LONG = " ".join("abcdefghijklmnopqrstuvwxyz")  # longer than a sequence may be
ROWS = {
    "a text": ["a b c", "good as d", "z", LONG, "a b c"],
    "a pair of texts": [["a b", "c"], ["good", LONG]],
    "a text and its candidates": [["a b", ["c", "good d"]], ["x", ["y", "b c", LONG]]],
    "a list of words": [["as", "good", "ass"], ["b"]],
}
MOOD = Task("mood", "classification", "cross_entropy", "accuracy", labels=("bad", "good"))


def close(value):
    """The same but for the last bits of its numbers."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-4)
    if isinstance(value, list):
        return [close(each) for each in value]
    return {k: close(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tasks_of_every_kind_are_answered_as_the_model_answers(saved, tasks, tmp_path):
    folder = saved(tasks)
    export_onnx(folder, tmp_path / "graphs")
    model, graphs = load(folder), load_graphs(tmp_path / "graphs")
    assert graphs.tasks == model.tasks
    assert (graphs.inputs, graphs.assembler.max_length) == (
        model.inputs,
        model.assembler.max_length,
    )
    asked = set()
    for form, rows in ROWS.items():
        names = [task.name for task in tasks if form in forms(task)]
        asked |= {*names}
        assert graphs.records(rows, names, True) == close(model.records(rows, names, True))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            graphs.answer(rows, names)
            model.answer(rows, names)
        texts = [str(each.message) for each in said]
        assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]  # the same are cut
    assert asked == {task.name for task in tasks}


def test_a_graph_is_executed_once_for_all_tasks_that_read_alike(saved, tmp_path, monkeypatch):
    other = Task("grade", "regression", "mse", "pearson", range=(0.0, 5.0))
    export_onnx(saved([MOOD, other]), tmp_path / "graphs")
    graphs, runs = load_graphs(tmp_path / "graphs"), []
    real = OnnxModel.all_outputs
    monkeypatch.setattr(
        OnnxModel, "all_outputs",
        lambda self, tasks, *more: runs.append([t.name for t in tasks]) or real(self, tasks, *more),
    )  # fmt: skip
    assert [[*each] for each in graphs.answer(["a", "b"])] == [["mood", "grade"]] * 2
    assert runs == [["mood", "grade"]]
    assert graphs.answer([]) == []


def test_what_is_no_folder_of_graphs_is_said(saved, tmp_path):
    with pytest.raises(ModelError, match="holds no graphs; 'accord export MODEL OUT --to onnx'"):
        load_graphs(tmp_path)
    folder = tmp_path / "graphs"
    export_onnx(saved([MOOD]), folder)
    description = json.loads((folder / "onnx.json").read_text())
    (folder / "text.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"text\.onnx: can't be loaded: "):
        load_graphs(folder)
    del description["accord"]
    (folder / "onnx.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match=r"onnx\.json: is incomplete: export the model again"):
        load_graphs(folder)


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("accord.installed.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs onnxruntime: pip install \"accord-mtl\[onnx\]\""):
        load_graphs(tmp_path)
