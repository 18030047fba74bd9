"""Encoders over packed batches."""

from accord.encoders.encoder import Encoder, EncoderConfig
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.layouts import pack_lists, pack_padded, unpack

__all__ = [
    "BertConfig", "BertEncoder", "Encoder", "EncoderConfig", "pack_lists", "pack_padded", "unpack",
]  # fmt: skip
