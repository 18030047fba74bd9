"""An exported task as transformers opens it: logits, probabilities and labels are the model's."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors.torch import load_file

from accord import load
from accord.cli.export import export as command
from accord.derived.export import export
from accord.errors import EncoderError, ModelError, UsageError
from accord.kinds import labelled_kind
from accord.kinds._entities import tags_of_types
from accord.kinds.multi_label import MultiLabelTask
from accord.kinds.multiple_choice import MultipleChoiceTask
from accord.kinds.ranking import RankingTask
from accord.kinds.token_classification import TokenTask
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.model.saved import InputFormat, save_model
from accord.tasks import Task

# Some texts are longer than the models read, so that cutting is compared too.
pytestmark = pytest.mark.filterwarnings("ignore:.* (rows are cut|words cut off)")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "##s", "good"]
LONG = " ".join("abcdefghijklmnopqrstuvwxyz")  # longer than a sequence may be
SINGLE = ["a b c", "good as d", "z", LONG]
PAIRS = [("a b", "c"), ("good", "as as as"), ("q r s t", LONG), (LONG, LONG)]
SCHEMES = ("lora", "task-norm", "own-layers", "own-encoder")


def tasks() -> Iterator[Task]:
    """Yield a task of each kind of head that transformers has."""
    plain = Task("plain", "classification", "cross_entropy", "accuracy", pooling="pooler")
    two, four = (
        replace(plain, labels=names) for names in (("neg", "pos"), ("10", "2", "a b", "ä"))
    )
    yield from (two, four, replace(two, loss="binary_cross_entropy"))
    yield replace(four, kind="pair-classification")
    value = replace(plain, kind="regression", loss="mse", metric="pearson")
    for span in ((0.0, 5.0), (-3.5, -1.25), (100.0, 1000.0)):
        yield replace(value, range=span)
    yield replace(value, kind="pair-regression", range=(0.0, 5.0), targets="popart")


@pytest.fixture
def written(tiny_encoder, tmp_path):
    """Write a model folder of random weights with a task and another: (task, schemes)."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    def write(task: Task, schemes: tuple[str, ...] = ()) -> Path:
        other = replace(task, name="other")
        model = MultitaskModel(tiny_encoder(), [other, task], Sharing(schemes, {}))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in (p for child in model.children() for p in child.parameters()):
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
        columns = InputFormat(("x", "y")[: max(map(len, task.layout))])
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        save_model(model, folder, {"other": columns, "plain": columns}, 24, tmp_path)
        return folder

    return write


def theirs(folder: Path, texts: list) -> torch.Tensor:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    columns = [*map(list, zip(*texts, strict=True))] if isinstance(texts[0], tuple) else [texts]
    with torch.no_grad():
        return model(
            **tokenizer(*columns, return_tensors="pt", padding=True, truncation=True)
        ).logits


@pytest.mark.slow
def test_its_logits_say_what_the_model_says(written, tmp_path):
    for number, task in enumerate(tasks()):
        folder, out = written(task), tmp_path / f"out{number}"
        export(folder, out, "plain")
        texts = PAIRS if task.texts == 2 else SINGLE
        model, actual = load(folder), theirs(out, texts)
        ours = model.logits("plain", texts)
        if not task.labels:
            values = torch.tensor(model.predict("plain", texts))
            low, high = task.range
            assert torch.allclose(actual[:, 0], values, atol=1e-5 * (high - low)), task
        elif task.loss == "cross_entropy":
            assert torch.allclose(actual, ours, atol=1e-5), task
        else:
            wanted = labelled_kind(task).probabilities(task, ours).float()
            assert torch.allclose(actual.softmax(1), wanted, atol=1e-6), task
            assert torch.allclose(actual[:, 1] - actual[:, 0], ours[:, 0], atol=1e-5), task
        assert torch.allclose(load(out).logits("plain", texts), ours, atol=1e-6), task


def test_each_word_s_first_token_has_its_logits(written, tmp_path):
    labels = tags_of_types(["a", "b"], "bio")
    task = TokenTask("plain", "token-classification", "cross_entropy", "entity_f1", labels=labels,
                     scheme="bio", pooling="first")  # fmt: skip
    folder, out = written(task), tmp_path / "out"
    rows = [text.split() for text in SINGLE] + [["as", "good", "ass", "s"]]
    export(folder, out, "plain")
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModelForTokenClassification.from_pretrained(out).eval()
    batch = tokenizer(
        rows, is_split_into_words=True, return_tensors="pt", padding=True, truncation=True
    )
    with torch.no_grad():
        actual = model(**batch).logits
    assert model.config.id2label == dict(enumerate(labels))
    for i, row in enumerate(load(folder).logits("plain", rows)):
        words = batch.word_ids(i)
        for word in {number for number in words if number is not None}:
            assert torch.allclose(actual[i, words.index(word)], row[word], atol=1e-5)
    mean, other = replace(task, pooling="mean"), tmp_path / "mean"
    with pytest.raises(ModelError, match="pools by 'mean'; pooling = \"first\" does what"):
        export(written(mean), other, "plain")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_a_task_has_alone_is_in_its_weights(written, tmp_path, scheme):
    task = next(tasks())
    folder = written(task, (scheme,))
    export(folder, tmp_path / "out", "plain")
    assert torch.allclose(theirs(tmp_path / "out", SINGLE), load(folder).logits("plain", SINGLE),
                          atol=1e-5)  # fmt: skip


