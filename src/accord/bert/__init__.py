"""The encoder: BERT over packed batches, its attention, products, and each task's gradient."""

from accord.bert.encoder import BertConfig, BertEncoder

__all__ = ["BertConfig", "BertEncoder"]
