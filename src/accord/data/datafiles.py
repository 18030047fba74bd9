"""Which files a split's value names: one, a list of them, a pattern or a folder."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from accord.errors import ConfigError

CONLL_SUFFIXES = (".conll", ".iob", ".iob2", ".bio")
SUFFIXES = (
    ".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", *CONLL_SUFFIXES
)  # fmt: skip
"""What names of data files end in, before a `.gz`."""

SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "dev": "dev", "develop": "dev", "valid": "dev", "validation": "dev", "val": "dev",
    "eval": "dev", "test": "test", "testing": "test",
}  # fmt: skip

_SHARD = re.compile(r"[-_.](\d+)-of-(\d+)$")
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")


def named(value: str | Sequence[str]) -> list[str]:
    """Return the paths and patterns of a split's value."""
    return [value] if isinstance(value, str) else list(value)


def shown(value: str | Sequence[str]) -> str:
    """Return a split's value as messages name it.

    Example:
        >>> shown("a.csv"), shown(["a.csv", "b.csv"]), shown(["a.csv", "b.csv", "c.csv"])
        ('a.csv', 'a.csv and b.csv', 'a.csv and 2 other files')
    """
    first, *others = named(value)
    if len(others) < 2:
        return " and ".join((first, *others))
    return f"{first} and {len(others)} other files"


def find_files(value: str | Sequence[str]) -> tuple[Path, ...]:
    """Return the files that a split's value names: of a list in its order, else sorted by name.

    Raises:
        ConfigError: a file is not there or named twice, a pattern fits none, or a folder doesn't
            hold the files of one split.
    """
    paths = [path for text in named(value) for path in _files_of(text)]
    if not paths:
        raise ConfigError("names no file")
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"names {path} twice")
    return tuple(paths)


def canonical_files(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the files that a split's value names, alike however they are spelt: one, a list of
    them, a pattern or a folder. Relative paths, and files that aren't there, are as they are named.

    Example:
        >>> canonical_files("./a.csv") == canonical_files(["b/../a.csv"]) == ("a.csv",)
        True
    """
    paths = named(value)
    try:
        if all(map(os.path.isabs, paths)):
            paths = [str(path) for path in find_files(value)]
    except ConfigError:
        pass
    return tuple(map(os.path.normpath, paths))


def of_the_same_files(values: Mapping[str, str | Sequence[str] | None]) -> list[str]:
    """Return the names of splits whose files another one has too.

    Args:
        values: of splits, by name; None has no files.
    """
    files = {name: canonical_files(value) for name, value in values.items() if value is not None}
    every = list(files.values())
    return [name for name, paths in files.items() if every.count(paths) > 1]


def folder_files(folder: Path) -> list[Path]:
    """Return a folder's data files, by what their names end in, sorted."""
    return sorted(
        path for path in folder.iterdir()
        if path.is_file() and path.name not in _ABOUT_DATA and format_suffix(path) in SUFFIXES
        and not path.name.startswith(".")
    )  # fmt: skip


def format_suffix(path: Path) -> str:
    """Return what a file's name ends in, in small letters and without `.gz`.

    Example:
        >>> format_suffix(Path("a.CSV")), format_suffix(Path("a.csv.gz"))
        ('.csv', '.csv')
    """
    return Path(_bare_name(path)).suffix.lower()


def stem(path: Path) -> str:
    """Return a file's name without what it ends in, and without `.gz`."""
    return Path(_bare_name(path)).stem


def _bare_name(path: Path) -> str:
    return path.stem if path.suffix.lower() == ".gz" else path.name


def split_of(path: Path) -> str | None:
    """Return the split that a file's name holds a word for, by the last such word; or None."""
    words = re.split(r"[-_. ]+", stem(path).lower())
    return next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), None)


def shard(path: Path) -> tuple[str, int, int] | None:
    """Return a shard's name without its number, the number from 0, and how many shards there are.

    Example:
        >>> shard(Path("train-00000-of-00002.parquet"))
        ('train', 0, 2)
    """
    name = stem(path)
    matched = _SHARD.search(name)
    return (name[: matched.start()], int(matched[1]), int(matched[2])) if matched else None


def missing_shards(paths: Sequence[Path]) -> str:
    """Say which shards are missing, where their names give the total; mostly nothing.

    Example:
        >>> missing_shards([Path("train-00001-of-00002.parquet")])
        '1 of the 2 shards of train, without number 0'
    """
    numbers: dict[tuple[Path, str, int], set[int]] = {}
    for path in paths:
        if parts := shard(path):
            numbers.setdefault((path.parent, parts[0], parts[2]), set()).add(parts[1])
    for (_, name, count), number in numbers.items():
        if lacking := sorted(set(range(count)) - number):
            return f"{len(number)} of the {count} shards of {name}, without number {lacking[0]}"
    return ""


def _files_of(text: str) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        yield from _split_in(path)
    elif path.is_file() or not re.search(r"[*?[]", text):
        if not path.is_file():
            raise ConfigError(_missing(path))
        yield path
    else:
        files = sorted(match for match in _matches(path) if match.is_file())
        if not files:
            raise ConfigError(f"{path}: no file fits this pattern")
        yield from files


def _matches(pattern: Path) -> Iterator[Path]:
    root = Path(pattern.anchor) if pattern.anchor else Path()
    try:
        yield from root.glob(str(pattern.relative_to(root)))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{pattern}: not a pattern that can be followed: {error}") from None


def _split_in(folder: Path) -> list[Path]:
    """Return a folder's data files, which are of one format and one split."""
    files = folder_files(folder)
    if not files:
        ends = ", ".join(SUFFIXES)
        raise ConfigError(f"{folder}: a folder without data files (names that end in {ends})")
    formats = {format_suffix(path): path.name for path in files}
    splits = {split_of(path): path.name for path in files}
    for what, kinds in (("formats", formats), ("splits", splits)):
        if len(kinds) > 1:
            one, other = list(kinds.values())[:2]
            raise ConfigError(
                f"{folder}: a folder with files of several {what}, as {one} and {other}; name the"
                f' files, or a pattern such as "{folder.name}/train*{Path(one).suffix}"'
            )
    if lacking := missing_shards(files):
        raise ConfigError(f"{folder}: holds {lacking}")
    return files


def _missing(path: Path) -> str:
    if any(c < " " for c in str(path)):  # a basic string makes line ends and tabs of \n and \t
        return f"{path}: no such file; backslashes take single quotes, as in 'C:\\new\\train.csv'"
    if path.exists():
        return f"{path}: a pipe or device; data files are read more than once, so name a file"
    if not path.parent.is_dir():
        return f"{path}: no such file, nor is there a folder {path.parent}"
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"{path}: no such file" + (f"; did you mean '{close[0]}'?" if close else "")
