"""Exposure of a grid's cells: as much as another cell's, or an equal budget for all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from accord.data.datasets import Data, read_data
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.encoders.pretrained import resolve_encoder_folder
from accord.errors import ConfigError
from accord.grids.cells import CellMaker, Draft, Settings, name_of, without_seed
from accord.grids.equal_exposure import AT_DEV_S_WORD, drawn_of
from accord.plan.making import plan_run
from accord.plan.run import StagePlan
from accord.training.drawing import (
    balanced_classes,
    build_sampler,
    fixed_weights,
    mean_tokens,
    training_sources,
)

Budget = Literal["tokens", "steps", "examples"]
STEPS, EPOCHS, EXAMPLES = "training.steps_per_epoch", "training.epochs", "training.examples"


@dataclass(frozen=True)
class Size:
    """A source's training rows, and the mean length in tokens of those that are drawn."""

    rows: int
    tokens: float


@dataclass
class Sizes:
    """The sizes of training data, which are read once.

    Attributes:
        say: told what reading them found.
    """

    say: Callable[[str], None]
    _data: dict[str, Data] = field(default_factory=dict, repr=False)
    _known: dict[str, dict[str, Size]] = field(default_factory=dict, repr=False)

    def data(self, plan: StagePlan) -> Data:
        """Return the data of a run.

        Raises:
            UsageError: whatever is wrong with its data or encoder.
        """
        key = repr((plan.data, plan.encoder.path, plan.encoder.revision))
        if key not in self._data:
            folder = resolve_encoder_folder(plan.encoder.path, plan.encoder.revision)
            say = (lambda text: None) if self._data else self.say
            self._data[key] = read_data(plan.data, folder, say)
        return self._data[key]

    def of(self, plan: StagePlan) -> dict[str, Size]:
        """Return the size of each source of a run, by its name: that of its one task, mostly.

        Raises:
            UsageError: whatever is wrong with its data or encoder.
        """
        weights = fixed_weights(plan)
        key = repr((plan.data, plan.encoder.path, plan.encoder.revision, weights))
        if key not in self._known:
            data = self.data(plan)
            classes = balanced_classes(plan, data.train)
            self._known[key] = {
                source.name: Size(
                    len(source),
                    mean_tokens(source.name, source.lengths(data.assembler), classes),
                )
                for source in training_sources(plan, data.train)
            }
        return self._known[key]


