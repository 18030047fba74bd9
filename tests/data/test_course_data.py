"""The course's own files, read as they are."""

import pytest

from accord.config.file import load_config
from accord.data.files import files_of
from accord.data.guessing import guess_tasks
from accord.data.resolving import resolve_task
from accord.data.store import open_store
from accord.data.tokenizing import load_tokenizer
from accord.plan.tasks import task_plan
from accord.recipes.ready import recipe

ROWS = {
    "sst": (8_544, 1_101, 2_210),
    "quora": (16_212, 2_000, 2_000),
    "sts": (6_040, 863, 1_725),
}


@pytest.mark.quick("sts")
@pytest.mark.parametrize("name", ["sst", pytest.param("quora", marks=pytest.mark.slow), "sts"])
def test_every_usable_row_is_there(course_data, minilm, tmp_path, name):
    path = tmp_path / "accord.toml"
    path.write_text(recipe("cs224n", course_data, str(minilm)))
    plan = task_plan(load_config(path).tasks[name])
    task = resolve_task(name, plan)
    tokenizer = load_tokenizer(minilm)
    stores = [
        open_store(
            files_of(plan, getattr(plan, split)), plan, task, tokenizer,
            labelled=split != "test", cache=tmp_path / "cache",
        )
        for split in ("train", "dev", "test")
    ]  # fmt: skip
    assert tuple(map(len, stores)) == ROWS[name]
    skipped = [str(bad) for store in stores for bad in store.skipped]
    train = course_data / "quora-train.csv"
    assert skipped == (
        [
            f"{train}:13264: 'sentence2' is empty",
            f"{train}:13268: 'is_duplicate' is empty: no label",
        ]
        if name == "quora"
        else []
    )
    assert all(len(set(store.ids.to_pylist())) > 0.99 * len(store) for store in stores)


def test_the_files_are_guessed_right(course_data):
    tasks = {task.name: task for task in guess_tasks(sorted(course_data.glob("*.csv")))}
    kinds = {name: task.kind for name, task in tasks.items()}
    assert kinds == {
        "ids-cfimdb": "classification",
        "ids-sst": "classification",
        "quora": "pair-classification",
        "sts": "pair-regression",
    }
    assert tasks["ids-sst"].labels == ("0", "1", "2", "3", "4")
    assert tasks["sts"].range == (0, 5)
    assert tasks["quora"].text == ("sentence1", "sentence2")
    assert {task.id for task in tasks.values()} == {"id"}
    assert all(list(task.files) == ["train", "dev", "test"] for task in tasks.values())
