"""A key makes no difference exactly where the plan says so, and the schema loads nothing heavy."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.config.file import parse_config
from accord.config.sections import CheckpointConfig, Config
from accord.errors import ConfigError
from accord.plan.keys import TRACKED, Keys, idle_keys, section_model
from accord.plan.making import plan_run
from accord.plan.resolving import _read, resolve
from accord.plan.unused import effective, without_unused

TASK = {"kind": "classification", "train": "x.tsv", "text": "t"}
NAMES = {
    "encoder.path": ["/x", "org/name"],
    "encoder.revision": [None, "v1"],
    "training.batching": ["finish-largest", "temperature", "proportional"],
    "training.balancing": [None, "dwa", "fixed"],
    "training.gradients": ["sum", "pcgrad", "cagrad"],
    "training.regularisers": [[], ["r-drop"]],
    "training.device": ["auto", "cpu"],
    "training.micro_batch_tokens": [None, 64, "auto"],
    "training.stop_on": ["score", "a", "b"],
    "sharing.schemes": [[], ["lora"], ["own-layers"], ["own-encoder", "lora"]],
    "memory.method": ["none", "replay", "gem"],
    "memory.finished": [[], ["b"]],
}
"""Values of keys that take names."""


def every_key() -> dict[str, list[Any]]:
    """Some values of each key that a plan reads one by one."""
    return {
        f"{section}.{name}": NAMES.get(f"{section}.{name}") or list(values(field.annotation))
        for section in TRACKED
        for name, field in section_model(section).model_fields.items()
    }


def values(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif args := [own for own in get_args(annotation) if own is not type(None)]:
        yield from values(args[0])
    else:
        yield from {bool: [True, False], int: [5, 7, 9], float: [0.25, 0.5, 0.75]}[annotation]


KEYS = every_key()


def config_of(chosen: dict[str, Any]) -> Config:
    """A config with these keys set."""
    table: dict[str, Any] = {"encoder": {"path": "/x"}, "tasks": {"a": TASK, "b": TASK}}
    for key, value in chosen.items():
        section, name = key.split(".")
        if value is not None:
            table.setdefault(section, {})[name] = value
    return parse_config(table)


def planned(config: Config) -> Any:
    """What a config's plan holds, except for the config itself."""
    return replace(resolve(config)[0], settings={}, given={})


chosen_keys = st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in KEYS.items()})


@settings(max_examples=25, deadline=None)
@given(chosen_keys, st.data())
def test_a_key_makes_a_difference_or_the_plan_says_why_it_makes_none(chosen, data):
    config = config_of(chosen)
    _, keys = resolve(config)
    assert keys.read | keys.idle.keys() == set(KEYS)
    assert not keys.read & keys.idle.keys()
    assert all(keys.idle.values())
    for key in data.draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=4, max_size=4)):
        if key.startswith("memory.") and not config.remembers and key != "memory.finished":
            continue  # the section as a whole is of no use
        plans = [planned(config_of({**chosen, key: value})) for value in KEYS[key]]
        differ = any(own != plans[0] for own in plans)
        idle = all(key in resolve(config_of({**chosen, key: value}))[1].idle for value in KEYS[key])
        assert differ != idle, (key, chosen)


@settings(max_examples=40, deadline=None)
@given(chosen_keys)
def test_a_config_without_what_is_unused_makes_the_same_run(chosen):
    config = config_of(chosen)
    cleared = without_unused(config)
    assert planned(cleared) == planned(config)
    assert effective(cleared) == effective(config)
    assert without_unused(cleared) == cleared
    assert idle_keys(cleared, [resolve(cleared)[1]]) == {}


def test_a_share_is_of_no_use_where_every_task_names_its_dev_files():
    for dev, unused in ((None, False), ("y.tsv", True)):
        task = {**TASK, **({"dev": dev} if dev else {})}
        other = {**TASK, "train": "b.tsv", "dev": "z.tsv"}
        table = {"encoder": {"path": "/x"}, "tasks": {"a": task, "b": other}}
        config = parse_config({**table, "training": {"dev_share": 0.3}})
        line = "training.dev_share is not used: every task names its dev files"
        assert plan_run(config, files=False).notes == ((line,) if unused else ())


def test_all_that_is_wrong_is_said_at_once():
    config = config_of({
        "sharing.soft": "l2", "training.gradients": "pcgrad", "encoder.mode": "frozen",
        "training.unfreeze_over": 0.5,
    })  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        plan_run(config, "a.toml")
    lines = str(raised.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "sharing.soft", "training.gradients", "training.unfreeze_over",
        "tasks.a.train", "tasks.b.train",
    ]  # fmt: skip
    assert all(line.startswith("a.toml: ") for line in lines)


def test_a_key_that_is_taken_as_it_stands_is_one_field(monkeypatch):
    class Checkpoints(CheckpointConfig):
        compress: int = 3

    class Longer(Config):
        checkpoint: Checkpoints = Checkpoints()

    class Part(Checkpoints):
        """As the parts of a plan are made."""

    monkeypatch.setattr("accord.plan.keys.Config", Longer)
    table = config_of({}).model_dump(exclude_unset=True) | {"checkpoint": {"compress": 7}}
    keys = Keys(Longer.model_validate(table))
    part = _read(Part, "checkpoint", keys, every_steps=1)
    assert (part.compress, part.keep, part.every_steps) == (7, 2, 1)
    assert keys.read == {"checkpoint.compress", "checkpoint.keep", "checkpoint.every_minutes"}


def test_what_a_config_leaves_open_is_settled():
    def rates(**chosen):
        plan = planned(config_of(chosen))
        return plan.training.lr, plan.training.head_lr, plan.sharing.lr

    assert rates() == (5e-5, 1e-3, 1e-3)
    assert rates(**{"encoder.mode": "frozen"}) == (1e-3, 1e-3, 1e-3)
    assert rates(**{"encoder.mode": "frozen", "training.lr": 0.5}) == (0.5, 0.5, 0.5)
    assert rates(**{"sharing.schemes": ["lora"], "sharing.lr": 0.25}) == (5e-5, 1e-3, 0.25)
    for minutes, steps, wanted in ((None, None, 500), (2.0, None, None), (2.0, 7, 7)):
        checkpoint = {"checkpoint.every_minutes": minutes, "checkpoint.every_steps": steps}
        assert planned(config_of(checkpoint)).checkpoint.every_steps == wanted
    for batching, balancing in (("proportional", "inverse-share"), ("uniform", "equal")):
        assert planned(config_of({"training.batching": batching})).training.balancing == balancing


def test_the_schema_loads_nothing_heavy():
    """Names of methods are those of files, and what a metric means is said without computing it."""
    program = (
        "import sys; from accord.config import Config; import accord.config.file;"
        " print({'torch', 'numpy', 'scipy', 'tokenizers'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