@dataclass(frozen=True)
class Amounts:
    """Counts what cells show, and sets their steps, examples and epochs by it.

    Attributes:
        make: the grid's cells.
        sizes: of their data.
    """

    make: CellMaker
    sizes: Sizes
    _samplers: dict[str, tuple[Sampler | RehearsalSampler, StagePlan]] = field(
        default_factory=dict, repr=False
    )
    _counts: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    def settled(self, drafts: Sequence[Draft], equal: Budget | None) -> list[Draft]:
        """Return cells that show as much as each other cell that they name, and with an equal
        budget as much as the largest of them: to the nearest step of an epoch, by more epochs.

        Args:
            drafts: of a grid.
            equal: what of all cells have alike; those that leave themselves out aren't returned.

        Raises:
            ConfigError: naming a cell that can't show as much.
            UsageError: whatever is wrong with data or encoder.
        """
        settled = [
            draft if draft.as_much_as is None else self._as_much(draft, drafts) for draft in drafts
        ]
        return settled if equal is None else self._equal(settled, equal)

    def _as_much(self, draft: Draft, drafts: Sequence[Draft]) -> Draft:
        """Cut a cell's epochs, or count its examples, so that it shows what the named one does."""
        named = self._named(draft, drafts)
        drawn = self._drawn(named)
        wanted = {task: drawn.get(task) for task in self._drawn(draft.settings)}
        steps = self._sampler(named)[0].steps
        ways: list[Settings] = [{}, {STEPS: steps}]
        if len(wanted) == 1:
            ways.append({EXAMPLES: next(iter(wanted.values()))})
        for way in ways:
            settings = {**draft.settings, **way}
            if self._drawn(settings) == wanted:
                return replace(draft, settings=settings)
        raise ConfigError(
            f"{self.make.where}: cell {name_of(draft.settings)}: can't show as much of its tasks as"
            f" '{draft.as_much_as}' by epochs of other lengths; a task alone could"
        )

    def _named(self, draft: Draft, drafts: Sequence[Draft]) -> Settings:
        """Return the settings of the cell that a cell is to show as much as; seeds are alike.

        Raises:
            ConfigError: if axes make several of it that show unlike amounts.
        """
        first, *others = (other.settings for other in drafts if other.label == draft.as_much_as)
        if any(self._drawn(other) != self._drawn(first) for other in others):
            raise ConfigError(
                f"{self.make.where}: as_much_as: cells labelled '{draft.as_much_as}' don't all show"
                " the same amount; give each a label of its own to say which is meant"
            )
        return first

    def _equal(self, drafts: Sequence[Draft], equal: Budget) -> list[Draft]:
        kept = [draft for draft in drafts if draft.equal_budget]
        if not kept:
            raise ConfigError(
                f"{self.make.where}: equal: all cells have equal_budget = false, so none is left"
            )
        each = [self._epoch(draft.settings, equal) for draft in kept]
        budget = max(steps * amount * epochs for steps, amount, epochs in each)
        settled = []
        for draft, (steps, amount, _) in zip(kept, each, strict=True):
            total = budget / amount
            epochs = max(1, math.ceil(total / steps - 1e-9))
            exact = max(1, round(total / epochs))
            shortened = {STEPS: exact} if exact < steps else {}
            settled.append(replace(draft, settings={**draft.settings, EPOCHS: epochs, **shortened}))
        return settled

    def _epoch(self, settings: Settings, equal: Budget) -> tuple[int, float, int]:
        """Return an epoch's steps, what of a budget each of them takes, and how many epochs."""
        sampler, plan = self._sampler(settings)
        if plan.training.examples is not None:
            raise ConfigError(
                f"{self.make.where}: cell {name_of(settings)}: sets its own number of examples,"
                " not an equal budget; equal_budget = false leaves the cell out of it"
            )
        taken = 1.0
        if equal != "steps":
            sizes = self.sizes.of(plan)
            taken = math.fsum(
                share * (sizes[name].tokens if equal == "tokens" else 1.0)
                for name, share in zip(sizes, sampler.shares, strict=True)
            )
        return sampler.steps, taken, plan.training.epochs

    def _drawn(self, settings: Settings) -> dict[str, int]:
        """Return how many examples of each task a cell draws."""
        key = _without_seed(settings)
        if key not in self._counts:
            sampler, plan = self._sampler(settings)
            names = self.sizes.of(plan)
            if len(names) < len(plan.data.tasks):  # rows of a source may lack a task's label
                self._counts[key] = drawn_of(plan, data=self.sizes.data(plan))
            else:
                counts = sampler.examples(plan.training.epochs)
                self._counts[key] = dict(zip(names, counts, strict=True))
        return self._counts[key]

    def _sampler(self, settings: Settings) -> tuple[Sampler | RehearsalSampler, StagePlan]:
        """Return how a cell draws, and its plan; cells that differ in their seed alone are one."""
        key = _without_seed(settings)
        if key not in self._samplers:
            plan = plan_run(self.make.config(settings), self.make.where)
            if plan.staged:
                raise ConfigError(
                    f"{self.make.where}: cell {name_of(settings)}: has stages; as_much_as and equal"
                    " budgets are for cells that have none"
                )
            if plan.only.training.patience is not None:
                raise ConfigError(
                    f"{self.make.where}: cell {name_of(settings)}: training.patience:"
                    f" {AT_DEV_S_WORD}; as_much_as and equal budgets are for cells without"
                )
            sizes = self.sizes.of(plan.only)
            rows = tuple(size.rows for size in sizes.values())
            self._samplers[key] = build_sampler(plan.only, tuple(sizes), rows), plan.only
        return self._samplers[key]


def _without_seed(settings: Settings) -> str:
    """Return what tells a cell's settings from others, except for the seed."""
    return json.dumps(without_seed(settings), sort_keys=True)
