"""Files that are wrong in every way that was thought of: exact rows, or one line with the place.

Every case is read three times: by itself, by `check`, and as training reads it. All agree.
"""

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from accord.config.file import parse_config
from accord.data.checking import check_data
from accord.data.datasets import read_data
from accord.encoders.pretrained import resolve_encoder_folder
from accord.errors import DataError, UsageError
from accord.plan.making import plan_run


def check_config(config):
    plan = plan_run(config)
    encoder = plan.only.encoder
    return check_data(plan.data, resolve_encoder_folder(encoder.path, encoder.revision))


GOOD = "b\tfine road\t1\n"
HEAD = "id\ttext\tlabel\n"


@dataclass(frozen=True)
class Case:
    """A training file.

    Attributes:
        content: of the file.
        rows: ids of the rows that can be used.
        bad: for each line that can't be used a part of the reason.
        error: or a part of the one line that refuses the file.
        name: of the file.
    """

    content: bytes
    rows: list[str] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)
    error: str = ""
    name: str = "train.tsv"


def file(text: str, rows: str = "", error: str = "", name: str = "train.tsv", **bad: str) -> Case:
    """A case from text; bad rows by line, as in `line_3="reason"`."""
    lines = {int(line.removeprefix("line_")): reason for line, reason in bad.items()}
    content = text.encode("utf-8", "surrogateescape")
    return Case(content, rows.split(), lines, error, name)


def row(line: str, reason: str = "", own: str = "a") -> Case:
    """One row in question between the header and a good row."""
    if reason:
        return file(HEAD + line + "\n" + GOOD, "b", line_2=reason)
    return file(HEAD + line + "\n" + GOOD, f"{own} b")


JSON = '{"id": "b", "text": "fine road", "label": 1}\n'

