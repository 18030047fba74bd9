"""Where predictions go: a file that appears whole, or a pipe or device that is written through."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from accord.durable import atomic_file
from accord.errors import AccordError, UsageError
from accord.evaluation.prediction_formats import ENDINGS, Format

_DESCRIPTOR = re.compile(r"/dev/(?:std(in|out|err)|fd/(\d+))|/proc/self/fd/(\d+)")
_STANDARD = {"in": 0, "out": 1, "err": 2}
_MOST_LINKS = 40


@dataclass(frozen=True)
class Output:
    """Where predictions go, and how they are written.

    Attributes:
        path: as it was named.
        form: the format.
        compressed: by gzip.
        descriptor: the number of an open file, such as 1 for standard output; else None.
        through: whether a pipe or device is written as it stands, not a file beside it.
        safe_cells: put an apostrophe before a text that a spreadsheet would execute.
    """

    path: Path
    form: Format
    compressed: bool
    descriptor: int | None
    through: bool
    safe_cells: bool = False

    @staticmethod
    def at(path: Path, form: Format | None, force: bool, *, safe_cells: bool = False) -> Output:
        """Check an output before anything is done for it.

        Args:
            path: the file, pipe or device; `-` is standard output.
            form: the format; default: by the name's ending, CSV for pipes and devices without one.
            force: whether a file that is there may be replaced.
            safe_cells: as the attribute.

        Raises:
            UsageError: if it can't be written, already exists, or names no format or another.
        """
        try:
            descriptor = _descriptor(path)
            through = descriptor is not None or _is_special(path)
            if not through:
                _check_file(path, force)
        except OSError as error:
            raise UsageError(f"{path}: can't be written: {error.strerror}") from None
        named, compressed = _named_format(path)
        if form is None and named is None and not through:
            raise UsageError(f"{path}: the name's ending is no format; allowed: {_allowed()}")
        if form not in (None, "cs224n", named) and named is not None:
            raise UsageError(f"{path}: is named as {named}, but --format is {form}")
        settled = form or named or "csv"
        if safe_cells and settled not in ("csv", "tsv"):
            raise UsageError(f"{path}: --safe-cells is for csv and tsv, not {settled}")
        return Output(path, settled, compressed, descriptor, through, safe_cells)

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it; a file is in its place only once the block has ended without an error.

        Raises:
            AccordError: if it can't be written.
            BrokenPipeError: whoever read a pipe is gone.
        """
        try:
            with self._opened() as file:
                if self.compressed:
                    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                        yield cast("IO[bytes]", packed)
                else:
                    yield file
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise AccordError(f"{self.path}: can't be written: {reason}") from None

    def _opened(self) -> contextlib.AbstractContextManager[IO[bytes]]:
        if self.descriptor is not None:
            if sys.stdout is not None:
                sys.stdout.flush()
            return os.fdopen(os.dup(self.descriptor), "wb")
        if self.through:
            return self.path.open("wb")
        return atomic_file(Path(os.path.realpath(self.path)))  # a link stays one


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file that a path names, through links too.

    Opening it by such a path would empty a file that standard output is appended to.
    """
    if path == Path("-"):
        return 1
    for _ in range(_MOST_LINKS):
        matched = _DESCRIPTOR.fullmatch(os.path.normpath(path.absolute()))
        if matched is not None:
            return int(_STANDARD.get(matched[1], matched[2] or matched[3]))
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


def _is_special(path: Path) -> bool:
    """Whether a path is of a pipe or device."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _check_file(path: Path, force: bool) -> None:
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {target.parent}")
    if target.is_dir():
        raise UsageError(f"{path}: is a folder; predictions are a file")
    if target.exists() and not force:
        raise UsageError(f"{path}: already exists; --force replaces it")


def _named_format(path: Path) -> tuple[Format | None, bool]:
    """Return the format that a name's ending says, and whether it says gzip too."""
    name = path.name.lower()
    compressed = name.endswith(".gz")
    form = ENDINGS.get(Path(name.removesuffix(".gz")).suffix)
    return (None, False) if compressed and form in (None, "parquet") else (form, compressed)


def _allowed() -> str:
    texts = ", ".join(ending for ending in ENDINGS if ending != ".parquet")
    return f"{texts} (and each of them with .gz), .parquet; or name it by --format"


def refuse_sources(output: Output, sources: Sequence[Path], model: Path) -> None:
    """Refuse an output that is the input, or is or lies among the files of a model and its run.

    Args:
        output: where predictions go.
        sources: the files that they are of.
        model: a model folder.

    Raises:
        UsageError: naming the folder.
    """
    if output.through:
        return
    target, folder = Path(os.path.realpath(output.path)), model.resolve()
    if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
        raise UsageError(f"{output.path}: is the input too; predictions take a file of their own")
    runs = [parent for parent in folder.parents if (parent / "resolved.json").is_file()]
    for place in (folder, *runs):
        if target.is_relative_to(place):
            raise UsageError(f"{output.path}: lies in {place}, whose files are the model's own")
    files = (path for path in folder.rglob("*") if path.is_file())
    if target.exists() and any(file.samefile(target) for file in files):
        raise UsageError(f"{output.path}: is a file of the model {model}")
