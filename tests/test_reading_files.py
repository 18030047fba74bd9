"""Files that come from strangers: pipes are not waited for, depth and damage are told."""

import json
import os
from pathlib import Path

import pytest

from accord.config.file import load_config
from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.durable import load_tensors, write_tensors
from accord.errors import ConfigError, DataError, RunFolderError
from accord.evaluation.scores import SCORES, read_scores
from accord.grids.file import read_grid
from accord.plan.making import plan_run
from accord.report.record import RunRecord
from accord.runs.folder import RunFolder
from accord.runs.results import read_results
from accord.untrusted import parse_json, read_json, read_text, read_toml


def test_pipes_and_devices_are_no_files(tmp_path):
    """None of these opens the pipe, which nobody writes to: it would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    os.mkfifo(tmp_path / SCORES)
    os.mkfifo(tmp_path / "results.json")
    for read in (read_text, read_json, read_toml, load_tensors):
        with pytest.raises(OSError, match="is a pipe or device; a file is needed"):
            read(pipe)
    with pytest.raises(ConfigError, match="pipe: can't be read: is a pipe or device"):
        load_config(pipe)
    with pytest.raises(ConfigError, match="pipe: can't be read: is a pipe or device"):
        read_grid(pipe)
    with pytest.raises(DataError, match="pipe: can't be read: is a pipe or device"):
        FilesReader(DataFiles((pipe,)))
    with pytest.raises(RunFolderError, match="is a pipe or device"):
        read_scores(tmp_path)
    with pytest.raises(RunFolderError, match="is a pipe or device"):
        RunFolder(tmp_path).read_json("results.json")
    with pytest.raises(OSError, match="is a pipe or device"):
        read_text(Path("/dev/zero"))


def test_times_beyond_what_python_has(tmp_path):
    import pyarrow
    from pyarrow.parquet import write_table

    times = pyarrow.array([0, 2**61, 1], pyarrow.timestamp("us"))
    write_table(pyarrow.table({"t": times}), tmp_path / "a.parquet")
    faults = [row.fault for row in FilesReader(DataFiles((tmp_path / "a.parquet",))).rows(["t"])]
    assert faults[::2] == [None, None]
    assert faults[1].startswith("'t' can't be read: ")


def test_a_data_file_that_is_a_pipe_is_named(tmp_path):
    os.mkfifo(tmp_path / "train.csv")
    config = tmp_path / "accord.toml"
    config.write_text(
        '[encoder]\npath = "x"\n[tasks.t]\nkind = "classification"\ntext = "a"\n'
        'train = "train.csv"\n'
    )
    with pytest.raises(ConfigError, match=r"train\.csv: a pipe or device; data files are"):
        plan_run(load_config(config))


def test_json_of_any_depth_is_a_value_error(tmp_path):
    for opening in ("[", '{"a":'):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(opening * 200_000)
    (tmp_path / "status.json").write_text("[" * 200_000)
    assert RunFolder(tmp_path).state() == "killed"
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "step": 1}\n' + "[" * 200_000 + "\n")
    assert "1 lines can't be read" in RunFolder(tmp_path).truncate_metrics(1)
    (tmp_path / "a.toml").write_text("a = " + "[" * 200_000)
    with pytest.raises(ValueError, match="not valid TOML: nested too deeply"):
        read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize(
    "path", [r"C:\data\train.csv", r"C:\users\me\x.csv", r"D:\x1.csv", r"..\data\a.csv", "a\\b c"]
)
def test_a_windows_path_in_a_basic_string(tmp_path, path):
    """Some of these are no TOML, the others are other paths than they seem."""
    (tmp_path / "a.toml").write_text(
        f'[encoder]\npath = "x"\n[tasks.t]\nkind = "classification"\ntext = "a"\ntrain = "{path}"\n'
    )
    with pytest.raises(ConfigError, match="single quotes") as error:
        plan_run(load_config(tmp_path / "a.toml"))
    assert "\n" not in str(error.value)
    (tmp_path / "b.toml").write_text("a = [1 2]\n")
    with pytest.raises(ValueError, match="not valid TOML") as plain:
        read_toml(tmp_path / "b.toml")
    assert "single quotes" not in str(plain.value)


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}


def test_files_have_the_mode_of_all_others(tmp_path):
    import torch

    mask = os.umask(0o027)
    try:
        write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(2)})
    finally:
        os.umask(mask)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640
    assert load_tensors(tmp_path / "a.safetensors")["x"].tolist() == [1, 1]
    with pytest.raises(OSError, match="its name is not UTF-8"):
        write_tensors(tmp_path / os.fsdecode(b"\xff"), {"x": torch.ones(2)})


RESULTS = {
    "metrics": {"t": 0.5}, "metric_names": {"t": "accuracy"}, "figures": {"t": {"loss": 1.0}},
    "score_kind": "mean", "score": 0.5, "mean": 0.5, "epochs": [{"epoch": 1}],
    "best_epoch": 1, "steps": 4, "peak_memory_bytes": 5,
    "train_seconds": 1.5, "parameters": 3, "exposure": {"t": {"rows": 1}}, "more": None,
    "heldout": {"t": {"value": 0.5, "on": "test", "rows": 4, "gap": -0.1, "constant": 0.5}},
    "stages": [{"name": "1", "tasks": ["t"], "metrics": {}, "heldout": {}, "epochs": 1}],
}  # fmt: skip


def places(value, path=()):
    """Every place in nested values, as the keys that lead there."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


def test_damaged_results_are_named(tmp_path):
    def check(results, key):
        (tmp_path / "results.json").write_text(json.dumps(results))
        with pytest.raises(RunFolderError, match=rf"results\.json: '{key}") as error:
            read_results(tmp_path)
        assert "\n" not in str(error.value)

    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    assert read_results(tmp_path) == RESULTS
    free = ("more", "heldout", "stages", "exposure.t.rows", "epochs.0.epoch")  # may be null
    for path in places(RESULTS):
        damaged = inner = json.loads(json.dumps(RESULTS))
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = None
        if (key := ".".join(map(str, path))) not in free:
            check(damaged, f"{key}' can't be None")
    for key in RESULTS.keys() - {"more", "heldout", "stages"}:
        check({name: own for name, own in RESULTS.items() if name != key}, f"{key}' is missing")


def test_damaged_metrics_are_named(tmp_path):
    record = RunRecord("run", tmp_path, None, {}, {}, {})
    for text in ("[" * 200_000, "3", '{"step": 1}', "\x00"):
        (tmp_path / "metrics.jsonl").write_text(text + "\n")
        with pytest.raises(RunFolderError, match=r"metrics\.jsonl: can't be read"):
            list(record._lines())
