"""Writes a token store's files, batch by batch: memory doesn't grow with the data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accord.data.examples import BadRow, Example, Unlabelled, refuse
from accord.data.rows import Note
from accord.data.tokenizing import encode_flat
from accord.errors import DataError
from accord.kinds import TargetForm

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 6
"""Goes up when a store's files or their meaning change, so that old ones aren't found."""

UNLABELLED = TargetForm("|u1")
"""Of a file that is read without labels: its array of them is empty."""

ARRAYS = {
    "tokens": "<i4",
    "lengths": "<i8",
    "lines": "<i8",
    "files": "<i4",
    "ids": "|u1",
    "id_bytes": "<i8",
    "exact_hashes": "<u8",
    "normalised_hashes": "<u8",
    "groups": "<u8",
}

_Tokens = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]

_CHUNK_BYTES = 1 << 20
_BATCH_ROWS = 2_000
_BATCH_CHARACTERS = 2**23


def write_store(
    folder: Path,
    items: Iterator[Example | BadRow | Unlabelled],
    tokenizer: Tokenizer,
    *,
    name: str,
    stop: bool,
    target: TargetForm,
    notes: list[Note],
    progress: Callable[[int], None],
) -> None:
    """Tokenise examples into the files of a store.

    Args:
        folder: an empty folder.
        items: the file's rows, validated.
        tokenizer: turns texts into ids.
        name: what the messages call the file.
        stop: whether a bad row is an error; otherwise it is noted.
        target: what is kept of each row's label.
        notes: has, once the items are exhausted, what is to be known of files as a whole.
        progress: called with the number of rows read so far.

    Raises:
        DataError: a bad row under `stop`, or no usable row at all.
    """
    skipped: list[BadRow] = []
    unlabelled: list[Unlabelled] = []
    rows, texts, dtypes = 0, 0, {**ARRAYS, "labels": target.dtype}
    with ExitStack() as stack:
        files = {n: stack.enter_context((folder / f"{n}.bin").open("wb")) for n in dtypes}
        for batch, tokens in _tokenised(_batches(items, skipped, unlabelled, stop), tokenizer):
            for array, data in _arrays(batch, *tokens, target).items():
                files[array].write(data.astype(dtypes[array], copy=False).tobytes())
            rows, texts = rows + len(batch), len(batch[0].texts)
            progress(rows + len(skipped) + len(unlabelled))
    if rows == 0:
        raise DataError(f"{name}: {_none_usable(skipped, len(unlabelled))}")
    meta = {
        "rows": rows, "texts": texts, "target": [target.dtype, target.shape],
        "unlabelled": len(unlabelled), "notes": notes,
        "skipped": [[bad.file, bad.line, bad.reason] for bad in skipped],
    }  # fmt: skip
    fingerprint = content_hash(folder, meta)
    text = json.dumps({**meta, "fingerprint": fingerprint})
    (folder / "store.json").write_text(text, encoding="utf-8")


def _none_usable(skipped: list[BadRow], unlabelled: int) -> str:
    if not skipped:
        return f"none of {unlabelled} rows has a label" if unlabelled else "no row below the header"
    count = f"none of {unlabelled + len(skipped)} rows can be used"
    return f"{count}{f', {unlabelled} without a label' * bool(unlabelled)}; the first: {skipped[0]}"


def map_arrays(folder: Path, meta: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return a store's arrays, mapped read-only and flat.

    Args:
        folder: the store's.
        meta: what its `store.json` holds.

    Raises:
        OSError: a file is not there.
        ValueError: a file's size fits no whole number of items.
    """

    def mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
        # An empty file can't be mapped.
        empty = path.stat().st_size == 0
        return np.empty(0, dtype=dtype) if empty else np.memmap(path, dtype=dtype, mode="r")

    return {name: mapped(folder / f"{name}.bin", dtype) for name, dtype in _dtypes(meta).items()}


def _dtypes(meta: Mapping[str, Any]) -> dict[str, str]:
    return {**ARRAYS, "labels": meta["target"][0]}


def content_hash(folder: Path, meta: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a store's arrays and notes: no path, no time.

    The files are read and not mapped: pages of a map would count as the process's memory.

    Raises:
        OSError: a file is not there.
    """
    digest = hashlib.sha256(json.dumps([meta["rows"], meta["texts"], meta["skipped"]]).encode())
    for name, dtype in _dtypes(meta).items():
        with (folder / f"{name}.bin").open("rb") as file:
            size = os.fstat(file.fileno()).st_size // np.dtype(dtype).itemsize
            digest.update(f"{name} {size}\n".encode())
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _batches(
    items: Iterator[Example | BadRow | Unlabelled],
    skipped: list[BadRow],
    unlabelled: list[Unlabelled],
    stop: bool,
) -> Iterator[list[Example]]:
    """Yield lists of usable examples, bounded in rows and in characters."""
    batch: list[Example] = []
    size = 0
    for item in items:
        if isinstance(item, BadRow):
            if stop:
                raise refuse(item)
            skipped.append(item)
            continue
        if isinstance(item, Unlabelled):
            unlabelled.append(item)
            continue
        batch.append(item)
        size += sum(map(len, item.texts))
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _tokenised(
    batches: Iterator[list[Example]], tokenizer: Tokenizer
) -> Iterator[tuple[list[Example], _Tokens]]:
    """Yield batches with their tokens; while one is worked on, a thread tokenises the next."""
    waiting: list[tuple[list[Example], Future[_Tokens]]] = []
    with ThreadPoolExecutor(1) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(encode_flat, tokenizer, _texts(batch))))
            if len(waiting) > 1:
                done, tokens = waiting.pop(0)
                yield done, tokens.result()
        for batch, tokens in waiting:
            yield batch, tokens.result()


def _texts(batch: list[Example]) -> list[str]:
    return [text for example in batch for text in example.texts]


def _arrays(
    batch: list[Example],
    tokens: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    target: TargetForm,
) -> dict[str, npt.NDArray[Any]]:
    texts = _texts(batch)
    ids = [example.id.encode() for example in batch if example.id is not None]
    groups = _hashes([example.group for example in batch])
    return {
        "tokens": tokens,
        "lengths": lengths,
        "labels": target.array([own.label for own in batch if own.label is not None]),
        "lines": np.array([example.line for example in batch]),
        "files": np.array([example.file for example in batch]),
        "ids": np.frombuffer(b"".join(ids), dtype=np.uint8),
        "id_bytes": np.array([len(data) for data in ids]),
        "exact_hashes": _hashes(texts),
        "normalised_hashes": _hashes([" ".join(text.casefold().split()) for text in texts]),
        "groups": np.where([bool(example.group) for example in batch], groups, np.uint64(0)),
    }


def _hashes(texts: list[str]) -> npt.NDArray[np.uint64]:
    blake2b = hashlib.blake2b
    digests = [blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")
