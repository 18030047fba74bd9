"""What a comparison gives each task alone: as much as the shared run shows of it."""

import json

import pytest

from accord.config.file import load_config
from accord.errors import ConfigError
from accord.grids.comparison import comparison_cells
from accord.plan.making import plan_run
from accord.training.setup import prepare

THREE = {"training.epochs": 3}
WHOLE = {"training.steps_per_epoch": None}
STAGES = """
[[stages]]
tasks = ["mood"]
training = { steps_per_epoch = 3 }

[[stages]]
name = "all"
tasks = ["mood", "near"]
training = { epochs = 2 }
"""
MEMORY = """
[memory]
method = "replay"
size = 4

[[stages]]
tasks = ["mood"]

[[stages]]
tasks = ["near"]
"""


def counted(config):
    """Examples of each task that a run without stages draws, by its own steps."""
    setup = prepare(plan_run(config).only)
    names = [task.name for task in setup.data.tasks]
    drawn = [setup.sampler.draw(step) for step in range(setup.total_steps)]
    return {name: sum(len(rows[i]) for rows in drawn) for i, name in enumerate(names)}


@pytest.mark.quick("changes0", "changes3", "changes6")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training.steps_per_epoch": 4},
        {"training.batching": "annealed", "training.tasks_per_step": "one"},
        {"training.batching": "round-robin", "encoder.mode": "frozen"},
        {"training.batching": "temperature", "methods.temperature.tau": 3.0},
        {"training.batching": "proportional", "tasks.words.kind": "masked-lm"},
        {"tasks.mood.dev": None, "training.dev_share": 0.2},
    ],
)
def test_alone_each_task_draws_what_the_shared_run_draws(project, changes):
    config = load_config(project({**THREE, **changes}, ("mood", "near")))
    *alone, together = comparison_cells(config, 1, "here")
    wanted = counted(together.config)
    assert [list(cell.config.tasks) for cell in alone] == [["mood"], ["near"]]
    for cell in alone:
        (name,) = cell.config.tasks
        assert counted(cell.config) == {name: wanted[name]}
        assert cell.group == f"{name},examples={wanted[name]}"
        assert cell.config.training.steps_per_epoch is None
        assert prepare(plan_run(cell.config).only).total_steps % cell.config.training.epochs == 0


def test_steps_tokens_or_nothing_can_be_equal_instead(project):
    config = load_config(project(THREE, ("mood", "near")))
    setup = prepare(plan_run(config).only)
    steps, together = setup.total_steps, counted(config)
    lengths = [setup.data.assembler.lengths(split) for split in setup.data.train]
    tokens = [
        sum(int(length[setup.sampler.draw(step)[i]].sum()) for step in range(steps))
        for i, length in enumerate(lengths)
    ]

    def alone(equal):
        return [cell.config for cell in comparison_cells(config, 1, "here", equal)[:2]]

    for each in (prepare(plan_run(config).only) for config in alone("steps")):
        assert each.total_steps == steps
        assert {len(each.sampler.draw(step)[0]) for step in range(steps)} == {4}  # full batches
    for each, wanted, rows in zip(alone("tokens"), tokens, lengths, strict=True):
        assert each.training.examples == round(wanted / rows.mean())
    assert [counted(each) for each in alone("nothing")] == [{"mood": 3 * 22}, {"near": 3 * 9}]
    assert together == {"mood": 3 * 22, "near": 3 * 18}


def test_in_stages_each_stage_s_examples_are_equal(staged_project):
    config = load_config(staged_project(STAGES, WHOLE, ("mood", "near")))
    mood, near, together = comparison_cells(config, 1, "here")
    assert mood.name == "mood,1.examples=12,all.examples=44,seed=3"
    assert near.group == "near,all.examples=36"  # two epochs of two passes
    assert [stage.training for stage in mood.config.stages] == [
        {"examples": 12}, {"epochs": 2, "examples": 44},
    ]  # fmt: skip
    assert together.config.stages == config.stages


def test_rows_of_a_memory_count_where_they_are_drawn(staged_project):
    config = load_config(staged_project(MEMORY, WHOLE, ("mood", "near")))
    mood, near, _ = comparison_cells(config, 1, "here")
    assert mood.settings["stages.1.training.examples"] == 22 + 3 * 4  # near's steps, 4 rows each
    assert near.settings["stages.2.training.examples"] == 9


def test_batches_of_one_are_as_many_too(project):
    """53 examples can't be three epochs of as many single rows: some steps have two."""
    changes = {"training.batch_size": 1, "training.batching": "temperature"}
    config = load_config(project({**THREE, **changes}, ("mood", "near")))
    *alone, together = comparison_cells(config, 1, "here")
    wanted = counted(together.config)
    assert any(each % 3 for each in wanted.values())
    assert [counted(cell.config) for cell in alone] == [{each: wanted[each]} for each in wanted]


