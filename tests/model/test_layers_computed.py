"""Encoder layers computed for an answer to all tasks, counted anew by the definition."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.encoders.families.bert import BertEncoder
from accord.errors import ModelError
from accord.kinds.multiple_choice import MultipleChoiceTask
from accord.kinds.ranking import RankingTask
from accord.kinds.token_classification import TokenTask
from accord.model.layers_computed import (
    LayersComputed,
    layers_computed,
    layers_of_folder,
    summed,
)
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.model.saved import FORMAT
from accord.sharing import Part, scheme_names
from accord.tasks import Task

TEXTS = [
    Task(name, "classification", "cross_entropy", "accuracy", ("0", "1")) for name in "abcdefgh"
]
PAIR = Task("p", "pair-regression", "mse", "pearson")
APART = replace(PAIR, name="q", encoding="separate")
OPTIONS = {
    "lora": [{"rank": 2}, {"rank": 1, "dense": ["output"]}],
    "adapter": [{"size": 3}],
    "pal": [{"size": 4, "heads": 2}],
    "own-layers": [{"shared": 0}, {"shared": 2}, {"shared": 4}, {}],
}


def of(
    tasks: Sequence[Task], *schemes: str, layers: int = 6, **options: dict[str, object]
) -> float:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return layers_computed(Sharing(schemes, named), tasks, layers).layers


def test_the_worked_examples() -> None:
    three = TEXTS[:3]
    assert of(three) == 6
    assert of(three, "adapter", adapter={"size": 3}) == 18
    assert of(three, "own-layers", own_layers={"shared": 4}) == 4 + 3 * 2
    assert of(three, "own-encoder") == 18
    assert of([three[0], PAIR]) == 12  # a text and a pair: two inputs
    assert of([APART]) == 12  # two sequences
    assert of([PAIR, APART]) == 18  # three of them
    assert of([three[0], PAIR, replace(PAIR, name="r")], "task-norm") == 18
    assert of(three[:1], "task-norm") == 6


@pytest.mark.slow
def test_every_scheme_is_counted_as_its_parts_act(tiny_encoder: Callable[..., BertEncoder]) -> None:
    """Where a part has modules, no two tasks have the same; from there on each goes alone."""
    for name in scheme_names():
        for options, layers, tasks in product(OPTIONS.get(name, [{}]), (2, 6), (1, 2, 5)):
            if options.get("shared", 0) >= layers:
                continue
            sharing = Sharing((name,), {name: options})
            model = MultitaskModel(tiny_encoder(num_hidden_layers=layers), TEXTS[:tasks], sharing)
            counted = layers_computed(sharing, TEXTS[:tasks], layers)
            assert counted.layers == by_definition(model, tasks), (name, options, layers, tasks)
            assert counted.alone == tasks * layers


def by_definition(model: MultitaskModel, tasks: int) -> int:
    """Walk through the layers and part all tasks at the first that has modules for them."""
    assert model.parts is not None
    embeddings = model.parts.embeddings
    together, computed = embeddings is None or not list(embeddings.per_task), 0
    for number in range(len(model.encoder.layers)):
        acting = [
            part for schemes in model.parts.schemes.values()
            for place, part in enumerate(schemes) if place == number  # type: ignore[arg-type]
        ]  # fmt: skip
        assert all(isinstance(part, Part) for part in acting)
        together = together and not any(len(part.per_task) for part in acting)
        computed += 1 if together else tasks
    return computed


def test_schemes_together_part_where_the_first_of_them_does() -> None:
    options = {"own_layers": {"shared": 4}, "adapter": {"size": 2}}
    assert of(TEXTS[:3], "own-layers", "task-norm", **options) == 18
    assert of(TEXTS[:3], "own-layers", "adapter", **options) == 18


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), st.data())
def test_inputs_add_up(
    layers: int, texts: int, joint: int, separate: int, data: st.DataObject
) -> None:
    """Of tasks whose parts begin after some layers, each sequence is counted by itself."""
    pairs = [replace(PAIR, name=f"j{i}") for i in range(joint)]
    apart = [replace(APART, name=f"s{i}") for i in range(separate)]
    tasks = data.draw(st.permutations([*TEXTS[:texts], *pairs, *apart]))
    shared = data.draw(st.integers(0, layers - 1))
    hard = layers_computed(Sharing(), tasks, layers)
    assert hard.layers == layers * (bool(texts) + bool(joint) + 2 * bool(separate))
    parted = layers_computed(
        Sharing(("own-layers",), {"own-layers": {"shared": shared}}), tasks, layers
    )
    above = layers - shared
    assert parted.layers == sum(
        sequences * (shared * bool(number) + above * number)
        for sequences, number in ((1, texts), (1, joint), (2, separate))
    )
    assert parted.alone == hard.alone == layers * (texts + joint + 2 * separate)
    assert {each.input: len(each.tasks) for each in hard.inputs} == {
        name: number for name, number in (("text", texts), ("pair", joint + separate)) if number
    }


def test_words_are_of_the_same_text_where_they_are_the_same() -> None:
    tags = TokenTask("n", "token-classification", "cross_entropy", "entity_f1", ("O", "B-x"))
    spaces = replace(tags, name="m", words="spaces")
    assert of([TEXTS[0], tags]) == 6
    assert of([TEXTS[0], tags, spaces]) == of([tags, spaces]) == 12


def test_candidates_are_counted_one_at_a_time() -> None:
    ranking = RankingTask("r", "ranking", "listwise", "ndcg")
    choice = MultipleChoiceTask("c", "multiple-choice", "cross_entropy", "accuracy")
    assert of([ranking, choice]) == 6
    assert of([ranking, PAIR, TEXTS[0]], "adapter", adapter={"size": 2}) == 18


def test_an_ensemble_costs_its_members() -> None:
    hard = layers_computed(Sharing(), [TEXTS[0], PAIR, APART], 6)
    twice = summed([hard, hard])
    assert (twice.layers, twice.alone, twice.encoder) == (2 * hard.layers, 2 * hard.alone, 12)
    assert summed([hard]) == hard
    other = layers_computed(Sharing(), [replace(PAIR, name="q"), TEXTS[0], PAIR], 2)
    assert summed([hard, other]).layers == hard.layers + 4
    assert [each.tasks for each in summed([hard, other]).inputs] == [("a",), ("p", "q")]


def test_the_line_says_what_of_which_input() -> None:
    assert str(layers_computed(Sharing(), TEXTS[:3], 6)) == (
        "encoder layers computed for an answer to all tasks: 6.0 for a text (a, b, c); the encoder"
        " has 6, and a model for each task computes 18.0"
    )
    two = layers_computed(Sharing(), [TEXTS[0], PAIR, replace(PAIR, name="r")], 6)
    assert "tasks: 12.0: 6.0 for a text (a) and 6.0 for a pair (p, r); the encoder" in str(two)
    assert two.to_json()["computed"] == 12.0
    assert LayersComputed(6, ()).layers == 0


@pytest.mark.parametrize("options", [{"shared": "two"}, {"shared": -1}, {"share": 1}])
def test_an_option_that_can_t_be_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="share"):
        of(TEXTS[:2], "own-layers", own_layers=options)
    entries = [{**task.to_json(), "input": {"text": ["a"]}} for task in TEXTS[:2]]
    sharing = {"schemes": ["own-layers"], "options": {"own-layers": options}}
    table = {"format": FORMAT, "max_length": 16, "tasks": entries, "sharing": sharing}
    (tmp_path / "accord.json").write_text(json.dumps(table))
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 6}))
    with pytest.raises(ModelError, match=r"accord\.json: sharing: "):
        layers_of_folder(tmp_path)
    options.clear()
    options["shared"] = 4
    (tmp_path / "accord.json").write_text(json.dumps(table))
    assert layers_of_folder(tmp_path).layers == 4 + 2 * 2
