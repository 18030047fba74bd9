"""Results at a prompt and in a notebook: what the commands print, as text and as HTML."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from rich.cells import cell_len

from accord.data.checking import CheckReport
from accord.evaluation.evaluate import Evaluations
from accord.kinds import Evaluation
from accord.showing import Table, as_html, as_text
from accord.training.run import Run

NASTY = "<script>alert('a & \"b\"')</script>"


class Read(HTMLParser):
    """Reads HTML back: the texts of each row of cells, those of lines, and the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.lines: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1] == "div":
            self.lines.append(data)
        else:
            self.rows[-1][-1] += data


def test_numbers_stand_right_and_texts_left():
    rows = [("a", "1", "x"), ("long name", "1,000", "yy")]
    table = Table(("name", "n", "what"), text_last=True, rows=rows)
    assert as_text(["first", "", table, "last"]).splitlines() == [
        "first",
        "",
        "name           n  what",
        "a              1  x",
        "long name  1,000  yy",
        "last",
    ]


def test_html_holds_the_same_and_every_text_is_escaped():
    table = Table((NASTY, "n"), rows=[(NASTY, "1"), ("a\u202eb\n", "–")])
    read = Read(as_html([NASTY, "", table]))
    assert read.lines == [NASTY]
    assert read.rows == [[NASTY, "n"], [NASTY[:59] + "…" * (len(NASTY) > 60), "1"],
                         ["a\\u202eb\\n", "–"]]  # fmt: skip
    assert read.tags == {"table", "thead", "tbody", "tr", "th", "td", "div"}


def test_a_notebook_s_own_colours_are_kept():
    assert "color" not in as_html(["line", Table(("a",), rows=[("b",)])])


def test_long_tables_end_with_how_many_rows_are_left_out():
    table = Table(("a", "b"), rows=[(f"row {i}", "x" * 99) for i in range(1_031)])
    lines = as_text([table]).splitlines()
    assert lines[30:] == [f"row 29  {'x' * 59}…", "… and 1,001 more"]
    assert Read(as_html([table])).lines == ["… and 1,001 more"]


def test_a_run():
    results = {
        "metrics": {"mood": 0.5}, "metric_names": {"mood": "accuracy"}, "figures": {"mood": {}},
        "heldout": {"mood": {"value": 0.25, "rows": 1200, "on": "test", "gap": 0.0,
                             "constant": 0.4, "note": "few rows"}},
        "score_kind": "mean", "score": 0.5, "heldout_score": 0.25, "mean": 0.5,
    }  # fmt: skip
    run = Run(Path("runs/first"), results)
    assert repr(run) == str(run)
    lines = str(run).splitlines()
    assert lines[0].split() == ["task", "metric", "dev", "held", "out", "on", "gap", "constant"]
    assert lines[1].split()[:4] == ["mood", "accuracy", "0.5000", "0.2500"]
    assert lines[2].split() == ["overall", "mean", "0.5000", "0.2500"]
    assert lines[-2:] == ["mood: few rows", "run: runs/first"]
    read = Read(run._repr_html_())
    assert read.rows[1] == ["mood", "accuracy", "0.5000", "0.2500", "1,200 rows of test",
                            "+0.0000", "0.4000"]  # fmt: skip
    assert read.lines == lines[-5:]


def test_evaluations():
    mood = Evaluation(0.5, {"accuracy": 0.5, "loss": 1.0}, torch.zeros(2_000, 3), "no better")
    assert str(mood).splitlines() == [
        "metric     value", "accuracy  0.5000", "loss      1.0000", "no better"
    ]  # fmt: skip
    near = Evaluation(-0.1, {"pearson": -0.1}, torch.zeros(2))
    both = Evaluations({"mood": mood, "near": near})
    assert dict(both) == {"mood": mood, "near": near}
    read = Read(both._repr_html_())
    assert read.rows[1:] == [["mood", "accuracy", "0.5000"], ["mood", "loss", "1.0000"],
                             ["near", "pearson", "-0.1000"]]  # fmt: skip
    assert read.lines == ["mood: no better"]


def test_a_report_without_tasks_says_its_warnings():
    report = CheckReport(NASTY, 8, warnings=["dev.csv: has 3 rows; more rows"])
    assert str(report).splitlines() == [
        f"encoder {NASTY}, at most 8 tokens per sequence",
        "",
        "No dev text stands in a training file.",
        "warning: dev.csv: has 3 rows; more rows",
    ]
    assert NASTY in Read(report._repr_html_()).lines[0]


@pytest.mark.parametrize("cell", ["", "x"])
def test_a_table_needs_no_rows(cell):
    table = Table(("a", "b"), rows=[(cell, cell)] * bool(cell))
    assert as_text([table]).splitlines() == ["a  b", *["x  x"] * bool(cell)]


def test_names_of_columns_are_as_harmless_as_cells_and_wide_letters_keep_columns_in_line():
    table = Table(("task", "F1 of \x1b[31m\nbad"), rows=[("心情", "0.5"), ("mood", "0.25")])
    text = as_text([table])
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) == 3
    assert [cell_len(line) for line in lines[1:]] == [cell_len(lines[0])] * 2
    assert "\x1b" not in as_html([table])
