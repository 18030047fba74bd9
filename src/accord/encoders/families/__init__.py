"""Families of encoders, one a file: each assembles its own from blocks, and names its tensors."""

from accord.encoders.families import bert
from accord.encoders.family import Family

FAMILIES: dict[str, Family] = {family.model_type: family for family in (bert.FAMILY,)}
"""By Hugging Face's `model_type`."""
