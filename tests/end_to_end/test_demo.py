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
    (folder / "accord.toml").write_text("of somebody's own\n")
    assert not write_sample(folder)
    assert (folder / "accord.toml").read_text() == "of somebody's own\n"
    with pytest.raises(UsageError, match=r"holds no accord\.toml; name a new folder"):
        write_sample(tmp_path)


def test_where_the_encoder_is(monkeypatch):
    assert demo_encoder("somewhere") == "somewhere"
    monkeypatch.setattr("accord.demo.find_spec", lambda name: None)
    assert demo_encoder(None) == HUB_ENCODER


@pytest.mark.slow
def test_the_demo_ends_in_a_table_and_goes_on_where_it_stopped(
    tmp_path, encoder_folder, accord_cli
):
    first = accord_cli("demo", tmp_path / "demo", "--encoder", encoder_folder)
    assert (first.code, "Was sharing worth it?" in first.out) == (0, True)
    assert "accord serve" in first.out
    runs = tmp_path / "demo" / "runs"
    made = {file: file.stat().st_mtime_ns for file in runs.rglob("results.json")}
    assert len(made) >= 4
    again = accord_cli("demo", tmp_path / "demo", "--encoder", encoder_folder)
    assert (again.code, again.out) == (0, first.out)
    assert made == {file: file.stat().st_mtime_ns for file in runs.rglob("results.json")}
