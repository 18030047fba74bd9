r"""A report's tables for LaTeX documents: `\input{tables/NAME.tex}`."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from accord.errors import printable
from accord.report.page import Table

_LONG = 40  # rows that a page has room for
_WIDE = 45  # letters of a text cell that stays in one line

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_\allowbreak{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char`\"{}",
    "`": r"\textasciigrave{}", "'": "{'}", "-": "{-}",
    # Long names may be broken after the signs that join their parts.
    ",": r"{,}\allowbreak{}", "=": r"=\allowbreak{}", "/": r"/\allowbreak{}",
    # After a row's end '[' would begin an option, and '*' be part of the command.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "–": "--", "—": "---", "…": r"\ldots{}",
    "∞": r"$\infty$", "≤": r"$\leq$", "≥": r"$\geq$", "·": r"$\cdot$", "→": r"$\to$",
    "√": r"$\surd$", "α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "ρ": r"$\rho$",
    "σ": r"$\sigma$", "τ": r"$\tau$", "\u00a0": "~",
}  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Return plain text so that LaTeX prints it as it is.

    Letters of other scripts stay as they are: they need XeLaTeX or LuaLaTeX and a font.

    Example:
        >>> print(escape_latex("50 % of a_b & $x$"))
        50 \% of a\_\allowbreak{}b \& \$x\$
        >>> print(escape_latex("[a] 'b' --set"))
        {[}a{]} {'}b{'} {-}{-}set
    """
    return "".join(_SIGNS.get(letter, letter) for letter in printable(text))


def latex_table(table: Table) -> str:
    r"""Return a table in the style of booktabs: its title is the caption, its note stands below.

    Text columns are set flush left, and broken into lines where they are wide; numbers are set
    flush right, which aligns them, as a column's figures have equally many places. A table wider
    than the page is scaled to it; one of more than forty rows may go over several pages.

    Args:
        table: any.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined,
        block_start_string="<%", block_end_string="%>", variable_start_string="<<",
        variable_end_string=">>", comment_start_string="<#", comment_end_string="#>",
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    return environment.get_template("table.tex").render(
        table=table, columns=_columns(table), names=_row(table.columns, len(table.columns)),
        rows=[_row(row, table.left) for row in table.rows], long=len(table.rows) > _LONG,
        title=escape_latex(table.title), note=escape_latex(table.note),
    )  # fmt: skip


def _columns(table: Table) -> str:
    """Return the columns' kinds: l, a paragraph where a text is wide, and r for numbers."""
    cells = list(zip(table.columns, *table.rows, strict=True))
    wide = [max(map(len, cell)) > _WIDE for cell in cells[: table.left]]
    share = 0.7 / max(sum(wide), 1)
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{min(share, 0.5):.2f}\linewidth}}"
    return "".join(paragraph if is_wide else "l" for is_wide in wide) + "r" * (
        len(cells) - table.left
    )


def _row(cells: list[str], left: int) -> str:
    escaped = [escape_latex(cell if i < left else _minus(cell)) for i, cell in enumerate(cells)]
    return " & ".join(escaped) + r" \\"


def _minus(cell: str) -> str:
    """Write a number's hyphen as the minus that it means."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", cell)
