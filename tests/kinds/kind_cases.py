"""What each kind's tests are given: tasks of it, labels and what is wrong with others.

`cases_NAME.py` has the cases of the kind in `accord/kinds/NAME.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from torch import Tensor

from accord.config.tasks import TaskConfig
from accord.data.plan import TaskPlan
from accord.kinds import Kind, LabelledKind, all_kinds, kind_of, labelled_kind, task_section
from accord.plan.tasks import task_plan
from accord.tasks import Task


@dataclass(frozen=True)
class Case:
    """A task, and what is known of it.

    Attributes:
        task: its layout fits `keys`.
        keys: of its `[tasks.NAME]`, beside the kind, the files and the columns of texts.
        good: label's texts, and the targets that they are.
        bad: label's texts, and what is said of them.
        sure: logits, from targets as a store keeps them, that say just these.
        text: a text that a label's text fits.
        candidates: of a row with this text for a label, where rows have a varying number of them.
        labels_are_answers: whether a prediction is spelt as a label.
        units: how many words or candidates each row has, from such targets, where it has a varying
            number; default: as many as there are targets, without the -1 behind them.
    """

    task: Task
    keys: dict[str, Any] = field(default_factory=dict)
    good: dict[str, Any] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    sure: Callable[[Tensor], Tensor] | None = None
    text: Callable[[str], str] = lambda label: "a"
    candidates: Callable[[str], list[str]] | None = None
    labels_are_answers: bool = True
    units: Callable[[np.ndarray], np.ndarray] = lambda targets: (targets >= 0).sum(1)

    @property
    def kind(self) -> LabelledKind[Any]:
        return labelled_kind(self.task)

    @property
    def kind_of_any(self) -> Kind[Any]:
        return kind_of(self.task)

    @property
    def columns(self) -> list[str]:
        return ["one", "two"][: 2 if self.candidates else self.task.texts]

    @property
    def text_key(self) -> str | list[str]:
        """What `text` names in a config."""
        return self.columns if len(self.columns) > 1 else self.columns[0]

    @property
    def section(self) -> TaskConfig:
        return task_section(kind=self.task.kind, text=self.text_key, **self.keys)

    @property
    def plan(self) -> TaskPlan:
        return task_plan(self.section)

    def row(self, label: str) -> dict[str, str]:
        """A row with this text for a label, by its columns."""
        texts = dict.fromkeys(self.columns, self.text(label))
        if self.candidates is not None:
            texts["two"] = json.dumps(self.candidates(label))
        return {**texts, self.plan.label: label}

    def targets(self, rows: int, seed: int = 0) -> np.ndarray:
        """Targets of some rows, as a store keeps them; all that are good among them."""
        each = self.kind.target_form(self.task).array(list(self.good.values()))
        order = np.random.default_rng(seed).permutation(rows) % len(each)
        return each[order]

    def sizes(self, rows: int) -> np.ndarray | None:
        """How many units each of these rows has; None where a row is one."""
        one = self.kind_of_any.units == "rows"
        return None if one else self.units(self.targets(rows))

    def padded(self, outputs: Tensor) -> Tensor:
        """Logits of some rows, [n, outputs] times their units, with -inf behind each row's units.

        Where a row is one they are these outputs; else each place has other rows' ones.
        """
        from torch import arange, from_numpy, stack

        if (sizes := self.sizes(len(outputs))) is None:
            return outputs
        logits = stack([outputs.roll(place, 0) for place in range(sizes.max())], 1)
        behind = arange(int(sizes.max())) >= from_numpy(sizes)[:, None]
        return logits.masked_fill(behind[..., None], float("-inf"))

    def logits(self, targets: np.ndarray) -> Tensor:
        from torch import from_numpy

        assert self.sure is not None
        return self.sure(from_numpy(targets))


def cases_of(kind: Kind[Any]) -> list[Case]:
    """Return the cases of a kind."""
    cases: list[Case] = import_module(f"cases_{kind.name.replace('-', '_')}").CASES
    return cases


def all_cases(labelled: bool | None = None) -> list[Case]:
    """Return the cases of all kinds, or of those with or without labels."""
    kinds = [kind for kind in all_kinds() if labelled in (None, kind.labelled)]
    return [case for kind in kinds for case in cases_of(kind)]
