"""Files that no crash leaves half written: written aside, flushed to the disk, then renamed.

Every operation that a crash could come between is announced by `reach`, so that a test can let the
process die there, or the disk be full (`ACCORD_FAULT`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from accord.untrusted import check_name, check_regular, read_json

if TYPE_CHECKING:
    from torch import Tensor

FAULT = "ACCORD_FAULT"
"""`kill@N` dies at the N-th announced operation, `full@N` finds the disk full from there on,
`read-only@N` finds it read-only, and `list@FILE` writes a line for each to FILE. For tests."""

MANIFEST = "manifest.json"

_ASIDE = ".aside"
_reached = 0


def reach(operation: str, path: Path) -> None:
    """Announce an operation on a file.

    Args:
        operation: 'write', 'sync' or 'rename'.
        path: of the file or folder.

    Raises:
        OSError: where a test wants the disk full or read-only.
    """
    fault = os.environ.get(FAULT)
    if not fault:
        return
    global _reached  # noqa: PLW0603 - the count is the process's
    _reached += 1
    kind, _, place = fault.partition("@")
    if kind == "list":
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"{operation} {path}\n")
    elif kind == "kill" and _reached == int(place):
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "full" and _reached >= int(place) and operation != "rename":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    elif kind == "read-only" and _reached >= int(place):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that is written aside, and renamed into place as the block ends without an error.

    Args:
        path: of the file.
        sync: flush it to the disk first; without, a power cut may lose it, a crash doesn't.
    """
    aside = _aside(path)
    try:
        reach("write", path)
        with aside.open("wb") as file:
            yield file
            file.flush()
            if sync:
                reach("sync", path)
                os.fsync(file.fileno())
        reach("rename", path)
        aside.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            aside.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def _aside(path: Path) -> Path:
    # A name may have as many bytes as the file system allows, which leaves no room for more.
    return path.with_name(f".{path.name[:40]}.{os.getpid()}{_ASIDE}")


def write_atomic(path: Path, content: str | bytes, *, sync: bool = True) -> None:
    """Write a file aside and rename it into place.

    Args:
        path: of the file.
        content: of it; text is written as UTF-8.
        sync: as `atomic_file`.
    """
    with atomic_file(path, sync=sync) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))


def leftovers(folder: Path) -> list[Path]:
    """Return what `write_atomic` and `replace_folder` left in a folder as a process was killed."""
    return [left for form in (f".*{_ASIDE}", ".old-*", ".new-*") for left in folder.glob(form)]


def sweep(folder: Path) -> None:
    """Remove what a process that was killed left in a folder; nobody else may be writing there."""
    for left in leftovers(folder):
        if left.name.endswith(_ASIDE):
            left.unlink(missing_ok=True)
        elif left.name.startswith(".old-"):
            recover_folder(left.with_name(left.name.removeprefix(".old-")))
        else:
            shutil.rmtree(left, ignore_errors=True)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        OSError: if it can't be read, or is not a file.
        SafetensorError: if it holds no tensors.
    """
    from safetensors.torch import load_file

    check_name(path)
    check_regular(path)
    return load_file(path)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file, within `replace_folder` or `write_tensors_atomic`.

    Raises:
        OSError: if there is no room, or it can't be written for another reason of the system's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    check_name(path)
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(mode)  # the library's own files are for nobody else to read
    except SafetensorError as error:  # the system's reason is in its text alone
        matched = re.search(r"os error (\d+)", str(error))
        if matched is None:
            raise
        number = int(matched[1])
        raise OSError(number, os.strerror(number), str(path)) from None


def write_tensors_atomic(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file aside and rename it into place.

    Raises:
        OSError: as `write_tensors`.
    """
    aside = _aside(path)
    try:
        reach("write", path)
        write_tensors(aside, tensors)
        reach("sync", path)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        reach("rename", path)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Add to a file."""
    reach("write", path)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def replace_folder(path: Path, write: Callable[[Path], None], *, manifest: bool = False) -> None:
    """Write a folder aside, flush its files, and put it in the place of an older one.

    Args:
        path: of the folder.
        write: fills the folder that it is given.
        manifest: add a file that holds the size and SHA-256 of all others.
    """
    aside, old = path.with_name(f".new-{path.name}"), path.with_name(f".old-{path.name}")
    recover_folder(path)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        reach("write", path)
        write(aside)
        if manifest:
            write_manifest(aside)
        _flush(aside, path)
    except Exception:
        shutil.rmtree(aside, ignore_errors=True)  # a full disk needs the room
        raise
    if path.exists():
        reach("rename", old)
        path.rename(old)
    reach("rename", path)
    aside.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(aside: Path, path: Path) -> None:
    """Flush what was written aside, the files of folders within included."""
    for file in sorted(aside.iterdir()):
        if file.is_dir():
            _flush(file, path / file.name)
            continue
        reach("sync", path / file.name)
        with file.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(aside)


def recover_folder(path: Path) -> None:
    """Put back what `replace_folder` had moved away when it was interrupted."""
    old = path.with_name(f".old-{path.name}")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Flush a folder's own entries: what was renamed in it is there after a power cut too."""
    reach("sync", path)
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:  # some systems open no folders; files are flushed all the same
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)


def write_manifest(folder: Path) -> None:
    """Write the size and SHA-256 of a folder's files beside them."""
    files = {file.name: _content(file) for file in sorted(folder.iterdir())}
    text = json.dumps({"files": files}, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def damage(folder: Path, names: Iterable[str]) -> str | None:
    """Check a folder against its manifest.

    Args:
        folder: that `replace_folder` wrote with one.
        names: the files that it must hold.

    Returns:
        What is wrong, naming the file; None if every file is as it was written.

    Raises:
        OSError: if a file can't be read now, which says nothing of its content.
    """
    try:
        files = read_json(folder / MANIFEST)["files"]
        faults = (_file_damage(folder / name, files.get(name)) for name in names)
        return next((fault for fault in faults if fault), None)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except IsADirectoryError as error:
        return f"{Path(error.filename).name} is a folder"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} can't be read"


def identity(folder: Path) -> str:
    """Return what distinguishes a folder with a manifest from any other: the manifest's SHA-256."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def replacement(folder: Path, sha256: str | None) -> str | None:
    """Check that a folder is the one whose `identity` somebody noted.

    Returns:
        What is wrong, naming the folder; None if every file is as it was then.
    """
    try:
        fault = damage(folder, list(read_json(folder / MANIFEST)["files"]))
        if fault is None and identity(folder) != sha256:
            fault = "it is another attempt's"
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        fault = f"{MANIFEST} can't be read"
    return None if fault is None else f"{folder}: {fault}"


def link(source: Path, target: Path) -> None:
    """Let a second name stand for a file, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _file_damage(file: Path, written: dict[str, Any] | None) -> str | None:
    if written is None:
        return f"{MANIFEST} doesn't name {file.name}"
    content = _content(file)
    if content["bytes"] != written["bytes"]:
        return f"{file.name} has {content['bytes']} bytes, {written['bytes']} were written"
    if content["sha256"] != written["sha256"]:
        return f"{file.name} is not what was written: its SHA-256 differs"
    return None


def _content(file: Path) -> dict[str, Any]:
    check_regular(file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}
