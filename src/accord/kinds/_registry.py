"""Which kinds there are, found by their files; a name's prefix says whether rows hold pairs."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from accord.kinds._kind import Kind
from accord.kinds._labelled import LabelledKind
from accord.kinds._names import PAIR, spelt

if TYPE_CHECKING:
    from accord.config.tasks import TaskConfig
    from accord.tasks import Task


@cache
def all_kinds() -> tuple[Kind[Any], ...]:
    """Return all kinds, those with labels first."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    kinds = [
        import_module(f"accord.kinds.{name}").KIND for name in names if not name.startswith("_")
    ]
    return tuple(sorted(kinds, key=lambda kind: (not kind.labelled, kind.name)))


@cache
def kind_names() -> tuple[str, ...]:
    """Return every value that `kind` may have in the config.

    Example:
        >>> [name for name in kind_names() if name.endswith("regression")]
        ['regression', 'pair-regression']
    """
    single = [kind.name for kind in all_kinds() if kind.labelled]
    pairs = [spelt(kind.name, 2) for kind in all_kinds() if kind.pairs]
    return (*single, *pairs, *(kind.name for kind in all_kinds() if not kind.labelled))


def is_kind(name: object) -> TypeGuard[str]:
    """Whether the config may have it as a `kind`."""
    return isinstance(name, str) and name in kind_names()


def is_unlabelled(name: object) -> bool:
    """Whether it names a kind without labels."""
    return is_kind(name) and not get_kind(name).labelled


def get_kind(name: str) -> Kind[Any]:
    """Return the kind that the config means by a name.

    Raises:
        KeyError: if there is none.
    """
    return _by_name()[name]


@cache
def _by_name() -> dict[str, Kind[Any]]:
    kinds = {kind.name: kind for kind in all_kinds()}
    return {name: kinds[name.removeprefix(PAIR)] for name in kind_names()}


def takers_of_lists(kind: str) -> str:
    """Say which kinds take a label that is a list, or that this one doesn't where none do."""
    names = [f"'{each.name}'" for each in all_kinds() if getattr(each, "takes_lists", False)]
    return f"kind {' or '.join(names)} takes them" if names else f"kind '{kind}' takes one label"


def task_section(**keys: Any) -> TaskConfig:
    """Return the keys of a `[tasks.NAME]` with labels as its kind has them.

    Raises:
        KeyError: if there is no such kind.
        pydantic.ValidationError: if something is wrong with them.
    """
    section: type[TaskConfig] = get_kind(keys["kind"]).section  # type: ignore[assignment]
    return section(**keys)


def kind_of(task: Task) -> Kind[Any]:
    """Return a task's kind."""
    return get_kind(task.kind)


def labelled_kind(task: Task) -> LabelledKind[Any]:
    """Return the kind of a task with labels."""
    kind = kind_of(task)
    assert isinstance(kind, LabelledKind)  # others predict nothing
    return kind
