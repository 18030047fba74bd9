"""Methods that can't work with what they are given say so before training starts."""

import pytest
from looped import looped

from accord.balancing import rule_names
from accord.config.file import (
    drop_combining,
    dump_config,
    load_config,
    parse_config,
    reduced,
)
from accord.errors import ConfigError
from accord.gradients import METHODS, method_names
from accord.plan.making import plan_run
from accord.plan.unused import effective

TASK = {"kind": "classification", "train": "x.tsv", "text": "t"}


def unused_options(config):
    return "; ".join(plan_run(config, files=False).notes)


def faults(training=None, tasks=("a", "b"), mode="finetune", task=None, heads="new", **sections):
    table = {
        "encoder": {"path": "x", "mode": mode, "heads": heads},
        "tasks": {name: {**TASK, **(task or {})} for name in tasks},
        "training": training or {}, **sections,
    }  # fmt: skip
    try:
        plan_run(parse_config(table), "file.toml", files=False)
    except ConfigError as error:
        return str(error).splitlines()
    return []


@looped(
    "given, line",
    [
        (
            {
                "training": {"gradients": "pcgrad", "balancing": "fixed"},
                "methods": {"fixed": {"weights": {"a": 1.0, "b": 0.0}}},
            },
            "training.gradients: 'pcgrad' combines several tasks' gradients; methods.fixed.weights"
            " leaves 'a' alone",
        ),
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
            "training.balancing: 'inverse-share' uses the tasks' shares of a step, but batching"
            " 'round-robin' gives a step one task",
        ),
        (
            {"training": {"regularisers": ["smart"]}, "mode": "frozen"},
            "training.regularisers: 'smart' acts inside the encoder, which reads each row once"
            " where encoder.mode = 'frozen'",
        ),
        (
            {
                "training": {"regularisers": ["r-drop"]},
                "encoder": {"path": "x", "dropout": 0.0},
                "task": {"dropout": 0.0},
            },
            "training.regularisers: 'r-drop' compares dropout masks; here there is no dropout",
        ),
        (
            {
                "training": {"regularisers": ["r-drop"]},
                "mode": "frozen",
                "task": {"dropout": 0.0},
            },
            "training.regularisers: 'r-drop' compares dropout masks; here there is no dropout",
        ),
        (
            {"training": {"gramian": False, "gradients": "pcgrad"}},
            "training.gramian: false sums the tasks' gradients as they come, but training.gradients"
            " is 'pcgrad'",
        ),
        (
            {"training": {"gramian": False, "balancing": "uncertainty"}},
            "training.gramian: false sums the tasks' gradients as they come, but training.balancing"
            " is 'uncertainty'",
        ),
        (
            {
                "training": {"gramian": False},
                "heads": "keep",
                "memory": {"method": "a-gem", "finished": ["a"]},
            },
            "training.gramian: false sums the tasks' gradients as they come, but memory.method is"
            " 'a-gem'",
        ),
        (
            {
                "training": {"balancing": "rlw"},
                "heads": "keep",
                "memory": {"method": "gem", "finished": ["a"]},
            },
            "training.balancing: 'rlw' weighs tasks against each other; there is one task",
        ),
        (
            {"training": {"unfreeze_over": 0.5}, "mode": "frozen"},
            "training.unfreeze_over: encoder.mode = 'frozen' leaves no layer to thaw",
        ),
        (
            {
                "training": {"unfreeze_over": 0.5},
                "sharing": {"schemes": ["lora"], "train_shared": False},
            },
            "training.unfreeze_over: sharing.train_shared = false leaves no layer to thaw",
        ),
        (
            {"methods": {"smart": {"steps": 0}}},
            "methods.smart.steps: should be greater than or equal to 1, got 0",
        ),
        (
            {"methods": {"fixed": {"weights": {"a": -1.0}}}},
            "methods.fixed.weights.a: should be greater than or equal to 0, got -1.0",
        ),
        (
            {
                "training": {"balancing": "fixed"},
                "methods": {"fixed": {"weights": {"a": 0.0, "b": 0}}},
            },
            "methods.fixed.weights: all are 0, and so nothing would be trained",
        ),
    ],
)
def test_a_fault_is_one_line(given, line):
    assert faults(**given) == [f"file.toml: {line}"]


