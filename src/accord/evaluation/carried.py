"""An input's columns, as a file of answers takes them over: in their order, with their types."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow
from pyarrow import ArrowException, DataType

from accord.data.rows import Column, encodable
from accord.data.values import Scalar, list_cell, list_text

Cells = Mapping[Column, Any]


class Carried:
    """The columns of all rows that were noted, in the order in which they came.

    Args:
        typed: whether the output's columns have types.
    """

    def __init__(self, typed: bool) -> None:
        self._typed = typed
        self._types: dict[Column, DataType | None] = {}

    @property
    def columns(self) -> list[Column]:
        """All columns."""
        return list(self._types)

    @property
    def types(self) -> dict[Column, DataType]:
        """Each column's type, of an output that has them: text where its rows have others, or what
        Parquet has no type for."""
        return {column: pyarrow.string() if of is None or of == pyarrow.null() else of
                for column, of in self._types.items()}  # fmt: skip

    def note(self, cells: Cells) -> None:
        """Take note of a row's columns, and of the types of its cells."""
        if not self._typed:
            self._types |= dict.fromkeys(cells)
            return
        for column, value in cells.items():
            self._types[column] = _noted(self._types, column, value)


def carried(cells: Cells) -> Cells:
    """Return a row's cells as they are written: texts, `Scalar`s, booleans, lists, objects, None;
    Arrow's scalars as they are.

    Raises:
        ValueError: naming the column of one that no text file can hold.
    """
    return {column: _plain(value, column[0]) for column, value in cells.items()}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, str):
        if not encodable(value):
            raise ValueError(f"'{name}' holds half a character (a lone surrogate)")
        return value
    if value is None or isinstance(value, bool | pyarrow.Scalar):
        return value
    if isinstance(value, float) and math.isinf(value):
        return Scalar("1e999" if value > 0 else "-1e999")  # JSON has no other spelling
    return list_cell([value], name)[0]


def characters(value: Any) -> int:
    """Return about how many characters, or bytes, a value has, those of lists and objects in it
    too."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, pyarrow.StructScalar):
        return sum(map(characters, value.values())) if value.is_valid else 8
    if isinstance(value, pyarrow.ListScalar):
        return value.values.nbytes if value.is_valid else 8
    if isinstance(value, pyarrow.BinaryScalar):
        return value.as_buffer().size if value.is_valid else 8
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return sum(map(characters, value)) if isinstance(value, list) else 8


def as_arrow(values: Iterable[Any], of: DataType) -> pyarrow.Array:
    """Return a column's cells as an array of its type; its scalars or plain values.

    Raises:
        OSError: one is not of the type.
    """
    fitting = [_typed(value, of) for value in values]
    try:
        return pyarrow.array(fitting, of)
    except TypeError:  # a null in a list of lists, as a scalar
        plain = [each.as_py() if isinstance(each, pyarrow.Scalar) else each for each in fitting]
        return pyarrow.array(plain, of)


def _typed(value: Any, of: DataType) -> Any:
    if value is None or (isinstance(value, pyarrow.Scalar) and not value.is_valid):
        return None
    if isinstance(value, pyarrow.Scalar) and value.type == of:
        return value
    if of == pyarrow.string():
        if isinstance(value, pyarrow.Scalar):
            value = _plain(value.as_py(), "")
        return value if value is None or type(value) is str else list_text(value)
    return value.cast(of) if isinstance(value, pyarrow.Scalar) else _python(value, of)


def _python(value: Any, of: DataType) -> Any:
    """Return a plain value as Python's, which fits a type."""
    if isinstance(value, Scalar):
        if of == pyarrow.bool_():
            return value == "true"
        return float(value) if of == pyarrow.float64() else int(value)
    if isinstance(value, list):
        return [_python(each, of.value_type) for each in value]
    if isinstance(value, dict):
        return {name: _python(each, of.field(name).type) for name, each in value.items()}
    return value


def _noted(known: Mapping[Column, DataType | None], column: Column, value: Any) -> DataType | None:
    """Return the type of a column's cells, this one included; None where they have several."""
    before = known.get(column, pyarrow.null())
    if before is None or value is None or (before == pyarrow.string() and type(value) is str):
        return before
    try:
        return _both(before, _type(value))
    except ArrowException:
        return None


def _both(one: DataType, other: DataType) -> DataType:
    """Return the type of what are of two types.

    Raises:
        ArrowException: there is none.
    """
    if one == other:
        return one
    schemas = [pyarrow.schema([("x", of)]) for of in (one, other)]
    return pyarrow.unify_schemas(schemas, promote_options="permissive").field("x").type


def _scalar_type(value: Scalar) -> DataType:
    if value in ("true", "false"):
        return pyarrow.bool_()
    if not value.lstrip("-").isdigit():
        return pyarrow.float64()
    if not -(2**63) <= int(value) < 2**63:
        raise pyarrow.ArrowInvalid("no such integer")
    return pyarrow.int64()


def _type(value: Any) -> DataType:
    """Return a value's type; of an integer that Parquet has no type for, or an empty object, none.

    Raises:
        ArrowException: it is none, or what a list holds is of several.
    """
    if isinstance(value, pyarrow.Scalar):
        return value.type
    if isinstance(value, Scalar):
        return _scalar_type(value)
    if isinstance(value, dict):
        if not value:
            raise pyarrow.ArrowInvalid("an empty object")
        return pyarrow.struct([(name, _type(each)) for name, each in value.items()])
    if isinstance(value, list):
        inside = [_type(each) for each in value]
        return pyarrow.list_(functools.reduce(_both, inside, pyarrow.null()))
    return {str: pyarrow.string(), bool: pyarrow.bool_(), type(None): pyarrow.null()}[type(value)]
