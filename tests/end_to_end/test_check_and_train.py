"""`accord check` refuses what `accord train` refuses, in the same line, and passes what it passes.

Wrong configs, data files and encoders are generated; the one command is the other's evaluate.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from accord.config.file import load_config
from accord.errors import AccordError, ConfigError
from accord.families import FAMILIES, options_of
from accord.plan.making import plan_run
from accord.training.step import Learner

Changes = dict[str, Any]
PIECES = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "norm": "embeddings.LayerNorm.bias",
    "key": "encoder.layer.1.attention.self.key.weight",
    "output": "encoder.layer.0.output.dense.bias",
}
PREFIXES = (
    "module.",
    "bert.",
    "module.bert.",
    "model.",
    "model.encoder.",
    "encoder.",
    "_orig_mod.",
)


class BegunError(AccordError):
    """A run took its first step: it was not refused."""

    exit_code = 99


@pytest.fixture
def compare(accord_cli, tmp_path, monkeypatch) -> Callable[..., str]:
    """Give a config to both commands and return the line in which both refuse it, or ''."""

    def begin(*arguments: object) -> None:
        raise BegunError("the first step")

    monkeypatch.setattr(Learner, "step", begin)

    def call(config: Path, *arguments: str) -> str:
        run = tmp_path / "run"
        checked = accord_cli("check", config, *arguments)
        trained = accord_cli("train", config, "--out", run, "--quiet", *arguments)
        if trained.code == BegunError.exit_code:
            assert checked.code == 0, checked.err
            shutil.rmtree(run)
            return ""
        assert (checked.code, checked.err) == (trained.code, trained.err)
        assert trained.code == 2, trained.err
        assert trained.err.startswith("accord: ")
        assert not run.exists()
        return str(trained.err)

    return call


def wrong_settings() -> Iterator[tuple[Changes, str]]:
    """Yield changes of a config with a word of what refuses them."""
    yield {"training.device": "tpu"}, "device"
    yield {"training.precision": "tf32"}, "'tf32' takes a GPU with TF32"
    yield {"encoder.max_length": 33}, "max_length"
    yield {"encoder.reinit_layers": 3}, "reinit_layers"
    yield {"encoder.heads": "keep"}, "accord.json"
    yield {"encoder.mode": "frozen", "training.gradients": "pcgrad"}, "frozen"
    yield {"sharing.schemes": ["own-layers"], "methods.own-layers.shared": 3}, "own-layers"
    yield {"training.gramian": False, "training.gradients": "mgda"}, "gramian"
    yield {"averaging.method": "swa", "averaging.every_steps": 9999}, "averaging.every_steps"
    yield {"averaging.method": "ema", "tasks.near.targets": "popart"}, "popart"
    yield {"memory.method": "gem", "memory.finished": ["mood"]}, "memory"
    yield {"tasks.alike.kind": "simcse", "training.batch_size": 1}, "simcse"
    yield {"tasks.alike.kind": "simcse", "encoder.dropout": 0.0}, "dropout"
    yield {"training.batching": "uniform", "training.epochs": 1, "training.tasks_per_step": "one",
           "training.steps_per_epoch": 1}, "draws no example"  # fmt: skip
    yield {"tasks.add.kind": "masked-lm"}, ""
    yield {"tasks.keys.kind": "masked-lm"}, "keys"
    for wrong in ({"patience": 0}, {"patience": 1.5}, {"min_delta": -1}, {"min_delta": "x"}):
        ((name, value),) = wrong.items()
        yield {f"training.{name}": value}, f"training.{name}"
    stops = {"training.patience": 1}
    yield {**stops, "training.stop_on": "neat"}, "did you mean 'near'?"
    yield {**stops, "training.stop_on": "words", "tasks.words.kind": "masked-lm"}, "has no labels"
    yield {**stops, "training.stop_on": "near"}, ""
    for weights in ({"neg": 0}, {"pos": -1.0}, {"neg": "x"}, {}, 2, [1, 2, 3], "even", {"negg": 2}):
        yield {"tasks.mood.class_weights": weights}, "tasks.mood.class_weights"
    yield {"tasks.near.class_weights": "balanced"}, "has no such key"
    yield {"tasks.near.draw": "balanced"}, "has no such key"
    yield {"tasks.mood.draw": "even"}, "tasks.mood.draw"
    labels = ["neg", "mixed", "pos", "new"]
    yield {"tasks.mood.class_weights": "balanced", "tasks.mood.labels": labels}, "'new' has none"
    yield {"tasks.mood.class_weights": {"new": 3}, "tasks.mood.labels": labels}, ""
    for kind in ("ordinal", "multi-label"):
        kinds = {"tasks.mood.kind": kind, "tasks.mood.class_weights": "balanced"}
        yield kinds, ""
        yield {**kinds, "tasks.mood.labels": labels}, "'new' has none"
        yield {**kinds, "tasks.mood.class_weights": {"negg": 2}}, "did you mean 'neg'?"
        yield {**kinds, "tasks.mood.class_weights": {"neg": 0}}, "takes weights above 0"
    yield {"tasks.words.kind": "simcse", "tasks.words.class_weights": "balanced"}, "no such key"
    for smoothing in (1, -0.1, True, "x"):
        yield {"tasks.mood.label_smoothing": smoothing}, "tasks.mood.label_smoothing"
    yield {"tasks.same.loss": "mse", "tasks.same.label_smoothing": 0.1}, "is for loss"
    for name in ("mood", "near"):
        yield {f"tasks.{name}.train": None}, "is missing"
        yield {f"tasks.{name}.dev": f"{name}-gone.csv"}, "no such file"
        yield {f"tasks.{name}.label": "none"}, "none"
    yield {"tasks.mood.labels": ["neg", "pos"]}, "mixed"
    yield {"tasks.near.range": [0, 4]}, "outside the range"
    yield {"tasks.mood.train": "near-train.csv"}, "'text'"
    yield {"tasks.same.text": ["first", "third"]}, "third"


def wrong_options() -> Iterator[tuple[Changes, str]]:
    """Yield each method with an option of the wrong kind, or one that it hasn't got."""
    for family in FAMILIES:
        for method in family.all() if "NAME" not in family.key else ():
            chosen = [method.name] if family.several else method.name
            change = {family.key_of(method): chosen}
            option = next((each["name"] for each in options_of(method)), "none_such")
            yield {**change, f"methods.{method.name}.{option}": "x"}, f"methods.{method.name}"


