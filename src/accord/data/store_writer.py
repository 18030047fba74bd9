"""Writes a token store, batch by batch: memory doesn't grow with the data."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accord.data.examples import NO_LABEL, BadRow, Example, Item, Unlabelled, refuse
from accord.data.rows import Note
from accord.data.tokenizing import encode_flat, encode_words
from accord.data.values import list_text
from accord.errors import DataError
from accord.kinds import Kind, TargetForm

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer

FORMAT = 13
"""Goes up when a store's layout or its meaning changes, so that old ones aren't found."""

META = b"store"
"""Under which the last batch, which has no rows, says as JSON what is known of all of them."""

OF_TASK, LABEL = "task{}", "label{}"
"""Columns of a task by its number: whether a row is an example of it, and the label."""

_Arrays = dict[str, npt.NDArray[Any]]
_BATCH_ROWS = 2_000
_BATCH_CHARACTERS = 2**23


def write_store(
    path: Path,
    rows: Iterator[Sequence[Item]],
    tokenizer: Tokenizer,
    *,
    name: str,
    stop: bool,
    kinds: Sequence[Kind[Any]],
    targets: Sequence[TargetForm | None],
    notes: list[Note],
) -> None:
    """Tokenise examples into an Arrow file.

    Rows stand there that are an example of any of the tasks which label them. What is kept of each
    task, its fingerprint with it, is what a store of the task alone would have.

    Args:
        path: of the file.
        rows: what each row of a split is to each task, validated.
        tokenizer: turns texts into ids.
        name: what the messages call the split's files.
        stop: whether a bad row is an error; otherwise it is noted.
        kinds: each task's; of one that labels words it is kept how many tokens each has, and of one
            whose answers quote texts, these.
        targets: what is kept of each task's labels; None where they are read without.
        notes: has, once the rows are exhausted, what is to be known of files as a whole.

    Raises:
        DataError: a bad row under `stop`, or no usable row at all.
        OSError: the file can't be written.
    """
    import pyarrow as pa

    tasks = [_TaskPart(*each) for each in zip(targets, kinds, strict=True)]
    nothing = [task.columns([]) for task in tasks]
    words, quotes = any(task.words for task in tasks), any(task.quotes for task in tasks)
    tokens = _tokens(tokenizer, [], words=words)
    no_rows = _record_batch(_arrays([], tokens, quotes), tasks, nothing)
    with path.open("wb") as file, pa.ipc.new_file(file, no_rows.schema) as writer:
        usable = _batches(rows, tasks, stop)
        for batch, tokens in _tokenised(usable, tokenizer, words):
            arrays = _arrays(batch.examples, tokens, quotes)
            columns = [
                task.add(items, arrays) for task, items in zip(tasks, batch.items, strict=True)
            ]
            writer.write_batch(_record_batch(arrays, tasks, columns))
        for task in tasks:
            if task.rows == 0:
                raise DataError(f"{name}: {_none_usable(task.skipped, task.left_out)}")
        meta = {"tasks": [task.meta() for task in tasks], "notes": notes}
        writer.write_batch(no_rows, custom_metadata={META: json.dumps(meta)})


class _Batch(NamedTuple):
    """Rows that a task can use.

    Attributes:
        examples: each row as an example of the first task that it is one of; to others it has the
            same texts.
        items: what the rows are to each of the tasks.
    """

    examples: list[Example]
    items: list[list[Item]]


@dataclass
class _TaskPart:
    """What is known of one of the tasks that label a store's rows.

    Attributes:
        target: what is kept of its labels; None where they are read without.
        kind: its.
        rows: that are examples of it.
        skipped: rows that can't be used.
        left_out: rows that are left out, by what they have for that.
        ids: whether its rows have ids.
        digests: of its rows' columns.
    """

    target: TargetForm | None
    kind: Kind[Any]
    rows: int = 0
    skipped: list[BadRow] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    ids: bool = False
    digests: dict[str, Any] = field(default_factory=lambda: defaultdict(hashlib.sha256))

    @property
    def words(self) -> bool:
        """Whether it labels words."""
        return self.kind.units == "words"

    @property
    def quotes(self) -> bool:
        """Whether its answers quote texts."""
        return self.kind.quotes_texts

    def leave_out(self, item: BadRow | Unlabelled, stop: bool) -> None:
        """Note a row that is no example of the task.

        Raises:
            DataError: a bad row under `stop`.
        """
        if isinstance(item, Unlabelled):
            self.left_out[item.why] += 1
        elif stop:
            raise refuse(item)
        else:
            self.skipped.append(item)

    def add(self, items: Sequence[Item], arrays: _Arrays) -> _Arrays:
        """Count rows in, and return what the store has of the task beside them.

        Args:
            items: what each row is to the task.
            arrays: of all rows.
        """
        columns = self.columns(items)
        first = next((item for item in items if isinstance(item, Example)), None)
        if first is None:
            return columns
        present = columns["there"]
        self.rows, self.ids = self.rows + int(present.sum()), first.id is not None
        ours = {**arrays, **columns}
        if not present.all():
            ours = _chosen(ours, present)
        left = {"there"}
        left |= set() if self.words else {"words", "pieces"}
        left |= set() if self.quotes else {"given", "given_bytes"}
        for column in ours.keys() - left:
            self.digests[column].update(ours[column].data)
        return columns

    def columns(self, items: Sequence[Item]) -> _Arrays:
        """Return which rows are examples of the task, and their targets; of lists the values end
        to end, and their sizes."""
        present = np.array([isinstance(item, Example) for item in items], dtype=bool)
        if self.target is None:
            return {"there": present}
        none = self.target.none()
        targets = [item.label if isinstance(item, Example) else none for item in items]
        if not self.target.ragged:
            return {"there": present, "label": self.target.array(targets)}
        values, sizes = self.target.flat(targets)
        return {"there": present, "label": values, "label_sizes": sizes}

    def meta(self) -> dict[str, Any]:
        """Return what the store says of the task, as JSON."""
        bad = [[row.file, row.line, row.reason] for row in self.skipped]
        # Of the values in their order, not of batches: no path, no time, no version of Arrow.
        digests = [(column, self.digests[column].hexdigest()) for column in sorted(self.digests)]
        content = json.dumps([self.ids, bad, *digests])
        return {
            "target": None if self.target is None else asdict(self.target), "ids": self.ids,
            "skipped": bad, "left_out": self.left_out,
            "fingerprint": hashlib.sha256(content.encode()).hexdigest(),
        }  # fmt: skip


def _chosen(arrays: _Arrays, present: npt.NDArray[np.bool_]) -> _Arrays:
    """Return the arrays of some rows."""
    texts = np.repeat(present, arrays["texts"])
    of_lists = {
        "tokens": np.repeat(texts, arrays["lengths"]),
        "id": np.repeat(present, arrays["id_bytes"]),
        **dict.fromkeys(("lengths", "exact", "normalised", "words"), texts),
    }  # fmt: skip
    if "given" in arrays:
        of_lists["given"] = np.repeat(present, arrays["given_bytes"])
    if "pieces" in arrays:
        of_lists["pieces"] = np.repeat(texts, arrays["words"])
    if "label_sizes" in arrays:
        of_lists["label"] = np.repeat(present, arrays["label_sizes"])
    return {name: array[of_lists.get(name, present)] for name, array in arrays.items()}


def _none_usable(skipped: Sequence[BadRow], left_out: Counter[str]) -> str:
    rows = len(skipped) + left_out.total()
    if not rows:
        return "no row below the header"
    if [*left_out] == [NO_LABEL] and not skipped:
        return f"none of {rows} rows has a label"
    parts = [f", {number} have {why}" for why, number in left_out.items()]
    first = f"; the first: {skipped[0]}" if skipped else ""
    return f"none of {rows} rows can be used{''.join(parts)}{first}"


def _batches(
    rows: Iterator[Sequence[Item]], tasks: Sequence[_TaskPart], stop: bool
) -> Iterator[_Batch]:
    """Yield rows that a task can use, bounded in rows and in characters."""
    batch = _Batch([], [[] for _ in tasks])
    size = 0
    for row in rows:
        example: Example | None = None
        for task, item in zip(tasks, row, strict=True):
            if isinstance(item, Example):
                example = example or item
            else:
                task.leave_out(item, stop)
        if example is None:
            continue
        batch.examples.append(example)
        for items, item in zip(batch.items, row, strict=True):
            items.append(item)
        size += sum(map(len, (*example.texts, example.id or "")))
        if len(batch.examples) >= _BATCH_ROWS or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = _Batch([], [[] for _ in tasks]), 0
    if batch.examples:
        yield batch


def _tokenised(
    batches: Iterator[_Batch], tokenizer: Tokenizer, words: bool
) -> Iterator[tuple[_Batch, _Arrays]]:
    """Yield batches with their tokens; while one is worked on, a thread tokenises the next."""
    waiting: list[tuple[_Batch, Future[_Arrays]]] = []
    with ThreadPoolExecutor(1) as pool:
        for batch in batches:
            tokens = pool.submit(_tokens, tokenizer, batch.examples, words=words)
            waiting.append((batch, tokens))
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


def _arrays(batch: list[Example], tokens: _Arrays, quotes: bool) -> _Arrays:
    """Return what a store holds of some rows except for labels: lists and strings end to end, and
    their sizes."""
    texts = _texts(batch)
    groups = _hashes([example.group for example in batch])
    return {
        **tokens,
        **(_strings("given", [list_text(example.as_given) for example in batch]) if quotes else {}),
        "exact": _hashes(texts),
        "normalised": _hashes([" ".join(text.casefold().split()) for text in texts]),
        "texts": np.array([len(example.texts) for example in batch], dtype=np.int64),
        "line": np.array([example.line for example in batch], dtype=np.int64),
        "file": np.array([example.file for example in batch], dtype=np.int32),
        **_strings("id", [example.id or "" for example in batch]),
        "group": groups * np.array([bool(example.group) for example in batch], dtype=np.uint64),
    }


def _strings(name: str, strings: Sequence[str]) -> _Arrays:
    encoded = [string.encode() for string in strings]
    sizes = np.array([*map(len, encoded)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}_bytes": sizes}


def _hashes(texts: list[str]) -> npt.NDArray[np.uint64]:
    blake2b = hashlib.blake2b
    digests = [blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _record_batch(
    arrays: _Arrays, tasks: Sequence[_TaskPart], of_tasks: Sequence[_Arrays]
) -> pa.RecordBatch:
    """Return rows in Arrow's layout, in which a column of lists holds their texts, and another in
    it the tokens of each; and for each task which rows are its, and their labels."""
    import pyarrow as pa

    text = {
        "tokens": _lists(arrays["lengths"], _flat(arrays["tokens"])),
        "exact": _flat(arrays["exact"]),
        "normalised": _flat(arrays["normalised"]),
    }
    if "pieces" in arrays:
        text["pieces"] = _lists(arrays["words"], _flat(arrays["pieces"]))
    columns = {
        "texts": _lists(arrays["texts"], pa.StructArray.from_arrays([*text.values()], [*text])),
        "id": _string_column("id", arrays),
        **{name: _flat(arrays[name]) for name in ("line", "file", "group")},
    }
    if "given" in arrays:
        columns["given"] = _string_column("given", arrays)
    for number, (task, ours) in enumerate(zip(tasks, of_tasks, strict=True)):
        columns[OF_TASK.format(number)] = _flat(ours["there"])
        if task.target is not None:
            columns[LABEL.format(number)] = _label_column(ours, task.target)
    return pa.RecordBatch.from_arrays([*columns.values()], [*columns])


def _label_column(ours: _Arrays, target: TargetForm) -> pa.Array:
    import pyarrow as pa

    if target.ragged:
        return _lists(ours["label_sizes"], _flat(ours["label"]))
    values = _flat(ours["label"].ravel())
    if not target.shape:
        return values
    kind = pa.list_(values.type, int(np.prod(target.shape)))
    return pa.Array.from_buffers(kind, len(ours["label"]), [None], children=[values])


# By buffers: Arrow's conversions would import pandas, where it is installed.


def _flat(values: npt.NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    values = values.view(np.uint8) if values.dtype == bool else values
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _string_column(name: str, arrays: _Arrays) -> pa.Array:
    import pyarrow as pa

    sizes = arrays[f"{name}_bytes"]
    buffers = [None, pa.py_buffer(_offsets(sizes)), pa.py_buffer(arrays[name])]
    return pa.Array.from_buffers(pa.string(), len(sizes), buffers)


def _lists(sizes: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    import pyarrow as pa

    buffers = [None, pa.py_buffer(_offsets(sizes))]
    return pa.Array.from_buffers(pa.list_(values.type), len(sizes), buffers, children=[values])


def _offsets(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], sizes.cumsum()]).astype(np.int32)
