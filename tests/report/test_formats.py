"""Figures and tables in the formats that are asked for."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.errors import RunFolderError, UsageError
from accord.report.figures import DifferenceRow, differences
from accord.report.formats import parse_formats
from accord.report.latex import escape_latex, latex_table
from accord.report.page import Figure, Section, Table
from accord.report.writing import write_report

FIGURE = differences("f", "A figure", [DifferenceRow("a", 1.0, 0.5, 1.5, "better")])
TABLE = Table("t", "A table", ["name", "n"], [["a_b", "-0.5"]], note="50 % of them")


def write(out: Path, *formats: str) -> set[str]:
    write_report(out, "title", [], [Section("s", [], [FIGURE, TABLE])], formats)
    return {str(path.relative_to(out)) for path in out.rglob("*.*")}


@pytest.mark.slow
def test_what_is_asked_for_is_written_and_linked(tmp_path: Path) -> None:
    plain = {"report.html", "report.md", "figures/f.svg", "tables/t.csv"}
    assert write(tmp_path) == plain
    more = {"figures/f.pdf", "figures/f.png", "tables/t.tex"}
    assert write(tmp_path, "pdf", "png", "latex") == plain | more
    html, markdown = ((tmp_path / f"report.{each}").read_text() for each in ("html", "md"))
    assert all(f'href="{each}"' in html for each in more)
    assert all(f"]({each})" in markdown for each in more)


@pytest.mark.slow
def test_no_file_of_an_earlier_report_shows_other_data(tmp_path: Path) -> None:
    write(tmp_path, "pdf", "png", "latex")
    assert write(tmp_path, "png") == {
        "report.html", "report.md", "figures/f.svg", "figures/f.png", "tables/t.csv"
    }  # fmt: skip
    assert "f.pdf" not in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_the_files_are_what_they_are_called_and_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path, "pdf", "png")
    pdf, png = ((tmp_path / f"figures/f.{each}").read_bytes() for each in ("pdf", "png"))
    assert pdf.startswith(b"%PDF-")
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">I", png[16:20])[0] == 7 * 300  # pixels: page width at 300 an inch
    assert pdf == FIGURE.drawn_as("pdf")
    assert png == FIGURE.drawn_as("png")


def test_what_cannot_be_drawn_or_is_unknown_is_refused(tmp_path: Path) -> None:
    svg_alone = Section("s", [], [Figure("f", "x", "<svg/>", "s")])
    with pytest.raises(ValueError, match="'f': is an SVG alone"):
        write_report(tmp_path, "t", [], [svg_alone], ["pdf"])
    with pytest.raises(ValueError, match="no format 'gif'"):
        write(tmp_path, "gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file"):
        write(tmp_path / "file", "pdf")


@pytest.mark.parametrize(
    ("text", "said"),
    [("pdf,pgn", "no format 'pgn'; did you mean 'png'?"), ("zzz", "allowed: pdf, png, latex")],
)
def test_an_unknown_format_is_one_line_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", "[?]")) as caught:
        parse_formats(text)
    assert "\n" not in str(caught.value)


def test_a_table_in_latex() -> None:
    lines = latex_table(TABLE).splitlines()
    assert r"\caption{A table}\label{tab:t}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"a\_\allowbreak{}b & $-$0.5 \\" in lines
    assert r"\parbox{\linewidth}{\footnotesize 50 \% of them}" in lines
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]


@pytest.mark.parametrize("letter", list("&%$#_{}~^\\"))
def test_no_sign_of_latexs_is_left_bare(letter: str) -> None:
    written = escape_latex(f"a{letter}b")
    assert written.startswith("a\\")  # a command, or the sign after a backslash
    assert written.endswith("b")
    if letter not in "\\~^":
        assert written[2] == letter


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_row_before() -> None:
    rows = latex_table(Table("t", "x", ["c", "d"], [["a", "1"], ["[2pt]", "*"]])).splitlines()
    assert r"{[}2pt{]} & {*} \\" in rows


def test_long_tables_go_over_pages_and_wide_texts_over_lines() -> None:
    rows = [["x" * 60, "short", str(i)] for i in range(41)]
    text = latex_table(Table("t", "x", ["a", "b", "n"], rows, left=2))
    assert r"\begin{longtable}{>{\raggedright\arraybackslash}p{0.50\linewidth}lr}" in text
    assert r"\endhead" in text
    assert r"\begin{longtable}" not in latex_table(Table("t", "x", ["a", "b", "n"], rows[:40], 2))


@pytest.mark.slow
def test_every_figure_can_be_saved(make_run: Callable[..., Any]) -> None:
    from accord.report.figures import learning_curves

    figure = learning_curves("c", "t", {"g": [make_run({"sst": [0.5, 0.6]})]})
    before = figure.svg
    assert figure.drawn_as("pdf").startswith(b"%PDF")
    assert figure.drawn_as("svg").count(b"<path") == before.count("<path")
