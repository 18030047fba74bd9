import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from accord.data.tokenizing import load_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "good", "##s"]
SIZES = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "max_position_embeddings": 32, "type_vocab_size": 2,
}  # fmt: skip


@pytest.fixture
def tiny_tokenizer(tmp_path: Path) -> Tokenizer:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return load_tokenizer(folder)


@pytest.fixture
def encoder(tiny_tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which only the sizes and the tokenizer are read."""
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tiny"
    sizes = {**SIZES, "vocab_size": tiny_tokenizer.get_vocab_size(), "model_type": "bert"}
    (folder / "config.json").write_text(json.dumps(sizes))
    return folder


@pytest.fixture(scope="session")
def course_data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the course's data is not at {folder}")
    return folder
