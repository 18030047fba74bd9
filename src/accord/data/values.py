"""What a typed file, JSON or Parquet, has in its cells: texts, and lists of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from accord.data.rows import encodable


class Scalar(str):
    """A number or boolean as it is spelt: in a list it is told from a word."""


_EXPONENTS = 400  # a number is written out up to here: beyond float64, and still a short text


def row_cells(values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Return the texts of a row's values, JSON's of lists, and those values that are lists.

    Raises:
        ValueError: a value is none that a row may have.

    Example:
        >>> row_cells({"text": "a b", "tags": ["O", "B-x"]})
        ({'text': 'a b', 'tags': '["O", "B-x"]'}, {'tags': ['O', 'B-x']})
    """
    lists = {
        name: list_cell(value, name)
        for name, value in values.items()
        if isinstance(value, list | tuple)
    }
    texts = {
        name: list_text(lists[name]) if name in lists else value_text(value, name)
        for name, value in values.items()
    }
    return texts, lists


def list_cell(values: Sequence[Any], name: str) -> list[Any]:
    """Return a list as every typed file has it: of texts, `Scalar`s, lists, objects and None.

    Raises:
        ValueError: something in it is no text, number, boolean or date, or it is nested too deeply.
    """
    try:
        return [_element(value, name) for value in values]
    except RecursionError:
        raise ValueError(f"'{name}' holds a list that is nested too deeply") from None


def list_text(value: Any) -> str:
    """Return the JSON of a list cell, or of what is in it.

    Example:
        >>> list_text(["a", None, Scalar("1.50"), [Scalar("true"), {"é": "x"}]])
        '["a", null, 1.50, [true, {"é": "x"}]]'
    """
    if isinstance(value, list):
        if all(type(each) is str for each in value):
            return json.dumps(value, ensure_ascii=False)  # quicker by far
        return f"[{', '.join(map(list_text, value))}]"
    if isinstance(value, dict):
        pairs = (f"{list_text(key)}: {list_text(of)}" for key, of in value.items())
        return f"{{{', '.join(pairs)}}}"
    return str(value) if isinstance(value, Scalar) else json.dumps(value, ensure_ascii=False)


def list_of(cell: str | Sequence[Any], name: str) -> Sequence[Any] | None:
    """Return the list that a cell is, or holds as JSON, as `list_cell` has it; None of a text that
    doesn't begin as one.

    Args:
        cell: a text or, of a typed file, a list.
        name: of the column, for messages.

    Raises:
        ValueError: it begins as a list, and is none.

    Example:
        >>> list_of('["joy", 1.0]', "y"), list_of("joy", "y"), list_of(["joy"], "y")
        (['joy', '1.0'], None, ['joy'])
    """
    if not isinstance(cell, str):
        return cell
    if not cell.lstrip().startswith("["):
        return None
    try:
        values = json.loads(cell, parse_float=Scalar, parse_int=Scalar)
    except (ValueError, RecursionError):
        raise ValueError(f"'{name}' holds no JSON list: {cell.strip():.40}") from None
    return list_cell(values, name)


def value_text(value: Any, name: str) -> str:
    """Return a value as a text, spelt alike whatever file it stands in; a missing one is empty.

    A missing value is a null or NaN: pandas and Arrow write either. A boolean is `true` or
    `false`; a float has the digits that its own width needs, and no decimals if it is whole,
    since integers become floats where one of a column is missing.

    Args:
        value: Python's own, or a NumPy float of the width that the file has.
        name: of the column, for messages.

    Raises:
        ValueError: it is no text, number, boolean or date.

    Example:
        >>> [value_text(value, "y") for value in (True, 3.0, float("nan"), None)]
        ['true', '3', '', '']
        >>> value_text(np.float32(0.1), "y"), value_text(1e16, "y")
        ('0.1', '10000000000000000')
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        # As text files are read: what is no UTF-8 becomes lone surrogates.
        value = value.decode(errors="surrogateescape")
        if not encodable(value):
            raise ValueError(f"'{name}' is not valid UTF-8")
    if isinstance(value, str):
        if not encodable(value):
            raise ValueError(f"'{name}' holds half a character (a lone surrogate)")
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return _float_text(value, name)
    if isinstance(value, int | date | time):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    raise ValueError(f"'{name}' holds {_kind(value)}, not a text or a number")


def spelt_number(spelling: str) -> str:
    """Return a number as it is spelt, but with its exponent written out.

    Example:
        >>> spelt_number("1.10"), spelt_number("1e3"), spelt_number("2.5E-3")
        ('1.10', '1000', '0.0025')
    """
    if "e" not in spelling.lower():
        return spelling
    if repr(value := float(spelling)) == spelling:
        return value_text(value, spelling)
    try:
        number = Decimal(spelling)
    except InvalidOperation:  # an exponent beyond all measure
        return spelling
    if number.is_zero():
        return "0"
    return format(number, "f") if abs(number.adjusted()) < _EXPONENTS else spelling


def _float_text(value: float | np.floating[Any], name: str) -> str:
    if math.isnan(value):
        return ""
    if math.isinf(value):
        raise ValueError(f"'{name}' holds an infinite number, which is no label and no text")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # all digits: those that tell floats apart are another integer's
    return np.format_float_positional(value, trim="-")


def _element(value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_element(each, name) for each in value]
    if isinstance(value, dict):
        return {value_text(key, name): _element(each, name) for key, each in value.items()}
    text = value_text(value, name)
    if isinstance(value, bool | int | float | np.floating | Decimal | Scalar):
        return Scalar(text) if text else None  # NaN is a missing one
    return None if value is None else text


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else f"a {type(value).__name__}"
