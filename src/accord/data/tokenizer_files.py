"""A tokenizer as a folder's files describe it, read as transformers' AutoTokenizer reads them.

BERT's tokenizer classes take the vocabulary from `tokenizer.json` or `vocab.txt` and everything
else from `tokenizer_config.json`; `PreTrainedTokenizerFast` takes `tokenizer.json` as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.errors import EncoderError
from accord.untrusted import read_json

if TYPE_CHECKING:
    from tokenizers import AddedToken

BERT_CLASSES = (
    "BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
    "LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer",
)  # fmt: skip
SERIALISED_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
SPECIALS = {
    "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}  # fmt: skip
JSON, VOCABULARY, CONFIG = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
ADDED, SPECIAL_MAP = "added_tokens.json", "special_tokens_map.json"
TOKENIZER_FILES = (JSON, CONFIG, VOCABULARY, ADDED, SPECIAL_MAP)
_TOKEN_KEYS = {"content", "single_word", "lstrip", "rstrip", "normalized", "special"}
_ATTRIBUTES = (*SPECIALS, "bos_token", "eos_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens")


@dataclass(frozen=True)
class TokenizerFiles:
    """The files of a folder that describe its tokenizer.

    Attributes:
        folder: that holds the files.
        serialised: `tokenizer.json`; None where there is none.
        config: `tokenizer_config.json`; empty where there is none.
        tokenizer_class: one of `BERT_CLASSES` or `SERIALISED_CLASSES`.
        declared: words beside the vocabulary's, with their ids.
        named: special tokens by their contents.
        rows: of the encoder's word embedding; None where there is no `config.json`.
    """

    folder: Path
    serialised: dict[str, Any] | None
    config: dict[str, Any]
    tokenizer_class: str
    declared: dict[int, AddedToken]
    named: dict[str, AddedToken]
    rows: int | None

    @property
    def as_it_is(self) -> bool:
        """Whether `tokenizer.json` alone says how a text is split."""
        return self.tokenizer_class in SERIALISED_CLASSES


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read and check the files of a folder's tokenizer.

    Raises:
        EncoderError: naming the file and what in it can't be used.
    """
    serialised = _read(folder / JSON)
    if serialised is None and not (folder / VOCABULARY).is_file():
        raise EncoderError(f"{folder}: no tokenizer: neither {JSON} nor {VOCABULARY} is there")
    config, encoder = _read(folder / CONFIG) or {}, _read(folder / "config.json") or {}
    tokenizer_class = _checked_class(folder, config, encoder)
    if serialised is None and tokenizer_class in SERIALISED_CLASSES:
        raise EncoderError(
            f"{folder / CONFIG}: tokenizer_class '{tokenizer_class}' takes {JSON}, which is missing"
        )
    _check_config(config, folder / CONFIG)
    try:
        bert = tokenizer_class in BERT_CLASSES
        declared, named = _added(folder, config, serialised, bert)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise EncoderError(
            f"{folder}: its added or special tokens can't be read: {error}"
        ) from None
    rows = encoder.get("vocab_size")
    return TokenizerFiles(
        folder, serialised, config, tokenizer_class, declared, named,
        rows if isinstance(rows, int) else None,
    )  # fmt: skip