CASES = {
    # Rows.
    "a good row": row("a\tgrim meal\t0"),
    "too few columns": row("a\tgrim meal", "2 columns where the header has 3"),
    "too many columns": row("a\tgrim\tmeal\t0", "4 columns where the header has 3"),
    "one column": row("a", "1 column where the header has 3"),
    "commas in a tab file": row("a,grim meal,0", "1 column where the header has 3"),
    "no text": row("a\t\t0", "'text' is empty"),
    "white space for a text": row("a\t \u00a0\t0", "'text' is empty"),
    "no label": row("a\tgrim\t", "'label' is empty"),
    "white space for a label": row("a\tgrim\t  ", "'label' is empty"),
    "an unknown label": row("a\tgrim\t2", "unknown label '2'"),
    "a label in words": row("a\tgrim\tyes", "unknown label 'yes'"),
    "NaN for a label": row("a\tgrim\tnan", "'label' is 'nan': no label"),
    "a label with decimals": row("a\tgrim\t0.0"),
    "a label with spaces": row("a\tgrim\t 0 "),
    "a label in other digits": row("a\tgrim\t\u0661", "unknown label"),
    "a NUL in a text": row("a\tgr\0im\t0", "holds a NUL byte"),
    "a NUL in a label": row("a\tgrim\t0\0", "holds a NUL byte"),
    "bytes that are no UTF-8": row("a\tgr\udcffim\t0", "not valid UTF-8"),
    "half a UTF-8 character": row("a\tgrim\udce2\udc82\t0", "not valid UTF-8"),
    "Latin-1": row("a\tcaf\udce9\t0", "not valid UTF-8"),
    "a control character": row("a\tgr\x07im\t0"),
    "a vertical tab and a form feed": row("a\tgr\x0bi\x0cm\t0"),
    "the Unicode line separator": row("a\tgrim\u2028meal\t0"),
    "an emoji and a joiner": row("a\t\U0001f469\u200d\U0001f680 grim\t0"),
    "text from right to left": row("a\t\u05e9\u05dc\u05d5\u05dd\t0"),
    "a zero-width space alone": row("a\t\u200b\t0"),
    "a replacement character": row("a\tgr\ufffdim\t0"),
    "a megabyte of text": row("a\t" + "grim " * 200_000 + "\t0"),
    "a megabyte without a space": row("a\t" + "g" * 1_000_000 + "\t0"),
    "a quoted text": row('a\t"grim ""old"" meal"\t0'),
    "a quoted tab": row('a\t"grim\tmeal"\t0'),
    "text after a closing quote": row('a\t"grim" meal\t0', "text after a closing quote"),
    "a quote inside a text": row('a\tgrim "old" meal\t0'),
    "the same id twice": file(HEAD + GOOD + GOOD, "b b"),
    "an empty id": Case((HEAD + "\tgrim\t0\n" + GOOD).encode(), ["", "b"]),
    "a formula for a text": row("a\t=1+2\t0"),
    "a shell command for a text": row("a\t$(rm -rf /)\t0"),
    # Lines.
    "a blank line": file(HEAD + "\n" + GOOD, "b"),
    "blank lines at the end": file(HEAD + GOOD + "\n\n\n", "b"),
    "a line of spaces": file(HEAD + "   \n" + GOOD, "b", line_2="1 column"),
    "no line end at the end": file(HEAD + GOOD.rstrip("\n"), "b"),
    "Windows line ends": file((HEAD + GOOD).replace("\n", "\r\n"), "b"),
    "old Macintosh line ends": file((HEAD + GOOD).replace("\n", "\r"), "b"),
    "a byte order mark": file("\ufeff" + HEAD + GOOD, "b"),
    "a quote left open at the end": file(HEAD + GOOD + 'c\t"grim\t0\n', "b", line_3="never closed"),
    "a quote left open before good rows": file(
        HEAD + 'a\t"grim\t0\n' + GOOD, "b", line_2="never closed"
    ),
    "a quoted line end": file(HEAD + 'a\t"grim\nmeal"\t0\n' + GOOD, "a b"),
    "the header again": file(HEAD + HEAD + GOOD, "b", line_2="unknown label 'label'"),
    "a note at the end": file(HEAD + GOOD + "2 rows\n", "b", line_3="1 column"),
    # Headers.
    "an empty file": file("", error="the file is empty"),
    "white space alone": file(" \n\n\t\n", error="train.tsv"),
    "a header alone": file(HEAD, error="no row below the header"),
    "no header": file(GOOD + GOOD, error="column"),
    "a missing column": file("id\ttexts\tlabel\n" + GOOD, error="did you mean 'texts'"),
    "a column twice": file("id\ttext\ttext\tlabel\na\tx\ty\t0\n", error="more than once"),
    "a header in capitals": file("ID\tTEXT\tLABEL\n" + GOOD, error="column"),
    "a header with spaces": file(" id \t text \tlabel \n" + GOOD, "b"),
    "a header with an open quote": file('id\t"text\tlabel\n' + GOOD, error="header"),
    "a header with a NUL": file("id\tte\0xt\tlabel\n" + GOOD, error="NUL"),
    "a header that is no UTF-8": file("id\ttext\tlabel\t\udcff\n" + GOOD, error="UTF-8"),
    "commas in the header alone": file("id,text,label\n" + GOOD, error="rows by tabs"),
    "semicolons": file("id;text;label\nb;grim;0\n", "b"),
    "pipes": file("id|text|label\nb|grim, or so; it is|0\n", "b"),
    # Other formats.
    "UTF-16": Case((HEAD + GOOD).encode("utf-16"), ["b"]),
    "UTF-16 without a mark": Case((HEAD + GOOD).encode("utf-16-le"), error="NUL bytes"),
    "gzip": Case(b"\x1f\x8b\x08\x00" + zlib.compress(b"x" * 99), error="gzip"),
    "a spreadsheet": Case(b"PK\x03\x04" + bytes(99), error="zip archive"),
    "random bytes": Case(bytes(range(256)) * 4, error="train.tsv"),
    "a pickle": Case(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x03.", error="train.tsv"),
    "a damaged Parquet file": Case(
        b"PAR1" + bytes(99), error="train.parquet", name="train.parquet"
    ),
    "JSON lines": file(JSON, "b", name="train.jsonl"),
    "a JSON array": file("[" + JSON + "]", "b", name="train.json"),
    "a JSON array without its end": file(
        "[" + JSON, error="train.json:2: not valid JSON", name="train.json"
    ),
    "JSON cut off": file(JSON + '{"id": "c", "te', "b", name="train.jsonl", line_2="JSON"),
    "JSON that is no object": file(JSON + "3\n", "b", name="train.jsonl", line_2="object"),
    "JSON with a nested text": file(
        JSON + '{"id": "c", "text": {"x": "y"}, "label": 1}\n', "b", name="train.jsonl",
        line_2="text",
    ),
    "JSON with a list of more than words": file(
        JSON + '{"id": "c", "text": ["x", 1], "label": 1}\n', "b", name="train.jsonl",
        line_2="words",
    ),
    "JSON with a list for a label": file(
        JSON + '{"id": "c", "text": "x", "label": ["1"]}\n', "b", name="train.jsonl", line_2="list"
    ),
    "JSON with null for a text": file(
        JSON + '{"id": "c", "text": null, "label": 1}\n', "b", name="train.jsonl", line_2="text"
    ),
    "JSON with a missing label": file(
        JSON + '{"id": "c", "text": "x"}\n', "b", name="train.jsonl", line_2="label"
    ),
    "JSON with NaN for a label": file(
        JSON + '{"id": "c", "text": "x", "label": NaN}\n', "b", name="train.jsonl", line_2="label"
    ),
    "JSON nested very deeply": file(
        JSON + '{"id": ' + "[" * 100_000 + "\n", "b", name="train.jsonl", line_2="JSON"
    ),
    "JSON with a lone surrogate": file(
        JSON + '{"id": "c", "text": "\\ud800", "label": 1}\n', "b", name="train.jsonl",
        line_2="lone surrogate",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from accord.encoders.families.bert import BertConfig, BertEncoder
    from accord.encoders.pretrained import save_encoder

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "grim", "fine", "road", "meal"]
    folder = tmp_path_factory.mktemp("encoder")
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    save_encoder(BertEncoder(config), folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def config_of(path: Path, encoder: Path, on_bad_row: str):
    dev = path.parent / "dev.tsv"
    dev.write_text(HEAD + GOOD)
    task = {
        "kind": "classification", "train": str(path), "dev": str(dev), "text": "text",
        "label": "label", "id": "id", "labels": ["0", "1"], "on_bad_row": on_bad_row,
    }  # fmt: skip
    return parse_config({"encoder": {"path": str(encoder)}, "tasks": {"t": task}})


def found_by_check(config, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(cache))
        report = check_config(config).tasks[0].splits[0]
    return report.rows, [(bad.line, bad.reason) for bad in report.skipped]


def found_by_training(config):
    folder = resolve_encoder_folder(config.encoder.path)
    store = read_data(plan_run(config, files=False).data, folder, lambda text: None).train[0].store
    skipped = [(bad.line, bad.reason) for bad in store.skipped]
    return len(store), skipped, [store.row_name(i) for i in range(len(store))]


def refusal(call, *arguments) -> str:
    with pytest.raises(UsageError) as error:
        call(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_there_are_many():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_file_is_refused_or_skipped_as_its_case_says(
    name, tmp_path, encoder, monkeypatch
):
    case = CASES[name]
    path = tmp_path / case.name
    path.write_bytes(case.content)
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    skip, stop = (config_of(path, encoder, way) for way in ("skip", "stop"))
    if case.error:
        said = refusal(found_by_training, skip)
        assert case.error in said
        assert case.name in said
        assert refusal(found_by_check, skip, tmp_path / "other") == said
        return
    count, bad, ids = found_by_training(skip)
    assert found_by_check(skip, tmp_path / "other") == (count, bad)
    assert ids == case.rows
    assert {line for line, _ in bad} == set(case.bad)
    for line, reason in bad:
        assert case.bad[line] in reason
    if bad:  # the first bad row stops a run that isn't told to skip it
        said = refusal(found_by_training, stop)
        assert f"{path}:{bad[0][0]}: {bad[0][1]}" in said
        assert refusal(found_by_check, stop, tmp_path / "third") == said
    json.dumps(ids)


def test_a_regression_s_targets(tmp_path, encoder, monkeypatch):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    wrong = ["nan", "inf", "-inf", "1e999", "six", "1,5", "0x1p3", "1_0", "", "5.1", "-0.1", "--1"]
    right = ["0", "5", " 2.5 ", "1e0", "+3", ".5", "4."]
    lines = [f"{i}\tfine road\t{value}\n" for i, value in enumerate([*wrong, *right])]
    path = tmp_path / "train.tsv"
    path.write_text(HEAD + "".join(lines))
    (tmp_path / "dev.tsv").write_text(HEAD + "x\tfine\t1\n")
    task = {
        "kind": "regression", "train": str(path), "dev": str(tmp_path / "dev.tsv"), "text": "text",
        "label": "label", "id": "id", "range": [0, 5], "on_bad_row": "skip",
    }  # fmt: skip
    config = parse_config({"encoder": {"path": str(encoder)}, "tasks": {"t": task}})
    count, bad, ids = found_by_training(config)
    assert (count, ids) == (len(right), [str(len(wrong) + i) for i in range(len(right))])
    assert [line for line, _ in bad] == list(range(2, 2 + len(wrong)))


def test_the_error_is_a_data_error(tmp_path, encoder):
    with pytest.raises(DataError, match=r"none\.tsv: no such file"):
        found_by_training(config_of(tmp_path / "none.tsv", encoder, "stop"))
