"""The config as JSON Schema, by which editors complete and check a file while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accord.config.sections import Config
from accord.durable import write_atomic
from accord.errors import UsageError
from accord.families import FAMILIES
from accord.untrusted import read_json

FILE = "accord.schema.json"
"""The schema's name where it stands beside a config, which names it in its first line."""
NAMED = f"#:schema {FILE}\n"
"""That first line, as TOML editors read it."""

_TITLE = "Accord's config"


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a config.

    What it refuses `accord check` refuses too. The other way round a schema says less: it knows no
    conditions between keys, no files and no encoder.

    Example:
        >>> config_schema()["properties"]["encoder"]
        {'$ref': '#/$defs/EncoderConfig'}
    """
    schema = _without_null(Config.model_json_schema())
    properties = schema["properties"]
    properties["methods"] = {
        "description": properties["methods"]["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {
            method.name: {
                **_without_null(method.options.model_json_schema()),
                "description": method.use,
            }
            for family in FAMILIES
            for method in family.all()
        },
    }
    for tables in ("tasks", "texts"):
        properties[tables]["additionalProperties"] = False  # a name that the pattern doesn't fit
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": _TITLE,
    }


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def write_schema(file: Path) -> None:
    """Write the schema, also over one of another version.

    Raises:
        UsageError: if something else is there, or it can't be written.
    """
    if file.exists() and not _is_schema(file):
        raise UsageError(f"{file}: exists already, and is no schema of Accord's")
    try:
        write_atomic(file, schema_text())
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror}") from None


def write_with_schema(config: Path, text: str) -> None:
    """Write a config, and beside it the schema, which its first line then names.

    A file of that name that is something else stays, and the config names no schema.

    Args:
        config: the file.
        text: of it.

    Raises:
        UsageError: if one of them can't be written.
        UnicodeEncodeError: if UTF-8 can't spell the text.
    """
    schema = config.absolute().with_name(FILE)
    free = not schema.exists() or _is_schema(schema)
    try:
        write_atomic(config, NAMED + text if free else text)
    except OSError as error:
        raise UsageError(f"{config}: can't be written: {error.strerror}") from None
    if free:
        write_schema(schema)


def _is_schema(file: Path) -> bool:
    try:
        return bool(read_json(file)["title"] == _TITLE)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _without_null(value: Any) -> Any:
    """Return a part of the schema without titles, defaults of whole tables, and `null`, which
    TOML doesn't have."""
    if isinstance(value, list):
        return [_without_null(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: _without_null(inner)
        for key, inner in value.items()
        if not (key == "title" and isinstance(inner, str))
        and not (key == "default" and (inner is None or isinstance(inner, dict)))
        and key != "discriminator"  # OpenAPI's; editors go by each section's `kind`
    }
    choices = kept.get("anyOf")
    if choices is not None:
        some = [choice for choice in choices if choice != {"type": "null"}]
        del kept["anyOf"]
        kept = {**some[0], **kept} if len(some) == 1 else {"anyOf": some, **kept}
    return kept
