"""Encoders over packed batches."""

from accord.encoders.encoder import Encoder, EncoderConfig
from accord.encoders.families.bert import BertConfig, BertEncoder

__all__ = ["BertConfig", "BertEncoder", "Encoder", "EncoderConfig"]
