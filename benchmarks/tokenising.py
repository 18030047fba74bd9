"""How long does tokenising take, beside the tokenizers library's own bare call?

    python benchmarks/tokenising.py [--data FOLDER] [--rounds N]

All training texts of three tasks. The peer is `encode_batch_fast` on a task's texts in one call,
its result thrown away. Ours turns the encodings into arrays and writes them to a token store,
with labels, ids and the hashes that find double texts; reading and checking the file is told
apart. A second opening finds the store by its content, and must not tokenise.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from unittest.mock import patch

from epoch import task_tables
from harness import Report, alternate, arguments, overhead
from tokenizers import Tokenizer
from workload import data_folder, minilm_folder

from accord.data import store_writer
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import DataFiles
from accord.data.plan import TaskPlan
from accord.data.resolving import resolve_task
from accord.data.store import open_store
from accord.data.store_writer import write_store
from accord.data.tokenizing import encode_texts, load_tokenizer
from accord.kinds import labelled_kind, task_section
from accord.plan.tasks import task_plan
from accord.tasks import Task

TARGET = 1.10


@dataclass(frozen=True)
class File:
    """One task's training file, and its rows as they were read."""

    path: Path
    config: TaskPlan
    task: Task
    rows: list[Example]

    @property
    def texts(self) -> list[str]:
        """All texts, the two of a pair one after the other."""
        return [text for row in self.rows for text in row.texts]


def training_files(data: Path | None) -> list[File]:
    """Read every task's training file."""
    files = []
    for name, table in task_tables(data_folder(data)).items():
        config = task_plan(task_section(**table))
        task, path = resolve_task(name, config), Path(table["train"])
        rows = read_examples(DataFiles((path,)), config, task, labelled=True)
        usable = [row for row in rows if not isinstance(row, BadRow)]
        files.append(File(path, config, task, usable))
    return files


def store(file: File, tokenizer: Tokenizer, path: Path) -> None:
    """Tokenise a file's rows into a store, reading left out."""
    write_store(
        path, ((row,) for row in file.rows), tokenizer,
        name=file.task.name, stop=True, kinds=[labelled_kind(file.task)],
        targets=[labelled_kind(file.task).target_form(file.task)], notes=[],
    )  # fmt: skip


def reopen(open_all: Callable[[Path], None], cache: Path) -> float:
    """Seconds of opening all stores again; fails if a text is tokenised."""
    refusal = AssertionError("a store that is there was tokenised again")
    with patch.object(store_writer, "encode_flat", side_effect=refusal):
        start = time.perf_counter()
        open_all(cache)
        return time.perf_counter() - start


def main() -> None:
    options = arguments(__doc__.splitlines()[0], "tokenising", rounds=12).parse_args()
    report = Report("Tokenising all training texts: ours over tokenizers' encode_batch_fast")
    tokenizer, files = load_tokenizer(minilm_folder()), training_files(options.data)
    texts = [file.texts for file in files]

    def bare(_: int) -> None:
        for text in texts:
            tokenizer.encode_batch_fast(text, add_special_tokens=False)

    def arrays(_: int) -> None:
        for text in texts:
            encode_texts(tokenizer, text)

    def open_all(cache: Path) -> None:
        for file in files:
            open_store(
                DataFiles((file.path,)), file.config, file.task, tokenizer,
                labelled=True, cache=cache,
            )  # fmt: skip

    with tempfile.TemporaryDirectory() as name:
        folders = (Path(name) / str(i) for i in count())

        def stored(_: int) -> None:
            for file in files:
                store(file, tokenizer, next(folders))

        sides = {
            "bare": bare, "arrays": arrays, "stored": stored,
            "whole": lambda _: open_all(next(folders)),
        }  # fmt: skip
        seconds = alternate(sides, options.rounds, warmup=2)
        cache = next(folders)
        open_all(cache)
        again = [reopen(open_all, cache) for _ in range(max(3, options.rounds))]
    report.add(
        overhead("tokenising_vs_encode_batch_fast", seconds["stored"], seconds["bare"], TARGET,
                 "texts to a store on disk"),
        overhead("tokenising_arrays_only", seconds["arrays"], seconds["bare"], None,
                 "texts to arrays"),
        overhead("tokenising_with_reading", seconds["whole"], seconds["bare"], None,
                 "files to an opened store"),
    )  # fmt: skip
    report.details = {
        "tokenising_second_run_seconds": round(statistics.median(again), 4),
        "texts": sum(map(len, texts)),
        "characters": sum(len(text) for each in texts for text in each),
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
