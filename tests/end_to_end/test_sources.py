"""Three tasks on one file of words: trained as one source, resumed, predicted, compared."""

import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
import torch

import accord
from accord.config.file import parse_config, toml
from accord.data.plan import DataPlan
from accord.evaluation.evaluate import evaluate_run
from accord.evaluation.packed import packed_inputs
from accord.grids import amounts
from accord.grids.comparison import comparison_cells
from accord.grids.equal_exposure import drawn_of
from accord.grids.file import read_grid
from accord.plan.making import plan_run
from accord.runs.folder import RunFolder
from accord.training.run import Run
from accord.training.setup import prepare

WORDS = [*projects.GOOD, *projects.BAD, *projects.PLAIN]
KINDS = {"mood": "classification", "tags": "token-classification", "score": "regression"}


def write_lines(path: Path, rows: int, seed: int) -> Path:
    """Write sentences with a tag per word, a mood and a score, some of which are missing."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            words = rng.choices(
                [*projects.GOOD, *projects.BAD, *projects.PLAIN], k=rng.randint(2, 9)
            )
            tags = ["B-good" if word in projects.GOOD else "O" for word in words]
            good = sum(word in projects.GOOD for word in words)
            row: dict[str, Any] = {"id": f"r{i}", "words": words, "tags": tags}
            row["mood"] = rng.choice(["", "pos" if good else "neg", "pos" if good else "neg"])
            row["score"] = "" if i % 5 == 0 else good / len(words)
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    projects.write_encoder(folder / "encoder")
    for split, rows in (("train", 40), ("dev", 20), ("test", 8)):
        write_lines(folder / f"{split}.jsonl", rows, rows)
    return folder


def config(folder: Path, apart: bool | None = None, **sections: Any) -> dict[str, Any]:
    tasks = {
        name: {
            "kind": kind, "text": "words", "label": name, "id": "id",
            **{split: str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")},
            **({} if apart is None else {"apart": apart}),
        }
        for name, kind in KINDS.items()
    }  # fmt: skip
    return {
        "encoder": {"path": str(folder / "encoder")}, "tasks": tasks,
        "training": {"epochs": 2, "batch_size": 8, "seed": 3, **sections.pop("training", {})},
        "checkpoint": {"every_steps": 2}, **sections,
    }  # fmt: skip


def train(given: dict[str, Any], out: Path) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return accord.train(given, out=out, quiet=True)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return train(config(folder), folder / "run")


def test_a_step_draws_rows_of_the_file_and_counts_what_each_task_saw(folder, run) -> None:
    """One step passes over a row once, whichever of the tasks have a label there."""
    steps = [
        line for line in map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
        if line["kind"] == "step"
    ]  # fmt: skip
    setup = prepare(plan_run(parse_config(config(folder))).only)
    (source,) = setup.sources
    assert source.name == "mood+tags+score"
    lengths = source.lengths(setup.data.assembler)
    for number, step in enumerate(steps):
        assert step["tokens"] == lengths[setup.sampler.draw(number)[0]].sum()
        assert list(step["loss_weights"]) == ["mood+tags+score"]
    exposure = run.results["exposure"]
    assert exposure["tags"]["examples"] == 8 * len(steps)
    assert exposure["mood"]["examples"] < exposure["tags"]["examples"]
    assert exposure["score"]["rows"] == 32


def test_the_model_says_what_the_run_said(run) -> None:
    best = max(run.results["epochs"], key=lambda record: record["sum"])
    with pytest.warns(UserWarning, match="left out"):
        again = evaluate_run(run.folder, RunFolder(run.folder))
    for name in KINDS:
        assert again.tasks[name].figures == pytest.approx(best["figures"][name], abs=1e-5)
        assert (run.folder / "predictions" / f"{name}-test.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["finetune", "frozen"])
def test_a_killed_run_goes_on_to_the_same_bits(folder, killed_and_resumed, mode) -> None:
    given = config(folder, encoder={"path": str(folder / "encoder"), "mode": mode})
    killed, whole = killed_and_resumed(lambda out: train(given, out), 7)
    assert projects.outcome_of(killed) == projects.outcome_of(whole)


def test_apart_reads_the_same_rows(folder, run, tmp_path) -> None:
    apart = train(config(folder, apart=True), tmp_path / "apart")
    for name in KINDS:
        exposures = [each.results["exposure"][name] for each in (run, apart)]
        assert exposures[0]["rows"] == exposures[1]["rows"]
        heads = [sorted((each.folder / "predictions").glob(f"{name}-*")) for each in (run, apart)]
        assert [path.name for path in heads[0]] == [path.name for path in heads[1]]


def test_a_comparison_packs_the_tasks_apart_and_says_so(folder) -> None:
    said: list[str] = []
    cells = comparison_cells(parse_config(config(folder)), 1, "here", say=said.append)
    assert said == [
        "mood, tags, score: packed apart, though they read the same rows, as each is alone"
    ]
    together = cells[-1].config
    assert {task.apart for task in together.labelled.values()} == {True}
    assert {task.unlabelled for cell in cells for task in cell.config.labelled.values()} == {"skip"}


def test_a_grid_s_cells_of_one_task_show_as_much_as_the_source(folder, run, monkeypatch) -> None:
    """Counted as the run counts them, and the files of each set of tasks are read once."""
    read: list[DataPlan] = []
    known = amounts.read_data
    monkeypatch.setattr(
        amounts, "read_data", lambda plan, *rest: read.append(plan) or known(plan, *rest)
    )
    (folder / "base.toml").write_text(toml(config(folder)))
    (folder / "grid.toml").write_text(
        'config = "base.toml"\nseeds = 2\n[[cells]]\nlabel = "all"\ntasks = "all"\n'
        + "".join(
            f'[[cells]]\nlabel = "alone"\nas_much_as = "all"\ntasks = ["{name}"]\n'
            for name in KINDS
        )
    )
    grid = read_grid(folder / "grid.toml")
    for cell in grid.cells:
        if "alone" in cell.labels:
            (name,) = cell.config.tasks
            examples = run.results["exposure"][name]["examples"]
            assert drawn_of(plan_run(cell.config).only) == {name: examples}
    assert len(read) == len({repr(plan) for plan in read}) == 1 + len(KINDS)


def test_a_frozen_encoder_reads_the_rows_of_a_source_once(folder) -> None:
    """And each task's vectors are those that it has where it is packed alone."""
    given = config(folder, encoder={"path": str(folder / "encoder"), "mode": "frozen"})
    sizes: list[list[int]] = []
    vectors = {}
    for apart in (False, True):
        for task in given["tasks"].values():
            task["apart"] = apart
        setup = prepare(plan_run(parse_config(given)).only)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "accord.training.setup.packed_inputs",
                lambda model, groups, *rest, **keys: (
                    sizes.append([len(group) for group in groups])
                    or packed_inputs(model, groups, *rest, **keys)
                ),
            )
            setup.encode_data()
        vectors[apart] = [*(setup.features or ()), *(setup.dev_features or ())]
    assert sizes == [[40], [20], *[[len(p) for p in d] for d in (setup.data.train, setup.data.dev)]]
    for together, alone in zip(vectors[False], vectors[True], strict=True):
        every = np.arange(len(together.counts))
        (ours, _), (theirs, _) = together.rows(every), alone.rows(every)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        assert together.counts.tolist() == alone.counts.tolist()
