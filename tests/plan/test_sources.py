"""Which tasks share the rows of a file, by what the config says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.config.file import load_config, parse_config, toml
from accord.errors import ConfigError
from accord.plan.making import plan_run

TABLE = "text\tmood\ttopic\tscore\na\tup\tx\t1\nb\tdown\ty\t2\n"


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Any]:
    """Plan a run of three tasks on one file: (tasks' further keys, the config's other sections)."""
    (tmp_path / "table.tsv").write_text(TABLE)
    (tmp_path / "other.tsv").write_text(TABLE)

    def planned(keys: dict[str, dict[str, Any]] | None = None, **sections: Any) -> Any:
        kinds = {"mood": "classification", "topic": "classification", "score": "regression"}
        tasks = {
            name: {
                "kind": kind, "label": name, "text": "text", "train": str(tmp_path / "table.tsv"),
                **(keys or {}).get(name, {}),
            }
            for name, kind in kinds.items()
        }  # fmt: skip
        table = {"encoder": {"path": str(tmp_path)}, "tasks": tasks, **sections}
        return plan_run(parse_config(table, "a.toml"), "a.toml")

    return planned


def test_tasks_that_read_the_same_rows_share_them(plan: Callable[..., Any]) -> None:
    run = plan()
    assert run.only.data.shared == (("mood", "topic", "score"),)
    assert run.only.data.sources == (("mood", "topic", "score"),)
    assert run.data.shared == run.only.data.shared
    assert run.notes == ()


@pytest.mark.parametrize("key", ["limit", "on_bad_row", "id", "quoting", "group", "file_encoding"])
def test_tasks_that_read_other_rows_do_not(plan: Callable[..., Any], key: str) -> None:
    values = {"limit": 1, "on_bad_row": "skip", "quoting": "none", "file_encoding": "latin-1"}
    run = plan({"topic": {key: values.get(key, "score")}})
    assert run.only.data.shared == (("mood", "score"),)
    assert f"mood and topic: read the same file and are packed once each, as their '{key}'" in (
        "; ".join(run.notes)
    )


def test_words_are_cut_in_one_way_in_one_source(plan: Callable[..., Any]) -> None:
    """A task that has no labels of words reads those of another as well."""
    tags = {"kind": "token-classification"}
    run = plan({"topic": tags, "score": {**tags, "words": "spaces"}})
    assert run.only.data.shared == (("mood", "topic"),)
    (note,) = run.notes
    assert "topic and score: read the same file and are packed once each, as their 'words'" in note
    assert plan({"topic": tags, "score": tags}).only.data.shared == (("mood", "topic", "score"),)


def test_apart_packs_a_task_alone(plan: Callable[..., Any]) -> None:
    assert plan({"topic": {"apart": True}}).only.data.shared == (("mood", "score"),)
    assert plan({name: {"apart": True} for name in ("mood", "topic")}).only.data.shared == ()


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"training": {"gradients": "pcgrad"}}, "training.gradients = 'pcgrad' combines"),
        ({"training": {"balancing": "dwa"}}, "training.balancing = 'dwa' weighs"),
        ({"sharing": {"schemes": ["lora"]}}, "sharing.schemes = ['lora'] gives each task"),
    ],
)
def test_where_each_task_s_gradient_is_needed_they_are_apart_and_it_is_said(
    plan: Callable[..., Any], sections: dict[str, Any], said: str
) -> None:
    run = plan(**sections)
    assert run.only.data.shared == ()
    assert len(run.only.data.sources) == 3
    (note,) = run.notes
    assert said in note
    # Where the config says it, nothing is left to say.
    apart = {name: {"apart": True} for name in ("mood", "topic", "score")}
    assert plan(apart, **sections).notes == ()


def test_a_task_whose_rows_are_drawn_by_its_classes_is_apart(plan: Callable[..., Any]) -> None:
    balanced = {"draw": "balanced"}
    run = plan({"topic": balanced})
    assert run.only.data.shared == (("mood", "score"),)
    (note,) = run.notes
    assert "mood and topic: read the same file and are packed once each, as draw = 'bal" in note
    assert plan({"topic": balanced, "mood": balanced}).only.data.shared == ()
    assert plan({"topic": {**balanced, "apart": True}}).notes == ()
    with pytest.raises(ConfigError, match=r"apart: false .* draw = 'balanced' goes by a task's"):
        plan({"topic": {**balanced, "apart": False}})


def test_a_method_sees_one_task_where_the_config_keeps_them_together(
    plan: Callable[..., Any],
) -> None:
    together = {name: {"apart": False} for name in ("mood", "topic", "score")}
    with pytest.raises(ConfigError, match="there is one source, of mood and topic and score"):
        plan(together, training={"gradients": "pcgrad"})
    with pytest.raises(ConfigError, match=r"sharing.schemes = \['lora'\] gives each task parts"):
        plan(together, sharing={"schemes": ["lora"]})


def test_a_method_for_several_sources_leaves_each_packed_once(
    plan: Callable[..., Any], tmp_path: Path
) -> None:
    other = {"score": {"train": str(tmp_path / "other.tsv")}}
    run = plan(other, training={"gradients": "pcgrad"})
    assert run.only.data.sources == (("mood", "topic"), ("score",))


def test_empty_labels_are_left_out_where_tasks_share_a_file(
    plan: Callable[..., Any], tmp_path: Path
) -> None:
    missing = {name: task.missing for name, task in plan().only.data.tasks.items()}
    assert missing == dict.fromkeys(("mood", "topic", "score"), frozenset({""}))
    # Apart or not makes no difference, a file of its own does; the config has the last word.
    keys = {"mood": {"apart": True}, "topic": {"unlabelled": "stop"}}
    tasks = plan(keys).only.data.tasks
    assert (tasks["mood"].missing, tasks["topic"].missing) == ({""}, frozenset())
    other = str(tmp_path / "other.tsv")
    tasks = plan({"mood": {"train": other}, "score": {"unlabelled": "skip"}}).only.data.tasks
    assert (tasks["mood"].missing, tasks["score"].missing) == (frozenset(), {""})


def test_files_are_the_same_however_they_are_spelt(tmp_path: Path) -> None:
    """Tasks share rows, and leave out what only others label, by the files that are named."""
    (tmp_path / "shards").mkdir()
    for name in ("a.tsv", "shards/0.tsv", "shards/1.tsv"):
        (tmp_path / name).write_text(TABLE)
    task = {"kind": "classification", "text": "text"}
    shards = ["shards/0.tsv", "./shards/1.tsv"]
    alike: list[tuple[Any, Any]] = [
        ("a.tsv", "./a.tsv"), ("a.tsv", ["a.tsv"]), ("a.tsv", "shards/../a.tsv"),
        ("a.tsv", "a.ts*"), ("a.tsv", str(tmp_path / "a.tsv")), (shards, "shards"),
        (shards, "shards/*.tsv"),
    ]  # fmt: skip
    unlike: list[tuple[Any, Any]] = [("a.tsv", "shards"), (shards, "shards/0.tsv")]
    for one, other in alike + unlike:
        same = (one, other) in alike
        table = {
            "encoder": {"path": str(tmp_path)},
            "tasks": {
                "mood": {**task, "label": "mood", "train": one},
                "topic": {**task, "label": "topic", "train": other},
            },
        }
        (tmp_path / "a.toml").write_text(toml(table))
        run = plan_run(load_config(tmp_path / "a.toml"))
        assert run.only.data.shared == ((("mood", "topic"),) if same else ()), (one, other)
        for only in ([], ["mood"]):
            config = load_config(tmp_path / "a.toml", only=only)
            missing = plan_run(config).only.data.tasks["mood"].missing
            assert missing == (frozenset({""}) if same else frozenset()), (one, other, only)
