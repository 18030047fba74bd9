"""What a run in stages refuses, in one line and before anything is written."""

import pytest

TWO = '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["same", "near"]\n'


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ('[[stages]]\ntasks = ["mod"]\n', "stage 1: tasks: no task 'mod'; did you mean 'mood'?"),
        ("[[stages]]\ntasks = []\n", "'stages.1.tasks' is empty: at least one task is needed"),
        (
            TWO + "methdos = { gem = {} }\n",
            "unknown key 'stages.2.methdos'; did you mean 'methods'?",
        ),
        (
            TWO + 'name = "a b"\n',
            "[stages.2.name]: a name takes letters, digits, '-' and '_', got 'a b'",
        ),
        (TWO + 'name = "1"\n', "stage 2 '1': name: '1' is an earlier stage's"),
        (
            '[[stages]]\ntasks = ["mood", "mood", "same", "near"]\n',
            "stage 1: tasks: names 'mood' twi",
        ),
        (
            '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["near"]\n',
            "tasks.same: no stage trains it",
        ),
        (TWO + "training = { epoch = 1 }\n", "stage 2: unknown key 'training.epoch'; did you mean"),
        (TWO + "training = { seed = 1 }\n", "stage 2: training.seed: is the whole run's, not a st"),
        (
            TWO + 'encoder = { path = "x" }\n',
            "stage 2: encoder.path: is the whole run's, not a sta",
        ),
        (TWO + "score = 'mean'\n", "unknown key 'stages.2.score'; allowed: name, tasks, training"),
        (
            TWO + 'encoder = { mode = "frozen" }\ntraining = { gradients = "pcgrad" }\n',
            "stage 2: training.gradients: 'pcgrad' combines shared gradients; a frozen encoder has",
        ),
        (
            '[[stages]]\ntasks = ["mood", "same", "near"]\n[memory]\nmethod = "gem"\n',
            "memory: there is one stage, so no task is finished before another begins",
        ),
        (
            TWO.replace(
                '[[stages]]\ntasks = ["same',
                'encoder = { dropout = 0.0 }\n[[stages]]\ntasks = ["same',
            ),
            "stage 2: encoder.dropout: the stage before sets it",
        ),
        (
            '[[stages]]\ntasks = ["mood"]\nsharing = { schemes = ["lora"] }\n'
            '[[stages]]\ntasks = ["mood", "same", "near"]\n',
            "stage 2: sharing.schemes: lacks 'lora', parts of which the stage before trains for 'm",
        ),
        (
            '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["mood", "same", "near"]\n'
            'methods = { lora = { rank = 4 } }\n[sharing]\nschemes = ["lora"]\n',
            "stage 2: methods.lora.rank: is 4, but 'mood' has parts of the stage before with 8",
        ),
        (
            TWO + '[sharing]\nschemes = ["own-encoder"]\n',
            "stage 1: trains nothing that the stages after it use: what tasks share stays as it is",
        ),
        (
            '[[stages]]\ntasks = ["mood"]\n[[stages]]\ntasks = ["mood", "same", "near"]\n'
            'encoder = { reinit_layers = 1 }\n[sharing]\nschemes = ["own-layers"]\n',
            "stage 2: encoder.reinit_layers: reinitialises shared layers, but tasks whose heads",
        ),
        (
            TWO + 'encoder = { mode = "frozen" }\n[memory]\nmethod = "gem"\n',
            "stage 2: memory.method: 'gem' holds shared gradients; a frozen encoder has none",
        ),
        (
            TWO + "[memory]\nfinished = ['mood']\n",
            "memory.finished: names 'mood', which stage 1 itself trains",
        ),
        (
            TWO + '[memory]\nmethod = "gem"\nsize = 23\n',
            "stage 2: memory.size: 23 is more than the 22 training rows of 'mood'",
        ),
    ],
)
def test_a_fault_is_one_line_before_anything_is_written(
    staged_project, accord_cli, tmp_path, stages, line
):
    answer = accord_cli("train", staged_project(stages), "--out", tmp_path / "run", "--quiet")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1), answer.err
    assert line in answer.err
    assert not (tmp_path / "run").exists()
    checked = accord_cli("check", staged_project(stages))
    assert (checked.code, line in checked.err) == (2, True), checked.err
