"""A task's file as token ids on disk: tokenised once, memory-mapped, found again by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.cache import cache_folder, publish
from accord.data.datafiles import format_suffix
from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.rows import Note
from accord.data.store_writer import FORMAT, UNLABELLED, content_hash, map_arrays, write_store
from accord.data.tokenizing import TEXT_CHARACTERS
from accord.data.tokenizing import fingerprint as tokenizer_fingerprint
from accord.errors import DataError
from accord.kinds import labelled_kind
from accord.tasks import Task
from accord.untrusted import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_HASH_BLOCK_BYTES = 2**20
_COUNT_BLOCK = 2**20


class Strings(Sequence[str]):
    """Strings kept as one block of UTF-8, decoded one by one as they are asked for."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self._data = data
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(index)
        return self._data[self._offsets[i] : self._offsets[i + 1]].tobytes().decode()


class TokenStore:
    """The usable rows of a split's files: token ids without special tokens, one segment per text.

    How a pair is laid out and where a sequence is cut is decided at packing, so one store
    serves every encoding and length.

    Attributes:
        labels: `[rows, ...]`, as the task's kind has targets; none in a file read without labels.
        lengths: int64 `[rows, texts]`, in tokens.
        lines: int64 `[rows]`, the line of its file where each row starts.
        files: int32 `[rows]`, the number of each row's file, counted from 0.
        ids: the rows' ids; None where the files have none.
        exact_hashes: uint64 `[rows, texts]`, of each text.
        normalised_hashes: uint64 `[rows, texts]`, blind to case and white space.
        groups: uint64 `[rows]`, of the value of the task's `group` column; 0 where it is empty.
        skipped: the rows that could not be used.
        unlabelled: how many rows were left out, as the task's `missing` names their labels.
        notes: what has to be known of a file as a whole: its path, what it is and its cure.
        fingerprint: SHA-256 of the content, the same on every machine.
    """

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        meta = read_json(folder / "store.json")
        # Plain views: slicing a memmap object costs several times as much.
        arrays = {name: np.asarray(array) for name, array in map_arrays(folder, meta).items()}
        rows, texts = int(meta["rows"]), int(meta["texts"])
        self._sources, self._texts = sources, texts
        self._tokens = arrays["tokens"]
        self._offsets = _starts(arrays["lengths"])
        self.lengths: npt.NDArray[np.int64] = arrays["lengths"].reshape(rows, texts)
        self.labels: npt.NDArray[Any] = arrays["labels"].reshape(-1, *meta["target"][1])
        self.lines: npt.NDArray[np.int64] = arrays["lines"]
        self.files: npt.NDArray[np.int32] = arrays["files"]
        id_bytes = arrays["id_bytes"]
        self.ids = Strings(arrays["ids"], _starts(id_bytes)) if len(id_bytes) else None
        self.exact_hashes: npt.NDArray[np.uint64] = arrays["exact_hashes"].reshape(rows, texts)
        self.normalised_hashes: npt.NDArray[np.uint64] = arrays["normalised_hashes"].reshape(
            rows, texts
        )
        self.groups: npt.NDArray[np.uint64] = arrays["groups"]
        self.skipped = [
            BadRow(sources[file], int(line), str(reason), file)
            for file, line, reason in meta["skipped"]
        ]
        self.unlabelled = int(meta["unlabelled"])
        self.notes = [(str(sources[file]), what, cure) for what, cure, file in meta["notes"]]
        self.fingerprint: str = meta["fingerprint"]
        if content_hash(folder, meta) != self.fingerprint:
            raise ValueError(f"{folder}: damaged")

    def __len__(self) -> int:
        return len(self.lines)

    def places(self, rows: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return where rows are: the number of the file, counted from 0, and the line."""
        return list(zip(self.files[rows].tolist(), self.lines[rows].tolist(), strict=True))

    def where(self, row: int) -> str:
        """Return the file and the line where a row is, as messages name it."""
        return f"{self._sources[self.files[row]]}:{self.lines[row]}"

    def line_names(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return the rows' lines, behind the names of their files where there are several."""
        if len(self._sources) == 1:
            return [str(line) for line in self.lines[rows].tolist()]
        return [self.where(row) for row in rows.tolist()]

    def row_name(self, row: int) -> str:
        """Return what a message calls a row: its id, or else its line."""
        if self.ids is not None:
            return self.ids[row]
        return f"line {self.lines[row]}" if len(self._sources) == 1 else self.where(row)

    def segment(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a row's first (0) or second (1) text."""
        index = row * self._texts + which
        segment: npt.NDArray[np.int32] = self._tokens[
            self._offsets[index] : self._offsets[index + 1]
        ]
        return segment

    def count(self, token: int) -> npt.NDArray[np.int64]:
        """Return how often a token stands in each text: [rows, texts]."""
        # In blocks: no array as large as the file is made.
        blocks = range(0, len(self._tokens), _COUNT_BLOCK)
        places = [np.empty(0, dtype=np.int64)] + [
            np.flatnonzero(self._tokens[start : start + _COUNT_BLOCK] == token) + start
            for start in blocks
        ]
        texts = np.searchsorted(self._offsets, np.concatenate(places), side="right") - 1
        counts = np.bincount(texts, minlength=self.lengths.size)
        return np.asarray(counts.reshape(self.lengths.shape), dtype=np.int64)


def _starts(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where each of some neighbours starts, and where the last one ends."""
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def open_store(
    files: DataFiles,
    task_name: str,
    config: AnyTaskConfig,
    task: Task,
    tokenizer: Tokenizer,
    *,
    labelled: bool,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenStore:
    """Return a split's token store, from the cache if the same content was tokenised before.

    Args:
        files: the split's.
        task_name: the task's name, for messages.
        config: the task's columns, and what a bad row does.
        task: the resolved task.
        tokenizer: as `load_tokenizer` returns it.
        labelled: whether labels are read.
        cache: the cache folder; default `$ACCORD_CACHE`, else `accord` in the user's cache.
        progress: called with the number of rows read so far, when a file is tokenised.

    Raises:
        DataError: the file can't be used, a row can't be and `on_bad_row` says stop, or no row
            is left.
    """
    notes: list[Note] = []
    examples = read_examples(files, config, task, labelled=labelled, notes=notes)
    key = _key(files, config, task, tokenizer, labelled)
    found = _find(cache_folder(cache, create=False) / key, files.paths)
    if found is not None:
        return found
    folder = cache_folder(cache)

    def write(aside: Path) -> None:
        stop = config.on_bad_row == "stop"
        write_store(
            aside, examples, tokenizer,
            name=f"{files} (task '{task_name}')", stop=stop,
            target=labelled_kind(task).target_form(task) if labelled else UNLABELLED, notes=notes,
            progress=progress or (lambda rows: None),
        )  # fmt: skip

    return TokenStore(publish(folder / key, write), files.paths)


def _find(folder: Path, sources: Sequence[Path]) -> TokenStore | None:
    try:
        return TokenStore(folder, sources)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None  # not there, or damaged: it is written anew


def _key(
    files: DataFiles, config: AnyTaskConfig, task: Task, tokenizer: Tokenizer, labelled: bool
) -> str:  # fmt: skip
    spec: dict[str, Any] = {
        "format": FORMAT,
        "files": [[format_suffix(path), _file_hash(path)] for path in files.paths],
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "columns": [config.text_columns, config.id, config.group],
        "reading": [
            files.delimiter, files.quoting, files.encoding, files.codes, config.on_bad_row,
            TEXT_CHARACTERS,
        ],
        "labels": None,
    }  # fmt: skip
    if labelled and isinstance(config, TaskConfig):
        kind, missing = labelled_kind(task), sorted(config.missing_labels)
        spec["labels"] = [config.label_columns, missing, kind.name, kind.parsed_by(config, task)]
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from None
    return digest.hexdigest()
