"""`accord demo`: a first look, with files that come with the package."""

import pytest

from accord.config.file import load_config
from accord.demo import HUB_ENCODER, demo_encoder, write_sample
from accord.errors import UsageError


def test_the_sample_is_written_once(tmp_path):
    folder = tmp_path / "new" / "demo"
    assert write_sample(folder)
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")} == {
        "accord.toml", "stages.toml",
        *(f"sample/{task}-{split}.tsv" for task in ("sentiment", "duplicates", "similarity")
          for split in ("train", "dev")),
    }  # fmt: skip
    config = load_config(folder / "accord.toml")
    assert [*config.tasks] == ["sentiment", "duplicates", "similarity"]
    edited = (folder / "accord.toml").read_text() + "# edited\n"
    (folder / "accord.toml").write_text(edited)
    assert not write_sample(folder)
    assert (folder / "accord.toml").read_text() == edited


def test_what_a_stopped_call_left_out_is_written_by_the_next(tmp_path):
    write_sample(tmp_path / "demo")
    missing = tmp_path / "demo" / "sample" / "similarity-dev.tsv"
    missing.unlink()
    assert not write_sample(tmp_path / "demo")
    assert missing.stat().st_size > 1000


def test_a_folder_of_somebody_elses_stays_as_it_is(tmp_path):
    (tmp_path / "accord.toml").write_text("[encoder]\npath = 'mine'\n")
    with pytest.raises(UsageError, match=r"holds something else than the demo; name a new folder"):
        write_sample(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["accord.toml"]
    with pytest.raises(UsageError, match=r"is a file; name a new folder"):
        write_sample(tmp_path / "accord.toml")


def test_where_the_encoder_is(monkeypatch):
    assert demo_encoder("somewhere") == "somewhere"
    monkeypatch.setattr("accord.demo.find_spec", lambda name: None)
    assert demo_encoder(None) == HUB_ENCODER


@pytest.mark.slow
def test_the_demo_ends_in_a_table_and_goes_on_where_it_stopped(
    tmp_path, encoder_folder, accord_cli
):
    first = accord_cli("demo", tmp_path / "the demo", "--encoder", encoder_folder)
    assert (first.code, "Was sharing worth it?" in first.out) == (0, True)
    assert f"accord serve '{tmp_path}/the demo/runs/" in first.out
    runs = tmp_path / "the demo" / "runs"
    made = {file: file.stat().st_mtime_ns for file in runs.rglob("results.json")}
    assert len(made) >= 4
    again = accord_cli("demo", tmp_path / "the demo", "--encoder", encoder_folder)
    assert (again.code, again.out) == (0, first.out)
    assert made == {file: file.stat().st_mtime_ns for file in runs.rglob("results.json")}
