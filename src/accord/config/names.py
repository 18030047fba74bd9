"""Names of methods, as keys of the config take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from accord.errors import nearest
from accord.registered import registered


@dataclass(frozen=True)
class NameOf:
    """Refuses a name, or one of a list, that no method of a family has."""

    family: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        written = handler(schema)
        for part in (written, written.get("items", {}), *written.get("anyOf", ())):
            if part.get("type") == "string":
                part["enum"] = [*registered(self.family)]
        return written

    def checked(self, value: Any) -> Any:
        """Return a value whose names are all known, each named once."""
        names, known = [value] if isinstance(value, str) else value or [], registered(self.family)
        for name in names:
            if name not in known:
                raise ValueError(f"unknown value '{name}'{nearest(name, known)}")
        if len(set(names)) < len(names):
            raise ValueError(f"names one twice: {', '.join(names)}")
        return value
