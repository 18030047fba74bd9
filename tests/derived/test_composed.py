"""Models put together task by task: each answers to the byte as in the model that it is from."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kind_cases import Case, all_cases
from projects import BAD, GOOD, PLAIN, write_encoder
from safetensors.torch import load_file

import accord
from accord.derived.composed import SavedTask, saved_tasks, write_composed
from accord.derived.same_answers import check_same_answers
from accord.encoders.pretrained import load_encoder
from accord.errors import ModelError, TrainingError
from accord.evaluation.predict import Predictor
from accord.kinds import kind_of
from accord.model.layers_computed import layers_of_folder
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.model.saved import InputFormat, read_sharing, save_model
from accord.sharing import get_scheme, scheme_names
from accord.tasks import Task

CASES = all_cases(labelled=True)
OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 2}, "adapter": {"size": 3}, "pal": {"size": 4, "heads": 2},
}  # fmt: skip
BESIDE = [name for name in scheme_names() if not get_scheme(name).copies]
WORDS = [*GOOD, *BAD, *PLAIN]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "deep", layers=3)


def save(folder: Path, encoder: Path, tasks: Sequence[Task], sharing: Sharing, seed: int) -> Path:
    """Write a model whose heads and parts are random, and whose encoder is as it was."""
    model = MultitaskModel(load_encoder(encoder), tasks, sharing)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("encoder."):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    inputs = {task.name: InputFormat(("a", "b")[: max(1, task.texts)]) for task in tasks}
    save_model(model, folder, inputs, 32, encoder)
    return folder


def rows(task: Task, rng: random.Random, count: int) -> list[Any]:
    """Texts of many lengths in the form that a task takes."""

    def text() -> str:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12)))

    if kind_of(task).varying:
        return [(text(), [text() for _ in range(rng.randint(2, 4))]) for _ in range(count)]
    if task.texts == 2:
        return [(text(), text()) for _ in range(count)]
    return [text() for _ in range(count)]


def picked(rng: random.Random, prefix: str) -> list[Task]:
    """Draw tasks of any kinds, some of them twice."""
    cases: list[Case] = rng.choices(CASES, k=rng.randint(2, 4))
    return [replace(case.task, name=f"{prefix}{i}") for i, case in enumerate(cases)]


def drawn_sharing(rng: random.Random) -> Sharing:
    return Sharing(tuple(rng.sample(BESIDE, rng.randint(0, 2))), OPTIONS)


def assert_same(one: Predictor, other: Predictor, names: Sequence[str], rng: random.Random) -> None:
    for name in names:
        texts = rows(one.task(name), rng, rng.choice([1, 6]))
        check_same_answers(one, other, name, texts)
        alone, beside = one.logits(name, texts), other.logits(name, texts)
        assert alone.numpy().tobytes() == beside.numpy().tobytes()


@pytest.mark.slow
def test_tasks_of_two_models_in_one_answer_as_each_did(encoder: Path, tmp_path: Path) -> None:
    """Whatever their kinds, and whatever parts either model's tasks have beside the encoder."""
    for seed in range(5):
        rng, folder = random.Random(seed), tmp_path / str(seed)
        first = save(folder / "a", encoder, picked(rng, "a"), drawn_sharing(rng), seed)
        second = save(folder / "b", encoder, picked(rng, "b"), drawn_sharing(rng), seed + 99)
        tasks = [*saved_tasks(first), *saved_tasks(second)]
        (folder / "both").mkdir()
        write_composed(first, tasks, folder / "both")
        both = accord.load(folder / "both")
        assert [task.name for task in both.tasks] == [task.name for task in tasks]
        for model in map(accord.load, (first, second)):
            assert_same(model, both, [task.name for task in model.tasks], rng)
        kept = rng.sample(tasks, rng.randint(1, len(tasks) - 1))
        (folder / "some").mkdir()
        write_composed(folder / "both", kept, folder / "some")
        some = accord.load(folder / "some")
        assert_same(both, some, [task.name for task in kept], rng)


@pytest.mark.slow
def test_layers_are_copied_with_the_tasks_that_stay(encoder: Path, tmp_path: Path) -> None:
    """Where tasks have layers of their own, any but the last may go."""
    for scheme in (name for name in scheme_names() if get_scheme(name).copies):
        rng, folder = random.Random(7), tmp_path / scheme
        full = save(folder / "all", encoder, picked(rng, "a"), Sharing((scheme,)), 3)
        tasks = saved_tasks(full)
        for gone in (0, len(tasks) - 1):
            kept = [task for place, task in enumerate(tasks) if place != gone]
            target = folder / f"without-{gone}"
            target.mkdir()
            write_composed(full, kept, target)
            assert_same(accord.load(full), accord.load(target), [t.name for t in kept], rng)


