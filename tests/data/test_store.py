import os
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from planned import planned

from accord.data import store as store_module
from accord.data.cache import cache_folder
from accord.data.files import DataFiles, files_of
from accord.data.plan import TaskPlan
from accord.data.resolving import resolve_task
from accord.data.store import TokenStore, open_store
from accord.errors import AccordError, DataError

ROWS = ["r1\tGood  a\tb c\t1", "r2\tgood a\tb c\t0", "ré\ta a a\tgoods\t1.0"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data.tsv", ROWS)


def write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["id\tx\ty\tlabel", *rows]) + "\n", encoding="utf-8")
    return path


def section(data: Path, **keys) -> TaskPlan:
    values = {"kind": "pair-classification", "text": ["x", "y"], "id": "id", "train": str(data)}
    return planned(**{**values, "labels": [0, 1], **keys})


def opened(data: Path, tokenizer, cache: Path, labelled: bool = True, **keys) -> TokenStore:
    config = section(data, **keys)
    task = resolve_task("t", config)
    return open_store(
        files_of(config, str(data)), config, task, tokenizer, labelled=labelled, cache=cache
    )


@pytest.fixture
def tokenised(monkeypatch) -> list[int]:
    """Counts the files that were tokenised rather than found."""
    calls: list[int] = []
    real = store_module.write_store

    def counting(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(store_module, "write_store", counting)
    return calls


def test_what_a_store_holds(data, tiny_tokenizer, tmp_path):
    store = opened(data, tiny_tokenizer, tmp_path / "cache")
    text = lambda row, which: [  # noqa: E731
        tiny_tokenizer.id_to_token(i) for i in store.segment(row, which)
    ]
    assert len(store) == 3
    assert text(0, 0) == ["good", "a"]
    assert text(0, 1) == ["b", "c"]
    assert text(2, 1) == ["good", "##s"]
    assert store.segment(2, 1).dtype == np.int32
    assert store.lengths.tolist() == [[2, 2], [2, 2], [3, 2]]
    assert store.labels.tolist() == [1, 0, 1]
    assert store.ids.to_pylist() == ["r1", "r2", "ré"]
    assert store.lines.tolist() == [2, 3, 4]
    assert store.exact_hashes[0, 0] != store.exact_hashes[1, 0]
    assert store.normalised_hashes[0, 0] == store.normalised_hashes[1, 0]
    assert store.exact_hashes[0, 1] == store.exact_hashes[1, 1]


def test_a_file_without_ids_has_none(data, tiny_tokenizer, tmp_path):
    store = opened(data, tiny_tokenizer, tmp_path / "cache", id=None)
    assert store.ids is None
    assert [store.row_name(row) for row in range(3)] == ["line 2", "line 3", "line 4"]
    named = opened(data, tiny_tokenizer, tmp_path / "cache")
    assert [named.row_name(row) for row in range(3)] == ["r1", "r2", "ré"]


def test_a_store_is_found_again_by_content(data, tiny_tokenizer, tmp_path, tokenised):
    cache = tmp_path / "cache"
    first = opened(data, tiny_tokenizer, cache)
    other = tmp_path / "elsewhere.tsv"
    shutil.copy(data, other)
    second = opened(other, tiny_tokenizer, cache)
    assert len(tokenised) == 1
    assert second.fingerprint == first.fingerprint
    write(data, [*ROWS, "r4\ta\tb\t0"])
    assert len(opened(data, tiny_tokenizer, cache)) == 4
    assert len(tokenised) == 2


@pytest.mark.parametrize(
    "keys",
    [{"text": ["y", "x"]}, {"id": None}, {"labels": [1, 0]}, {"on_bad_row": "skip"},
     {"quoting": "none"}, {"file_encoding": "cp1252"}, {"labelled": False}],
)  # fmt: skip
def test_another_spec_is_another_store(data, tiny_tokenizer, tmp_path, tokenised, keys):
    cache = tmp_path / "cache"
    opened(data, tiny_tokenizer, cache)
    opened(data, tiny_tokenizer, cache, **keys)
    assert len(tokenised) == 2


def test_the_encoding_of_pairs_does_not_matter(data, tiny_tokenizer, tmp_path, tokenised):
    opened(data, tiny_tokenizer, tmp_path / "cache")
    opened(data, tiny_tokenizer, tmp_path / "cache", encoding="separate", loss="mse")
    assert len(tokenised) == 1


def test_a_damaged_store_is_written_anew(data, tiny_tokenizer, tmp_path, tokenised):
    cache = tmp_path / "cache"
    fingerprint = opened(data, tiny_tokenizer, cache).fingerprint
    (file,) = cache.iterdir()
    content = file.read_bytes()
    places = range(0, len(content), 97)  # of every part, the one that says where others are too
    flips = [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in places]
    for damaged in (content[:-3], content[:7], b"", None, content + b"\0", *flips):
        if damaged is None:
            file.unlink()
        else:
            file.write_bytes(damaged)
        tokenised.clear()
        assert opened(data, tiny_tokenizer, cache).fingerprint == fingerprint
        assert tokenised == [1]
        assert [path.read_bytes() for path in cache.iterdir()] == [content]


def test_another_file_under_a_store_s_name_is_none(data, tiny_tokenizer, tmp_path, tokenised):
    cache = tmp_path / "cache"
    first = opened(data, tiny_tokenizer, cache)
    (file,) = cache.iterdir()
    file.rename(file.with_name(file.name.replace("-", "-0")))
    assert opened(data, tiny_tokenizer, cache).fingerprint == first.fingerprint
    assert len(tokenised) == 2
    assert [path.name for path in cache.iterdir()] == [file.name]


def test_a_writer_that_dies_leaves_nothing(data, tiny_tokenizer, tmp_path, monkeypatch):
    cache = tmp_path / "cache"

    def dying(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "write_store", dying)
    with pytest.raises(KeyboardInterrupt):
        opened(data, tiny_tokenizer, cache)
    assert list(cache.iterdir()) == []


def test_leavings_of_killed_writers_go_after_a_day(data, tiny_tokenizer, tmp_path):
    cache = tmp_path / "cache"
    old, fresh = cache / ".aside-old", cache / ".aside-fresh"
    cache.mkdir()
    old.touch()
    fresh.touch()
    os.utime(old, (0, 0))
    opened(data, tiny_tokenizer, cache)
    assert not old.exists()
    assert fresh.exists()


def test_a_bad_row_stops(data, tiny_tokenizer, tmp_path):
    write(data, [*ROWS, "r4\ta\tb\t7"])
    with pytest.raises(DataError) as caught:
        opened(data, tiny_tokenizer, tmp_path / "cache")
    assert str(caught.value) == (
        f"{data}:5: label: unknown label '7'; allowed: 0, 1"
        ' (on_bad_row = "skip" would leave it out)'
    )


def test_or_is_skipped_and_counted(data, tiny_tokenizer, tmp_path):
    write(data, ["r0\t\tb\t1", *ROWS, "r4\ta\tb"])
    for _ in range(2):  # written, then found
        store = opened(data, tiny_tokenizer, tmp_path / "cache", on_bad_row="skip")
        assert len(store) == 3
        assert [str(bad) for bad in store.skipped] == [
            f"{data}:2: 'x' is empty",
            f"{data}:6: 3 columns where the header has 4",
        ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "no row below the header"), (["r\t\tb\t1"], "none of 1 rows can be used; the first: ")],
)
def test_no_usable_row(data, tiny_tokenizer, tmp_path, rows, message):
    write(data, rows)
    with pytest.raises(DataError, match=message):
        opened(data, tiny_tokenizer, tmp_path / "cache", on_bad_row="skip")


