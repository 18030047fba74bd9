"""How text files are spelt: the names of delimiters, of quoting, and of encodings."""

from __future__ import annotations

from typing import Literal

DelimiterName = Literal["tab", "comma", "semicolon", "pipe"]
QuotingName = Literal["csv", "none"]


def encoding_fault(name: str | None) -> str:
    """Return why a name is that of no text encoding; empty where it is, or is None."""
    try:
        "".encode(name or "utf-8")
    except (LookupError, ValueError):
        return f"unknown text encoding '{name}'; allowed: what Python knows, such as utf-8, cp1252"
    return ""
