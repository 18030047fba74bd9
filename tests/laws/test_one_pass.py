"""One pass answers all tasks: what each says alone, to the bit, and every layer computed once."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kind_cases import all_cases

import accord
from accord.encoders.families.bert import BertEncoder
from accord.encoders.prepared import Prepared
from accord.errors import UsageError
from accord.evaluation.inputs import Inputs
from accord.evaluation.predict import Predictor
from accord.evaluation.predictions import predicted_values
from accord.evaluation.texts import forms
from accord.kinds import kind_of
from accord.model.head_blocks import WIDTH, HeadBlocks
from accord.model.layers_computed import layers_computed
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.model.saved import InputFormat, save_model
from accord.sharing import scheme_names
from accord.tasks import Task

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", "##s", "##ly", "good"]
OPTIONS = {"adapter": {"size": 4}, "pal": {"size": 4, "heads": 2}, "lora": {"rank": 2},
           "own-layers": {"shared": 1}}  # fmt: skip
TASKS = [
    replace(case.task, name=f"{case.task.name}-{number}", pooling=pooling, dropout=0.0)
    for number, case in enumerate(all_cases(labelled=True))
    for pooling in [case.kind.poolings[number % len(case.kind.poolings)]]
]


@pytest.fixture
def model_of(tiny_encoder: Callable[..., BertEncoder]) -> Callable[..., MultitaskModel]:
    """Make a model: (tasks, *schemes). What a task has is drawn by its name alone."""

    def make(tasks: Sequence[Task], *schemes: str) -> MultitaskModel:
        options = {name: OPTIONS.get(name, {}) for name in schemes}
        model = MultitaskModel(tiny_encoder(), tasks, Sharing(schemes, options)).eval()
        with torch.no_grad():
            for number, task in enumerate(tasks):
                generator = torch.Generator().manual_seed(sum(map(ord, task.name)))
                for parameter in model.own_parameters(number):
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        return model

    return make


@pytest.fixture
def loaded(model_of: Callable[..., MultitaskModel], tmp_path: Path) -> Callable[..., Predictor]:
    """Load a model of some tasks: (tasks, *schemes)."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    def load(tasks: Sequence[Task], *schemes: str) -> Predictor:
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        columns = {
            task.name: InputFormat(("x", "y")[: 2 if kind_of(task).varying else task.texts])
            for task in tasks
        }
        save_model(model_of(tasks, *schemes), folder, columns, 48, tmp_path)
        return accord.load(folder)

    return load


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(["a", "bs", "c", "dly", "good", "?"], rng.integers(1, 9)))
            for _ in range(count)]  # fmt: skip


def rows_of(form: str, count: int) -> list[Any]:
    one, two, three = (texts(count, seed) for seed in range(3))
    rows: dict[str, list[Any]] = {
        "a text": one,
        "a pair of texts": [*zip(one, two, strict=True)],
        "a list of words": [["a", "b", *text.split()] for text in one],  # two would be a pair
        "a text and its candidates": [
            (a, [b, c, a][: 2 + i % 2])
            for i, (a, b, c) in enumerate(zip(one, two, three, strict=True))
        ],
    }
    return rows[form]


FORMS = ("a text", "a pair of texts", "a list of words", "a text and its candidates")


SCHEMES = {"none": (), **{name: (name,) for name in scheme_names()}}


@pytest.mark.quick("none", "adapter")
@pytest.mark.parametrize("schemes", SCHEMES.values(), ids=SCHEMES)
def test_all_tasks_say_what_each_says_alone(
    loaded: Callable[..., Predictor], schemes: tuple[str, ...]
) -> None:
    model = loaded(TASKS, *schemes)
    for form in FORMS:
        rows = rows_of(form, 4)
        names = [task.name for task in TASKS if form in forms(task)]
        together = model.answer(rows)
        assert [list(answers) for answers in together] == [names] * 4
        every = model.answered(names, rows)
        for name in names:
            alone = model.answered([name], rows)[name].logits
            assert torch.equal(every[name].logits, alone), name
            said = predicted_values(alone, model.task(name))
            assert [answers[name] for answers in together] == list(said)
    mixed = [row for form in FORMS for row in rows_of(form, 2)]
    assert model.answer(mixed) == [a for f in FORMS for a in model.answer(rows_of(f, 2))]