@pytest.mark.slow
def test_the_runs_show_what_was_planned_and_a_second_call_finds_them(
    staged_project, accord_cli, tmp_path
):
    config = staged_project(MEMORY, tasks=("mood", "near"))
    call = ("compare", config, "--out", tmp_path / "out", "--seeds", 1)
    shown = json.loads(accord_cli(*call, "--json").out)
    assert {each["task"] for each in shown["sharing"]} == {"mood", "near"}
    for each in shown["sharing"]:
        assert each["examples_alone"] == each["examples_together"]
        assert each["also_differ_in"] == []
    assert accord_cli(*call).err.count(": found") == 3


def test_a_dry_run_shows_the_examples(project, accord_cli, tmp_path):
    call = (
        "compare",
        project(THREE, ("mood", "near")),
        "--out",
        tmp_path / "o",
        "--dry-run",
        "--seeds",
        1,
    )
    cells = json.loads(accord_cli(*call, "--json").out)["cells"]
    assert [cell["settings"].get("examples") for cell in cells] == [66, 54, None]
    assert "near,examples=54,seed=3" in accord_cli(*call).out
    cells = json.loads(accord_cli(*call, "--json", "--equal", "nothing").out)["cells"]
    assert [cell["cell"] for cell in cells] == ["mood,seed=3", "near,seed=3", "mood+near,seed=3"]


@pytest.mark.quick("frozen")
@pytest.mark.parametrize("mode", ["finetune", "frozen"])
def test_a_run_of_so_many_examples_goes_on_to_the_bit(
    project, train, killed_and_resumed, outcome, mode
):
    config = project({**THREE, "training.examples": 50, "encoder.mode": mode}, ("mood",))
    killed, whole = killed_and_resumed(lambda folder: train(config, folder), 7)
    results = json.loads((whole / "results.json").read_text())
    assert results["exposure"]["mood"]["examples"] == 50
    assert results["steps"] == 3 * 5  # ⌈50 / 12⌉ an epoch
    assert outcome(killed) == outcome(whole)


@pytest.mark.parametrize(
    ("changes", "tasks", "line"),
    [
        ({"training.examples": 50}, ("mood", "near"), "is for a run of one task; here are 2"),
        (
            {"training.examples": 50, "training.steps_per_epoch": 2},
            ("mood",),
            "sets the steps, and so does training.steps_per_epoch; leave one of them out",
        ),
        ({"training.examples": 1}, ("mood",), "1 are too few for 2 epochs of a step or more"),
    ],
)
def test_what_train_refuses_check_refuses(project, accord_cli, tmp_path, changes, tasks, line):
    config = project(changes, tasks)
    for call in (("train", config, "--out", tmp_path / "run"), ("check", config)):
        answer = accord_cli(*call)
        assert answer.code == 2
        assert answer.err == f"accord: {config}: training.examples: {line}\n"


def test_examples_are_a_stage_s_where_there_are_stages(staged_project):
    with pytest.raises(
        ConfigError, match=r"training\.examples: is a stage's where there are stages"
    ):
        plan_run(
            load_config(
                staged_project(MEMORY, {**WHOLE, "training.examples": 50}, ("mood", "near"))
            )
        )
    both = STAGES.replace("epochs = 2", "examples = 20")
    with pytest.raises(
        ConfigError, match=r"stage 2 'all': training\.examples: is for a run of one"
    ):
        plan_run(load_config(staged_project(both, WHOLE, ("mood", "near"))))


def test_a_task_that_the_shared_run_hardly_shows_is_refused(project, accord_cli, tmp_path):
    changes = {"training.epochs": 20, "training.steps_per_epoch": 1,
               "training.batching": "temperature", "training.tasks_per_step": "one",
               "training.batch_size": 2, "tasks.near.limit": 1}  # fmt: skip
    config = project(changes, ("mood", "near"))
    call = ("compare", config, "--out", tmp_path / "out", "--dry-run")
    answer = accord_cli(*call)
    drawn = counted(load_config(config))["near"]
    assert 1 < drawn < 20
    assert answer.code == 2
    assert answer.err.startswith(
        f"accord: {config}: task 'near': the shared run shows as much of it as {drawn} examples in"
        " 20 epochs, and a run of it alone can't have less than one per epoch; let"
    )
    assert answer.err.endswith("or compare with --equal nothing\n")
    assert "training.examples" not in answer.err
    assert accord_cli(*call, "--equal", "nothing").code == 0
    assert accord_cli(*call, "--set", "training.steps_per_epoch=5").code == 0
