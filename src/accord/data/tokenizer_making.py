"""The tokenizer that a folder's files describe, and whether they contradict each other."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.data.tokenizer_files import CONFIG, JSON, SPECIALS, VOCABULARY, TokenizerFiles
from accord.data.tokenizer_parts import check_parts
from accord.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# of BertTokenizer: each switch's default, and its name in tokenizer.json's normalizer
SWITCHES: dict[str, tuple[bool | None, str]] = {
    "do_lower_case": (True, "lowercase"),
    "strip_accents": (None, "strip_accents"),
    "tokenize_chinese_chars": (True, "handle_chinese_chars"),
}
_MODEL = {
    "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}  # fmt: skip


def stated(files: TokenizerFiles) -> dict[str, Any]:
    """Return what is in force, by its names in `tokenizer_config.json`."""
    if files.as_it_is:  # which does not give token types unless told to
        inputs = ["input_ids", "token_type_ids", "attention_mask"]
        return {"tokenizer_class": files.tokenizer_class, "model_input_names": inputs}
    switches = {key: files.config.get(key, default) for key, (default, _) in SWITCHES.items()}
    return {"tokenizer_class": files.tokenizer_class, **switches}


def serialised_tokenizer(files: TokenizerFiles) -> Tokenizer:
    """Return the tokenizer that `tokenizer.json` holds, except for how it frames and cuts texts.

    Raises:
        EncoderError: it holds a part that isn't allowed.
    """
    from tokenizers import Tokenizer

    assert files.serialised is not None
    check_parts(files.serialised, files.folder / JSON)
    left_out = dict.fromkeys(("truncation", "padding", "post_processor"))
    return Tokenizer.from_str(json.dumps({**files.serialised, **left_out}))


def bert_tokenizer(files: TokenizerFiles) -> Tokenizer:
    """Return BERT's tokenizer of the vocabulary, with the switches of `tokenizer_config.json`.

    Raises:
        EncoderError: `tokenizer.json` says otherwise where the config says nothing.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    if files.serialised is not None:
        check_parts(files.serialised, files.folder / JSON)
        _check_agreement(files)
        vocabulary = files.serialised["model"]["vocab"]
    else:
        vocabulary = models.WordPiece.read_file(str(files.folder / VOCABULARY))
    switches = stated(files)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, **{name: switches[key] for key, (_, name) in SWITCHES.items()}
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _check_agreement(files: TokenizerFiles) -> None:
    """Check that what `tokenizer.json` holds beside the vocabulary is what the class does.

    Where the config states a switch it is followed, as transformers does, with a warning; a
    default alone is no reason to do otherwise than the file says.
    """
    assert files.serialised is not None
    file, table = files.folder / JSON, files.serialised
    model, normalizer = table["model"], table.get("normalizer") or {}
    differing = [
        key for key, value in _MODEL.items() if model.get(key, value) != value
    ] + [
        place for place, kind, part in (
            ("normalizer", "BertNormalizer", normalizer),
            ("pre_tokenizer", "BertPreTokenizer", table.get("pre_tokenizer") or {}),
        ) if part.get("type") != kind
    ]  # fmt: skip
    if not differing and normalizer.get("clean_text", True) is not True:
        differing = ["clean_text"]
    if differing:
        raise EncoderError(
            f"{file}: its {differing[0]} isn't that of {files.tokenizer_class}, for which"
            " transformers puts BERT's in its place; with the tokenizer_class"
            f" 'PreTrainedTokenizerFast' in {CONFIG} the file counts as it is"
        )
    _check_switches(files, normalizer)


def _check_switches(files: TokenizerFiles, normalizer: dict[str, Any]) -> None:
    switches = stated(files)
    for key, (default, name) in SWITCHES.items():
        in_file, in_config = normalizer.get(name, default), switches[key]
        if key == "strip_accents":  # as accents go with capitals where nothing is said
            in_file = normalizer.get("lowercase", True) if in_file is None else in_file
            in_config = switches["do_lower_case"] if in_config is None else in_config
        if in_file == in_config or normalizer.get(name, default) == switches[key]:
            continue
        file_setting = f"{files.folder / JSON}: {name} is {json.dumps(in_file)}"
        if key in files.config or ("do_lower_case" in files.config and key == "strip_accents"):
            warnings.warn(
                f"{file_setting}, but {CONFIG} says {json.dumps(in_config)} by {key}, which counts"
                " here as in transformers",
                stacklevel=2,
            )
            continue
        raise EncoderError(
            f"{file_setting}, and {CONFIG}, by which transformers goes, does not say {key}, where"
            f" the default is {json.dumps(in_config)}: write the right one into it"
        )