def test_a_wrong_setting(project, compare):
    for changes, word in (*wrong_settings(), *wrong_options()):
        line = compare(project(changes))
        assert word in line, (changes, line)
        assert bool(line) == bool(word), changes


@pytest.mark.slow
def test_whatever_plans_a_run_refuses_it_in_the_same_words(project, accord_cli, tmp_path):
    """What is wrong without a look at the data; the rest a grid's cell or a trial says itself."""
    out, refused = tmp_path / "out", 0
    for changes, _ in (*wrong_settings(), *wrong_options()):
        config = project(changes)
        try:
            plan_run(load_config(config), str(config))
            continue
        except ConfigError as error:
            faults = [line.removeprefix(f"{config}: ") for line in error.args]
        refused += 1
        grid = config.with_name("grid.toml")
        grid.write_text('config = "accord.toml"\n[axes]\nseed = [0]\n')
        for command, where in (
            (("check", config), f"{config}"),
            (("compare", config, "--out", out), f"{config}"),
            (("tune", config, "--search", "lr=1e-5:1e-4", "--out", out), f"{config}"),
            (("grid", grid, "--out", out), f"{grid}: cell seed=0"),
        ):
            answer = accord_cli(*command)
            assert answer.code == 2, (command, answer.err)
            lines = [f"accord: {where}: {fault}" for fault in faults]
            assert answer.err.splitlines() == lines, command
            assert not out.exists()
    assert refused > 40


