"""Families of encoders, one per file: each assembles its own from blocks, and names its tensors."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from accord.encoders.family import Family

_modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
FAMILIES: dict[str, Family] = {module.FAMILY.model_type: module.FAMILY for module in _modules}
"""By Hugging Face's `model_type`."""
