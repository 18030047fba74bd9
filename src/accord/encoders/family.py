"""What a family of encoders declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accord.encoders.encoder import Encoder, EncoderConfig


@dataclass(frozen=True)
class Family:
    """A family of encoders in Hugging Face's format.

    Attributes:
        model_type: its name there.
        architecture: the class that opens it there.
        config: its sizes, a frozen dataclass.
        named_views: yields each tensor's name there, with the part of our parameters that it is.
        words: the name there of the word embeddings.
        layer: that of a tensor which each layer has, `{}` for the layer's number.
        prefix: what names begin with where a model stands around the encoder.
        constants: keys of a config that have one value, which is the default.
        predictions: what the names of the head begin with that it was pretrained with, to tell
            masked words.
        prediction_names: of tensors of `MaskedLMHead` that have other names there, or several.
    """

    model_type: str
    architecture: str
    config: type[EncoderConfig]
    named_views: Callable[[Encoder], Iterator[tuple[str, Tensor]]]
    words: str
    layer: str
    prefix: str
    constants: Mapping[str, Any]
    predictions: str
    prediction_names: Mapping[str, tuple[str, ...]]