@pytest.mark.parametrize("gradients", method_names())
@looped("balancing", rule_names())
def test_every_rule_goes_with_every_method(gradients, balancing):
    given = {"gradients": gradients, "balancing": balancing}
    sections = {"tasks": ("a", "b", "c")}
    if METHODS.get(gradients).remembers:
        del given["gradients"]
        sections |= {"heads": "keep", "memory": {"method": gradients, "finished": ["a"]}}
    assert faults(given, **sections) == []
    if "layer" in METHODS.get(gradients).granularities:
        assert faults({**given, "granularity": "layer"}, **sections) == []


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
    again = load_config(file)
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


@looped(
    "training, methods, line",
    [
        ({}, ["cagrad"], "[methods.cagrad] is not used: training.gradients is 'sum'"),
        (
            {"gradients": "mgda", "balancing": "dwa"}, ["mgda", "dwa", "cagrad", "gradvac", "lora"],
            "[methods.cagrad], [methods.gradvac] are not used: training.gradients is 'mgda';"
            " [methods.lora] is not used: sharing.schemes is not set",
        ),
        (
            {"batching": "proportional"}, ["fixed"],
            "[methods.fixed] is not used: training.balancing is 'inverse-share'",
        ),
        ({"batching": "temperature"}, ["temperature"], ""),
    ],
)  # fmt: skip
def test_options_of_no_use_are_named(training, methods, line):
    tasks = {"a": TASK, "b": {**TASK, "train": "y.tsv"}}
    table = {"encoder": {"path": "x"}, "tasks": tasks}
    config = parse_config(
        {**table, "training": training, "methods": {method: {} for method in methods}}
    )
    assert unused_options(config) == line


def test_a_task_alone_keeps_no_options_of_what_combined_it_with_others():
    training = {"gradients": "cagrad", "balancing": "dwa"}
    table = {
        "encoder": {"path": "x"}, "tasks": {"a": TASK, "b": TASK}, "training": training,
        "methods": {"cagrad": {"c": 0.2}, "dwa": {}, "mgda": {}},
    }  # fmt: skip
    config = parse_config(table)
    alone = reduced(config, {"a": config.tasks["a"]})
    assert list(alone.methods) == ["mgda"]  # which the file doesn't choose either


def test_a_chosen_regulariser_s_options_make_another_run():
    table = {"encoder": {"path": "x"}, "tasks": {"a": TASK}}
    for names, equal in ([], True), (["smart"], True), (["r-drop", "smart"], False):
        training = {"training": {"regularisers": names}}
        one, other = (
            parse_config({**table, **training, "methods": {"r-drop": {"alpha": alpha}}})
            for alpha in (0.1, 1.0)
        )
        assert (effective(one) == effective(other)) is equal


@looped(
    "names, line",
    [
        (["r-drp"], "regularisers: unknown value 'r-drp'; did you mean 'r-drop'?"),
        (["smart", "smart"], "regularisers: names one twice: smart, smart"),
    ],
)
def test_regularisers_are_known_and_named_once(names, line):
    table = {"encoder": {"path": "x"}, "tasks": {"a": TASK}, "training": {"regularisers": names}}
    with pytest.raises(ConfigError) as caught:
        parse_config(table)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_regularisers_beside_a_task_without_labels_are_refused():
    table = {
        "encoder": {"path": "x"},
        "tasks": {"a": TASK, "words": {"kind": "masked-lm"}},
        "training": {"regularisers": ["r-drop"]},
    }
    with pytest.raises(ConfigError, match=r"^config: training\.regularisers: .* tasks\.words"):
        plan_run(parse_config(table), files=False)