def test_a_task_more_leaves_the_others_as_they_are_to_the_bit(
    loaded: Callable[..., Predictor],
) -> None:
    few, more = TASKS[: len(TASKS) // 2], TASKS
    for schemes in [(), ("adapter",), ("own-layers",)]:
        before, after = loaded(few, *schemes), loaded(more, *schemes)
        for form in FORMS:
            rows = rows_of(form, 9)
            old = [task.name for task in few if form in forms(task)]
            new = [task.name for task in more if form in forms(task)]
            if not old:
                continue
            ours, theirs = before.answered(old, rows), after.answered(new, rows)
            for name in old:
                assert torch.equal(ours[name].logits, theirs[name].logits), (schemes, form, name)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the sequences of every call of a layer, as it is or prepared."""
    calls: list[int] = []

    def count(owner: type, name: str, batch_at: int) -> None:
        method = getattr(owner, name)

        def counted(self: object, *arguments: Any) -> Any:
            bounds = arguments[batch_at].task_sequences
            calls.append(sum(stop - start for start, stop in bounds))
            return method(self, *arguments)

        monkeypatch.setattr(owner, name, counted)

    count(BertEncoder, "layer", 2)
    count(Prepared, "block", 2)
    count(Prepared, "last", 1)
    return calls


@pytest.mark.slow
def test_the_figure_of_layers_is_what_a_pass_computes(
    loaded: Callable[..., Predictor], computed: list[int]
) -> None:
    mixed = [task for task in TASKS if kind_of(task).units == "rows"]  # some by first tokens alone
    alike = [replace(task, pooling="mean") for task in mixed]
    layers = 2
    for tasks, *schemes in [
        (mixed,),
        (alike,),
        *((alike, *together) for together in SCHEMES.values() if together),
    ]:
        model = loaded(tasks, *schemes)
        sharing = Sharing(tuple(schemes), {name: OPTIONS.get(name, {}) for name in schemes})
        wanted = {
            each.input: each.layers for each in layers_computed(sharing, tasks, layers).inputs
        }
        for form, read in [("a text", "text"), ("a pair of texts", "pair")]:
            computed.clear()
            model.answer(rows_of(form, 1))
            assert sum(computed) == wanted[read], (schemes, form)


def test_equal_texts_are_encoded_once(
    loaded: Callable[..., Predictor], computed: list[int]
) -> None:
    single = next(task for task in TASKS if forms(task) == ("a text",))
    words = next(task for task in TASKS if "a list of words" in forms(task))
    model = loaded([replace(single, pooling="mean"), words])
    rows = texts(4)
    computed.clear()
    answers = model.answer([*rows, *rows, *rows])
    assert computed == [4, 4]  # of two layers
    assert answers[:4] == answers[4:8] == answers[8:]


def test_a_text_of_two_pairs_is_encoded_once(
    loaded: Callable[..., Predictor], computed: list[int]
) -> None:
    apart = next(task for task in TASKS if task.encoding == "separate")
    model = loaded([apart])
    computed.clear()
    pairs = [("a b", "c"), ("c", "a b"), ("c", "c")]
    answers = model.answer(pairs)
    assert computed == [2, 2]
    for pair, answer in zip(pairs, answers, strict=True):
        assert answer == model.answer([pair])[0]


def sets_of_heads() -> Iterator[list[Task]]:
    base = Task("t0", "classification", "cross_entropy", "accuracy", ("0", "1"))
    for widths in [(2,), (2, 3, 60), (256, 257, 2, 700, 1 + 2), (2,) * 300]:
        yield [
            replace(base, name=f"t{i}", labels=tuple(map(str, range(width))))
            for i, width in enumerate(widths)
        ]


def test_heads_side_by_side_are_each_head(model_of: Callable[..., MultitaskModel]) -> None:
    for tasks in sets_of_heads():
        model = model_of(tasks)
        vectors = torch.randn(5, model.encoder.config.hidden_size)
        numbers = range(len(tasks))
        with torch.no_grad():
            every = HeadBlocks(model).outputs(vectors, numbers)
            for number, task in enumerate(tasks):
                torch.testing.assert_close(
                    every[number], model.head(task.name)(vectors), rtol=1e-5, atol=1e-6
                )
            for count in range(1, len(tasks), 1 + len(tasks) // 10):
                fewer = HeadBlocks(model_of(tasks[:count])).outputs(vectors, range(count))
                assert all(torch.equal(fewer[i], every[i]) for i in range(count))


def alike_tasks() -> list[Task]:
    """Many tasks that are answered as one, and others between them."""
    classes = Task("", "classification", "cross_entropy", "accuracy", ("no", "yes", "maybe"))
    values = Task("", "regression", "mse", "pearson", range=(1.0, 5.0))
    every = [classes, values, replace(classes, labels=("a", "b")), replace(classes, pooling="cls"),
             replace(classes, loss="binary_cross_entropy", labels=("a", "b")),
             replace(values, targets="popart")]  # fmt: skip
    return [replace(every[i % len(every)], name=f"t{i}") for i in range(30)]


def test_tasks_answered_as_one_say_what_each_says_alone(loaded: Callable[..., Predictor]) -> None:
    tasks = alike_tasks()
    for schemes in [(), ("task-norm",)]:
        model = loaded(tasks, *schemes)
        names = [task.name for task in tasks]
        groups = len(model._groups(tuple(names)))
        assert groups == (len(tasks) if schemes else 4 + 5 + 5)  # own norms: each for itself
        rows = texts(7)
        together = model.answered(names, rows)
        answers, shares = model.answer(rows), model.answer(rows, probabilities=True)
        for name in names:
            assert torch.equal(together[name].logits, model.logits(name, rows)), name
            assert [each[name] for each in answers] == model.predict(name, rows)
            if model.task(name).labels:
                assert [each[name] for each in shares] == model.predict_proba(name, rows)
        assert [list(each) for each in answers] == [names] * len(rows)
        assert model.answer(rows, ["t6", "t0"]) == [
            {n: a[n] for n in ["t6", "t0"]} for a in answers
        ]


def test_no_texts_have_no_answers(loaded: Callable[..., Predictor]) -> None:
    model = loaded(alike_tasks())
    assert model.answer([]) == []
    assert model.predict("t0", []) == []
    answered = model.answered([f"t{i}" for i in range(30)], [])
    assert {tuple(one.logits.shape) for one in answered.values()} == {(0, 3), (0, 2), (0, 1)}


def test_few_products_for_many_heads(model_of: Callable[..., MultitaskModel]) -> None:
    *_, many = sets_of_heads()
    model = model_of(many)
    calls = []
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "accord.model.head_blocks.F.linear",
            lambda x, weight, bias: calls.append(weight.shape) or x @ weight.t() + bias,
        )
        HeadBlocks(model).outputs(torch.randn(1, 8), range(len(many)))
    assert calls == [(WIDTH, 8)] * 3  # 300 heads of 2


def test_one_input_of_unlike_words_is_kept_apart(random_sequences: Callable[..., Any]) -> None:
    (one,) = random_sequences([4])
    words = [replace(one, spans=np.array(spans)) for spans in ([[1, 2]], [[1, 3]], [[1, 2]])]
    inputs = Inputs.of([[[one]], [[word] for word in words]], [(0,), (1, 2)])
    assert [len(members) for members in inputs.sequences] == [1, 1]
    assert inputs.readers == [(0, 1, 2), (1, 2)]
    assert inputs.numbers[0].tolist() == [0]
    assert inputs.numbers[1].tolist() == inputs.numbers[2].tolist() == [0, 1, 0]


def test_what_no_task_takes_is_refused_in_one_line(loaded: Callable[..., Predictor]) -> None:
    single = next(task for task in TASKS if forms(task) == ("a text",))
    pair = next(task for task in TASKS if forms(task) == ("a pair of texts",))
    model = loaded([single, pair])
    cases: list[tuple[Any, Any, str]] = [
        (["a", 3.5], None, "text 1: .*a pair of texts or a text; got 3.5"),
        (["a", None], None, "text 1: .*got None"),
        (["a", ("a", "b", "c")], None, "text 1: .*not a list of words; got"),
        (["a", ("a", 1)], None, "text 1: should be a string, got int"),
        ([("a", "b")], [single.name], "text 0: .*take a text, not a pair of texts"),
        (["a"], [single.name, pair.name], f"task '{pair.name}' takes a pair of texts, and none"),
        (["a"], [single.name + "x"], f"no task '{single.name}x'.*{single.name}"),
        ("a", None, "a list of texts, got one string: 'a'"),
        (["a \ud800"], None, "text 0: holds a lone surrogate"),
    ]
    for rows, names, message in cases:
        with pytest.raises(UsageError, match=message) as error:
            model.answer(rows, names)
        assert "\n" not in str(error.value)
    assert model.answer([]) == [] == model.answer([], [pair.name])


def test_probabilities_sum_to_one_and_agree(loaded: Callable[..., Predictor]) -> None:
    model = loaded(TASKS)
    for form in FORMS:
        rows = rows_of(form, 3)
        plain, shares = model.answer(rows), model.answer(rows, probabilities=True)
        for name, value in shares[0].items():
            if not isinstance(value, dict):
                assert value == plain[0][name]
                with pytest.raises(UsageError, match="no probabilities"):
                    model.predict_proba(name, rows)
                continue
            assert [answers[name] for answers in shares] == model.predict_proba(name, rows)
            if model.task(name).kind.endswith("classification"):
                assert sum(value.values()) == pytest.approx(1)
                assert max(value, key=value.__getitem__) == plain[0][name]


def test_a_cut_row_is_told_once_for_all_tasks(loaded: Callable[..., Predictor]) -> None:
    singles = [task for task in TASKS if forms(task) == ("a text",)][:3]
    model = loaded(singles)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        model.answer(["a " * 60, "b"])
    assert [str(note.message) for note in noted] == ["1 of 2 rows are cut to 48 tokens"]
    assert noted[0].filename == __file__
