"""Model folders from strangers: refused in one line, in little memory, and nothing is run."""

import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import accord
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.errors import UsageError
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model
from accord.tasks import Task

ROOM = 400 << 20  # bytes that a refusal may take beside what the process holds already
Harm = Callable[[Path], object]
QUERY = "encoder.layer.0.attention.self.query.weight"
W, H = "model.safetensors", "heads.safetensors"


def config(**changes: object) -> Harm:
    """Change the encoder's config."""
    return edit("config.json", lambda table: table.update(changes))


def task(**changes: object) -> Harm:
    """Change the description of the task."""
    return edit("accord.json", lambda table: table["tasks"][0].update(changes))


def edit(name: str, change: Callable[[dict], object]) -> Harm:
    def harm(folder: Path) -> None:
        table = json.loads((folder / name).read_text())
        change(table)
        (folder / name).write_text(json.dumps(table))

    return harm


def content(name: str, new: bytes) -> Harm:
    return lambda folder: (folder / name).write_bytes(new)


def tensors(name: str, change: Callable[[dict], object]) -> Harm:
    def harm(folder: Path) -> None:
        table = load_file(folder / name)
        change(table)
        save_file(table, folder / name)

    return harm


def shards(weight_map: object, *names: str) -> Harm:
    """An index in the place of the weights."""

    def harm(folder: Path) -> None:
        for name in names:
            shutil.copy(folder / "model.safetensors", folder / name)
        (folder / "model.safetensors").unlink()
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))

    return harm


def instead_of_weights(make: Harm) -> Harm:
    def harm(folder: Path) -> None:
        (folder / W).unlink()
        make(folder / W)

    return harm


