import json

import pytest
from tokenizers import Tokenizer

from accord.data.tokenizing import encode_texts, fingerprint, load_tokenizer, special_ids
from accord.errors import EncoderError


def test_a_vocabulary_alone_gives_the_tokenizer(tiny_tokenizer):
    (ids,) = encode_texts(tiny_tokenizer, ["Goods a é?"])
    tokens = [tiny_tokenizer.id_to_token(i) for i in ids]
    assert tokens == ["good", "##s", "a", "e", "[UNK]"]
    assert tiny_tokenizer.encode("a", "b").tokens == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]


def test_the_tokenizer_config_is_heeded(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nA\n")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert encode_texts(load_tokenizer(tmp_path), ["A a"])[0].tolist() == [5, 4]


def test_vocab_and_tokenizer_json_agree(minilm, tmp_path):
    for name in ("vocab.txt", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((minilm / name).read_bytes())
    texts = ["Ünïcode naïve 中文 don't!", "", "[SEP] in a text", "x" * 300, "tab\there\u200b"]
    ours = encode_texts(load_tokenizer(tmp_path), texts)
    theirs = encode_texts(load_tokenizer(minilm), texts)
    assert [ids.tolist() for ids in ours] == [ids.tolist() for ids in theirs]


def test_truncation_and_padding_are_reset(minilm):
    tokenizer = load_tokenizer(minilm)
    short, long = encode_texts(tokenizer, ["word", "word " * 300])
    assert (len(short), len(long)) == (1, 300)
    assert short.dtype == "int32"
    ids = special_ids(tokenizer)
    assert (ids.cls, ids.sep, ids.pad) == (101, 102, 0)


def test_a_megabyte_is_cut_before_it_is_tokenised(minilm):
    (ids,) = encode_texts(load_tokenizer(minilm), ["word " * 200_000])
    assert len(ids) == 4_000


@pytest.mark.parametrize("missing", ["[CLS]", "[SEP]", "[PAD]", "[UNK]"])
def test_a_missing_special_token_is_named(tmp_path, missing):
    tokens = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a") if t != missing]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    with pytest.raises(EncoderError, match=rf"no \[{missing[1:-1]}\]"):
        load_tokenizer(tmp_path)


def test_a_folder_without_tokenizer(tmp_path):
    with pytest.raises(EncoderError, match=r"neither tokenizer\.json nor vocab\.txt"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", ["{", json.dumps({"model": None})])
def test_a_broken_tokenizer_file(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(EncoderError, match=r"tokenizer\.json: can't be read"):
        load_tokenizer(tmp_path)


def test_fingerprints_tell_tokenizers_apart(tiny_tokenizer, tmp_path):
    again = Tokenizer.from_str(tiny_tokenizer.to_str())
    assert fingerprint(again) == fingerprint(tiny_tokenizer)
    again.add_tokens(["new"])
    assert fingerprint(again) != fingerprint(tiny_tokenizer)
