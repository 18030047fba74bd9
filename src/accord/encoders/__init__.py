"""Encoders over packed batches."""

from accord.encoders.bert import BertConfig, BertEncoder

__all__ = ["BertConfig", "BertEncoder"]
