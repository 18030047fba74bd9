"""Writes a token store, batch by batch: memory doesn't grow with the data."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accord.data.examples import NO_LABEL, BadRow, Example, Unlabelled, refuse
from accord.data.rows import Note
from accord.data.tokenizing import encode_flat, encode_words
from accord.errors import DataError
from accord.kinds import TargetForm

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer

FORMAT = 9
"""Goes up when a store's layout or its meaning changes, so that old ones aren't found."""

META = b"store"
"""Under which the last batch, which has no rows, says as JSON what is known of all of them."""

_Arrays = dict[str, npt.NDArray[Any]]
_BATCH_ROWS = 2_000
_BATCH_CHARACTERS = 2**23


def write_store(
    path: Path,
    items: Iterator[Example | BadRow | Unlabelled],
    tokenizer: Tokenizer,
    *,
    name: str,
    stop: bool,
    words: bool,
    target: TargetForm | None,
    notes: list[Note],
) -> None:
    """Tokenise examples into an Arrow file.

    Args:
        path: of the file.
        items: the rows of a split, validated.
        tokenizer: turns texts into ids.
        name: what the messages call the split's files.
        stop: whether a bad row is an error; otherwise it is noted.
        words: whether it is kept how many tokens each word has.
        target: what is kept of each row's label; None where they are read without.
        notes: has, once the items are exhausted, what is to be known of files as a whole.

    Raises:
        DataError: a bad row under `stop`, or no usable row at all.
        OSError: the file can't be written.
    """
    import pyarrow as pa

    skipped: list[BadRow] = []
    unlabelled: list[Unlabelled] = []
    digests: dict[str, Any] = defaultdict(hashlib.sha256)
    none = _tokens(tokenizer, [], words=words)
    rows, ids, no_rows = 0, False, _record_batch(_arrays([], none, target), target)
    with path.open("wb") as file, pa.ipc.new_file(file, no_rows.schema) as writer:
        usable = _batches(items, skipped, unlabelled, stop)
        for batch, tokens in _tokenised(usable, tokenizer, words):
            arrays = _arrays(batch, tokens, target)
            for column, values in arrays.items():
                digests[column].update(values.data)
            writer.write_batch(_record_batch(arrays, target))
            rows, ids = rows + len(batch), batch[0].id is not None
        if rows == 0:
            raise DataError(f"{name}: {_none_usable(skipped, unlabelled)}")
        bad = [[row.file, row.line, row.reason] for row in skipped]
        # Of the values in their order, not of batches: no path, no time, no version of Arrow.
        content = [ids, bad, *((digest, digests[digest].hexdigest()) for digest in sorted(digests))]
        meta = {
            "target": None if target is None else asdict(target), "ids": ids,
            "skipped": bad, "left_out": Counter(row.why for row in unlabelled), "notes": notes,
            "fingerprint": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        }  # fmt: skip
        writer.write_batch(no_rows, custom_metadata={META: json.dumps(meta)})


def _none_usable(skipped: list[BadRow], unlabelled: list[Unlabelled]) -> str:
    rows = len(skipped) + len(unlabelled)
    if not rows:
        return "no row below the header"
    if not skipped and all(row.why == NO_LABEL for row in unlabelled):
        return f"none of {rows} rows has a label"
    left_out = Counter(row.why for row in unlabelled)
    parts = [f", {number} have {why}" for why, number in left_out.items()]
    first = f"; the first: {skipped[0]}" if skipped else ""
    return f"none of {rows} rows can be used{''.join(parts)}{first}"


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
        size += sum(map(len, (*item.texts, item.id or "")))
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _tokenised(
    batches: Iterator[list[Example]], tokenizer: Tokenizer, words: bool
) -> Iterator[tuple[list[Example], _Arrays]]:
    """Yield batches with their tokens; while one is worked on, a thread tokenises the next."""
    waiting: list[tuple[list[Example], Future[_Arrays]]] = []
    with ThreadPoolExecutor(1) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(_tokens, tokenizer, batch, words=words)))
            if len(waiting) > 1:
                done, tokens = waiting.pop(0)
                yield done, tokens.result()
        for batch, tokens in waiting:
            yield batch, tokens.result()


def _tokens(tokenizer: Tokenizer, batch: list[Example], *, words: bool) -> _Arrays:
    """Return the tokens of some rows' texts, and how many each has; of words likewise."""
    if not words:
        tokens, lengths = encode_flat(tokenizer, _texts(batch))
        return {"tokens": tokens, "lengths": lengths}
    texts = [text for example in batch for text in example.words or ()]
    counts = np.array([*map(len, texts)], dtype=np.int64)
    tokens, pieces = encode_words(tokenizer, texts)
    ends = np.concatenate([[0], pieces.cumsum()])[np.concatenate([[0], counts.cumsum()])]
    return {
        "tokens": tokens, "lengths": np.diff(ends), "pieces": pieces.astype(np.int32),
        "words": counts,
    }  # fmt: skip


