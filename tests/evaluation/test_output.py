"""Where predictions go: whole files, through links, pipes and open files."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from accord.errors import AccordError, UsageError
from accord.evaluation.output import Output, refuse_sources


def put(path, data=b"new", form=None, force=False):
    with Output.at(Path(path), form, force).open() as file:
        file.write(data)


@pytest.mark.parametrize(
    ("name", "form", "compressed"),
    [
        ("a.csv", "csv", False), ("a.TSV", "tsv", False), ("a.json", "json", False),
        ("a.b.jsonl", "jsonl", False), ("a.ndjson", "jsonl", False),
        ("a.parquet", "parquet", False), ("a.csv.gz", "csv", True), ("a.JSONL.GZ", "jsonl", True),
    ],
)  # fmt: skip
def test_the_name_says_the_format(tmp_path, name, form, compressed):
    output = Output.at(tmp_path / name, None, force=False)
    assert (output.form, output.compressed) == (form, compressed)
    put(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert (gzip.decompress(data) if compressed else data) == b"new"


def test_names_without_a_format_need_one(tmp_path):
    for name in ("a", "a.xlsx", "a.txt", "a.csv.zip", "a.parquet.gz", ".csv", "a.gz", "a.csv "):
        with pytest.raises(UsageError, match=r"allowed: \.csv, \.tsv, .*\.parquet.*--format"):
            Output.at(tmp_path / name, None, force=False)
    assert Output.at(tmp_path / "a.txt", "tsv", force=False).form == "tsv"
    assert Output.at(tmp_path / "a.csv", "cs224n", force=False).form == "cs224n"
    for name, form in (("a.parquet", "csv"), ("a.csv", "tsv"), ("a.json", "jsonl")):
        with pytest.raises(UsageError, match=f"is named as .*, but --format is {form}"):
            Output.at(tmp_path / name, form, force=False)


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"a\.csv: already exists; --force replaces it"):
        put(path)
    put(path, force=True)
    assert path.read_bytes() == b"new"
    with pytest.raises(UsageError, match="is a folder"):
        put(tmp_path, form="csv", force=True)
    with pytest.raises(UsageError, match="there is no folder"):
        put(tmp_path / "no" / "a.csv")
    with pytest.raises(UsageError, match="File name too long"):
        put(tmp_path / ("a" * 300 + ".csv"))
    put(tmp_path / ("a" * 251 + ".csv"))
    assert {len(file.name) for file in tmp_path.iterdir()} == {5, 255}


def test_what_fails_leaves_no_file_and_the_old_one(tmp_path):
    path = tmp_path / "a.csv"

    def half() -> None:
        with Output.at(path, None, force=True).open() as file:
            file.write(b"half")
            raise KeyboardInterrupt

    for before in ([], [b"old"]):
        for content in before:
            path.write_bytes(content)
        with pytest.raises(KeyboardInterrupt):
            half()
        assert [each.read_bytes() for each in tmp_path.iterdir()] == before


def test_a_link_stays_and_its_target_is_written(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "one.csv").symlink_to(folder / "two.csv")
    (tmp_path / "zero.csv").symlink_to("one.csv")
    put(tmp_path / "zero.csv")
    assert (folder / "two.csv").read_bytes() == b"new"
    with pytest.raises(UsageError, match="already exists"):
        put(tmp_path / "zero.csv")
    put(tmp_path / "zero.csv", b"newer", force=True)
    assert [file.read_bytes() for file in folder.iterdir()] == [b"newer"]
    assert (tmp_path / "zero.csv").is_symlink()
    assert (tmp_path / "one.csv").is_symlink()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(AccordError, match=r"loop\.csv"):
        put(tmp_path / "loop.csv", force=True)


def test_a_pipe_is_written_through(tmp_path):
    for name in ("pipe", "pipe.fifo", "pipe.csv"):
        os.mkfifo(tmp_path / name)
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit((tmp_path / name).read_bytes)
            put(tmp_path / name)
            assert read.result() == b"new"
        assert (tmp_path / name).is_fifo()
    assert Output.at(tmp_path / "pipe", None, force=False).form == "csv"
    put("/dev/null")


def test_a_full_device_is_said():
    with pytest.raises(AccordError, match="/dev/full: can't be written: No space left") as error:
        put("/dev/full")
    assert error.value.exit_code == 1


def test_an_open_file_is_written_on_where_it_stands(tmp_path, monkeypatch):
    """As `>> log` hands standard output on: what is in it stays."""
    path = tmp_path / "log"
    path.write_bytes(b"old,")
    (tmp_path / "link.csv").symlink_to("/dev/stdout")
    with path.open("ab") as file:
        number, kept = file.fileno(), os.dup(1)
        try:
            os.dup2(number, 1)
            for name in (f"/dev/fd/{number}", "/dev/stdout", "-", tmp_path / "link.csv"):
                put(name, b"new,")
            monkeypatch.chdir("/dev")
            put("fd/../stdout", b"new,")
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert path.read_bytes() == b"old," + b"new," * 5
    with pytest.raises(AccordError, match="/dev/fd/987: can't be written: Bad file descriptor"):
        put("/dev/fd/987")


def test_the_model_s_own_files_and_the_input_are_refused(tmp_path):
    model, source = tmp_path / "run" / "stages" / "a" / "model", tmp_path / "in.csv"
    model.mkdir(parents=True)
    for run in (tmp_path / "run", model.parent):
        (run / "resolved.json").write_text("{}")
    for file in (source, tmp_path / "weights.csv", model / "own.csv"):
        file.write_text("x")
    (model / "linked.csv").symlink_to(tmp_path / "weights.csv")
    (tmp_path / "alias").symlink_to(model)
    os.link(model / "own.csv", tmp_path / "hard.csv")
    os.link(source, tmp_path / "same.csv")

    def refused(path, why):
        with pytest.raises(UsageError, match=why):
            refuse_sources(Output.at(path, None, force=True), [source], model)

    for name in ("run/new.csv", "run/stages/new.csv", "run/stages/a/model/own.csv", "alias/b.csv"):
        refused(tmp_path / name, "whose files are the model's own")
    for name in ("weights.csv", "hard.csv"):
        refused(tmp_path / name, "is a file of the model")
    for name in ("in.csv", "same.csv"):
        refused(tmp_path / name, "is the input too")
    refuse_sources(Output.at(tmp_path / "out.csv", None, force=False), [source], model)
    refuse_sources(Output.at(Path("/dev/null"), None, force=False), [source], model)
