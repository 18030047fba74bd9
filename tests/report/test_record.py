"""A run's files read back."""

import csv

from accord.report.record import _read_rows


def test_cells_may_be_as_long_as_a_book(tmp_path):
    """A text and its tags stand in one cell each: more than Python's csv reads by default."""
    row = {"line": "1", "text": "word " * 60_000, "prediction": " ".join(["O"] * 150_000)}
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*row])
        writer.writeheader()
        writer.writerow(row)
    before = csv.field_size_limit(131_072)
    try:
        assert _read_rows(tmp_path / "a.csv") == [row]
    finally:
        csv.field_size_limit(before)
