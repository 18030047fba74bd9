"""Texts are framed and cut as the tokenizer itself does it, whatever its template."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from accord.data.template import Template, truncated_lengths
from accord.data.tokenizing import SpecialIds
from accord.errors import EncoderError

SPECIALS = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "<s>": 3, "</s>": 4, "[MASK]": 5}
FIRST = len(SPECIALS)


def template(single: str, pair: str) -> processors.TemplateProcessing:
    tokens = [(name, number) for name, number in SPECIALS.items() if name in f"{single} {pair}"]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=tokens)


FRAMES = {
    "BERT": processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
    "RoBERTa": processors.RobertaProcessing(("</s>", 4), ("<s>", 3), True, False),
    "RoBERTa's as a template": template("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    "several of them": template("[CLS] <s> $A [SEP]", "[CLS] <s> $A [SEP] $B:1 </s>:1 [SEP]:1"),
    "at the end alone": template("$A </s>", "$A </s> $B </s>"),
    "types of special tokens": template("[CLS] $A [SEP]", "[CLS] $A [SEP]:1 $B:1"),
    "the second text first": template("[CLS] $A", "[CLS] $B [SEP] $A"),
    "as the encoder was trained on one text": template("[CLS] $A", "[CLS] $A [SEP] $B:1"),
}


def tokenizer_of(name: str) -> Tokenizer:
    words = {f"w{i}": FIRST + i for i in range(60)}
    tokenizer = Tokenizer(models.WordLevel({**SPECIALS, **words}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = FRAMES[name]
    return tokenizer


TOKENIZERS = {name: tokenizer_of(name) for name in FRAMES}
TEMPLATES = {name: Template.of_tokenizer(each) for name, each in TOKENIZERS.items()}


def segments(counts: Sequence[int]) -> list[np.ndarray]:
    return [np.arange(count) + FIRST for count in counts]


@settings(max_examples=150)
@given(
    name=st.sampled_from(list(FRAMES)),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=2),
    max_length=st.integers(5, 64),
)
def test_texts_are_framed_as_the_tokenizer_frames_them(
    name: str, counts: list[int], max_length: int
) -> None:
    """Ids, token types and the cut of `longest_first`, to the token."""
    tokenizer = TOKENIZERS[name]
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    expected = tokenizer.encode(*(" ".join(f"w{i}" for i in range(count)) for count in counts))
    joined = TEMPLATES[name].join(segments(counts), max_length)
    assert joined.input_ids.tolist() == expected.ids
    types = (np.arange(len(expected.ids)) >= joined.first).astype(int)
    assert types.tolist() == expected.type_ids
    room = min(sum(counts), max_length - TEMPLATES[name].special_tokens(len(counts)))
    assert len(joined.input_ids) == room + TEMPLATES[name].special_tokens(len(counts))


def test_a_template_that_isn_t_named_is_bert_s() -> None:
    assert SpecialIds(1, 2, 0).framing == TEMPLATES["BERT"]
    assert SpecialIds(1, 2, 0, template=TEMPLATES["RoBERTa"]).framing == TEMPLATES["RoBERTa"]


@pytest.mark.parametrize("pair", ["[CLS] $A:1 [SEP] $B", "[CLS] $A [SEP] $B:2"])
def test_types_that_no_packed_batch_has_are_refused(pair: str) -> None:
    tokenizer = tokenizer_of("BERT")
    tokenizer.post_processor = template("[CLS] $A", pair)
    with pytest.raises(EncoderError, match="allowed: 0, and then 1"):
        Template.of_tokenizer(tokenizer)


@given(a=st.integers(0, 600), b=st.integers(0, 600), room=st.integers(0, 509))
def test_truncation_fills_the_room_and_never_lengthens(a: int, b: int, room: int) -> None:
    kept = truncated_lengths([a, b], room)
    assert sum(kept) == min(a + b, room)
    assert all(0 <= short <= whole for short, whole in zip(kept, (a, b), strict=True))


@pytest.mark.parametrize(
    ("lengths", "room", "kept"),
    [
        ([5], 5, [5]), ([6], 5, [5]), ([2, 9], 7, [2, 5]), ([9, 2], 7, [5, 2]), ([9, 9], 7, [3, 4]),
        ([8, 9], 7, [3, 4]), ([9, 8], 7, [4, 3]), ([3, 4], 7, [3, 4]), ([1, 1], 0, [0, 0]),
    ],
)  # fmt: skip
def test_worked_truncations(lengths: list[int], room: int, kept: list[int]) -> None:
    assert truncated_lengths(lengths, room) == kept
