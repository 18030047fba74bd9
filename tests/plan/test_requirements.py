"""A method says beside itself what it needs of a run; no other file knows of it."""

import ast
from pathlib import Path

import pytest

import accord
from accord.config.file import parse_config
from accord.errors import ConfigError
from accord.families import FAMILIES, TARGETS
from accord.plan.making import plan_run
from accord.registered import registered

TASK = {"kind": "regression", "train": "x.tsv", "text": "t", "range": [0, 1]}
WANTED = "training.lr: this method wants another"


def faults(table):
    try:
        plan_run(parse_config(table), files=False)
    except ConfigError as error:
        return [line.removeprefix("config: ") for line in error.args]
    return []


def choosing(family, name):
    """A config that chooses a method."""
    table = {"encoder": {"path": "/x"}, "tasks": {"a": TASK, "b": TASK}}
    if family is TARGETS:
        return {**table, "tasks": {"a": {**TASK, "targets": name}, "b": TASK}}
    section, key = family.key_of(family.get(name)).split(".")
    table[section] = {key: [name] if family.several else name}
    if section == "memory":
        table |= {
            "memory": {"finished": ["b"], key: name},
            "encoder": {"path": "/x", "heads": "keep"},
        }
    return table


def test_what_a_method_requires_is_asked_where_it_is_chosen(monkeypatch):
    for family in FAMILIES:
        for name in family.names():
            method, asked = family.get(name), []

            def requires(options, run, asked=asked):
                asked.append((dict(options), run.tasks))
                yield WANTED

            with monkeypatch.context() as patch:
                patch.setitem(vars(method), "requires", requires)
                assert WANTED in faults(choosing(family, name)), name
            assert asked == [(method.check_options({}), ("a", "b"))]
            assert WANTED not in faults(choosing(family, name))


def test_an_option_that_is_a_table_has_a_value_for_each_task():
    """Whether its method is chosen or not."""
    table = {"encoder": {"path": "/x"}, "tasks": {"a": TASK, "b": TASK}}
    for rule in ("fixed", "equal"):
        given = {"training": {"balancing": rule}, "methods": {"fixed": {"weights": {"bb": 1.0}}}}
        assert faults({**table, **given}) == [
            "methods.fixed.weights: no task 'bb'; did you mean 'b'?"
        ]


@pytest.mark.parametrize("name", ["config", "plan"])
def test_no_file_of_the_schema_or_the_plan_asks_for_a_method_by_name(name):
    """But for the schema's defaults and what it says of keys."""
    families = ("gradients", "balancing", "sampling", "sharing", "regularisers")
    names = {each for family in families for each in registered(family)}
    for file in (Path(accord.__file__).parent / name).glob("*.py"):
        tree = ast.parse(file.read_text())
        compared = [
            leaf.value
            for node in ast.walk(tree) if isinstance(node, ast.Compare)
            for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)
        ]  # fmt: skip
        assert not names.intersection(each for each in compared if isinstance(each, str)), file
