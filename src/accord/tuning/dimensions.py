"""What a study may set a key to: a range of numbers, or one of a list of values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accord.config.overrides import read_override
from accord.errors import ConfigError
from accord.tuning.keys import searched_key, takes_fractions

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = float | int | bool | str
"""What a trial draws; a list is drawn as its JSON text."""

_FORMS = "takes KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C"


@dataclass(frozen=True)
class Range:
    """A key's numbers between two bounds, both included; whole ones if both bounds are `int`.

    Attributes:
        key: dotted.
        low: the least.
        high: the largest.
        log: whether their logarithms are drawn.
    """

    key: str
    low: float | int
    high: float | int
    log: bool = False

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that have to be valid."""
        return self.low, self.high

    def draw(self, trial: Trial) -> Value:
        """Let a trial choose, or repeat what it chose before."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)

    def value(self, drawn: Value) -> Value:
        """Return what the config is to have where this was drawn."""
        return drawn

    def __str__(self) -> str:
        return f"{self.key}={self.low}:{self.high}{':log' * self.log}"


@dataclass(frozen=True)
class Choice:
    """One of several values of a key.

    Attributes:
        key: dotted, or a name of `grids.cells.OF_TASKS`.
        values: two or more; lists may be among them.
    """

    key: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that have to be valid, as they are drawn."""
        return tuple(map(_drawn, self.values))

    def draw(self, trial: Trial) -> Value:
        """Let a trial choose, or repeat what it chose before."""
        chosen = trial.suggest_categorical(self.key, self.ends)
        assert chosen is not None  # as none of the values is
        return chosen

    def value(self, drawn: Value) -> Any:
        """Return what the config is to have where this was drawn."""
        return self.values[self.ends.index(drawn)]

    def __str__(self) -> str:
        if any(isinstance(value, list) for value in self.values):
            return f"{self.key}={','.join(map(json.dumps, self.values))}"
        texts = (
            str(value).lower() if isinstance(value, bool) else str(value) for value in self.values
        )
        return f"{self.key}={','.join(texts)}"


def _drawn(value: Any) -> Value:
    drawn: Value = json.dumps(value) if isinstance(value, list) else value
    return drawn


Dimension = Range | Choice


def parse_search(text: str, base: Mapping[str, Any]) -> Dimension:
    """Read one `--search`.

    Args:
        text: `KEY=LOW:HIGH`, `KEY=LOW:HIGH:log` or `KEY=A,B,C`; the key is dotted or one of the
            grids' short names. Whole bounds are of whole numbers if the key takes no others.
        base: the config as nested mapping.

    Raises:
        ConfigError: with the text and what is wrong with it.

    Example:
        >>> parse_search("lr=1e-5:1e-4:log", {})
        Range(key='training.lr', low=1e-05, high=0.0001, log=True)
        >>> parse_search("gradients=sum,pcgrad", {})
        Choice(key='training.gradients', values=('sum', 'pcgrad'))
        >>> parse_search('sharing.schemes=[],["lora"]', {})
        Choice(key='sharing.schemes', values=([], ['lora']))
    """
    where = f"--search {text}"
    name, equals, spec = (part.strip() for part in text.partition("="))
    if not (name and equals and spec):
        raise ConfigError(f"{where}: {_FORMS}")
    key = searched_key(where, name, base)
    try:
        return _choice(key, spec) if "," in spec else _range(key, spec, base)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _choice(key: str, spec: str) -> Choice:
    choice = Choice(key, tuple(_values(spec)))
    if len(choice.values) < 2:
        raise ValueError(f"{spec} is a single choice; {_FORMS}")
    if len(set(choice.ends)) < len(choice.values):
        raise ValueError("a choice is there twice")
    return choice


def _values(spec: str) -> list[Any]:
    """Return the values of a TOML list of this content, or else what stands between commas."""
    _, listed = read_override(f"values=[{spec}]")
    if isinstance(listed, list) and all(map(_is_plain, listed)) and not spec.endswith(","):
        return listed
    texts = [part.strip() for part in spec.split(",")]
    if "" in texts:
        raise ValueError("a choice is empty")
    values = [read_override(f"value={text}")[1] for text in texts]
    return [
        value if isinstance(value, Value) else text
        for value, text in zip(values, texts, strict=True)
    ]


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, Value)


def _range(key: str, spec: str, base: Mapping[str, Any]) -> Range:
    low, colon, rest = spec.partition(":")
    high, log, scale = rest.partition(":")
    if not colon or (log and scale.strip() != "log"):
        raise ValueError(_FORMS)
    least, most = _number(low), _number(high)
    integral = isinstance(least, int) and isinstance(most, int)
    if not integral:
        least, most = float(least), float(most)
    if least >= most:
        raise ValueError(f"{least} is not below {most}")
    if log and least <= 0:
        raise ValueError(f"a logarithmic range begins above 0, not at {least}")
    if integral and takes_fractions(key, int(least), int(most), base):
        least, most = float(least), float(most)
    return Range(key, least, most, log=bool(log))


def _number(text: str) -> float | int:
    text = text.strip()
    try:
        number = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"'{text}' is no finite number; {_FORMS}")
    return number
