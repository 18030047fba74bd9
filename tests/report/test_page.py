import csv
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from accord.errors import RunFolderError
from accord.report.figures import DurationRow, duration_and_improvement
from accord.report.page import Figure, Section, Table, slug
from accord.report.plain import csv_text, escape_markdown, markdown_page
from accord.report.writing import write_report

HOSTILE = [
    "<script>alert(1)</script>", "</svg><script>1</script>", "a|b", "x\ny", "]]>", '" onload="x',
    "{{ 7 * 7 }}", "$\\frac{1$", "\ud800", "\x00\x1b[31m", "![i](http://x.y/z)", "`code` *b* _i_",
    "&lt;b&gt;", 'id="p" url(#p) 1.23456', "--><b>", "_hidden", "情報 🎉",
]  # fmt: skip


class Parsed(HTMLParser):
    """The tags, ids, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


@cache
def figure(name: str, label: str = "one") -> Figure:
    rows = [DurationRow(label, 2.0, {"sst": 1.0}, {}), DurationRow("b", 3.0, {"sst": None}, {})]
    return duration_and_improvement(name, label, rows)


def write(out: Path, *items: Table | Figure, title: str = "t", text: str = "x") -> Parsed:
    write_report(out, title, [text], [Section(title, [text], list(items))])
    return Parsed((out / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    table = Table("t", "x", ["x", "n"], [["x", "x"]], note="x")
    return write(tmp_path_factory.mktemp("plain"), table, figure("f"))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text_wherever_it_stands(tmp_path: Path, plain: Parsed, text: str) -> None:
    table = Table("t", text, [text, "n"], [[text, text]], note=text)
    drawn = replace(figure("f"), title=text, sentence=text)
    page = write(tmp_path, table, drawn, title=text, text=text)
    assert page.tags == plain.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
    assert "49" not in page.text


@pytest.mark.slow
def test_text_is_text_in_a_figure(tmp_path: Path) -> None:
    def page(texts: list[str]) -> Parsed:
        rows = [DurationRow(text, 2.0, {"sst": 1.0}, {}) for text in texts]
        return write(tmp_path, duration_and_improvement("f", "".join(texts), rows))

    hostile, plain = page(HOSTILE), page(["one"] * len(HOSTILE))
    assert set(hostile.tags) == set(plain.tags)
    assert {name for name, _ in hostile.attributes} == {name for name, _ in plain.attributes}
    assert "49" not in hostile.text


def test_a_cell_says_what_it_was_given(tmp_path: Path) -> None:
    page = write(tmp_path, Table("t", "x", ["c"], [["<b> & 'q' |"]]))
    assert "<b> & 'q' |" in page.text


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page = write(tmp_path, figure("f"), Table("t", "x", ["c"], [["1"]]))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not page.of("src")
    links = [link for link in page.of("href") if not link.startswith("#")]
    assert all((tmp_path / link).is_file() for link in links)
    assert len(links) == 2
    assert "@import" not in page.text
    assert "http" not in page.text


@pytest.mark.slow
def test_ids_are_unique_and_every_reference_is_met(tmp_path: Path) -> None:
    names = ["f", "figure-f", "f-1", "section-1"]
    page = write(tmp_path, *map(figure, names), Table("f", "x", ["c"], []))
    ids = page.of("id")
    assert len(ids) == len(set(ids)) > 4 * 10
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    wanted = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    assert set(wanted) <= set(ids)
    assert len(wanted) > 4 * 10


def test_every_item_is_a_file_and_in_both_pages(tmp_path: Path) -> None:
    ours = figure("f")
    write(tmp_path, ours, Table("t", "The table", ["a", "b"], [["x", "1"]], note="Mind this."))
    assert (tmp_path / "figures" / "f.svg").read_text(encoding="utf-8") == ours.svg
    assert (tmp_path / "tables" / "t.csv").read_text(encoding="utf-8") == "a,b\nx,1\n"
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| a | b |\n| :-- | --: |\n| x | 1 |\n\nMind this." in text
    assert f"![one](figures/f.svg)\n\n{escape_markdown(ours.sentence)}" in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ours.svg in page
    assert '<td>x</td><td class="number">1</td>' in page
    assert not list(tmp_path.rglob(".*"))


def test_a_report_is_written_over_an_earlier_one_and_is_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, Table("t", "x", ["c"], [["old"]]))
    for _ in range(2):
        write(tmp_path, Table("t", "x", ["c"], [["new"]]), figure("f"))
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")}
    write(tmp_path / "other", Table("t", "x", ["c"], [["new"]]), figure("f"))
    assert (
        first.items()
        == {path.name: path.read_bytes() for path in (tmp_path / "other").rglob("*.*")}.items()
    )


def test_an_empty_report(tmp_path: Path) -> None:
    write_report(tmp_path, "Nothing", [], [])
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "# Nothing\n"


def test_markdown_begins_no_list_or_heading_of_its_own() -> None:
    for text in ("# a", "- a", "+ a", "1. a", "2) a", "> a", "* a", "=== a"):
        block = markdown_page("t", [text], []).split("\n\n")[1]
        assert re.match(r"(\d*\\[^\w]|&gt;)", block), block
    assert "0.5 points" in markdown_page("t", ["0.5 points"], []).replace("\\", "")


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-1+cmd|' /C calc'!A0", None),
        ("+a", "'+a"), ("-", "-"), ("-0.5", "-0.5"), ("+3e-05", "+3e-05"), ("", ""),
        ("-1.2 (-2.0 to -0.4)", "-1.2 (-2.0 to -0.4)"), ("-0.1 ± 0.2", "-0.1 ± 0.2"),
        ("-1.2 to 3", "-1.2 to 3"), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(cell: str, written: str | None) -> None:
    rows = list(csv.reader(csv_text(Table("t", "x", [cell], [[cell]])).splitlines()))
    # An empty line is how a table of one empty cell reads.
    assert rows in ([[written if written is not None else f"'{cell}"]] * 2, [[""], [""]], [[], []])


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a/b", "ä", "a.b", "a\n"])
def test_a_name_is_a_slug(name: str) -> None:
    with pytest.raises(ValueError, match="takes a-z"):
        Table(name, "x", [], [])
    with pytest.raises(ValueError, match="takes a-z"):
        Figure(name, "x", "<svg/>", "s")
    assert Table(slug(name), "x", [], [])


def test_a_row_has_as_many_cells_as_there_are_columns() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Table("t", "x", ["a", "b"], [["1", "2"], ["1"]])


def test_two_of_a_kind_take_two_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tables are 't'"):
        write(tmp_path, Table("t", "x", [], []), Table("t", "y", [], []))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file"):
        write(tmp_path / "file", Table("t", "x", [], []))
