"""Methods that can't work with what they are given say so before training starts."""

import pytest

from accord.balancing import rule_names
from accord.config_file import (
    check_methods,
    drop_combining,
    dump_config,
    effective,
    load_config,
    parse_config,
)
from accord.errors import ConfigError
from accord.gradients import METHODS, method_names

TASK = {"kind": "classification", "train": "x.tsv", "text": "t"}


def faults(training=None, tasks=("a", "b"), mode="finetune", **sections):
    table = {
        "encoder": {"path": "x", "mode": mode}, "tasks": dict.fromkeys(tasks, TASK),
        "training": training or {}, **sections,
    }  # fmt: skip
    try:
        check_methods(parse_config(table), "file.toml")
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"training": {"gradients": "pcgrad"}, "tasks": ("a",)},
            "training.gradients: 'pcgrad' combines several tasks' gradients; there is one task",
        ),
        (
            {"training": {"gradients": "cagrad"}, "mode": "frozen"},
            "training.gradients: 'cagrad' combines shared gradients; a frozen encoder has none",
        ),
        (
            {"training": {"gradients": "mgda", "batching": "round-robin"}},
            "training.gradients: 'mgda' combines the gradients of a step's tasks, but batching"
            " 'round-robin' gives a step one task",
        ),
        (
            {"training": {"gradients": "graddrop", "batching": "uniform", "tasks_per_step": "one"}},
            "training.gradients: 'graddrop' combines the gradients of a step's tasks, but"
            " tasks_per_step 'one' gives a step one task",
        ),
        (
            {"training": {"granularity": "layer"}},
            "training.granularity: 'sum' has no weights that could differ by layer",
        ),
        (
            {"training": {"gradients": "graddrop", "granularity": "layer"}},
            "training.granularity: 'graddrop' has no weights that could differ by layer",
        ),
        (
            {"training": {"balancing": "dwa"}, "tasks": ("a",)},
            "training.balancing: 'dwa' weighs tasks against each other; there is one task",
        ),
        (
            {"training": {"balancing": "gradnorm"}, "mode": "frozen"},
            "training.balancing: 'gradnorm' weighs what tasks share; a frozen encoder learns"
            " nothing",
        ),
        (
            {"training": {"balancing": "famo", "batching": "round-robin"}},
            "training.balancing: 'famo' compares the tasks of a step, but batching 'round-robin'"
            " gives a step one task",
        ),
        (
            {"training": {"tasks_per_step": "one"}},
            "training.tasks_per_step: batching 'finish-largest' draws from all tasks in each step;"
            " 'one' is for annealed, by-size, fair-exposure, round-robin, temperature, uniform",
        ),
        (
            {
                "training": {"balancing": "gradnorm"},
                "sharing": {"schemes": ["lora"], "train_shared": False},
            },
            "training.balancing: 'gradnorm' looks at the last shared layer; no layer is shared and"
            " trained",
        ),
        ({"methods": {"cagard": {}}}, "methods.cagard: no such method; did you mean 'cagrad'?"),
        (
            {"methods": {"cagrad": {"c": 2.0}}},
            "methods.cagrad.c: should be less than 1, got 2.0",
        ),
        (
            {"methods": {"cagrad": {"d": 0.1}}},
            "methods.cagrad: has no option 'd'; allowed: c, rescale",
        ),
        ({"methods": {"pcgrad": {"c": 0.1}}}, "methods.pcgrad: has no options"),
        (
            {"methods": {"fixed": {"weights": {"aa": 1.0}}}},
            "methods.fixed.weights: no task 'aa'; did you mean 'a'?",
        ),
        (
            {"methods": {"fixed": {"weights": 3}}},
            "methods.fixed.weights: should be a table, got 3",
        ),
        (
            {"training": {"balancing": "inverse-share", "batching": "round-robin"}},
            "training.balancing: 'inverse-share' goes by the tasks' shares of a step, but batching"
            " 'round-robin' gives a step one task",
        ),
        (
            {"methods": {"fixed": {"weights": {"a": -1.0}}}},
            "methods.fixed.weights: should be greater than or equal to 0, got -1.0",
        ),
    ],
)
def test_a_fault_is_one_line(given, line):
    assert faults(**given) == [f"file.toml: {line}"]


@pytest.mark.parametrize("gradients", method_names())
@pytest.mark.parametrize("balancing", rule_names())
def test_every_rule_goes_with_every_method(gradients, balancing):
    assert faults({"gradients": gradients, "balancing": balancing}) == []
    if "layer" in METHODS.get(gradients).granularities:
        layered = {"gradients": gradients, "balancing": balancing, "granularity": "layer"}
        assert faults(layered) == []


def test_rules_that_look_at_one_task_go_with_steps_of_one():
    assert faults({"balancing": "uncertainty", "batching": "round-robin"}) == []


def test_one_task_of_several_drops_what_combines():
    table = {
        "tasks": {"a": TASK},
        "training": {"gradients": "pcgrad", "granularity": "layer", "epochs": 2},
        "methods": {"fixed": {"weights": {"a": 2.0, "b": 3.0}}},
    }
    drop_combining(table, {"a": TASK, "b": TASK})
    assert table["training"] == {"epochs": 2}
    assert table["methods"] == {"fixed": {"weights": {"a": 2.0}}}
    same = {"tasks": {"a": TASK}, "training": {"gradients": "pcgrad"}}
    drop_combining(same, {"a": TASK})
    assert same["training"] == {"gradients": "pcgrad"}  # as the file says: an error, later


def test_options_survive_a_dump(tmp_path):
    table = {
        "encoder": {"path": "x"}, "tasks": {"a": TASK, "b": TASK},
        "training": {"balancing": "fixed", "gradients": "cagrad"},
        "methods": {"fixed": {"weights": {"a": 2.0}}, "cagrad": {"c": 0.25}, "mgda": {}},
    }  # fmt: skip
    config = parse_config(table)
    file = tmp_path / "accord.toml"
    file.write_text(dump_config(config))
    again = load_config(file, files=False)
    assert again.methods == config.methods
    assert again.training == config.training


def test_options_of_methods_that_are_not_chosen_make_no_other_run():
    table = {"encoder": {"path": "x"}, "tasks": {"a": TASK, "b": TASK}}
    one, other = (parse_config({**table, "methods": {"cagrad": {"c": c}}}) for c in (0.2, 0.5))
    assert effective(one) == effective(other)
    chosen = {"gradients": "cagrad"}
    one, other = (
        parse_config({**table, "training": chosen, "methods": {"cagrad": {"c": c}}})
        for c in (0.2, 0.5)
    )
    assert effective(one) != effective(other)
