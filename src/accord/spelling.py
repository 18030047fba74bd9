"""One spelling for every label, whatever file it stands in."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache


@lru_cache(4096)  # the labels of a large file are few
def canonical_label(text: str) -> str:
    """Return a label's canonical spelling, so that one value is one class in every file.

    Whole numbers lose their decimals, since a column that misses one has floats; a number with an
    exponent as Python writes large and small floats is written out; booleans are `true` and
    `false`. `007`, `1.50`, `1e3` and all else may be names, and stay as they are.

    Example:
        >>> canonical_label(" 1.0 "), canonical_label("1e+16"), canonical_label("TRUE")
        ('1', '10000000000000000', 'true')
        >>> canonical_label("positive"), canonical_label("007")
        ('positive', '007')
    """
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?e[+-][0-9]{2,3}", text):
        number = float(text)
        if repr(number) == text:  # as a float is written, and no code such as 1e-01
            text = str(int(number)) if number.is_integer() else format(Decimal(text), "f")
    match = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:\.0*)?", text)
    if match is None:
        return text
    sign, digits = match.groups()
    return digits if digits == "0" else sign + digits