def _texts(batch: list[Example]) -> list[str]:
    return [text for example in batch for text in example.texts]


def _arrays(batch: list[Example], tokens: _Arrays, target: TargetForm | None) -> _Arrays:
    """Return what a store holds of some rows: lists and strings end to end, and their sizes."""
    texts, ids = _texts(batch), [(example.id or "").encode() for example in batch]
    groups = _hashes([example.group for example in batch])
    arrays: _Arrays = {
        **tokens,
        "exact": _hashes(texts),
        "normalised": _hashes([" ".join(text.casefold().split()) for text in texts]),
        "texts": np.array([len(example.texts) for example in batch], dtype=np.int64),
        "line": np.array([example.line for example in batch], dtype=np.int64),
        "file": np.array([example.file for example in batch], dtype=np.int32),
        "ids": np.frombuffer(b"".join(ids), dtype=np.uint8),
        "id_bytes": np.array([len(id_bytes) for id_bytes in ids], dtype=np.int64),
        "group": groups * np.array([bool(example.group) for example in batch], dtype=np.uint64),
    }
    targets = [example.label for example in batch]
    if target is not None and target.ragged:
        arrays["label"], arrays["label_sizes"] = target.flat(targets)
    elif target is not None:
        arrays["label"] = target.array(targets)
    return arrays


def _hashes(texts: list[str]) -> npt.NDArray[np.uint64]:
    blake2b = hashlib.blake2b
    digests = [blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _record_batch(arrays: _Arrays, target: TargetForm | None) -> pa.RecordBatch:
    """Return rows in Arrow's layout, in which a column of lists holds their texts, and another in
    it the tokens of each."""
    import pyarrow as pa

    text = {
        "tokens": _lists(arrays["lengths"], _flat(arrays["tokens"])),
        "exact": _flat(arrays["exact"]),
        "normalised": _flat(arrays["normalised"]),
    }
    if "pieces" in arrays:
        text["pieces"] = _lists(arrays["words"], _flat(arrays["pieces"]))
    ids = [None, pa.py_buffer(_offsets(arrays["id_bytes"])), pa.py_buffer(arrays["ids"])]
    columns = {
        "texts": _lists(arrays["texts"], pa.StructArray.from_arrays([*text.values()], [*text])),
        "id": pa.Array.from_buffers(pa.string(), len(arrays["id_bytes"]), ids),
        **{name: _flat(arrays[name]) for name in ("line", "file", "group")},
    }
    if target is not None:
        columns["label"] = _labels(arrays, target)
    return pa.RecordBatch.from_arrays([*columns.values()], [*columns])


def _labels(arrays: _Arrays, target: TargetForm) -> pa.Array:
    import pyarrow as pa

    label = arrays["label"]
    values = _flat(label.ravel())
    if target.ragged:
        return _lists(arrays["label_sizes"], values)
    if not target.shape:
        return values
    kind = pa.list_(values.type, int(np.prod(target.shape)))
    return pa.Array.from_buffers(kind, len(label), [None], children=[values])


# By buffers: Arrow's conversions would import pandas, where it is installed.


def _flat(values: npt.NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    values = values.view(np.uint8) if values.dtype == bool else values
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _lists(sizes: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    import pyarrow as pa

    buffers = [None, pa.py_buffer(_offsets(sizes))]
    return pa.Array.from_buffers(pa.list_(values.type), len(sizes), buffers, children=[values])


def _offsets(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], sizes.cumsum()]).astype(np.int32)
