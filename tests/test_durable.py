"""Files appear whole or not at all, and damage is told from what was written."""

import errno
import os

import pytest

from accord.durable import (
    FAULT,
    MANIFEST,
    append,
    damage,
    recover_folder,
    replace_folder,
    write_atomic,
)


def fill(folder):
    (folder / "a").write_text("first")
    (folder / "b").write_bytes(bytes(1000))


@pytest.fixture
def sound(tmp_path):
    place = tmp_path / "checkpoint"
    replace_folder(place, fill, manifest=True)
    return place


def test_what_was_written_is_sound(sound):
    assert damage(sound, ["a", "b"]) is None
    assert {path.name for path in sound.iterdir()} == {"a", "b", MANIFEST}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: os.truncate(f / "b", 0), "b has 0 bytes, 1000 were written"),
        (lambda f: os.truncate(f / "b", 990), "b has 990 bytes"),
        (lambda f: (f / "b").unlink(), "b is missing"),
        (lambda f: (f / "b").write_bytes(bytes(999) + b"\1"), "b is not what was written"),
        (lambda f: (f / MANIFEST).unlink(), f"{MANIFEST} is missing"),
        (lambda f: (f / MANIFEST).write_text("{"), f"{MANIFEST} can't be read"),
        (lambda f: (f / MANIFEST).write_text("[]"), f"{MANIFEST} can't be read"),
        (lambda f: (f / MANIFEST).write_bytes(b"\xff"), f"{MANIFEST} can't be read"),
        (lambda f: (f / MANIFEST).write_text('{"files": {"a": 3}}'), f"{MANIFEST} can't be read"),
        (lambda f: (f / MANIFEST).write_text('{"files": {}}'), f"{MANIFEST} doesn't name a"),
    ],
)  # fmt: skip
def test_damage_is_named(sound, harm, said):
    harm(sound)
    assert said in damage(sound, ["a", "b"])


def test_a_folder_moved_away_by_an_interrupted_replacement_is_put_back(tmp_path):
    place = tmp_path / "model"
    replace_folder(place, fill)
    place.rename(tmp_path / ".old-model")
    recover_folder(place)
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert (place / "a").read_text() == "first"


def operations(tmp_path, monkeypatch, work):
    """The operations that a piece of work announces."""
    file = tmp_path / "operations"
    monkeypatch.setenv(FAULT, f"list@{file}")
    work()
    monkeypatch.delenv(FAULT)
    lines = file.read_text().splitlines()
    file.unlink()
    return [line.replace(f"{tmp_path}/", "").replace(str(tmp_path), ".") for line in lines]


def test_every_write_sync_and_rename_is_announced_in_order(tmp_path, monkeypatch):
    def work():
        write_atomic(tmp_path / "status", "x")
        append(tmp_path / "log", "x")
        replace_folder(tmp_path / "model", fill, manifest=True)
        replace_folder(tmp_path / "model", fill)

    assert operations(tmp_path, monkeypatch, work) == [
        "write status", "sync status", "rename status", "sync .",
        "write log",
        "write model", "sync model/a", "sync model/b", f"sync model/{MANIFEST}", "sync .new-model",
        "rename model", "sync .",
        "write model", "sync model/a", "sync model/b", "sync .new-model",
        "rename .old-model", "rename model", "sync .",
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(1, 9))
def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, place):
    write_atomic(tmp_path / "status", "old")
    replace_folder(tmp_path / "model", fill)
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv(FAULT, f"full@{place}")
    with pytest.raises(OSError, match="No space") as error:  # noqa: PT012 - which of them depends
        write_atomic(tmp_path / "status", "new")
        replace_folder(tmp_path / "model", lambda folder: (folder / "a").write_text("second"))
    assert error.value.errno == errno.ENOSPC
    assert (tmp_path / "status").read_text() in ("old", "new")
    assert (tmp_path / "model" / "a").read_text() in ("first", "second")
    assert not list(tmp_path.glob(".new-*"))
    assert not list(tmp_path.glob(".status*"))
