"""A mistyped key is told which one is meant: of any section, and by other libraries' names."""

import pytest

from accord.config.faults import _OTHERS, _every_key
from accord.config.file import parse_config
from accord.config.sections import Config
from accord.errors import ConfigError

PLACES = ("", "encoder", "training", "averaging", "checkpoint", "tasks.t")


def refusal(place, key):
    table = {"encoder": {"path": "x"}, "tasks": {"t": {"kind": "classification", "text": "a"}}}
    inner = table
    for part in filter(None, place.split(".")):
        inner = inner.setdefault(part, {})
    inner[key] = 1
    with pytest.raises(ConfigError) as error:
        parse_config(table)
    return str(error.value)


def test_every_other_name_is_understood_wherever_it_stands():
    keys = set(_every_key(Config))
    known = {key.rpartition(".")[2] for key in keys}
    assert set(_OTHERS.values()) <= keys
    assert not known & set(_OTHERS)
    for place in PLACES:
        for name, meant in _OTHERS.items():
            assert refusal(place, name).endswith(f"did you mean '{meant}'?"), (place, name)


def test_a_key_of_another_section_is_named_with_it():
    for key in ("training.lr", "training.epochs", "encoder.max_length", "tasks.NAME.text"):
        section, _, name = key.rpartition(".")
        for place in PLACES:
            if place.partition(".")[0] != section.partition(".")[0] and name != place:
                assert refusal(place, name).endswith(f"did you mean '{key}'?"), (place, name)


def test_what_is_near_nothing_gets_all_that_is_allowed():
    assert "; allowed: path, revision, mode" in refusal("encoder", "qqqqqq")
    assert refusal("training", "epoch").endswith("did you mean 'epochs'?")
    assert refusal("training", "Batch-Size").endswith("did you mean 'batch_size'?")
