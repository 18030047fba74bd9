import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from accord.cli.init import init
from accord.config.file import load_config, parse_config
from accord.errors import DataError, UsageError
from accord.recipes.ready import recipe
from accord.recipes.starter import quote

NAMES = [
    f"{task}-{split}.csv" for task in ("ids-sst", "quora", "sts") for split in ("train", "dev")
]


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text("\tid\tsentence\n")
    return folder


def run(*arguments: object) -> str:
    """Run `accord init`; its errors come out as exceptions."""
    result = CliRunner().invoke(init, list(map(str, arguments)))
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_course_recipe_loads(course, tmp_path):
    output = tmp_path / "accord.toml"
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    said = run("--recipe", "cs224n", "--data", course, "--encoder", encoder, "-o", output)
    assert f"accord check {output}" in said
    config = load_config(output)
    assert (list(config.tasks), config.score) == (["sst", "quora", "sts"], "cs224n")
    assert config.encoder.path == str(encoder)
    assert config.tasks["quora"].labels == [0, 1]
    assert config.tasks["sts"].range == [0, 5]
    assert {task.on_bad_row for task in config.tasks.values()} == {"skip"}
    assert {task.test for task in config.tasks.values()} == {None}


def test_the_course_recipe_names_test_files_where_they_are(course):
    (course / "quora-test-student.csv").write_text("\tid\tsentence1\tsentence2\n")
    config = parse_config(tomllib.loads(recipe("cs224n", course, "some/encoder")))
    assert config.tasks["quora"].test == str(course / "quora-test-student.csv")
    assert config.tasks["sst"].test is None
    assert config.tasks["sst"].train == str(course / "ids-sst-train.csv")


@pytest.mark.parametrize(
    ("config", "lr"),
    [('{"hidden_size": 384}', 1e-4), ('{"hidden_size": 768}', None), ("{", None), (None, None)],
)
def test_the_course_recipe_gives_a_small_encoder_its_rate(course, tmp_path, config, lr):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    filled = parse_config(tomllib.loads(recipe("cs224n", course, str(tmp_path))))
    assert filled.training.lr == lr


@pytest.mark.parametrize("name", NAMES)
def test_the_course_recipe_needs_its_files(course, name):
    (course / name).unlink()
    with pytest.raises(DataError, match=Path(name).stem):
        recipe("cs224n", course, "encoder")


@pytest.mark.parametrize("text", ['a "b" \\ c', "tab\t line\n", "ü 😀", "del\x7f", "C:\\data"])
def test_quoted_texts_come_back(text):
    assert tomllib.loads(f"x = {quote(text)}")["x"] == text


def test_a_starter_config_loads_and_says_what_it_guessed(tmp_path):
    (tmp_path / "d-train.csv").write_text("text,label\none two three,x\nfour five six,y\n")
    output = tmp_path / "accord.toml"
    said = run(tmp_path / "d-train.csv", "-o", output)
    assert "label 'label', because of its name" in said
    assert "encoder: 'bert-base-uncased' from the hub, since --encoder names none" in said
    task = load_config(output).tasks["d"]
    assert (task.kind, task.labels) == ("classification", ["x", "y"])
    assert 'train = "d-train.csv"' in output.read_text()


def test_a_range_is_written_in_full(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\na b c,0.1234567891\nd e f,1234567.891\n")
    run(tmp_path / "d.csv", "-o", tmp_path / "accord.toml")
    assert load_config(tmp_path / "accord.toml").tasks["d"].range == [0.1234567891, 1234567.891]


def test_a_line_break_in_a_column_name_stays_in_its_comment(tmp_path):
    (tmp_path / "d.csv").write_text('"my\nnote",label\none two three,x\nfour five six,y\n')
    run(tmp_path / "d.csv", "-o", tmp_path / "accord.toml")
    assert load_config(tmp_path / "accord.toml").tasks["d"].text == "my\nnote"


def test_an_existing_file_is_never_overwritten(course, tmp_path):
    output = tmp_path / "accord.toml"
    output.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        run("--recipe", "cs224n", "--data", course, "-o", output)
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name data files, or --recipe"),
        (["--recipe", "cs224n"], "takes --data FOLDER"),
        (["--recipe", "cs224n", "--data", ".", "x.csv"], "and no files"),
        (["--data", "."], "goes with --recipe"),
        (["x.csv", "-o", "no/such/folder/accord.toml"], "there is no folder"),
        (["x.csv"], "no such file"),
    ],
)
def test_wrong_usage_writes_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        run(*arguments)
    assert list(tmp_path.iterdir()) == []
