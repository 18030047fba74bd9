"""Keys of a config that make no difference, as no other key calls for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.config.file import stage_configs
from accord.config.sections import Config
from accord.config.stages import stage_label
from accord.families import FAMILIES
from accord.sharing import get_scheme


def effective(config: Config) -> dict[str, Any]:
    """Return a config as JSON without what makes no difference.

    Configs of which these are equal make the same run, whatever chose them.
    """
    return without_unused(config).model_dump(mode="json", exclude={"selection", "comparison"})


def without_unused(config: Config) -> Config:
    """Return a config without the options of methods that it doesn't choose, all such keys, and a
    memory where no task is finished."""
    if config.memory is not None and not config.remembers:
        config = config.model_copy(update={"memory": None})
    parts = _parts(config)
    chosen = {name for names in _chosen(config, parts).values() for name in names}
    changes: dict[str, Any] = {}
    if not chosen.issuperset(config.methods):
        changes["methods"] = {name: own for name, own in config.methods.items() if name in chosen}
    for key in unused_keys(config):
        section, name = key.split(".")
        own = changes.get(section) or getattr(config, section)
        changes[section] = type(own).model_validate(
            own.model_dump(exclude_unset=True, exclude={name})
        )
    return config.model_copy(update=changes) if changes else config


def unused_options(config: Config) -> str:
    """Say which keys and methods' options make no difference, and what was chosen in their place.

    Returns:
        One line; empty if all are used. What a stage alone sets is said of the stage.
    """
    parts, keys = _parts(config), unused_keys(config)
    lines = [*_method_lines(config.methods, _chosen(config, parts)), *_key_lines(keys)]
    for index, (stage, part) in enumerate(zip(config.stages, parts, strict=False)):
        own_keys = {
            key: why for key, why in _idle(part).items()
            if key not in keys and key.split(".")[1] in getattr(stage, key.split(".")[0])
        }  # fmt: skip
        methods = _method_lines(stage.methods, _chosen(part, [part]))
        label = stage_label(config.stages, index)
        lines += [f"{label}: {line}" for line in (*methods, *_key_lines(own_keys))]
    return "; ".join(lines)


def unused_keys(config: Config) -> dict[str, str]:
    """Return keys, other than methods' options, that make no difference in any stage, and why."""
    parts = _parts(config)
    found = [_idle(part) for part in parts]
    unused = {}
    for key in _names(key for own in found for key in own):
        here = [own.get(key) for own, part in zip(found, parts, strict=True) if _sets(part, key)]
        reasons = [why for why in here if why is not None]
        if _sets(config, key) and len(reasons) == len(here):
            unused[key] = ", ".join(_names(reasons))
    return unused


def _parts(config: Config) -> list[Config]:
    """Return the configs of a run's stages, or its own if it has none."""
    return stage_configs(config) if config.stages else [config]


def _method_lines(given: Collection[str], chosen: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for family in FAMILIES:
        names = chosen[family.key]
        unused = [own for own in given if own in family.names() and own not in names]
        if unused:
            shown = ", ".join(f"'{own}'" for own in names) or "not set"
            why = f"{family.key} is {shown}"
            if family.key == "training.batching" and not names:
                why = "training.examples is set"
            yield _line([f"[methods.{own}]" for own in unused], why)


def _key_lines(unused: Mapping[str, str]) -> Iterator[str]:
    for why in _names(unused.values()):
        yield _line([key for key, own in unused.items() if own == why], why)


def _line(names: Sequence[str], why: str) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not used: {why}"


def _idle(config: Config) -> dict[str, str]:
    """Return the keys that a config without stages sets to no effect, and why."""
    sharing, averaging = config.sharing, config.averaging
    found = {}
    if sharing.soft is None:
        found["sharing.soft_weight"] = "sharing.soft is not set"
    if not sharing.schemes:
        found["sharing.lr"] = "sharing.schemes is not set"
    elif all(get_scheme(name).copies for name in sharing.schemes):
        found["sharing.lr"] = f"copies of layers, as of '{sharing.schemes[0]}', have training.lr"
    for key, method in (("decay", "ema"), ("start", "swa"), ("every_steps", "swa")):
        if averaging.method != method:
            found[f"averaging.{key}"] = f"averaging.method is '{averaging.method}'"
    if config.training.examples is not None:
        drawn = ("training.batching", "training.tasks_per_step")
        found |= dict.fromkeys(drawn, "training.examples is set")
    found |= _untrained(config)
    if Path(config.encoder.path).is_absolute():  # a hub id isn't
        found["encoder.revision"] = "encoder.path is a folder"
    return {key: why for key, why in found.items() if _sets(config, key)}


def _untrained(config: Config) -> dict[str, str]:
    """Return the keys that are for shared weights that learn, where they don't, and why."""
    frozen, why = config.encoder.mode == "frozen", "encoder.mode is 'frozen'"
    found: dict[str, str] = {}
    if frozen:
        keys = ("encoder.gradient_checkpointing", "encoder.dropout", "training.micro_batch_tokens")
        found |= dict.fromkeys(keys, why)
    if frozen or not config.sharing.train_shared:
        why = why if frozen else "sharing.train_shared is false"
        found |= dict.fromkeys(("training.halves_every", "training.gramian"), why)
        if not any(get_scheme(name).copies for name in config.sharing.schemes):
            found["training.layer_decay"] = why  # copies of layers go by it
    return found


def _sets(config: Config, key: str) -> bool:
    """Whether a key has a value that is not there by default."""
    section, name = key.split(".")
    own = getattr(config, section)
    return name in own.model_fields_set and getattr(own, name) is not None


def _chosen(config: Config, parts: Sequence[Config]) -> dict[str, tuple[str, ...]]:
    """Return the methods that a config uses in any of its parts, by the key that chooses them."""
    parts = [config, *parts]
    return {
        "training.gradients": _names(own.gradient_method for own in parts),
        "training.balancing": _names(own.training.balancing_rule for own in parts),
        "training.batching": _names(
            own.training.batching for own in parts if own.training.examples is None
        ),
        "sharing.schemes": _names(name for own in parts for name in own.sharing.schemes),
        "training.regularisers": _names(
            name for own in parts for name in own.training.regularisers
        ),
        "tasks.NAME.targets": _names(
            own.targets for own in config.labelled.values() if own.targets != "range"
        ),
    }


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Return each of some names once, in order."""
    return tuple(dict.fromkeys(names))
