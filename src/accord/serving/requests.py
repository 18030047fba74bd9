"""What a request asks, read from its body: everything wrong with it is one line and a status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from accord.errors import nearest

KEYS = ("texts", "tasks", "probabilities", "model")
_NAMES, _NAME = 10_000, 200  # of tasks in a request, and characters of a name
_DEPTH = 4  # of brackets: an object, its texts, a text's candidates


@dataclass(frozen=True)
class Limits:
    """What a request may be, and how many may wait.

    Attributes:
        body_bytes: of its body.
        texts: in it.
        characters: of all texts together.
        seconds: until it is there, and until its answer is taken.
        waiting: requests that may wait.
        patience: seconds that a request may be expected to wait; ten times what it takes itself
            where that is more.
    """

    body_bytes: int = 1 << 20
    texts: int = 256
    characters: int = 100_000
    seconds: float = 10.0
    waiting: int = 1000
    patience: float = 0.5


class Refused(Exception):  # noqa: N818 (it is an answer)
    """A request that is not answered.

    Attributes:
        status: of HTTP.
        message: one line.
        headers: that go with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


@dataclass(frozen=True)
class Asked:
    """What a request asks.

    Attributes:
        texts: strings, or lists of strings: pairs, words, or a text with its candidates.
        tasks: None: all that take such texts.
        probabilities: whether these are wanted.
        model: its name; None: the only one.
    """

    texts: list[Any]
    tasks: tuple[str, ...] | None
    probabilities: bool
    model: str | None

    @property
    def characters(self) -> int:
        """Of all texts together."""
        return sum(map(_characters, self.texts))


def read(body: bytes, limits: Limits, task: str | None = None) -> Asked:
    """Read a request's body.

    Args:
        body: JSON.
        limits: what it may be.
        task: the one that its path names; None lets the body name some.

    Raises:
        Refused: if it is something else.
    """
    table = _parsed(body)
    if not isinstance(table, dict):
        raise Refused(422, f"the body should be an object with 'texts', got {_kind(table)}")
    for key in table:
        if key not in KEYS:
            raise Refused(422, f"unknown key '{key:.40}'{nearest(key[:40], list(KEYS))}")
    texts = table.get("texts")
    if not isinstance(texts, list):
        what = "is missing" if texts is None else f"should be a list, got {_kind(texts)}"
        raise Refused(422, f"'texts' {what}")
    if len(texts) > limits.texts:
        raise Refused(413, f"{len(texts):,} texts; at most {limits.texts:,} are allowed")
    for place, text in enumerate(texts):
        _check_text(text, place)
    asked = Asked(texts, _tasks(table, task), _flag(table), _model(table))
    if asked.characters > limits.characters:
        raise Refused(
            413, f"{asked.characters:,} characters; at most {limits.characters:,} are allowed"
        )
    return asked


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8: byte {error.start}") from None
    if not text.strip():
        raise Refused(400, "the body is empty; it should be an object with 'texts'")
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        what = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise Refused(400, f"the body is not JSON: {what}") from None
    except RecursionError:
        raise Refused(400, f"the body is nested more than {_DEPTH} deep") from None
    except ValueError as error:  # a number of too many digits
        raise Refused(400, f"the body is not JSON: {str(error).splitlines()[0]:.80}") from None


def _no_number(name: str) -> NoReturn:
    raise Refused(400, f"the body is not JSON: {name} is no number there")


def _check_text(text: object, place: int) -> None:
    if isinstance(text, str):
        return
    if not isinstance(text, list):
        raise Refused(422, f"text {place}: should be a string or a list, got {_kind(text)}")
    for number, part in enumerate(text):
        inner = part if isinstance(part, list) and number == 1 and len(text) == 2 else [part]
        for each in inner:
            if not isinstance(each, str):
                raise Refused(422, f"text {place}: should hold strings, got {_kind(each)}")


def _tasks(table: Mapping[str, Any], task: str | None) -> tuple[str, ...] | None:
    tasks = table.get("tasks")
    if task is not None:
        if tasks is not None:
            raise Refused(422, "'tasks': the path names the task already")
        return (task,)
    if tasks is None:
        return None
    if not isinstance(tasks, list) or not all(isinstance(each, str) for each in tasks):
        raise Refused(422, "'tasks' should be a list of names")
    if len(tasks) > _NAMES or any(len(each) > _NAME for each in tasks):
        raise Refused(422, f"'tasks': at most {_NAMES:,} names of {_NAME} characters")
    if not tasks:
        raise Refused(422, "'tasks' is empty; without it all tasks are answered")
    return tuple(tasks)


def _flag(table: Mapping[str, Any]) -> bool:
    value = table.get("probabilities", False)
    if not isinstance(value, bool):
        raise Refused(422, f"'probabilities' should be true or false, got {_kind(value)}")
    return value


def _model(table: Mapping[str, Any]) -> str | None:
    value = table.get("model")
    if value is not None and not isinstance(value, str):
        raise Refused(422, f"'model' should be a name, got {_kind(value)}")
    if value is not None and len(value) > _NAME:
        raise Refused(404, f"'model': no name has {len(value):,} characters")
    return value


def _characters(text: Any) -> int:
    """Return how many characters are read, at least one of each string: a text is with every one of
    its candidates."""
    if isinstance(text, str):
        return max(1, len(text))
    if len(text) == 2 and isinstance(text[1], list):
        return sum(_characters(text[0]) + _characters(candidate) for candidate in text[1])
    return sum(map(_characters, text))


def _kind(value: object) -> str:
    """Return what JSON calls a value."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a string",
             list: "a list", dict: "an object"}  # fmt: skip
    return names.get(type(value), type(value).__name__)
