"""The documentation site, as Sphinx makes it: `make docs`. Warnings are errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import accord
from accord.config.schema import FILE, write_schema

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Accord"
author = project_copyright = "The Accord developers"
version = release = accord.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Accord {release}"

# The pages are Markdown files that are read in the repository too, by GitHub's rules.
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
highlight_language = "none"

default_role = "literal"  # one backtick in a docstring means code
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
maximum_signature_line_length = 90


def keep_formulas(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Make an indented block after a colon a literal one: a formula, or a shape by a line."""
    for i in range(1, len(lines) - 1):
        before, blank, after = lines[i - 1 : i + 2]
        opens = before.endswith(":") and not before.endswith("::") and not blank.strip()
        if opens and indent(after) > indent(before):
            lines[i - 1] += ":"


def indent(line: str) -> int:
    """Return how far a line is indented; -1 if it is blank."""
    return len(line) - len(line.lstrip()) if line.strip() else -1


def publish_schema(app: Sphinx, error: Exception | None) -> None:
    """Put the config's schema beside the pages."""
    if error is None:
        write_schema(Path(app.outdir) / FILE)


def setup(app: Sphinx) -> None:
    """Read docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", keep_formulas, priority=100)
    app.connect("build-finished", publish_schema)
