"""A study's search space: a config, the keys that vary, and the config of any of its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import torch

from accord.balancing import get_rule
from accord.config.file import as_table, parse_config, resolve_paths, stage_configs
from accord.config.overrides import of_a_stage
from accord.config.sections import Config
from accord.config.stages import stage_name
from accord.data.datasets import read_data
from accord.encoders.pretrained import read_config, resolve_encoder_folder
from accord.errors import ConfigError, EncoderError, UsageError
from accord.gradients import get_method
from accord.grids.cells import applied
from accord.methods import Signals
from accord.plan.making import plan_run
from accord.plan.run import StagePlan
from accord.plan.unused import unused_keys, without_unused
from accord.sharing import scheme_names
from accord.training.building import check_all_sizes
from accord.training.drawing import build_sampler, training_sources
from accord.tuning.dimensions import Dimension, Range, Value, parse_search

LOWEST, HIGHEST = 0.1, 10.0

Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Space:
    """What a study searches.

    Attributes:
        base: the config that the searched keys are set in.
        dimensions: what each of them may be.
        folder: that relative paths among their values are relative to.
        start: the first trial's settings; empty where they are drawn as all others.
        note: where these differ from what the config does by itself, or nothing.
    """

    base: Config
    dimensions: tuple[Dimension, ...]
    folder: Path
    start: Settings = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, config: Config, searches: Sequence[str], folder: Path) -> Space:
        """Return the space that some texts describe, or by default that of the tasks' weights.

        Raises:
            UsageError: if a text can't be used, or there is nothing to search.
        """
        if not searches:
            return _weights(config, folder)
        dimensions = [parse_search(text, as_table(config)) for text in searches]
        keys = [dimension.key for dimension in dimensions]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"--search: {key} is there twice")
        space = cls(config, tuple(dimensions), folder)
        for dimension, text in zip(dimensions, searches, strict=True):
            space.check(dimension, f"--search {text}")
        return space

    def config(self, settings: Settings, where: str) -> Config:
        """Return the config of a point, without the options of methods that it doesn't choose.

        Raises:
            ConfigError: if these settings don't go together.
        """
        return without_unused(self._full_config(settings, where))

    def _full_config(self, settings: Settings, where: str) -> Config:
        drawn = {dimension.key: dimension for dimension in self.dimensions}
        values = {key: drawn[key].value(value) for key, value in settings.items()}
        table = applied(as_table(self.base), values, where)
        config = resolve_paths(parse_config(table, where), self.folder)
        plan_run(config, where)
        return config

    def check(self, dimension: Dimension, where: str) -> None:
        """Check that each end is valid by itself, or beside some value of another key.

        Raises:
            ConfigError: what is wrong with it, one line.
        """
        others = [other for other in self.dimensions if other is not dimension]
        contexts = [{}, *({other.key: value} for other in others for value in other.ends)]
        for value in dimension.ends:
            faults = [
                self._fault({**context, dimension.key: value}, dimension.key, where)
                for context in contexts
            ]
            if all(faults):
                raise ConfigError(faults[0])

    def _fault(self, settings: Settings, key: str, where: str) -> str:
        """Return the first thing that is wrong with a point, as far as a key goes; or nothing."""
        try:
            config = self._full_config(settings, where)
            if key in ("encoder.path", "encoder.revision"):
                read_config(resolve_encoder_folder(config.encoder.path, config.encoder.revision))
            if _makes_parts(key):
                check_all_sizes(plan_run(config))
        except (ConfigError, EncoderError) as error:
            line = str(error.args[0])
            return line if line.startswith(where) else f"{where}: {line}"
        if of_a_stage(key):
            _, stage, key = key.split(".", 2)
            names = [stage_name(config.stages, index) for index in range(len(config.stages))]
            config = stage_configs(config)[names.index(stage)]
        section, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if section == "methods" and name not in without_unused(config).methods:
            return f"{where}: '{name}' is not chosen, so its options make no difference"
        why = unused_keys(config).get(key)
        return "" if why is None else f"{where}: makes no difference: {why}"

    def lines(self) -> Iterator[str]:
        """Yield what each key may be."""
        return map(str, self.dimensions)


def _makes_parts(key: str) -> bool:
    """Whether a key decides what is made of the encoder, and so has to fit it."""
    last = key.split(".", 2)[2] if of_a_stage(key) else key
    section, _, rest = last.partition(".")
    scheme = section == "methods" and rest.partition(".")[0] in scheme_names()
    return scheme or last in ("sharing.schemes", "encoder.reinit_layers")


def _weights(config: Config, folder: Path) -> Space:
    """Return the space of one loss weight per task, the first task's being 1.

    AdamW's step hardly depends on the scale of all weights together, so that is not searched. The
    first trial has the weights of the config itself, if they are fixed or follow from the tasks'
    shares of a step (of an epoch that changes, the first one's), else equal ones: what is found is
    no worse on dev.

    Raises:
        UsageError: if there is one task, if weights hardly act with the config's gradient method,
            or if tasks' shares can't be told, as their data can't be read.
    """
    if config.stages:
        raise UsageError(
            "the weights that are searched by default are of tasks trained together; with stages"
            " --search KEY=SPEC says what to search"
        )
    first, *others = config.tasks
    if not others:
        raise UsageError(
            f"there is one task, '{first}', and so no weight to tune;"
            " --search KEY=SPEC says what to search"
        )
    plan = plan_run(config).only
    method = plan.training.gradients
    if "scale_of_one" in get_method(method).laws:
        raise UsageError(
            "the weights that are searched by default would reach the heads alone:"
            f" '{method}' gives the encoder one direction however a task's gradient is scaled;"
            " --search KEY=SPEC says what to search"
        )
    settings = {"training.balancing": "fixed", "methods.fixed.weights": {first: 1.0}}
    base = parse_config(applied(as_table(config), settings, "config"))
    plan_run(base, files=False)
    keys = {f"methods.fixed.weights.{name}": name for name in others}
    ranges = tuple(Range(key, LOWEST, HIGHEST, log=True) for key in keys)
    weights, note = _config_weights(plan)
    wanted = {
        key: weights[name] / weights[first] if weights[first] else inf for key, name in keys.items()
    }
    start = {key: min(max(weight, LOWEST), HIGHEST) for key, weight in wanted.items()}
    outside = [f"{key}={start[key]:g}, not {wanted[key]:.4g}" for key in keys
               if start[key] != wanted[key]]  # fmt: skip
    if outside:
        note = f"trial 0 has {'; '.join(outside)}: weights are searched from 0.1 to 10"
    return Space(base, ranges, folder, start, note)


def _config_weights(plan: StagePlan) -> tuple[dict[str, float], str]:
    """Return each task's weight by the plan's own rule, or 1 and that it is another's turn."""
    equal, rule = dict.fromkeys(plan.data.tasks, 1.0), plan.training.balancing
    if rule == "fixed":
        return equal | dict(plan.options["fixed"]["weights"] or {}), ""
    if rule == "inverse-share":
        return _by_shares(plan), ""
    note = f"fixed weights take the place of balancing '{rule}'; trial 0 has equal ones"
    return equal, "" if rule == "equal" else note


def _by_shares(plan: StagePlan) -> dict[str, float]:
    """Return the weights of 'inverse-share', for which the data have to be read."""
    folder = resolve_encoder_folder(plan.encoder.path, plan.encoder.revision)
    sources = training_sources(plan, read_data(plan.data, folder, lambda text: None).train)
    names, sizes = tuple(source.name for source in sources), tuple(map(len, sources))
    shares = torch.tensor(build_sampler(plan, names, sizes).shares)
    signals = Signals.of(losses=torch.ones(len(sizes)), shares=shares, others=shares.sum() - shares)
    weights, _ = get_rule("inverse-share").function(signals, {}, torch.Generator())
    return {
        part.task.name: weight
        for source, weight in zip(sources, weights.tolist(), strict=True)
        for part in source.parts
    }
