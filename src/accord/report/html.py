"""A report as one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from accord.errors import printable
from accord.report.page import Figure, Section


def html_page(
    title: str, lead: list[str], sections: list[Section], formats: Sequence[str] = ()
) -> str:
    """Return the page: CSS and SVG inline, no script; every text is escaped.

    Args:
        title: of the page.
        lead: paragraphs before the first section.
        sections: in their order.
        formats: in which figures and tables stand beside the page, for its links.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # A lone surrogate or a control character would make the file unreadable as UTF-8 or HTML.
        finalize=_finalize,
    )
    environment.tests["figure"] = lambda item: isinstance(item, Figure)
    environment.filters["drawing"] = _drawing
    page = environment.get_template("page.html")
    return page.render(title=title, lead=lead, sections=sections, formats=formats) + "\n"


def _finalize(value: object) -> object:
    return printable(value) if type(value) is str else value


def _drawing(figure: Figure) -> Markup:
    # The one thing that is not escaped: matplotlib has escaped the texts inside it.
    return Markup(figure.svg)