@pytest.mark.slow
def test_a_pipeline_gives_the_labels_and_their_probabilities(written, tmp_path):
    many = MultiLabelTask("plain", "multi-label", "binary_cross_entropy", "micro_f1",
                          labels=("a", "b b", "ä"), pooling="pooler")  # fmt: skip
    for number, task in enumerate((*tasks(), many, replace(many, labels=("a",)))):
        folder, out = written(task), tmp_path / f"out{number}"
        export(folder, out, "plain")
        pair = task.texts == 2
        rows = [{"text": a, "text_pair": b} for a, b in PAIRS] if pair else SINGLE
        pipeline = transformers.pipeline("text-classification", str(out), top_k=None)
        said = pipeline(rows, truncation=True)
        model, texts = load(folder), PAIRS if pair else SINGLE
        kind, logits = labelled_kind(task), model.logits("plain", texts)
        shares = kind.probabilities(task, logits)
        if shares is None:
            low, high = task.range
            values = [answer["score"] for (answer,) in said]
            assert values == pytest.approx(model.predict("plain", texts), abs=1e-5 * (high - low))
            continue
        for answers, row in zip(said, shares.tolist(), strict=True):
            wanted = dict(zip(task.labels, row, strict=True))
            theirs = {answer["label"]: answer["score"] for answer in answers}
            assert theirs == pytest.approx(wanted, abs=1e-5), task
        if task is not many and len(task.labels) > 1:
            assert [answers[0]["label"] for answers in said] == model.predict("plain", texts)


def test_the_page_s_example_runs(written, tmp_path, monkeypatch):
    folder = written(next(tasks()))
    export(folder, tmp_path / "sst", "plain")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(from transformers .*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block.replace("classify(", "answer = classify("), names)
    wanted = load(folder).predict("plain", ["A warm, funny film."])
    assert [names["answer"][0]["label"]] == wanted


def test_a_pipeline_gives_the_entities(written, tmp_path):
    """Of texts whose words are the tokenizer's too."""
    for number, types in enumerate((["a"], ["a", "long name", "c"])):
        labels = tags_of_types(types, "bio")
        task = TokenTask("plain", "token-classification", "cross_entropy", "entity_f1",
                         labels=labels, scheme="bio", pooling="first")  # fmt: skip
        folder, out = written(task), tmp_path / f"out{number}"
        texts = [*SINGLE[:3], "as goods b c as d e f s", "q as z ass", "m n o p goods"]
        export(folder, out, "plain")
        pipeline = transformers.pipeline(
            "token-classification", str(out), aggregation_strategy="first"
        )
        ours = [row["entities"] for row in load(folder).details("plain", texts)]
        keys = ("start", "end", "label"), ("start", "end", "entity_group")
        entities, theirs = (
            [[tuple(entity[key] for key in names) for entity in row] for row in rows]
            for names, rows in zip(keys, (ours, pipeline(texts)), strict=True)
        )
        assert entities == theirs
        assert sum(map(len, entities)) > 5


def test_the_encoder_alone_opens_too(written, tmp_path):
    folder = written(next(tasks()))
    for name, alone in (("whole", False), ("alone", True)):
        export(folder, tmp_path / name, "plain", encoder_only=alone)
        _, report = transformers.AutoModel.from_pretrained(
            tmp_path / name, output_loading_info=True
        )
        assert not report["missing_keys"]
        names = load_file(tmp_path / name / "model.safetensors")
        assert any("classifier" in each for each in names) != alone
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert ("id2label" in config) != alone
        assert load(tmp_path / name).predict("plain", SINGLE)


def test_a_head_that_transformers_has_not_is_refused(written, tmp_path):
    first = next(tasks())
    pair, value = (replace(first, kind=kind, labels=labels) for kind, labels in (
        ("pair-classification", first.labels), ("regression", ()),
    ))  # fmt: skip
    separate = replace(pair, encoding="separate")
    for task, cure in (
        (replace(first, pooling="cls", labels=("a", "b")), 'pooling = "pooler"'),
        (replace(first, pooling="mean", labels=("a", "b")), 'pooling = "pooler"'),
        (separate, 'encoding = "joint"'),
        (replace(separate, head="cosine", loss="mse"), 'encoding = "joint"'),
        (replace(first, loss="mse"), 'loss = "cross_entropy"'),
        (replace(value, loss="binary_cross_entropy", metric="pearson"), 'loss = "mse"'),
    ):
        folder = written(task)
        with pytest.raises(ModelError) as error:
            export(folder, tmp_path / "out", "plain")
        assert cure in str(error.value)
        assert "--encoder-only" in str(error.value)
        assert not (tmp_path / "out").exists()


