"""The formats in which a report's figures and tables can be written besides SVG and CSV."""

from __future__ import annotations

from accord.errors import UsageError, nearest

FORMATS = ("pdf", "png", "latex")


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the formats of a comma list, each once, in the order of `FORMATS`.

    Raises:
        UsageError: one is unknown.

    Example:
        >>> parse_formats("latex, pdf")
        ('pdf', 'latex')
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--formats '{text}': no format '{name}'{nearest(name, FORMATS)}")
    return tuple(form for form in FORMATS if form in names)
