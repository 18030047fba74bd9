"""A folder's tokenizer gives transformers' ids, or is refused; so does the trained model's."""

import json
import random
from pathlib import Path

import pytest

from accord.data.tokenizing import load_tokenizer, save_tokenizer
from accord.errors import EncoderError

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
UNCASED = [*LETTERS, *(f"##{c}" for c in LETTERS), ".", ",", "!", "'", "-", "[", "]", "the", "film",
           "great", "us", "中", "ent", "##es"]  # fmt: skip
CASED = [*UNCASED, "The", "US", "Great", "É", "é", "##É", "Ü", "straße"]
ADDED = ["[ent]", "covidvax", "New York", "ÉCLAIR", "##ish", "great"]
FOLDERS = 60
TEXTS = [
    "The US film was Great.", "[ent] covidvax was great", "[ENT] CovidVax in New York, new york",
    "ÉCLAIR éclair Éclair straße", "中文 film中", "[MASK] [CLS] the [SEP] [mask] [UNK]",
    "great greatish",    " a\tb\u00a0c\u200b ", "", "!!!", "x" * 120, "ﬁlm Ⅷ ½ が",
]  # fmt: skip
CLASSES = [
    None, None, "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast",
    "TokenizersBackend", "DistilBertTokenizer", "ElectraTokenizerFast", "PreTrainedTokenizerFast",
    "BertJapaneseTokenizer", "MyTokenizer",
]  # fmt: skip


def maybe(rng: random.Random, share: float = 0.5) -> bool:
    return rng.random() < share


def switches(rng: random.Random, share: float) -> dict[str, object]:
    table = {}
    for key, values in (
        ("do_lower_case", [True, False]), ("strip_accents", [True, False, None]),
        ("tokenize_chinese_chars", [True, False]),
    ):  # fmt: skip
        if maybe(rng, share):
            table[key] = rng.choice(values)
    return table


def serialised(rng: random.Random, words: list[str], config: dict, added: list[dict]) -> dict:
    """A tokenizer.json, mostly in agreement with a config."""
    table = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True} | config
    if maybe(rng, 0.15):
        table |= switches(rng, 0.5)
    normalizer = {
        "type": "BertNormalizer", "clean_text": maybe(rng, 0.97),
        "handle_chinese_chars": table["tokenize_chinese_chars"],
        "strip_accents": table["strip_accents"], "lowercase": table["do_lower_case"],
    }  # fmt: skip
    others = [None, {"type": "Lowercase"}, {"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}]  # fmt: skip
    splitters = [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}, None, {
        "type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"}]},
    ]  # fmt: skip
    model = {
        "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100 if maybe(rng, 0.95) else 130,
        "vocab": {word: i for i, word in enumerate(words)},
    }  # fmt: skip
    if maybe(rng, 0.8):
        model = {"type": "WordPiece", **model}
    return {
        "version": "1.0", "padding": None,
        "truncation": None if maybe(rng) else {"direction": "Right", "max_length": 4, "stride": 0,
                                               "strategy": "LongestFirst"},
        "added_tokens": added,
        "normalizer": normalizer if maybe(rng, 0.85) else rng.choice(others),
        "pre_tokenizer": (
            {"type": "BertPreTokenizer"} if maybe(rng, 0.85) else rng.choice(splitters)),
        "post_processor": None if maybe(rng) else {
            "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": None if maybe(rng) else {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": model,
    }  # fmt: skip


def entry(rng: random.Random, word: str, special: bool) -> dict[str, object]:
    return {
        "content": word, "single_word": maybe(rng, 0.2), "lstrip": maybe(rng, 0.2),
        "rstrip": maybe(rng, 0.2), "normalized": maybe(rng), "special": special,
    }  # fmt: skip


def write_folder(rng: random.Random, folder: Path) -> None:  # noqa: C901
    """Write an encoder's tokenizer in one of the ways that there are."""
    words = SPECIALS[: 5 if maybe(rng, 0.9) else 4] + (CASED if maybe(rng) else UNCASED)
    new = rng.sample(ADDED, rng.choice([0, 0, 1, 2, 3]))
    ids = {w: words.index(w) for w in new if w in words}
    ids |= {w: len(words) + i for i, w in enumerate(w for w in new if w not in words)}
    if new and maybe(rng, 0.1):
        ids[new[0]] += 1
    special = {word for word in new if word.startswith("[") or maybe(rng, 0.2)}
    config, name, kinds = switches(rng, 0.6), rng.choice(CLASSES), rng.choice([1, 2, 3])
    encoder = {
        "model_type": "bert",
        "vocab_size": len(words) + len(new) + rng.choice([-1, 0, 9, 9, 9, 9]),
    }
    if name is not None:
        (config if maybe(rng, 0.7) else encoder)["tokenizer_class"] = name
    entries = {word: entry(rng, word, word in special) for word in new}
    named = {
        token: SPECIALS.index(token) for token in SPECIALS if token in words and maybe(rng, 0.9)
    }
    entries |= {token: entry(rng, token, True) for token in named}
    ids |= named
    where = rng.choice(["decoder", "added_tokens.json", "tokenizer.json", "both"])
    if where == "decoder":
        config["added_tokens_decoder"] = {str(ids[w]): entries[w] for w in entries}
        if special and maybe(rng):
            config["additional_special_tokens"] = sorted(special)
    elif where != "tokenizer.json":
        (folder / "added_tokens.json").write_text(json.dumps({word: ids[word] for word in new}))
    if maybe(rng):
        table = {key: token if maybe(rng) else {k: v for k, v in entry(rng, token, True).items()
                                                if k != "special"}
                 for key, token in zip(["pad_token", "unk_token", "cls_token", "sep_token",
                                        "mask_token"], SPECIALS, strict=True)}  # fmt: skip
        if special and maybe(rng):
            table["additional_special_tokens"] = sorted(special)
        (folder / "special_tokens_map.json").write_text(json.dumps(table))
    if kinds & 1:
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    if kinds & 2:
        there = sorted(entries, key=ids.__getitem__) if where != "added_tokens.json" else []
        added = [{"id": ids[word], **entries[word]} for word in there]
        (folder / "tokenizer.json").write_text(json.dumps(serialised(rng, words, config, added)))
    if config or maybe(rng, 0.7):
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps(encoder))


def ours(folder: Path) -> list[list[int]] | str:
    """The texts' ids, or why the folder is refused."""
    try:
        tokenizer = load_tokenizer(folder)
    except EncoderError as error:
        return str(error)
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]