def broken_files() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Yield what may be wrong with a file, as a change of its bytes."""
    yield "empty", lambda old: b""
    yield "a header alone", lambda old: old.splitlines(keepends=True)[0]
    yield "no such column", lambda old: re.sub(rb"(?<=[,\t])", b"x", old, count=1)
    yield "no text", lambda old: old + b"x1\n"
    yield "not UTF-8", lambda old: old + b"\xff\xfe\xfa\n"
    yield "binary", lambda old: b"PK\x03\x04\x00\x00" + old


def test_a_broken_file(project, compare):
    files = ("mood-train.csv", "mood-dev.csv", "same-train.tsv", "near-dev.csv", "near-test.csv")
    for name in files:
        for what, change in broken_files():
            config = project()
            file = config.parent / name
            file.write_bytes(change(file.read_bytes()))
            assert name in compare(config), (name, what)


def test_a_label_that_can_t_be_one(project, compare):
    for name, row in (
        ("mood-train.csv", "m99,fine,grand"), ("mood-dev.csv", "m99,fine,"),
        ("same-dev.tsv", "p99\tfine\tfine\t7"), ("near-train.csv", "p99,fine,fine,9"),
        ("near-dev.csv", "p99,fine,fine,nan"), ("near-dev.csv", "p99,fine,fine,much"),
    ):  # fmt: skip
        config = project()
        with (config.parent / name).open("a") as file:
            file.write(f"{row}\n")
        assert name in compare(config), row


Tensors = dict[str, torch.Tensor]


def edit_tensors(folder: Path, edit: Callable[[Tensors], Tensors]) -> None:
    file = folder / "model.safetensors"
    save_file(edit(load_file(file)), file)


def edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_words(folder: Path, edit: Callable[[list[str]], list[str]]) -> None:
    (folder / "tokenizer.json").unlink()
    file = folder / "vocab.txt"
    file.write_text("\n".join(edit(file.read_text().split())) + "\n")


def broken_encoders() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """Yield words of a refusal with what it takes for one to be made of a sound encoder."""
    for name in PIECES.values():
        yield (
            f"'{name}' is missing",
            lambda to, name=name: edit_tensors(
                to, lambda old: {each: value for each, value in old.items() if each != name}
            ),
        )
        yield (
            f"'{name}' has shape",
            lambda to, name=name: edit_tensors(
                to, lambda old: {**old, name: old[name][:-1].contiguous()}
            ),
        )
        yield (
            f"'{name}' is of int64",
            lambda to, name=name: edit_tensors(to, lambda old: {**old, name: old[name].long()}),
        )
    yield (
        "holds 2 encoders",
        lambda to: edit_tensors(
            to, lambda old: {**old, f"ema.{PIECES['word']}": old[PIECES["word"]].clone()}
        ),
    )
    yield (
        "pools by 'pooler'",
        lambda to: edit_tensors(
            to, lambda old: {each: value for each, value in old.items() if "pooler" not in each}
        ),
    )
    yield "hidden_size 18", lambda to: edit_config(to, hidden_size=18, num_attention_heads=4)
    yield "config.json asks for 3 layers", lambda to: edit_config(to, num_hidden_layers=3)
    yield "hidden_act 'glue'", lambda to: edit_config(to, hidden_act="glue")
    yield "'relative_key'", lambda to: edit_config(to, position_embedding_type="relative_key")
    yield "model_type is 'roberta'", lambda to: edit_config(to, model_type="roberta")
    yield "vocab_size is 0", lambda to: edit_config(to, vocab_size=0)
    yield (
        "the id 51, but the encoder has 50 rows",
        lambda to: edit_words(to, lambda old: [*old, "one", "two"]),
    )
    yield "[SEP]", lambda to: edit_words(to, lambda old: [*old[:3], *old[4:]])
    yield (
        "no tokenizer",
        lambda to: [(to / name).unlink() for name in ("tokenizer.json", "vocab.txt")],
    )
    yield "tokenizer.json: can't be read", lambda to: (to / "tokenizer.json").write_text("{")
    yield "it has no model.safetensors", lambda to: (to / "model.safetensors").unlink()
    yield (
        "model.safetensors: can't be read",
        lambda to: (to / "model.safetensors").write_bytes(
            (to / "model.safetensors").read_bytes()[:-4]
        ),
    )
    yield "'accord convert", lambda to: (to / "model.safetensors").rename(to / "pytorch_model.bin")
    yield "has no config.json", lambda to: (to / "config.json").unlink()
    yield "no such folder", shutil.rmtree


@pytest.mark.slow
def test_a_broken_encoder(project, compare, deep_encoder_folder, tmp_path):
    copy = tmp_path / "copy"
    for words, breaks in broken_encoders():
        shutil.copytree(deep_encoder_folder, copy)
        breaks(copy)
        line = compare(project({"encoder.path": str(copy)}))
        assert words in line, (words, line)
        shutil.rmtree(copy, ignore_errors=True)


def test_an_encoder_that_fits_some_tasks_alone(project, compare, encoder_folder, tmp_path):
    one_type = shutil.copytree(encoder_folder, tmp_path / "one_type")
    name = "embeddings.token_type_embeddings.weight"
    edit_tensors(one_type, lambda old: {**old, name: old[name][:1].contiguous()})
    edit_config(one_type, type_vocab_size=1)
    no_mask = shutil.copytree(encoder_folder, tmp_path / "no_mask")
    edit_words(no_mask, lambda old: [word.replace("[MASK]", "mask") for word in old])
    words = {"tasks.words.kind": "masked-lm"}
    for folder, changes, tasks, said in (
        (one_type, {}, ("near",), "joins pairs"), (one_type, {}, ("same",), ""),
        (no_mask, words, (), "has no [MASK]"), (no_mask, {}, ("mood",), ""),
    ):  # fmt: skip
        line = compare(project({**changes, "encoder.path": str(folder)}, tasks))
        assert (said in line, bool(line)) == (True, bool(said)), line


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_encoder_saved_inside_other_modules(prefix, encoder_folder, tmp_path):
    from accord.encoders.pretrained import load_encoder

    copy = shutil.copytree(encoder_folder, tmp_path / "copy")
    head = {"classifier.weight": torch.ones(2, 16), "module.head.pooler.dense.bias": torch.ones(3)}
    edit_tensors(copy, lambda old: {**{prefix + each: v for each, v in old.items()}, **head})
    plain, again = (load_encoder(folder).state_dict() for folder in (encoder_folder, copy))
    assert all(torch.equal(value, again[name]) for name, value in plain.items())
    assert plain.keys() == again.keys()


@pytest.mark.slow
def test_stages_that_later_stages_can_t_go_on_from(
    staged_project, compare, encoder_folder, tmp_path
):
    copy = shutil.copytree(encoder_folder, tmp_path / "copy")
    edit_tensors(copy, lambda old: {name: v for name, v in old.items() if "pooler" not in name})
    two = '[[stages]]\ntasks = ["mood"]\n[[stages]]\nname = "pairs"\ntasks = ["same", "near"]\n'
    for changes, more, said in (
        ({}, "", ""),
        ({"encoder.path": str(copy)}, "", "stage 2 'pairs': task 'near' pools by 'pooler'"),
        ({}, "encoder = { max_length = 40 }\n", "stage 2 'pairs': encoder.max_length: 40 is more"),
        ({}, "encoder = { reinit_layers = 3 }\n", "stage 2 'pairs': encoder.reinit_layers"),
        ({"tasks.near.range": [0, 4]}, "", "stage 2 'pairs': "),
        ({"tasks.mood.label": "x"}, "", "stage 1: "),
        ({}, '[memory]\nmethod = "replay"\nsize = 23\n', "stage 2 'pairs': memory.size"),
        ({}, 'averaging = { method = "swa", every_steps = 900 }\n', "stage 2 'pairs': averaging."),
    ):
        line = compare(staged_project(two + more, changes))
        assert (said in line, bool(line)) == (True, bool(said)), (said, line)


def broken_models() -> Iterator[tuple[str, Changes, Callable[[Path], Any]]]:
    """Yield words of a refusal to keep heads, changes of the config, and of the model folder."""
    heads = "heads.safetensors"
    yield "", {}, lambda to: None
    yield "the head in", {"tasks.mood.labels": ["neg", "pos", "mixed"]}, lambda to: None
    yield "the head in", {"tasks.near.range": [0, 9]}, lambda to: None
    yield "", {"tasks.mood.class_weights": "balanced"}, lambda to: None
    yield "", {"tasks.mood.label_smoothing": 0.1}, lambda to: None
    yield "the head in", {"tasks.same.pooling": "cls"}, lambda to: None
    yield f"{heads}: can't be read", {}, lambda to: (to / heads).unlink()
    yield f"{heads}: can't be read", {}, lambda to: (to / heads).write_bytes(b"x" * 50)
    yield "'mood.linear.weight' is missing", {}, lambda to: save_file({}, to / heads)
    yield "is of another format", {}, lambda to: (to / "accord.json").write_text("{}")
    yield "holds no accord.json", {}, lambda to: (to / "accord.json").unlink()
    yield "holds no task 'more'", {
        "memory.finished": ["more"], "memory.method": "replay", "memory.size": 4,
        "tasks.more.kind": "classification", "tasks.more.train": "mood-train.csv",
        "tasks.more.text": "text", "tasks.more.label": "mood",
    }, lambda to: None  # fmt: skip
    yield "memory.size: 99 is more", {
        "memory.finished": ["mood"], "memory.method": "gem", "memory.size": 99,
    }, lambda to: None  # fmt: skip


@pytest.mark.slow
def test_heads_that_can_t_be_kept(project, compare, finished, tmp_path):
    copy = tmp_path / "copy"
    for said, changes, breaks in broken_models():
        shutil.copytree(finished / "model", copy)
        breaks(copy)
        line = compare(project({"encoder.path": str(copy), "encoder.heads": "keep", **changes}))
        assert (said in line, bool(line)) == (True, bool(said)), (said, line)
        shutil.rmtree(copy)


@pytest.mark.slow
def test_parts_that_are_not_taken_over_are_said_by_both(project, train, accord_cli, tmp_path):
    short = {"training.epochs": 1, "training.steps_per_epoch": 1}
    run = train(project({**short, "sharing.schemes": ["lora"]}), tmp_path / "first")
    config = project({**short, "encoder.path": str(run / "model")})
    line = f"warning: {run / 'model'}: the parts of its tasks (lora) are not taken over"
    assert line in accord_cli("check", config).err
    assert line in accord_cli("train", config, "--out", tmp_path / "second").err