def _read(file: Path) -> dict[str, Any] | None:
    try:
        table = read_json(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EncoderError(f"{file}: can't be read: {error}") from None
    if not isinstance(table, dict):
        raise EncoderError(f"{file}: can't be read: not a JSON object")
    return table


def _checked_class(folder: Path, config: dict[str, Any], encoder: dict[str, Any]) -> str:
    """Return the tokenizer's class without `Fast`, which is of no importance.

    Raises:
        EncoderError: if it is none that splits texts as is done here.
    """
    for file, table in ((CONFIG, config), ("config.json", encoder)):
        name = table.get("tokenizer_class")
        if name is None:
            continue
        if name in SERIALISED_CLASSES:
            return str(name)
        if isinstance(name, str) and name.removesuffix("Fast") in BERT_CLASSES:
            return name.removesuffix("Fast")
        raise EncoderError(
            f"{folder / file}: tokenizer_class is {name!r:.80}, which splits texts otherwise;"
            " allowed: 'BertTokenizer', or 'PreTrainedTokenizerFast' with all of it in"
            f" {JSON}"
        )
    return BERT_CLASSES[0]


def _check_config(config: dict[str, Any], file: Path) -> None:
    if config.get("auto_map"):
        raise EncoderError(
            f"{file}: auto_map names code of the tokenizer's own, which is never run; without it"
            " the tokenizer may split texts otherwise than in pretraining"
        )
    for key in ("split_special_tokens", "fast_tokenizer_files"):
        if config.get(key):
            raise EncoderError(f"{file}: {key} is {config[key]!r:.80}; allowed: none")
    for key, allowed in (
        ("do_lower_case", (True, False)),
        ("tokenize_chinese_chars", (True, False)),
        ("strip_accents", (True, False, None)),
    ):
        if key in config and not any(config[key] is value for value in allowed):
            raise EncoderError(f"{file}: {key} is {config[key]!r:.80}; allowed: true or false")


def _added(
    folder: Path, config: dict[str, Any], serialised: dict[str, Any] | None, bert: bool
) -> tuple[dict[int, AddedToken], dict[str, AddedToken]]:
    """Return the words with ids beside the vocabulary, and the special tokens that have a name.

    `added_tokens_decoder` takes the place of the files that older versions wrote.
    """
    from tokenizers import AddedToken

    table = dict(config)
    if "added_tokens_decoder" in config:
        declared = {int(i): _token(entry) for i, entry in config["added_tokens_decoder"].items()}
    else:
        table |= _read(folder / SPECIAL_MAP) or {}
        special = {token.content for key, token in _named(table) if key in _ATTRIBUTES}
        extra = config.get("extra_special_tokens") or config.get("additional_special_tokens")
        special |= {_token(entry).content for entry in extra or ()}
        declared = {
            i: AddedToken(word, normalized=word not in special, special=word in special)
            for word, i in (_read(folder / ADDED) or {}).items()
        }
        for entry in (serialised or {}).get("added_tokens") or ():
            declared[entry["id"]] = _token({key: v for key, v in entry.items() if key != "id"})
    if serialised and (padding := serialised.get("padding")):
        table.setdefault("pad_token", padding["pad_token"])
    named = {text: _token(text, special=True) for text in SPECIALS.values() if bert}
    attributes = [(key, token) for key, token in _named(table) if key not in _LISTS]
    named |= {token.content: token for _, token in attributes}
    for token in declared.values():
        token.special = token.special or token.content in named
    return declared, named | {token.content: token for _, token in _named(table)}


def _named(table: dict[str, Any]) -> Iterator[tuple[str, AddedToken]]:
    """Yield the key and the token of everything that a table names as special."""
    entries = [(key, value) for key, value in table.items() if key.endswith("_token")]
    for key in _LISTS:
        more = table.get(key) or ()
        entries += more.items() if isinstance(more, dict) else [(key, value) for value in more]
    for key, entry in entries:
        if not isinstance(entry, (str, dict)):
            continue  # null, or a switch such as add_bos_token
        token = _token(entry, special=True)
        if token.content != SPECIALS.get(key, token.content):
            raise ValueError(f"{key} is {token.content!r:.80}; allowed: '{SPECIALS[key]}'")
        yield key, token


def _token(entry: Any, special: bool | None = None) -> AddedToken:
    from tokenizers import AddedToken

    if isinstance(entry, str):
        return AddedToken(entry, special=bool(special))
    given = {key: value for key, value in entry.items() if key != "__type"}
    if odd := sorted(given.keys() - _TOKEN_KEYS):
        raise ValueError(f"{odd[0]!r:.80} is not a property of a token")
    token = AddedToken(**given)
    token.special = token.special or bool(special)
    return token
