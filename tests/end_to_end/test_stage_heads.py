"""Which tasks' heads the last stage's model holds, and which are named as lost."""

import json

import pytest
import torch
from projects import LOST, STAGES
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.plan.stages import dropped_note


def test_heads_that_are_lost_are_named(staged_project, accord_cli):
    assert LOST in accord_cli("check", staged_project()).err.splitlines()
    held = staged_project(STAGES + "[memory]\nsize = 6\n")
    assert "dropped" not in accord_cli("check", held).err
    stages = [["mood", "same"], ["near"], ["mood", "near"], ["near", "words"]]
    text = "".join(f"[[stages]]\ntasks = {json.dumps(own)}\n" for own in stages)
    again = load_config(staged_project('[tasks.words]\nkind = "masked-lm"\n' + text))
    assert dropped_note(again) == (
        "the model will hold near; mood's head is dropped after stage 1 and new in stage 3,"
        " mood's head is dropped after stage 3, same's head is dropped after stage 1"
        " ([memory] method = 'none' keeps them); each stage begins with a new head for the words of"
        " words"
    )


@pytest.mark.slow
def test_heads_of_an_earlier_model_that_no_stage_takes_over_are_named_and_can_be_kept(
    staged_project, run_stages, finished, accord_cli, tmp_path
):
    """Only the first stage begins from the earlier model; memory carries the others' heads."""
    keeping = {"encoder.path": str(finished / "model"), "encoder.heads": "keep"}
    said = accord_cli("check", staged_project(changes=keeping)).err.splitlines()
    lost = next(line for line in said if "encoder.heads" in line)
    told = "[memory] method = 'none', finished = ['same', 'near']"
    assert "encoder.heads = 'keep' is for the first stage's tasks; same, near will" in lost
    assert told in lost
    memory = "[memory]\nmethod = 'none'\nfinished = ['same', 'near']\n"
    config = staged_project(STAGES + memory, keeping)
    assert "first stage's" not in accord_cli("check", config).err
    run = run_stages(config, tmp_path / "run")
    before = load_file(finished / "model" / "heads.safetensors")
    first = load_file(run / "stages" / "1" / "model" / "heads.safetensors")
    own = [name for name in before if not name.startswith("mood")]
    assert own
    assert all(torch.equal(first[name], before[name]) for name in own)


@pytest.mark.slow
def test_a_task_that_the_shared_model_lost_has_a_note(staged_project, accord_cli, tmp_path):
    call = ("compare", staged_project(), "--out", tmp_path / "runs", "--seeds", 1)
    answer = accord_cli(*call)
    assert answer.code == 0, answer.err
    note = (
        "mood: no verdict, as mood+same+near doesn't hold it: its last stage trains same, near;"
        " with [memory] method = 'none' it is kept and evaluated."
    )
    assert note in answer.out.splitlines()
    found = json.loads(accord_cli(*call, "--json").out)
    assert note in found["sharing_notes"]
    assert [own["task"] for own in found["sharing"]] == ["same", "near"]
