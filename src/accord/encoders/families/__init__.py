"""Families of encoders, one a file: each assembles its own from blocks, and names its tensors."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from accord.encoders.family import Family

_modules = (import_module(f"{__name__}.{own.name}") for own in pkgutil.iter_modules(__path__))
FAMILIES: dict[str, Family] = {own.FAMILY.model_type: own.FAMILY for own in _modules}
"""By Hugging Face's `model_type`."""
