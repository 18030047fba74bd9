"""The config's JSON Schema: it takes what a run takes, and refuses what only a run would refuse."""

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from accord.config import schema
from accord.config.file import parse_config
from accord.errors import ConfigError, UsageError
from accord.families import FAMILIES
from accord.kinds import kind_names

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(schema.config_schema())
BASE = {
    "encoder": {"path": "bert"},
    "tasks": {"a": {"kind": "classification", "train": "a.csv", "text": "x", "label": "y"}},
    "training": {"epochs": 2, "lr": 1e-4, "batching": "temperature"},
    "methods": {"temperature": {"tau": 2.0}},
}


def changed(key: str, value: object) -> dict:
    """BASE with another value of a dotted key."""
    table = copy.deepcopy(BASE)
    *into, last = key.split(".")
    inner = table
    for name in into:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return table


def configs() -> list:
    """Every whole config that the project has: files, and blocks of its pages."""
    files = [
        *ROOT.glob("src/accord/demo/*.toml"),
        *ROOT.glob("docs/results/**/*.toml"),
        *ROOT.glob("src/accord/experiments/**/*.toml"),
    ]
    texts = [(file.name, file.read_text(encoding="utf-8")) for file in files]
    for page in (ROOT / "docs").rglob("*.md"):
        blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        texts += [(page.name, block) for block in blocks]
    tables = [(name, tomllib.loads(text)) for name, text in texts]
    whole = [(name, table) for name, table in tables if {"encoder", "tasks"} <= table.keys()]
    return [pytest.param(table, id=f"{name}-{i}") for i, (name, table) in enumerate(whole)]


def test_it_is_a_schema_of_every_kind_and_method():
    found = schema.config_schema()
    Draft202012Validator.check_schema(found)
    sections = [
        found["$defs"][part["$ref"].rpartition("/")[2]]["properties"]["kind"]
        for part in next(iter(found["properties"]["tasks"]["patternProperties"].values()))["oneOf"]
    ]
    kinds = [name for kind in sections for name in kind.get("enum", [kind.get("const")])]
    assert sorted(kinds) == sorted(kind_names())
    methods = {method.name for family in FAMILIES for method in family.all()}
    assert found["properties"]["methods"]["properties"].keys() == methods
    assert not re.search(r"\bnull\b[^ ]", json.dumps(found))


@pytest.mark.parametrize("table", configs())
def test_it_takes_every_config_of_ours(table):
    assert [error.message for error in VALIDATOR.iter_errors(table)] == []


def examples() -> list[str]:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    return re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)


@pytest.mark.parametrize("example", examples())
def test_examples_of_sections_are_what_a_config_takes(example):
    table = {**copy.deepcopy(BASE), **tomllib.loads(example)}
    if "stages" in table:
        tasks = {name for stage in table["stages"] for name in stage["tasks"]}
        table["tasks"] = dict.fromkeys(tasks, BASE["tasks"]["a"])
    if "simcse" in example:
        table["tasks"]["reviews"] = BASE["tasks"]["a"]
    parse_config(table)
    assert [error.message for error in VALIDATOR.iter_errors(table)] == []


def test_every_section_has_an_example():
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    sections = page.split("\n## ")[1:]
    assert len(sections) > 15
    for section in sections:
        assert "```toml" in section


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.epochs", 0),
        ("training.epochs", "three"),
        ("training.epocs", 3),
        ("training.gradients", "pcgard"),
        ("training.regularisers", ["smrt"]),
        ("track.to", ["tensorbord"]),
        ("sharing.schemes", "adapters"),
        ("methods.temperature.tau", 0.5),
        ("methods.temperature.taus", 2.0),
        ("tasks.a.kind", "clasification"),
        ("tasks.a.text", 3),
        ("tasks.a.choices", ["b", "c"]),
        ("tasks.not a name", BASE["tasks"]["a"]),
        ("encoder", {}),
        ("score", "median"),
    ],
)
def test_what_it_refuses_a_config_can_not_be(key, value):
    table = changed(key, value)
    assert not VALIDATOR.is_valid(table)
    with pytest.raises((ConfigError, ValueError), match=r"\w"):
        resolved(table)
    assert VALIDATOR.is_valid(BASE)


def resolved(table: dict) -> None:
    """Read a config, and its methods' options as a run does."""
    config = parse_config(table)
    for method in (method for family in FAMILIES for method in family.all()):
        method.check_options(config.methods.get(method.name, {}))


def test_a_config_is_written_with_its_schema(tmp_path):
    config, beside = tmp_path / "accord.toml", tmp_path / schema.FILE
    schema.write_with_schema(config, "score = 'mean'\n")
    assert config.read_text() == "#:schema accord.schema.json\nscore = 'mean'\n"
    assert json.loads(beside.read_text()) == schema.config_schema()
    beside.write_text(json.dumps({"title": "Accord's config", "of": "an older version"}))
    schema.write_with_schema(config, "")
    assert json.loads(beside.read_text()) == schema.config_schema()


def test_what_else_has_its_name_stays(tmp_path):
    config, beside = tmp_path / "accord.toml", tmp_path / schema.FILE
    beside.write_text("[1, 2]")
    schema.write_with_schema(config, "score = 'mean'\n")
    assert (config.read_text(), beside.read_text()) == ("score = 'mean'\n", "[1, 2]")
    with pytest.raises(UsageError, match=r"exists already, and is no schema of Accord's"):
        schema.write_schema(beside)