def test_unlabelled_rows_may_be_empty(data, tiny_tokenizer, tmp_path):
    data.write_text('x\ty\n""\t""\n')
    store = opened(data, tiny_tokenizer, tmp_path / "cache", labelled=False)
    assert len(store) == 1
    assert len(store.labels) == 0
    assert store.lengths.tolist() == [[0, 0]]
    assert store.segment(0, 1).tolist() == []


WORDS = ["a", "b", "c d", "good", "goods", "é", "", "zz a"]


def test_batches_do_not_show(tiny_tokenizer, tmp_path, monkeypatch):
    """What a store says is what a list of the rows says, however many are written at once."""
    rng = np.random.default_rng(0)
    for trial, (count, batch_rows) in enumerate(((50, 7), (23, 1), (12, 12), (9, 4))):
        texts = [[" ".join(rng.choice(WORDS, rng.integers(0, 6))) + " a" for _ in "xy"]
                 for _ in range(count)]  # fmt: skip
        labels, users = rng.integers(0, 2, count).tolist(), rng.choice(["", "u", "ü"], count)
        lines = ["id\tx\ty\tlabel\tuser"] + [
            f"r{i}\t{one}\t{other}\t{labels[i]}\t{users[i]}" for i, (one, other) in enumerate(texts)
        ]
        data = tmp_path / f"{trial}.tsv"
        data.write_text("\n".join(lines) + "\n", encoding="utf-8")
        config = section(data, group="user")
        task = resolve_task("t", config)
        monkeypatch.setattr("accord.data.store_writer._BATCH_ROWS", batch_rows)
        small = open_store(
            DataFiles((data,)), config, task, tiny_tokenizer,
            labelled=True, cache=tmp_path / "one" / str(trial),
        )  # fmt: skip
        ends = range(batch_rows, count + batch_rows, batch_rows)
        (file,) = (tmp_path / "one" / str(trial)).iterdir()
        with pa.ipc.open_file(str(file)) as stored:
            batches = [stored.get_batch(i) for i in range(stored.num_record_batches)]
        assert np.cumsum([len(batch) for batch in batches]).tolist() == [
            *(min(end, count) for end in ends),
            count,
        ]  # the last says what is known of all
        monkeypatch.setattr("accord.data.store_writer._BATCH_ROWS", 2_000)
        whole = opened(data, tiny_tokenizer, tmp_path / "two", group="user")
        assert small.fingerprint == whole.fingerprint
        stripped = [[text.strip() for text in row] for row in texts]
        tokens = [
            [tiny_tokenizer.encode(text, add_special_tokens=False).ids for text in row]
            for row in stripped
        ]
        for store in (small, whole):
            assert store.labels.tolist() == labels
            assert store.lengths.tolist() == [[len(own) for own in row] for row in tokens]
            assert [[store.segment(i, which).tolist() for which in (0, 1)]
                    for i in range(count)] == tokens  # fmt: skip
            for token in range(len(tiny_tokenizer.get_vocab())):
                wanted = [[own.count(token) for own in row] for row in tokens]
                assert store.count(token).tolist() == wanted
            assert [store.row_name(i) for i in range(count)] == [f"r{i}" for i in range(count)]
            assert store.where(count - 1) == f"{data}:{count + 1}"
            for i in range(count):
                for j in range(i):
                    assert (store.groups[i] == store.groups[j]) == (users[i] == users[j])
                    same = store.exact_hashes[i] == store.exact_hashes[j]
                    assert same.tolist() == [
                        one == other for one, other in zip(stripped[i], stripped[j], strict=True)
                    ]
            assert ((store.groups == 0) == (users == "")).all()


