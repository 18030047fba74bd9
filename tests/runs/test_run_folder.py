"""A run folder is never overwritten, and its files appear whole or not at all."""

import json
import tracemalloc
from importlib import metadata

import pytest

from accord.durable import replace_folder, write_atomic
from accord.errors import RunFolderError
from accord.runs import folder
from accord.runs.folder import RunFolder, environment


def test_a_new_folder_and_its_parents(tmp_path):
    run = RunFolder.create(tmp_path / "a" / "b")
    assert {path.name for path in run.path.iterdir()} == {"checkpoints", "predictions"}
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty")


def test_a_status_is_what_opens_it(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(RunFolderError, match="holds no run"):
        RunFolder.open(tmp_path / "run")
    run.set_status("stopped", step=3, resumable=True)
    again = RunFolder.open(tmp_path / "run")
    assert again.state() == "stopped"
    assert again.read_json("status.json")["step"] == 3
    with pytest.raises(RunFolderError, match=r"holds a run already; 'accord resume"):
        RunFolder.check_free(tmp_path / "run")


def test_what_was_recorded_after_a_step_is_dropped_and_so_is_half_a_line(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.truncate_metrics(3)  # there is nothing yet
    for step in (1, 2, 3):
        run.append_metrics({"step": step})
    with run.metrics.open("a") as file:
        file.write('{"step": 2')
    run.truncate_metrics(2)
    assert run.metrics.read_text() == '{"step": 1}\n{"step": 2}\n'
    run.append_metrics({"step": 3})
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [1, 2, 3]


def test_a_file_of_steps_is_cut_with_little_memory(tmp_path):
    """However large it is: a line at a time."""
    run = RunFolder.create(tmp_path / "run")
    line = json.dumps({"kind": "step", "step": 1, "gramian": "0" * 50_000})
    run.metrics.write_text("".join(line.replace(": 1,", f": {i},") + "\n" for i in range(1, 401)))
    tracemalloc.start()
    try:
        assert run.truncate_metrics(300) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # of 20 MB
    lines = run.metrics.read_text().splitlines()
    assert [json.loads(own)["step"] for own in lines] == [*range(1, 301)]


def test_a_file_is_replaced_whole(tmp_path):
    file = tmp_path / "a.json"
    write_atomic(file, "old")
    write_atomic(file, "new")
    assert file.read_text() == "new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 (which one is the system's)
        write_atomic(tmp_path / "folder", "text")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "folder"}


def test_a_folder_is_replaced_whole(tmp_path):
    place = tmp_path / "model"
    replace_folder(place, lambda folder: (folder / "old").touch())
    replace_folder(place, lambda folder: (folder / "new").touch())
    assert [path.name for path in place.iterdir()] == ["new"]

    def fail(folder):
        (folder / "half").touch()
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (our own)
        replace_folder(place, fail)
    assert [path.name for path in place.iterdir()] == ["new"]
    replace_folder(place, lambda folder: (folder / "newer").touch())  # over the leftovers
    assert [path.name for path in place.iterdir()] == ["newer"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_environment_names_what_a_result_may_depend_on():
    found = environment(3, "cpu")
    assert (found["threads"], found["device"]) == (3, "cpu")
    assert set(found) == {"python", "platform", "processor", "threads", "device", "packages"}
    assert {"accord", "torch", "tokenizers"} <= set(found["packages"])
    assert found["processor"]


def test_a_source_tree_without_metadata_has_an_environment_all_the_same(monkeypatch):
    def version(name):
        if name == "accord-mtl":
            raise metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(metadata, "version", version)
    remembers_nothing = folder.package_version.__wrapped__
    monkeypatch.setattr(folder, "package_version", remembers_nothing)
    packages = environment(1, "cpu")["packages"]
    assert packages["accord"] == "unknown"
    assert packages["torch"] == "1.2"