def pickled(folder: Path) -> None:
    class Harmful:
        def __reduce__(self):
            return os.system, (f"touch {folder / 'harmed'}",)

    torch.save(Harmful(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def header(size: int, text: bytes) -> bytes:
    return size.to_bytes(8, "little") + text


def overflowing(folder: Path) -> None:
    """Weights that are numbers, of a model whose outputs are none."""
    norm = "encoder.layer.1.output.LayerNorm"
    tensors(W, lambda table: table[f"{norm}.bias"].fill_(3e38))(folder)
    tensors(W, lambda table: table[f"{norm}.weight"].fill_(0))(folder)
    tensors(H, lambda table: [value.fill_(3e38) for value in table.values()])(folder)


def tokenizer(change: Callable[[dict], object]) -> Harm:
    """A tokenizer.json that counts as it is."""

    def harm(folder: Path) -> None:
        kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
        edit("tokenizer_config.json", lambda table: table.update(kind))(folder)
        edit("tokenizer.json", change)(folder)

    return harm


HARMS: dict[str, Harm] = {
    **{f"{value!r} layers": config(num_hidden_layers=value)
       for value in (-5, 0, 2.5, "2", True, None, 10**9, 2**40)},
    **{f"a width of {value!r}": config(hidden_size=value) for value in (-8, 0, 10**9, 7, "x", [8])},
    **{f"{value!r} heads": config(num_attention_heads=value) for value in (0, -1, 3, 10**9)},
    **{f"an inner width of {value}": config(intermediate_size=value) for value in (0, -1, 10**9)},
    **{f"a vocabulary of {value}": config(vocab_size=value) for value in (0, -3, 10**9)},
    **{f"{value} positions": config(max_position_embeddings=value) for value in (0, 10**9)},
    "a billion token types": config(type_vocab_size=10**9),
    "an activation that isn't": config(hidden_act="__import__"),
    "an activation that is a number": config(hidden_act=5),
    "more dropout than there is": config(hidden_dropout_prob=2.0),
    "an epsilon that is no number": config(layer_norm_eps=float("nan")),
    "another model": config(model_type="gpt2"),
    "relative positions": config(position_embedding_type="relative_key"),
    "a config that is a list": content("config.json", b"[]"),
    "a config that is cut off": content("config.json", b"{"),
    "a config nested deeply": content("config.json", b"[" * 200_000),
    "a config that is no text": content("config.json", b"\xff\xfe"),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "weights of no bytes": content(W, b""),
    "a header larger than all memory": content(W, header(2**63, b"{}")),
    "a header larger than the file": content(W, header(10**6, b"{}")),
    "a header that is no JSON": content(W, header(4, b"????")),
    "a tensor beyond the file": content(W, header(
        80, b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}        ')),
    "weights cut in half": lambda folder: os.truncate(folder / W, (folder / W).stat().st_size // 2),
    "a folder for the weights": instead_of_weights(lambda file: file.mkdir()),
    "weights that are a link to a text": instead_of_weights(
        lambda file: file.symlink_to("/etc/hostname")),
    "a missing tensor": tensors(W, lambda table: table.pop(QUERY)),
    "a misshapen tensor": tensors(W, lambda table: table.update({QUERY: torch.zeros(2, 2)})),
    "a tensor of whole numbers": tensors(
        W, lambda table: table.update({QUERY: torch.zeros(8, 8, dtype=torch.int64)})),
    "a pickle alone": pickled,
    "a shard outside the folder": shards({QUERY: "../secret.safetensors"}),
    "a shard with a full path": shards({QUERY: "/etc/passwd"}),
    "a shard in a folder": shards({QUERY: "a/b.safetensors"}),
    "a shard that is no text": shards({QUERY: 3}),
    "a shard that is missing": shards({QUERY: "model-1.safetensors"}),
    "a shard that is a pickle": shards({QUERY: "model-1.bin"}, "model-1.bin"),
    "an index that is a list": shards([1, 2]),
    "a head's tensor missing": tensors(H, lambda table: table.popitem()),
    "a head's tensor too many": tensors(H, lambda table: table.update(a=torch.ones(1))),
    "a head's tensor misshapen": tensors(
        H, lambda table: table.update({name: torch.zeros(1) for name in table})),
    "heads cut off": content(H, b"\x10"),
    "a description of another format": edit("accord.json", lambda table: table.update(format=9)),
    "a description without tasks": edit("accord.json", lambda table: table.pop("tasks")),
    "a description of no task": edit("accord.json", lambda table: table.update(tasks=[])),
    "a task twice": edit("accord.json", lambda table: table["tasks"].append(table["tasks"][0])),
    "a negative length": edit("accord.json", lambda table: table.update(max_length=-1)),
    "a length in words": edit("accord.json", lambda table: table.update(max_length="long")),
    "a description nested deeply": content("accord.json", b'{"a":' * 200_000),
    "a kind that isn't": task(kind="evil"),
    "a loss that isn't": task(loss="__class__"),
    "a loss that is a list": task(loss=["mse"]),
    "a pooling that isn't": task(pooling="all"),
    "a name with a path": task(name="../../x"),
    "a name with a dot": task(name="a.b"),
    "labels that are a number": task(labels=5),
    "no labels": task(labels=[]),
    "labels that are lists": task(labels=[["a"], ["b"]]),
    "a million labels": task(labels=[str(i) for i in range(10**6)]),
    "a range turned round": task(range=[1, 0]),
    "a cosine head without pairs": task(head="cosine"),
    "a dropout of 1": task(dropout=1.0),
    "a key too many": task(evil=1),
    "no columns": task(input={"text": []}),
    "a delimiter that isn't": task(input={"text": ["t"], "delimiter": ";"}),
    **{f"a weight of {value}": tensors(W, lambda table, value=value: table[QUERY][0].fill_(value))
       for value in (float("nan"), float("inf"))},
    "a head of no numbers": tensors(
        H, lambda table: [value.fill_(float("nan")) for value in table.values()]),
    "weights that overflow": overflowing,
    "fewer positions than a text may have": edit(
        "accord.json", lambda table: table.update(max_length=17)),
    "a word without a row": tokenizer(lambda table: table["model"]["vocab"].update(c=7)),
    "two words of one id": tokenizer(lambda table: table["model"]["vocab"].update(c=6)),
    "a pattern that never ends": tokenizer(lambda table: table.update(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(a|aa)+$"}, "behavior": "Isolated",
        "invert": False})),
    "a replacement that grows": tokenizer(lambda table: table.update(normalizer={
        "type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 50}] * 9})),
    "a part that stops the process": tokenizer(lambda table: table.update(normalizer={
        "type": "Precompiled", "precompiled_charsmap": "AAAAAAAA"})),
    "words as long as a text": tokenizer(
        lambda table: table["model"].update(max_input_chars_per_word=10**6)),
    "no word for what is unknown": tokenizer(lambda table: table["model"]["vocab"].pop("[UNK]")),
    "another word for what is unknown": tokenizer(
        lambda table: table["model"].update(unk_token="?")),
    "a frame that names no token": tokenizer(lambda table: table.update(post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}],
        "pair": [], "special_tokens": {}})),
    "code of the tokenizer's own": edit(
        "tokenizer_config.json", lambda table: table.update(auto_map=["evil.Tokenizer", None])),
    "a tokenizer of another kind": edit(
        "tokenizer_config.json", lambda table: table.update(tokenizer_class="EvilTokenizer")),
    "no tokenizer": lambda folder: [
        (folder / name).unlink() for name in ("tokenizer.json", "vocab.txt")
        if (folder / name).exists()],
    "a tokenizer that is none": content("tokenizer.json", b"{}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    source = tmp_path_factory.mktemp("source")
    (source / "vocab.txt").write_text("\n".join(words) + "\n")
    sizes = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    task = Task("mood", "classification", "cross_entropy", "accuracy", ("no", "yes"))
    folder = tmp_path_factory.mktemp("sound") / "model"
    model = MultitaskModel(BertEncoder(sizes), [task])
    save_model(model, folder, {"mood": InputFormat(("text",))}, 16, source)
    assert accord.load(folder).predict("mood", ["a b"])
    return folder


def in_little_memory(call: Callable[[], None]) -> int:
    """Call in a forked process that can't grow; return how it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
            resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
            call()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_there_are_many():
    assert len(HARMS) >= 50


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_hostile_folder_is_refused(sound, tmp_path, capfd):
    """All in one process: a new one for each takes most of the time. Its last line is the case."""
    for i, harm in enumerate(HARMS.values()):
        harm(shutil.copytree(sound, tmp_path / str(i)))

    def load():
        for i, name in enumerate(HARMS):
            print(name, file=sys.stderr, flush=True)
            with pytest.raises(UsageError) as error:
                accord.load(tmp_path / str(i)).predict("mood", ["a b"])
            assert "\n" not in str(error.value)
            assert len(str(error.value)) < 1000
            assert str(tmp_path / str(i)) in str(error.value)

    assert in_little_memory(load) == 0, capfd.readouterr().err[-2000:]
    assert not list(tmp_path.glob("*/harmed"))


def test_shards_are_read(sound, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    table = load_file(folder / W)
    (folder / W).unlink()
    names = sorted(table)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: table[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    texts = ["a b", "b"]
    assert accord.load(folder).predict("mood", texts) == accord.load(sound).predict("mood", texts)
