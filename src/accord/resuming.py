"""What a run was when it began, and whether it still is when it is resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from accord.config import Config
from accord.errors import RunFolderError
from accord.products import Products, onednn_is_exact
from accord.progress import Console
from accord.run_folder import RunFolder, environment, now
from accord.setup import Setup, prepare

_VERSIONED = ("accord", "torch", "numpy", "tokenizers")
_FILES = ("train", "dev", "test", "path")  # keys whose values `resolved.json` holds as full paths


def versions() -> dict[str, str]:
    """Return the versions that a run's bits may depend on."""
    packages = environment(0, "")["packages"]
    return {name: packages[name] for name in _VERSIONED}


def resolved(setup: Setup, run: RunFolder) -> dict[str, Any]:
    """Return what `resolved.json` holds."""
    return {
        "config": setup.config.model_dump(mode="json"),
        "tasks": [task.to_json() for task in setup.data.tasks],
        "epoch": dataclasses.asdict(setup.sampler.shape),
        "max_length": setup.data.assembler.max_length,
        "products": dataclasses.asdict(setup.learner.products),
        "data": setup.data.contents(),
        "encoder": frozen_weights(setup),
        "fingerprint": setup.fingerprint,
        "config_toml": _source_hash(run),
        "versions": versions(),
    }


def prepare_again(run: RunFolder, console: Console, force: bool = False) -> Setup:
    """Prepare a run as it was when it began.

    Args:
        run: its folder.
        console: for warnings.
        force: go on with what is there now, and record that.

    Raises:
        RunFolderError: if something changed since and `force` isn't set, naming what.
    """
    begun, config = run.read_json("resolved.json"), run.config()
    found = list(_edits(run, begun))
    if found and force:
        config = _edited(run, begun)
    setup = prepare(config, console.say, recorded_products(begun, run, console))
    found += _changed("data", begun.get("data", {}), setup.data.contents(), "content")
    found += _changed("encoder", begun.get("encoder", {}), frozen_weights(setup), "other weights")
    found += _changed("version of", begun.get("versions", {}), versions(), "{0} -> {1}")
    if not found and begun.get("fingerprint") != setup.fingerprint:
        found = ["resolved.json"]
    if not found:
        return setup
    if not force:
        raise RunFolderError(
            f"{run.path}: changed since this run began: {'; '.join(found)};"
            " --force goes on all the same"
        )
    console.say(f"warning: going on though changed: {'; '.join(found)}")
    run.log(f"forced to go on though changed: {'; '.join(found)}", "WARNING")
    entry = {"time": now(), "changes": found, "fingerprint_before": begun.get("fingerprint")}
    forced = [*begun.get("forced", []), entry]
    run.write_json("resolved.json", {**resolved(setup, run), "forced": forced})
    return setup


def frozen_weights(setup: Setup) -> dict[str, str]:
    """Return a hash of an encoder's weights where no checkpoint holds them, by its path."""
    if setup.config.encoder.mode != "frozen":
        return {}
    digest = hashlib.sha256()
    for name, value in setup.learner.model.encoder.named_parameters():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return {setup.config.encoder.path: digest.hexdigest()}


def known_fingerprints(run: RunFolder) -> set[str]:
    """Return the fingerprints that this run's checkpoints may have."""
    table = run.read_json("resolved.json")
    return {table["fingerprint"], *(own["fingerprint_before"] for own in table.get("forced", []))}


def recorded_products(begun: Mapping[str, Any], run: RunFolder, console: Console) -> Products:
    """Return how a run multiplied when it began: its later steps have to do so too."""
    try:
        products = Products(**begun["products"])
    except (KeyError, TypeError):
        raise RunFolderError(f"{run.path / 'resolved.json'}: 'products' can't be read") from None
    if products.onednn and not onednn_is_exact():
        console.say(
            "warning: this run began with oneDNN's float32 products, which are not exact on this"
            " processor; it goes on with torch's default ones, and its bits differ"
        )
        return dataclasses.replace(products, onednn=False)
    return products


def _changed(
    what: str, before: Mapping[str, str], after: Mapping[str, str], form: str
) -> Iterator[str]:
    """Yield a phrase for every name whose value differs."""
    for name in {**before, **after}:
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            yield f"{what} {name}: {'is new' if one is None else 'is gone'}"
        elif one != other:
            yield f"{what} {name}: {form.format(one, other)}"


def _edits(run: RunFolder, begun: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was edited in the run's own config.toml."""
    if begun.get("config_toml") == _source_hash(run):
        return
    count = 0
    for name, value in _flat(_source(run)):
        before = _value(begun["config"], name)
        if name.rsplit(".", 1)[-1] not in _FILES and value != before:
            count += 1
            yield f"{name}: {before} -> {value}"
    if not count:
        yield "config.toml"


def _edited(run: RunFolder, begun: Mapping[str, Any]) -> Config:
    """Return the config as it began, with what was edited since, but for paths."""
    table = dict(begun["config"])
    for name, value in _flat(_source(run)):
        *path, last = name.split(".")
        place = table
        for part in path:
            place = place.setdefault(part, {})
        if last not in _FILES:
            place[last] = value
    try:
        return Config.model_validate(table, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunFolderError(f"{run.path / 'config.toml'}: {where}: {first['msg']}") from None


def _source(run: RunFolder) -> dict[str, Any]:
    file = run.path / "config.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{file}: can't be read: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value(table: Any, name: str) -> Any:
    for part in name.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table


def _source_hash(run: RunFolder) -> str | None:
    file = run.path / "config.toml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