def theirs(folder: Path) -> list[list[int]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [
        tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"] for text in TEXTS
    ]


def without_mask(folder: Path, ids: list[list[int]]) -> list[list[int]]:
    """Leave out texts with a [MASK] that the vocabulary lacks, for which they make an id up."""
    lacks = load_tokenizer(folder).token_to_id("[MASK]") is None
    return [each for text, each in zip(TEXTS, ids, strict=True) if not (lacks and "[MASK]" in text)]


@pytest.mark.filterwarnings("ignore")
def test_the_ids_are_those_of_transformers(tmp_path):
    refused = []
    for seed in range(FOLDERS):
        folder, trained = tmp_path / f"{seed}", tmp_path / f"{seed}" / "model"
        trained.mkdir(parents=True)
        write_folder(random.Random(seed), folder)
        mine = ours(folder)
        if isinstance(mine, str):
            assert str(folder) in mine
            assert "\n" not in mine
            refused.append(mine)
            continue
        save_tokenizer(folder, trained)
        (trained / "config.json").write_text('{"model_type": "bert"}')
        assert ours(trained) == mine, folder
        for place in (folder, trained):
            assert without_mask(place, mine) == without_mask(place, theirs(place)), place
    assert FOLDERS // 5 < len(refused) < FOLDERS * 4 // 5


@pytest.mark.filterwarnings("ignore")
def test_a_trained_model_frames_texts_for_transformers_as_it_was_trained(tmp_path):
    from transformers import AutoTokenizer

    rng, count = random.Random(0), 0
    while count < 8:
        folder = tmp_path / f"{rng.random()}"
        (folder / "model").mkdir(parents=True)
        write_folder(rng, folder)
        if isinstance(ours(folder), str):
            continue
        save_tokenizer(folder, folder / "model")
        (folder / "model" / "config.json").write_text('{"model_type": "bert"}')
        encoded = AutoTokenizer.from_pretrained(folder / "model")("the film", "great")
        mine = load_tokenizer(folder).encode("the film", "great")
        assert mine.tokens[0] == "[CLS]"
        assert (mine.ids, mine.type_ids) == (encoded["input_ids"], encoded["token_type_ids"])
        count += 1
