"""What a tokenizer's files may say, what they may not, and that a refusal's cure works."""

import json
import warnings
from pathlib import Path

import pytest

from accord.data.tokenizing import encode_texts, load_tokenizer, save_tokenizer
from accord.errors import EncoderError

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNUSED = [f"[unused{i}]" for i in range(9)]
LOWER = [*SPECIALS, *UNUSED, *(a + b for a in "abcdefghijklmnop" for b in "abcdefghijklmnop")]
CASED = [*LOWER, "The", "US", "München"]


def write(folder: Path, words: list[str], **files: object) -> Path:
    """Write `vocab.txt` and JSON files, whose names are given without their ending."""
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    for name, table in files.items():
        (folder / f"{name}.json").write_text(json.dumps(table))
    return folder


def whole(words: list[str], **changes: object) -> dict[str, object]:
    """A tokenizer.json of BertTokenizer; changes of its parts, or of its normalizer's switches."""
    normalizer = {
        "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
        "strip_accents": None, "lowercase": True,
    }  # fmt: skip
    switches = {key: changes.pop(key) for key in [*changes] if key in normalizer}
    model = {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(words)},
    }  # fmt: skip
    return {
        "added_tokens": [], "normalizer": normalizer | switches,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model, **changes,
    }  # fmt: skip


def tokens(folder: Path, text: str) -> list[str]:
    return load_tokenizer(folder).encode(text, add_special_tokens=False).tokens


def test_a_cased_vocabulary_is_not_lowered_by_default(tmp_path):
    write(tmp_path, [*CASED, *(f"W{i}" for i in range(9))])
    with pytest.raises(EncoderError, match=r'12 of .* "do_lower_case": false into it'):
        load_tokenizer(tmp_path)
    write(tmp_path, CASED, tokenizer_config={"do_lower_case": False})
    assert tokens(tmp_path, "The München") == ["The", "München"]


def test_a_cased_vocabulary_is_lowered_with_a_warning_where_a_file_says_so(tmp_path):
    words = [*CASED, *(f"W{i}" for i in range(9))]
    write(tmp_path, words, tokenizer_config={"do_lower_case": True})
    with pytest.warns(UserWarning, match=r"12 of the vocabulary's \d+ words can't come out"):
        load_tokenizer(tmp_path)


def test_accents_that_are_taken_off_are_found_too(tmp_path):
    words = [*LOWER, *(f"ü{letter}" for letter in "abcdefghij")]
    with pytest.raises(EncoderError, match="capitals or accents: 'üa', 'üb', 'üc'"):
        load_tokenizer(write(tmp_path, words))
    write(tmp_path, words, tokenizer_config={"do_lower_case": True, "strip_accents": False})
    assert tokens(tmp_path, "Üa") == ["üa"]


def test_some_words_of_somebody_in_the_place_of_unused_ones_are_no_cased_vocabulary(tmp_path):
    words = [*LOWER]
    words[5:7] = ["COVID", "NASA"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_tokenizer(write(tmp_path, words))


def test_a_switch_that_is_stated_counts_and_one_by_default_does_not(tmp_path):
    for key, name in (("do_lower_case", "lowercase"),
                      ("tokenize_chinese_chars", "handle_chinese_chars")):  # fmt: skip
        write(tmp_path, LOWER, tokenizer=whole(LOWER, **{name: False}), tokenizer_config={})
        with pytest.raises(EncoderError, match=f"{name} is false.* does not say {key}"):
            load_tokenizer(tmp_path)
        write(tmp_path, LOWER, tokenizer_config={key: True})
        with pytest.warns(UserWarning, match=f"{name} is false, .* true by {key}"):
            load_tokenizer(tmp_path)
        write(tmp_path, LOWER, tokenizer_config={key: False})
        load_tokenizer(tmp_path)


def test_a_trained_model_s_files_say_the_same(tmp_path):
    (tmp_path / "model").mkdir()
    write(tmp_path, LOWER, tokenizer=whole(LOWER), tokenizer_config={"do_lower_case": False})
    with pytest.warns(UserWarning, match="lowercase is true"):
        save_tokenizer(tmp_path, tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tokens(tmp_path / "model", "AB ab") == ["[UNK]", "ab"]


def test_added_words_have_the_ids_of_their_file(tmp_path):
    count = len(LOWER)
    write(tmp_path, LOWER, added_tokens={"[ent]": count, "covidvax": count + 1},
          config={"vocab_size": count + 2})  # fmt: skip
    (ids,) = encode_texts(load_tokenizer(tmp_path), ["[ent] ab CovidVax"])
    assert ids.tolist() == [count, LOWER.index("ab"), count + 1]
    write(tmp_path, LOWER, config={"vocab_size": count + 1})
    with pytest.raises(EncoderError, match=rf"'covidvax' has the id {count + 1}, but the encoder"):
        load_tokenizer(tmp_path)
    write(tmp_path, LOWER, added_tokens={"covidvax": count + 1})
    with pytest.raises(EncoderError, match=rf"should have the id {count + 1}, .* gives it {count}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer_config": {"tokenizer_class": "BertJapaneseTokenizer"}},
         "tokenizer_config.json: tokenizer_class is 'BertJapaneseTokenizer'"),
        ({"config": {"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer": whole(LOWER)},
         "/config.json: tokenizer_class is 'BertJapaneseTokenizer'"),
        ({"tokenizer_config": {"tokenizer_class": "PreTrainedTokenizerFast"}},
         "takes tokenizer.json, which is missing"),
        ({"tokenizer_config": {"auto_map": {"AutoTokenizer": ["a.B", None]}}}, "auto_map"),
        ({"tokenizer_config": {"do_lower_case": "false"}}, "do_lower_case is 'false'"),
        ({"tokenizer_config": {"cls_token": "<s>"}}, "cls_token is '<s>'; allowed: '.CLS.'"),
        ({"special_tokens_map": {"unk_token": "<unk>"}}, "unk_token is '<unk>'"),
        ({"tokenizer_config": {"additional_special_tokens": ["[ent]"]}},
         "special token '.ent.' has no id in any file"),
        ({"added_tokens": {"x": "7"}}, "the added word 'x' should have the id 7"),
        ({"added_tokens": []}, "added_tokens.json: can't be read: not a JSON object"),
        ({"tokenizer_config": {"added_tokens_decoder": {"7": "x", "y": 1}}}, "can't be read"),
        ({"tokenizer": whole([*LOWER[:5], "covid", *LOWER[6:]])},
         "vocab.txt: line 6 is '.unused0.', but tokenizer.json.* has 'covid' there"),
        ({"tokenizer": whole(LOWER, pre_tokenizer={"type": "Whitespace"})},
         "pre_tokenizer isn't that of BertTokenizer.* 'PreTrainedTokenizerFast'"),
        ({"tokenizer": whole(LOWER, normalizer=None)}, "normalizer isn't that of BertTokenizer"),
        ({"tokenizer": whole(LOWER, added_tokens=[{"id": len(LOWER), "content": "new"}]),
          "tokenizer_config": {"added_tokens_decoder": {}}}, "adds the word 'new', which"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(tmp_path, files, message):
    with pytest.raises(EncoderError, match=message) as error:
        load_tokenizer(write(tmp_path, LOWER, **files))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
