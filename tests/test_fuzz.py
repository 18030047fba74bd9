"""Whatever is read, only Accord's own errors come up, each of one line.

    FUZZ_EXAMPLES=20000 python -m pytest tests/test_fuzz.py     takes long, and looks longer

The inputs are drawn around what is right, where faults are: files of the right words in the wrong
places, configs of known keys with strange values, checkpoints with some bytes changed.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned import planned

from accord.config.file import load_config, parse_config
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.data.resolving import resolve_task
from accord.data.rows import Row
from accord.durable import MANIFEST, damage, replace_folder
from accord.encoders.pretrained import read_config
from accord.errors import ConfigError, UsageError
from accord.model.saved import read_tasks
from accord.plan.making import plan_run
from accord.training.checkpoint import FILES, newest_sound, read_run_state

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TASK = planned(kind="classification", train="x", text="text", label="label", labels=["0", "1"])

PIECES = st.sampled_from([
    "text", "label", "\t", ",", "\n", "\r\n", "\r", '"', '""', "0", "1", "nan", " ", "\0", "\ufeff",
    "a good film", "{", "}", "[", ":", '"text"', '"label"', "\u2028", "\udcff", "PAR1", "\x1a",
    "text\tlabel\n", "film\t1\n", '{"text": "a", "label": 1}\n', "\\u0000", "\\ud800",
    '{"text": ["a"], "label": 1}\n', '["a", null, [1e9, {"b": true}]]', "-DOCSTART-", "# a = b\n",
])  # fmt: skip
FILE = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES, max_size=30).map(lambda p: "".join(p).encode("utf-8", "surrogateescape")),
    st.lists(PIECES, max_size=30).map(
        lambda p: ("text\tlabel\n" + "".join(p)).encode("utf-8", "surrogateescape")
    ),
)
KEYS = st.sampled_from([
    "encoder", "tasks", "training", "checkpoint", "score", "path", "mode", "kind", "train", "dev",
    "text", "label", "labels", "range", "epochs", "lr", "gradients", "precision", "sst", "", "a.b",
    "loss", "head", "encoding", "keep", "every_minutes", "max_skipped_steps", "__class__",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["classification", "pcgrad", "bfloat16", "frozen", "mse", "../x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


def refusal(call: Callable[..., object], *arguments: object) -> str | None:
    """What the one error that may come up says; None if there was none."""
    try:
        call(*arguments)
    except UsageError as error:
        return str(error)
    return None


def is_line(text: str | None) -> bool:
    return text is None or (bool(text) and "\n" not in text)


@fuzz
@given(
    content=FILE,
    name=st.sampled_from(["f.tsv", "f.csv", "f.jsonl", "f.json", "f.txt", "f.parquet"]),
)
def test_a_data_file_gives_rows_or_one_line(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    task = resolve_task("t", TASK)
    rows: list[Example | BadRow] = []
    said = refusal(
        lambda: rows.extend(read_examples(DataFiles((path,)), TASK, task, labelled=True))
    )
    assert is_line(said)
    assert said is None or name in said
    for row in rows:
        if isinstance(row, BadRow):
            assert row.reason
            assert (
                row.line > 1
                or name.endswith(("jsonl", "json", "parquet"))
                or content.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"{"
            )
        else:
            assert all(text.strip() == text != "" for text in row.texts)
            assert row.label in (0.0, 1.0)
            "".join(row.texts).encode()


@fuzz
@given(content=FILE, name=st.sampled_from(["f.conll", "f.bio"]))
def test_a_conll_file_gives_sentences_or_one_line(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    rows: list[Row] = []

    def read() -> None:
        reader = FilesReader(DataFiles((path,)))
        rows.extend(reader.rows(reader.columns))

    said = refusal(read)
    assert is_line(said)
    assert said is None or name in said
    for row in rows:
        assert (row.fault is None) is (row.values is not None)
        assert is_line(row.fault)
        assert len({len(of) for of in row.lists.values()}) == (row.fault is None)
        assert all(word and word.encode() for of in row.lists.values() for word in of)


@fuzz
@given(table=st.dictionaries(KEYS, VALUES, max_size=5))
def test_a_config_of_any_shape(table: dict) -> None:
    said = refusal(parse_config, table)
    assert said is None or all(line.strip() for line in said.splitlines())


@fuzz
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from([
                "[encoder]\n", "[tasks.a]\n", "[training]\n", "path = 1\n", 'path = "x"\n',
                "lr = nan\n", "epochs = 1e9\n", 'kind = "regression"\n', "[[tasks]]\n", "= 3\n",
                "labels = [1, 1]\n", "range = [5, 0]\n", "\0", "a" * 500 + "\n", "x = " + "[" * 99,
            ]),
            max_size=12,
        ).map("".join),
    )
)  # fmt: skip
def test_a_config_file_of_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accord.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError):
        plan_run(load_config(path))


@fuzz
@given(value=VALUES)
def test_json_that_a_stranger_wrote(tmp_path: Path, value: object) -> None:
    table = {"format": 1, "tasks": value, "max_length": 9}
    (tmp_path / "accord.json").write_text(json.dumps(table))
    said = refusal(read_tasks, tmp_path)
    assert said is not None
    assert is_line(said)
    for name, read in (("config.json", read_config), (FILES[-1], read_run_state)):
        (tmp_path / name).write_text(json.dumps(value))
        assert is_line(refusal(read, tmp_path))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints") / "step-4"

    def write(folder: Path) -> None:
        from safetensors.torch import save_file

        for name in FILES[:-1]:
            save_file({"a": torch.randn(5), "b": torch.arange(3)}, folder / name)
        (folder / FILES[-1]).write_text('{"format": 1, "step": 4}\n')

    replace_folder(place, write, manifest=True)
    return place


@fuzz
@given(data=st.data())
def test_any_change_of_any_byte_of_a_checkpoint_is_seen(
    tmp_path: Path, checkpoint: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([*FILES, MANIFEST]))
    content = (checkpoint / name).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 20)))
    changed = content[:start] + data.draw(st.binary(max_size=20)) + content[stop:]
    place = tmp_path / "checkpoints" / "step-4"
    shutil.rmtree(place.parent, ignore_errors=True)
    shutil.copytree(checkpoint, place)
    (place / name).write_bytes(changed)
    warnings: list[str] = []
    found = newest_sound(place.parent, warnings.append)
    if found is None:
        assert len(warnings) == 1
        assert "\n" not in warnings[0]
    else:  # what a checkpoint holds is what was written; a manifest may be spelt otherwise
        assert all((place / own).read_bytes() == (checkpoint / own).read_bytes() for own in FILES)
        assert damage(place, FILES) is None
