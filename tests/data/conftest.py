from pathlib import Path

import pytest
from tokenizers import Tokenizer

from accord.data.tokenizing import load_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "good", "##s"]


@pytest.fixture
def tiny_tokenizer(tmp_path: Path) -> Tokenizer:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def course_data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the course's data is not at {folder}")
    return folder