def test_a_cache_that_can_not_be_written_falls_back(data, tiny_tokenizer, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.warns(UserWarning, match="can't be written to"):
        store = opened(data, tiny_tokenizer, blocker / "cache")
    assert len(store) == 3


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ACCORD_CACHE", raising=False)
    assert cache_folder(create=False) == tmp_path / "xdg" / "accord"
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "own"))
    assert cache_folder(create=False) == tmp_path / "own"
    monkeypatch.delenv("ACCORD_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(create=False) == tmp_path / ".cache" / "accord"


def test_nothing_of_the_machine_is_stored(data, tiny_tokenizer, tmp_path):
    files = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        opened(Path(shutil.copy(data, folder)), tiny_tokenizer, folder / "cache")
        files += (folder / "cache").iterdir()
    one, other = files
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    assert b"data.tsv" not in one.read_bytes()


def test_a_full_disk_is_one_error_and_leaves_nothing(data, tiny_tokenizer, tmp_path, monkeypatch):
    """The system ends the file after some bytes, wherever that is."""
    write(data, [f"r{i}\t{'a b ' * 50}\tc\t1" for i in range(300)])
    cache = tmp_path / "cache"
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for most in (0, 100, 4_000, 30_000, 130_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[0][1]))
            with pytest.raises(AccordError, match="can't write the token store"):
                opened(data, tiny_tokenizer, cache)
            assert list(cache.iterdir()) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    opened(data, tiny_tokenizer, cache)
    (file,) = cache.iterdir()
    assert file.stat().st_size > 130_000