def add_words(tokenizer: Tokenizer, files: TokenizerFiles) -> None:
    """Add the words and special tokens that stand beside the vocabulary.

    Raises:
        EncoderError: one gets another id than the files say, or has none.
    """
    declared = dict(sorted(files.declared.items()))
    tokenizer.add_tokens(list(declared.values()))
    for number, token in declared.items():
        if tokenizer.token_to_id(token.content) != number:
            raise EncoderError(
                f"{files.folder}: the added word {token.content!r:.80} should have the id {number},"
                f" but the tokenizer gives it {tokenizer.token_to_id(token.content)}"
            )
    have = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for content, token in files.named.items():
        if tokenizer.token_to_id(content) is not None:
            tokenizer.add_tokens([token] if content not in have else [])
        elif content not in SPECIALS.values():
            raise EncoderError(
                f"{files.folder}: the special token {content!r:.80} has no id in any file"
            )
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for entry in (files.serialised or {}).get("added_tokens") or ():
        if entry["content"] not in added:
            raise EncoderError(
                f"{files.folder / JSON}: adds the word {entry['content']!r:.80}, which"
                f" {CONFIG} leaves out of added_tokens_decoder"
            )


def check_framing(tokenizer: Tokenizer, files: TokenizerFiles) -> None:
    """Check that a file that counts as it is frames texts as BERT does, or not at all.

    Raises:
        EncoderError: if it frames them otherwise.
    """
    framing = (files.serialised or {}).get("post_processor")
    if not files.as_it_is or framing is None:
        return
    cls, sep = ("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))
    tokens = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (cls, sep)}
    first = [_piece("[CLS]", 0), _piece("A", 0), _piece("[SEP]", 0)]
    allowed = (
        {"type": "BertProcessing", "sep": list(sep), "cls": list(cls)},
        {
            "type": "TemplateProcessing", "single": first,
            "pair": [*first, _piece("B", 1), _piece("[SEP]", 1)], "special_tokens": tokens,
        },
    )  # fmt: skip
    if framing not in allowed:
        raise EncoderError(
            f"{files.folder / JSON}: its post_processor isn't BERT's, which makes [CLS] a [SEP] of"
            " a text and [CLS] a [SEP] b [SEP], of types 0 and 1, of a pair"
        )


def _piece(name: str, type_id: int) -> dict[str, Any]:
    kind = "Sequence" if name in ("A", "B") else "SpecialToken"
    return {kind: {"id": name, "type_id": type_id}}


def check_vocabulary(vocabulary: dict[str, int], files: TokenizerFiles) -> None:
    """Check that every word has an id of its own, and the encoder a row for each.

    Args:
        vocabulary: of the whole tokenizer, with what was added.
        files: of the folder; where there are both, `vocab.txt` must say what `tokenizer.json` does.

    Raises:
        EncoderError: if not.
    """
    words = {i: word for word, i in vocabulary.items()}
    if len(words) < len(vocabulary):
        word, i = next((word, i) for word, i in vocabulary.items() if words[i] != word)
        raise EncoderError(
            f"{files.folder}: the tokenizer's words {word!r:.80} and {words[i]!r:.80} have one id,"
            f" {i}"
        )
    last = max(words)
    if files.rows is not None and last >= files.rows:
        raise EncoderError(
            f"{files.folder}: the tokenizer's {words[last]!r:.80} has the id {last}, but the"
            f" encoder has {files.rows} rows of word embeddings"
        )
    if files.serialised is not None and (files.folder / VOCABULARY).is_file():
        _check_file(files.folder / VOCABULARY, words)


def _check_file(file: Path, words: dict[int, str]) -> None:
    from tokenizers import models

    for word, i in models.WordPiece.read_file(str(file)).items():
        other = words.get(i, word)
        if other != word and other.strip() != word.strip():
            raise EncoderError(
                f"{file}: line {i + 1} is {word!r:.80}, but {JSON}, by which transformers goes,"
                f" has {other!r:.80} there; delete the one that is out of date"
            )