def test_another_family_s_heads_are_not_taken_for_bert_s(written, tmp_path, monkeypatch):
    other = SimpleNamespace(model_type="other")
    monkeypatch.setattr("accord.derived.export.BertConfig", other)
    with pytest.raises(ModelError, match="its 'bert' has other heads than BERT"):
        export(written(next(tasks())), tmp_path / "out", "plain")


def test_the_command_says_who_serves_the_head(written, tmp_path):
    value = next(task for task in tasks() if not task.labels)
    for task, options, said in (
        (next(tasks()), [], "accord.load serves it, and BertForSequenceClassification"),
        (value, [], "BertForSequenceClassification, whose logit is a value from 0 to 5"),
        (replace(value, pooling="cls"), ["--encoder-only"], "accord.load alone serves its head"),
    ):
        folder = written(task)
        arguments = [str(folder), f"{folder}-out", "--task", "plain", *options]
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.output.strip().endswith(said)


def test_options_that_dont_go_together_are_one_line(written, tmp_path):
    folder, out = written(next(tasks())), tmp_path / "out"
    for options, said in (
        ([], "--task is missing: the model has several: other, plain"),
        (["--to", "onx"], "--to: 'onx' is unknown; did you mean 'onnx'?"),
        (["--to", "torch"], "allowed: transformers, onnx, sentence-transformers"),
        (["--task", "plain", "--task", "other"], "--to transformers takes one, got 2"),
        (["--task", "plane"], "no task 'plane'; did you mean 'plain'?"),
        (["--to", "onnx", "--encoder-only"], "--encoder-only: is for --to transformers"),
        (["--to", "onnx", "--quantize", "int8"], "--data is missing: --quantize takes it"),
        (["--to", "onnx", "--data", "x.csv"], "--quantize is missing: --data takes it"),
        (["--quantize", "int8"], "--quantize: is for --to onnx, not --to transformers"),
    ):
        result = CliRunner().invoke(command, [str(folder), str(out), *options])
        assert isinstance(result.exception, UsageError), options
        assert said in str(result.exception)
        assert "\n" not in str(result.exception)
        assert not out.exists()


def test_the_only_task_need_not_be_named(written, tmp_path):
    export(written(next(tasks())), tmp_path / "one", "plain")
    arguments = [str(tmp_path / "one"), str(tmp_path / "again")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "model of 'plain' written" in result.output


def test_a_damaged_tokenizer_config_is_one_line(written, tmp_path):
    for text in ("{", "[1]"):
        folder = written(next(tasks()))
        (folder / "tokenizer_config.json").write_text(text)
        with pytest.raises(EncoderError, match=r"tokenizer_config\.json: (can't be read|holds)"):
            export(folder, tmp_path / "out", "plain")
        assert not (tmp_path / "out").exists()


def test_a_multiple_choice_has_transformers_logits_for_each_choice(written, tmp_path):
    """Rows of unlike numbers of choices, and choices that are cut."""
    task = MultipleChoiceTask("plain", "multiple-choice", "cross_entropy", "accuracy",
                              pooling="pooler")  # fmt: skip
    folder, out = written(task), tmp_path / "out"
    export(folder, out, "plain")
    opened = transformers.AutoModelForMultipleChoice.from_pretrained(out).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    rows = [("a b", ["c", "good d"]), (LONG, [LONG, "q", "as as", "z"]), ("x", ["y", "b c", LONG])]
    logits = load(folder).logits("plain", rows)
    for (text, choices), ours in zip(rows, logits, strict=True):
        read = tokenizer(
            [text] * len(choices), choices, return_tensors="pt", padding=True, truncation=True
        )
        with torch.no_grad():
            theirs = opened(**{name: tensor[None] for name, tensor in read.items()}).logits[0]
        assert torch.allclose(theirs, ours[: len(choices), 0], atol=1e-5)
        assert (ours[len(choices) :] == -torch.inf).all()


def test_a_ranking_is_refused_whatever_it_pools_by(written, tmp_path):
    for pooling in ("cls", "pooler"):
        task = RankingTask("plain", "ranking", "listwise", "ndcg", pooling=pooling)
        with pytest.raises(ModelError, match="none of its models ranks candidates; --encoder-only"):
            export(written(task), tmp_path / "out", "plain")