@pytest.mark.slow
def test_a_task_without_parts_goes_through_the_plain_layers(encoder: Path, tmp_path: Path) -> None:
    """Its answers are those of a model that has no parts at all, and it costs one way more."""
    text = next(case.task for case in CASES if case.task.kind == "classification")
    with_parts = [replace(text, name=name) for name in ("a", "b")]
    for scheme in BESIDE:
        folder = tmp_path / scheme
        parts = save(folder / "parts", encoder, with_parts, Sharing((scheme,), OPTIONS), 1)
        plain = save(folder / "plain", encoder, [replace(text, name="c")], Sharing(), 2)
        (folder / "both").mkdir()
        write_composed(parts, [*saved_tasks(parts), *saved_tasks(plain)], folder / "both")
        assert read_sharing(folder / "both").only == {scheme: (0, 1)}
        assert layers_of_folder(folder / "both").layers == layers_of_folder(parts).layers + 3
        both, rng = accord.load(folder / "both"), random.Random(5)
        assert_same(accord.load(plain), both, ["c"], rng)
        assert all(
            part.per_task[2].state_dict() == {}
            for parts in both.model.parts.schemes.values() for part in parts
        )  # fmt: skip
        again = tmp_path / f"{scheme}-again"
        save_model(both.model, again, both.inputs, 32, encoder)
        for file in ("heads.safetensors", "parts.safetensors"):
            ours, theirs = load_file(folder / "both" / file), load_file(again / file)
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
        assert read_sharing(again) == read_sharing(folder / "both")


@pytest.mark.slow
def test_an_answer_that_differs_by_one_bit_is_noticed(encoder: Path, tmp_path: Path) -> None:
    for case in CASES[::3]:
        task = replace(case.task, name="t")
        folder = save(tmp_path / case.task.name, encoder, [task], Sharing(), 4)
        before, after = accord.load(folder), accord.load(folder)
        texts = rows(task, random.Random(1), 5)
        check_same_answers(before, after, "t", texts)
        moved = [parameter for parameter in after.model.head("t").parameters() if len(parameter)]
        if not moved:
            continue
        with torch.no_grad():
            for parameter in moved:
                parameter.mul_(1 + 2.0**-20)
        changed = Predictor(after.model, after.inputs, 32, folder)
        with pytest.raises(TrainingError, match="answers of 't' differ in"):
            check_same_answers(before, changed, "t", texts)


def test_parts_that_no_task_could_have_are_refused(encoder: Path, tmp_path: Path) -> None:
    import json

    text = next(case.task for case in CASES if case.task.kind == "classification")
    tasks = [replace(text, name="a"), replace(text, name="b")]
    folder = save(tmp_path / "model", encoder, tasks, Sharing(("lora",), OPTIONS), 1)
    file = folder / "accord.json"
    table = json.loads(file.read_text())
    for only in ({"lora": [2]}, {"lora": []}, {"pal": [0]}, {"lora": "a"}, [1], {"lora": [-1]}):
        file.write_text(json.dumps({**table, "sharing": {**table["sharing"], "only": only}}))
        with pytest.raises(ModelError, match=r"accord.json: sharing can't be read"):
            read_sharing(folder)
    copied = {"schemes": ["own-layers"], "options": {}, "only": {"own-layers": [0]}}
    file.write_text(json.dumps({**table, "sharing": copied}))
    with pytest.raises(ModelError, match="only some tasks have 'own-layers'"):
        read_sharing(folder)


def test_what_a_task_holds(encoder: Path, tmp_path: Path) -> None:
    """Its tensors, by names that say nothing of its place."""
    tasks = [replace(case.task, name=f"t{i}") for i, case in enumerate(CASES[:4])]
    folder = save(tmp_path / "model", encoder, tasks, Sharing(("adapter",), OPTIONS), 1)
    saved: list[SavedTask] = saved_tasks(folder)
    heads, parts = (load_file(folder / f"{name}.safetensors") for name in ("heads", "parts"))
    assert sum(task.parameters for task in saved) == sum(
        value.numel() for value in (*heads.values(), *parts.values())
    )
    assert len({frozenset(task.parts) for task in saved}) == 1
