"""A task's file as token ids on disk: tokenised once, memory-mapped, cached by content."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accord.data.cache import cache_folder, file_aside
from accord.data.datafiles import format_suffix
from accord.data.examples import BadRow, Given, read_source
from accord.data.files import DataFiles
from accord.data.plan import TaskPlan
from accord.data.ragged import Ragged, padded
from accord.data.rows import Note
from accord.data.store_writer import FORMAT, LABEL, META, OF_TASK, write_store
from accord.data.tokenizing import TEXT_CHARACTERS
from accord.data.tokenizing import fingerprint as tokenizer_fingerprint
from accord.errors import DataError
from accord.kinds import TargetForm, kind_of, labelled_kind
from accord.tasks import Task

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer

_NAME = "{}-{}.arrow"
"""Of a store: what it is made from, and its content, so that damage is noticed."""


class TokenStore:
    """The usable rows of a split's files: token ids without special tokens, one segment per text.

    How a pair is laid out and where a sequence is cut is decided at packing, so one store
    serves every encoding and length. Tokens and ids stay in the file, which is mapped.

    Args:
        path: of an Arrow file that `write_store` wrote.
        sources: the split's files.
        task: the number of the task whose labels are read, among those that label the rows.

    Attributes:
        key: the same of stores that hold the same rows for several tasks.
        labelled: int64, the rows that are examples of the task: all but where there are others.
        labels: `[rows, ...]`, as the task's kind has targets; none in a file read without labels;
            undefined outside the `labelled` rows.
            Where rows have unlike numbers of targets, only some rows' can be asked for.
        text_counts: int64 `[rows]`, how many texts each row has.
        lengths: int64 `[rows, texts]`, in tokens; 0 where a row has fewer texts than others.
        lines: int64 `[rows]`, the line of its file where each row starts.
        files: int32 `[rows]`, the number of each row's file, counted from 0.
        ids: the rows' ids, as Arrow has them; None where the files have none.
        skipped: the rows that could not be used.
        left_out: how many rows were left out, by what they have for that, such as no label.
        notes: on a file as a whole: its path, what it is and its cure.
        fingerprint: SHA-256 of the content, the same on every machine.
    """

    def __init__(self, path: Path, sources: Sequence[Path], task: int = 0) -> None:
        import pyarrow as pa

        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        last = reader.num_record_batches - 1
        meta = json.loads(reader.get_batch_with_custom_metadata(last).custom_metadata[META])
        known = meta["tasks"][task]
        self.key: object = str(path) if len(meta["tasks"]) > 1 else object()
        self._batches = [reader.get_batch(number) for number in range(last)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)]).tolist()
        self._texts = [batch["texts"].values for batch in self._batches]
        self._first_texts = [_view(batch["texts"], np.int32, 1) for batch in self._batches]
        tokens = [text.field("tokens") for text in self._texts]
        self._tokens = [_view(token.values, np.int32) for token in tokens]
        self._offsets = [_view(token, np.int32, 1) for token in tokens]
        self._sources = sources
        self.text_counts = _sizes([batch["texts"] for batch in self._batches])
        self.lengths: npt.NDArray[np.int64] = padded(_sizes(tokens), self.text_counts, 0)
        self.labels: npt.NDArray[Any] | Ragged = np.empty(0)
        if known["target"] is not None:
            self.labels = self._labels(LABEL.format(task), TargetForm(**known["target"]))
        self.labelled = np.flatnonzero(self._column(OF_TASK.format(task), np.uint8))
        self.lines: npt.NDArray[np.int64] = self._column("line", np.int64)
        self.files: npt.NDArray[np.int32] = self._column("file", np.int32)
        ids = pa.chunked_array([batch["id"] for batch in self._batches])
        self.ids = ids if known["ids"] else None
        self.skipped = [
            BadRow(sources[file], int(line), str(reason), file)
            for file, line, reason in known["skipped"]
        ]
        self.left_out: dict[str, int] = known["left_out"]
        self.notes = [(str(sources[file]), what, cure) for what, cure, file in meta["notes"]]
        self.fingerprint: str = known["fingerprint"]

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def exact_hashes(self) -> npt.NDArray[np.uint64]:
        """A hash of each text, uint64 `[rows, texts]`; 0 where a row has fewer."""
        return self._hashes("exact")

    @cached_property
    def normalised_hashes(self) -> npt.NDArray[np.uint64]:
        """The same of texts without their case and white space."""
        return self._hashes("normalised")

    @cached_property
    def groups(self) -> npt.NDArray[np.uint64]:
        """A hash of each value of the task's `group` column, uint64 `[rows]`; of none it is 0."""
        return self._column("group", np.uint64)

    def _hashes(self, name: str) -> npt.NDArray[np.uint64]:
        hashes = _joined([text.field(name) for text in self._texts], np.uint64)
        return padded(hashes, self.text_counts, 0)

    def _labels(self, name: str, form: TargetForm) -> npt.NDArray[Any] | Ragged:
        label = [batch[name] for batch in self._batches]
        lists = form.ragged or form.shape
        values = _joined([column.values for column in label] if lists else label, form.dtype)
        if form.ragged:
            return Ragged(values, _sizes(label), form.fill)
        return values.reshape(-1, *form.shape)

    def _column(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return _joined([batch[name] for batch in self._batches], dtype)

    def where(self, row: int) -> str:
        """Return the file and the line where a row is, as messages name it."""
        return f"{self._sources[self.files[row]]}:{self.lines[row]}"

    def line_names(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return the rows' lines, after the names of their files where there are several."""
        if len(self._sources) == 1:
            return [str(line) for line in self.lines[rows].tolist()]
        return [self.where(row) for row in rows.tolist()]

    def row_name(self, row: int) -> str:
        """Return what a message calls a row: its id, or else its line."""
        if self.ids is not None:
            return str(self.ids[row].as_py())
        return f"line {self.lines[row]}" if len(self._sources) == 1 else self.where(row)

    def given(self, rows: npt.NDArray[np.int64]) -> list[Given]:
        """Return rows as their file has them, where the store keeps that."""
        places = ((bisect_right(self._starts, row) - 1, row) for row in rows.tolist())
        cells = (self._batches[batch]["given"][row - self._starts[batch]] for batch, row in places)
        values = (json.loads(cell.as_py()) for cell in cells)
        return [value if isinstance(value, str) else tuple(value) for value in values]

    def segment(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a row's text, counted from 0."""
        batch, text = self._place(row, which)
        offsets = self._offsets[batch]
        segment: npt.NDArray[np.int32] = self._tokens[batch][offsets[text] : offsets[text + 1]]
        return segment

    def word_pieces(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return how many tokens each word of a text has, where the store keeps words."""
        batch, text = self._place(row, which)
        pieces, offsets = self._pieces[batch]
        of_text: npt.NDArray[np.int32] = pieces[offsets[text] : offsets[text + 1]]
        return of_text

    @cached_property
    def _pieces(self) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        lists = [text.field("pieces") for text in self._texts]
        return [(_view(pieces.values, np.int32), _view(pieces, np.int32, 1)) for pieces in lists]

    def _place(self, row: int, which: int) -> tuple[int, int]:
        """Return the batch that a text is in, and its number there."""
        batch = bisect_right(self._starts, row) - 1
        return batch, int(self._first_texts[batch][row - self._starts[batch]]) + which

    def count(self, token: int) -> npt.NDArray[np.int64]:
        """Return how often a token stands in each text: [rows, texts], 0 where there are fewer."""
        counts = [
            np.bincount(
                np.searchsorted(offsets, np.flatnonzero(tokens == token), side="right") - 1,
                minlength=len(offsets) - 1,
            )
            for tokens, offsets in zip(self._tokens, self._offsets, strict=True)
        ]
        return padded(np.concatenate(counts), self.text_counts, 0)


def _joined(arrays: Sequence[pa.Array], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([_view(array, dtype) for array in arrays])


def _sizes(lists: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
    """Return how many values each list has, int64."""
    return np.concatenate([np.diff(_view(each, np.int32, 1)) for each in lists]).astype(np.int64)


def _view(array: pa.Array, dtype: npt.DTypeLike, more: int = 0) -> npt.NDArray[Any]:
    """Return an array's numbers where they stand, or its offsets, of which there is one `more`.

    By their buffer: Arrow's conversion would import pandas, where it is installed.
    """
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=len(array) + more)


def open_store(
    files: DataFiles,
    plan: TaskPlan,
    task: Task,
    tokenizer: Tokenizer,
    *,
    labelled: bool,
    cache: Path | None = None,
) -> TokenStore:
    """Return a split's token store, from the cache if the same content was tokenised before.

    Args:
        files: the split's.
        plan: the task's columns, and what a bad row does.
        task: the resolved task.
        tokenizer: as `load_tokenizer` returns it.
        labelled: whether labels are read.
        cache: the cache folder; default `$ACCORD_CACHE`, else `accord` in the user's cache.

    Raises:
        DataError: the file can't be used, a row can't be and `on_bad_row` says stop, or no row
            is left.
    """
    (store,) = open_stores(files, [plan], [task], tokenizer, labelled=labelled, cache=cache)
    return store


def open_stores(
    files: DataFiles,
    plans: Sequence[TaskPlan],
    tasks: Sequence[Task],
    tokenizer: Tokenizer,
    *,
    labelled: bool,
    cache: Path | None = None,
) -> list[TokenStore]:
    """Return for each of several tasks the store of a split's rows, one file for all of them.

    Args:
        files: the split's.
        plans: each task's columns; they read the same texts, ids and groups.
        tasks: the resolved tasks.
        tokenizer: as `load_tokenizer` returns it.
        labelled: whether labels are read.
        cache: as `open_store` takes it.

    Raises:
        DataError: as `open_store`.
    """
    notes: list[Note] = []
    rows = read_source(files, plans, tasks, labelled=labelled, notes=notes)
    key = _key(files, plans, tasks, tokenizer, labelled)
    path = _find(cache_folder(cache, create=False), key)
    if path is None:
        folder, names = cache_folder(cache), ", ".join(f"'{task.name}'" for task in tasks)
        with file_aside(folder) as aside:
            write_store(
                aside, rows, tokenizer,
                name=f"{files} ({'task' if len(tasks) == 1 else 'tasks'} {names})",
                stop=plans[0].on_bad_row == "stop",
                kinds=[kind_of(task) for task in tasks],
                targets=[
                    labelled_kind(task).target_form(task) if labelled else None for task in tasks
                ],
                notes=notes,
            )  # fmt: skip
            path = aside.replace(folder / _NAME.format(key, _file_hash(aside)))
    return [TokenStore(path, files.paths, number) for number in range(len(tasks))]


def _find(folder: Path, key: str) -> Path | None:
    """Return a store's file, whose name holds a hash of its content; a damaged one is removed."""
    for path in folder.glob(_NAME.format(key, "*")):
        with suppress(OSError):  # another user's, or gone by now
            if path.name == _NAME.format(key, _file_hash(path)):
                return path
            path.unlink()
    return None


def _key(
    files: DataFiles,
    plans: Sequence[TaskPlan],
    tasks: Sequence[Task],
    tokenizer: Tokenizer,
    labelled: bool,
) -> str:
    try:
        contents = [[format_suffix(path), _file_hash(path)] for path in files.paths]
    except OSError as error:
        raise DataError(f"{error.filename}: can't be read: {error.strerror}") from None
    first = plans[0]
    spec: dict[str, Any] = {
        "format": FORMAT,
        "files": contents,
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "columns": [first.text, first.id, first.group],
        "reading": [
            files.delimiter, files.quoting, files.encoding, files.codes, first.on_bad_row,
            TEXT_CHARACTERS,
        ],
        "tasks": [_task_key(plan, task, labelled) for plan, task in zip(plans, tasks, strict=True)],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def _task_key(plan: TaskPlan, task: Task, labelled: bool) -> list[Any]:
    """Return all that a task's kind may go by as it reads texts and labels."""
    kind = kind_of(task)
    texts: list[Any] = []
    if kind.varying or kind.units == "words":
        texts = [kind.name, kind.gathers(task), plan.options.get("words")]
    if not labelled or not plan.labelled:
        return texts
    return [
        texts, kind.name, plan.label_columns, sorted(plan.missing), task.labels, task.range,
        plan.range, dict(plan.options), task.options,
    ]  # fmt: skip


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
