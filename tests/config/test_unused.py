"""Keys that make no difference are named, and make no other run."""

import pytest

from accord.config.file import parse_config, reduced
from accord.plan.making import plan_run
from accord.plan.unused import effective, without_unused

TASK = {"kind": "classification", "train": "x.tsv", "text": "t"}


def unused_options(config):
    return "; ".join(plan_run(config, files=False).notes)


def config(stages=(), path="x", revision=None, mode="finetune", **sections):
    encoder = {"path": path, "mode": mode} | ({"revision": revision} if revision else {})
    tasks = {"a": TASK, "b": {**TASK, "train": "y.tsv"}}
    return parse_config({"encoder": encoder, "tasks": tasks, "stages": list(stages), **sections})


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"sharing": {"soft_weight": 0.1}}, "sharing.soft_weight is not used: sharing.soft is not"),
        ({"sharing": {"lr": 1e-3}}, "sharing.lr is not used: sharing.schemes is not set"),
        (
            {"sharing": {"lr": 1e-3, "schemes": ["own-layers"]}},
            "sharing.lr is not used: copies of layers, as of 'own-layers', have training.lr",
        ),
        (
            {"averaging": {"decay": 0.9, "start": 0.2}},
            "averaging.decay, averaging.start are not used: averaging.method is 'none'",
        ),
        (
            {"averaging": {"method": "ema", "decay": 0.9, "every_steps": 3}},
            "averaging.every_steps is not used: averaging.method is 'ema'",
        ),
        (
            {
                "mode": "frozen",
                "training": {"halves_every": 5, "gramian": False, "layer_decay": 0.5},
            },
            "training.gramian, training.layer_decay, training.halves_every are not used:"
            " encoder.mode is 'frozen'",
        ),
        (
            {"mode": "frozen", "training": {"micro_batch_tokens": 500}},
            "training.micro_batch_tokens is not used: encoder.mode is 'frozen'",
        ),
        (
            {
                "sharing": {"schemes": ["lora"], "train_shared": False},
                "training": {"layer_decay": 0.9},
            },
            "training.layer_decay is not used: sharing.train_shared is false",
        ),
        (
            {"path": "/x", "revision": "v1"},
            "encoder.revision is not used: encoder.path is a folder",
        ),
    ],
)
def test_keys_without_effect_are_named_and_make_no_other_run(sections, line):
    given = config(**sections)
    assert unused_options(given).startswith(line)
    assert ";" not in unused_options(given)
    assert unused_options(without_unused(given)) == ""
    for key in line.split(" is ")[0].split(" are ")[0].split(", "):
        section, name = key.split(".")
        default = type(getattr(given, section)).model_fields[name].default
        assert effective(given)[section][name] == default


def test_a_rule_that_draws_nothing_makes_no_other_run():
    def alone(**training):
        methods = {"temperature": {"tau": 3.0}} if training.get("batching") else {}
        return reduced(config(training=training, methods=methods), {"a": TASK})

    given = alone(examples=9, batching="temperature")
    assert unused_options(given) == (
        "[methods.temperature] is not used: training.examples is set;"
        " training.batching is not used: training.examples is set"
    )
    assert effective(given) == effective(alone(examples=9))
    assert effective(given) != effective(alone(examples=8))
    plan = plan_run(alone(examples=9, batching="proportional"), files=False).only
    assert plan.training.balancing == "equal"


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"sharing": {"soft": "l2", "soft_weight": 0.1, "schemes": ["own-layers"]}},
        {"sharing": {"lr": 1e-3, "schemes": ["own-layers", "lora"]}},
        {"averaging": {"method": "swa", "start": 0.2, "every_steps": 3}},
        {
            "sharing": {"schemes": ["own-layers"], "train_shared": False},
            "training": {"layer_decay": 0.9},
        },
        {"path": "org/name", "revision": "v1"},
    ],
)
def test_keys_with_effect_are_kept(sections):
    given = config(**sections)
    assert unused_options(given) == ""
    assert without_unused(given) == given


def test_a_task_alone_keeps_no_weight_of_a_penalty_between_tasks():
    sharing = {"soft": "l2", "soft_weight": 0.1, "schemes": ["own-layers"]}
    alone = reduced(config(sharing=sharing), {"a": TASK})
    assert unused_options(alone) == ""


def test_what_some_stage_uses_is_used():
    stages = [{"tasks": ["a"], "averaging": {"method": "ema"}}, {"tasks": ["a", "b"]}]
    given = config(stages, averaging={"decay": 0.9, "start": 0.1})
    line = "averaging.start is not used: averaging.method is 'ema', averaging.method is 'none'"
    assert unused_options(given) == line
    assert without_unused(given).averaging.model_dump(exclude_unset=True) == {"decay": 0.9}


def test_what_a_stage_alone_sets_to_no_effect_is_said_of_it():
    stages = [
        {"tasks": ["a", "b"], "training": {"gradients": "cagrad"}},
        {"name": "two", "tasks": ["a", "b"], "averaging": {"decay": 0.9},
         "methods": {"cagrad": {"c": 0.2}}},
    ]  # fmt: skip
    assert unused_options(config(stages, methods={"cagrad": {"c": 0.4}})) == (
        "stage 2 'two': [methods.cagrad] is not used: training.gradients is 'sum';"
        " stage 2 'two': averaging.decay is not used: averaging.method is 'none'"
    )
