"""What a run was when it began, and whether it still is when it is resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from accord.errors import RunFolderError
from accord.kernels.matmul import MatmulPolicy, onednn_is_exact
from accord.model.inherited import inheritance_contents
from accord.plan.run import StagePlan
from accord.plural import count
from accord.runs.devices import card_of
from accord.runs.folder import RunFolder, environment
from accord.runs.lock import now
from accord.runs.progress import Console
from accord.training.checkpoint import RunState, checkpoints, read_run_state
from accord.training.edits import Edit, edits_of, part_of, plan_again, source_table
from accord.training.lines import say, warn
from accord.training.passes import fitting_pass_tokens
from accord.training.setup import OTHER_WAYS, Setup, prepare

PASS_TOKENS = "pass_tokens"
"""Of `resolved.json`: the most tokens of a pass, where they were measured."""

_VERSIONED = ("accord", "torch", "numpy", "tokenizers")


def versions() -> dict[str, str]:
    """Return the versions that a run's bits may depend on."""
    packages = environment(0, "")["packages"]
    return {name: packages[name] for name in _VERSIONED}


def resolved(setup: Setup, run: RunFolder) -> dict[str, Any]:
    """Return what `resolved.json` holds."""
    return {
        "config": setup.plan.given,
        "tasks": [task.to_json() for task in setup.learner.model.labelled],
        "epoch": dataclasses.asdict(setup.sampler.shape(0)),
        "max_length": setup.data.assembler.max_length,
        "matmul": dataclasses.asdict(setup.learner.objective.matmul),
        "data": setup.data.contents(),
        "encoder": encoder_contents(setup),
        "fingerprint": setup.fingerprint,
        "config_toml": source_table(run),
        "versions": versions(),
    }


def prepare_again(run: RunFolder, console: Console, force: bool = False) -> Setup:
    """Prepare a run as it was when it began.

    Args:
        run: its folder.
        console: for warnings.
        force: go on with what is there now, and record that.

    Raises:
        RunFolderError: if something changed since and `force` isn't set, naming what; with it, as
            `check_comparable`.
    """
    begun = run.read_json("resolved.json")
    plan, edited = plan_again(run, begun, force)
    setup = prepare(plan.only, console.say, recorded_matmul_policy(begun, plan.only, run, console))
    edited += changes(begun, setup.data.contents(), encoder_contents(setup))
    if not edited and begun.get("fingerprint") != setup.fingerprint:
        edited = ["resolved.json"]
    if edited and not force:
        raise change_error(run, edited)
    other_ways = [edit for edit in edits_of(run, begun) if edit.key in OTHER_WAYS]
    kept = recorded_pass_tokens(begun, setup, other_ways)
    if edited:
        after = resolved(setup, run) | kept
        check_comparable(run, after)
        record_forced(run, console, begun, after, edited)
    elif other_ways:
        now_config = {"config": setup.plan.given, "config_toml": source_table(run)}
        begun_without = {key: value for key, value in begun.items() if key != PASS_TOKENS}
        run.write_json("resolved.json", begun_without | now_config | kept)
        warn(run, console, f"edited: {'; '.join(edit.shown for edit in other_ways)}")
    return setup


def recorded_pass_tokens(
    begun: Mapping[str, Any], setup: Setup, other_ways: Sequence[Edit]
) -> dict[str, int]:
    """Let a run whose passes were measured go on with them, and return what is recorded of that.

    Nothing where there is nothing measured yet, or what to measure was edited since.
    """
    tokens = begun.get(PASS_TOKENS)
    is_open = setup.plan.training.micro_batch_tokens == "auto"
    anew = any(edit.key != "training.deterministic" for edit in other_ways)
    if not is_open or anew or not isinstance(tokens, int):
        return {}
    setup.pass_tokens = tokens
    return {PASS_TOKENS: tokens}


def settle_passes(setup: Setup, run: RunFolder, console: Console) -> None:
    """Find out how many tokens a pass takes, where that is left open, and record it."""
    if setup.plan.training.micro_batch_tokens != "auto" or setup.pass_tokens is not None:
        return
    setup.pass_tokens = fitting_pass_tokens(setup)
    run.write_json(
        "resolved.json", {**run.read_json("resolved.json"), PASS_TOKENS: setup.pass_tokens}
    )
    say(run, console, f"passes of at most {setup.pass_tokens:,} tokens, which fit in memory")


def begin_sitting(setup: Setup, progress: RunState) -> str:
    """Note in what circumstances a run goes on, and say which of them were others before."""
    others = list(other_circumstances(setup, progress)) if progress.step else []
    progress.fingerprint, progress.versions = setup.fingerprint, versions()
    progress.threads, progress.card = torch.get_num_threads(), card_of(setup.device)
    progress.pass_tokens, progress.static = setup.pass_tokens, setup.static
    progress.repeatable &= setup.is_repeatable and not others
    return f"; {'; '.join(others)}: sums may differ" if others else ""


def other_circumstances(setup: Setup, progress: RunState) -> Iterator[str]:
    """Yield what is not as it was when a run took its last steps, by which sums may differ.

    Other versions of packages are refused (`changes`).

    Args:
        setup: of the run as it goes on.
        progress: what its checkpoint says.
    """
    threads, card = torch.get_num_threads(), card_of(setup.device)
    if threads != progress.threads:
        yield f"with {count(threads, 'thread')}, not {progress.threads}"
    if card != progress.card:
        yield f"on {_shown(card)}, not {_shown(progress.card)}"
    if setup.pass_tokens != progress.pass_tokens:
        yield (
            f"in passes of {_tokens(setup.pass_tokens)}, not {_tokens(progress.pass_tokens)}, which"
            " draw dropout masks of their own"
        )
    if setup.static != progress.static:
        before, now = ("", "out") if progress.static else ("out", "")
        yield f"with{now} CUDA graphs, not with{before}, which draw dropout masks of their own"


def _tokens(limit: int | None) -> str:
    return "a whole step" if limit is None else f"at most {limit:,} tokens"


def _shown(card: Mapping[str, str]) -> str:
    return f"{card.get('name')} (CUDA {card.get('CUDA')})" if card else "a CPU"


def check_comparable(run: RunFolder, after: Mapping[str, Any]) -> None:
    """Check that later epochs can be compared with those that were evaluated already.

    Args:
        run: its folder.
        after: what its `resolved.json` is to hold; of that `data` and `tasks` count.

    Raises:
        RunFolderError: if what epochs are evaluated by changed since one was.
    """
    changed_parts = list(_incomparable(run.read_json("resolved.json"), after))
    if changed_parts and any(map(_is_after_an_epoch, checkpoints(run.checkpoints))):
        raise RunFolderError(
            f"{run.path}: changed since its first epochs were evaluated:"
            f" {'; '.join(changed_parts)}; later ones can't be compared with them, so --force"
            " doesn't go on: put it back as it was, or train into another folder"
        )


def _is_after_an_epoch(checkpoint: Path) -> bool:
    try:
        return bool(read_run_state(checkpoint).evaluations)
    except RunFolderError:
        return False  # it is not gone on from either


def _incomparable(begun: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what changed of what epochs are evaluated by: dev rows, metrics, what logits mean."""
    yield from _changed("data", _dev_contents(begun), _dev_contents(after), "content")
    yield from _changed("task", _evaluated_tasks(begun), _evaluated_tasks(after), "{0} -> {1}")


def _dev_contents(begun: Mapping[str, Any]) -> dict[str, str]:
    return {name: entry for name, entry in part_of(begun, "data").items() if name.endswith(".dev")}


def _evaluated_tasks(begun: Mapping[str, Any]) -> dict[str, str]:
    tasks, keys = begun.get("tasks") or [], ("metric", "positive", "labels", "range")
    return {f"{task['name']}.{key}": json.dumps(task.get(key)) for task in tasks for key in keys}


def record_forced(
    run: RunFolder,
    console: Console,
    begun: Mapping[str, Any],
    after: Mapping[str, Any],
    edited: Sequence[str],
) -> None:
    """Say that a run goes on though something changed, and let `resolved.json` hold what it is now.

    Args:
        run: its folder.
        console: is told too.
        begun: what `resolved.json` held.
        after: what it is to hold, except for the record of this and earlier times.
        edited: what changed.
    """
    console.say(f"warning: going on although these changed: {'; '.join(edited)}")
    run.log(f"forced to go on although these changed: {'; '.join(edited)}", "WARNING")
    entry = {"time": now(), "changes": [*edited], "fingerprint_before": begun.get("fingerprint")}
    before = begun.get("forced", [])
    forced = [*(before if isinstance(before, list) else []), entry]
    run.write_json("resolved.json", {**after, "forced": forced})


def check_unedited(run: RunFolder) -> None:
    """Check that the config.toml of a run that is done says what it was trained by.

    Where things lie may be edited, and in which way steps are taken.

    Raises:
        RunFolderError: naming the keys that were edited: nothing would come of them.
    """
    edits = edits_of(run, run.read_json("resolved.json"))
    if edited := [edit.shown for edit in edits if not edit.is_free]:
        raise RunFolderError(
            f"{run.path}: this run is done, and its config.toml was edited since:"
            f" {'; '.join(edited)}; --force changes no finished run either; {how_to_train_on(run)}"
        )


def how_to_train_on(run: RunFolder) -> str:
    """Say how a model is trained on whose run is done."""
    return (
        f'to train on from its model, start a new run with encoder.path = "{run.model}" and'
        ' encoder.heads = "keep"; or train another run with more training.epochs'
    )


def changes(
    begun: Mapping[str, Any], data: Mapping[str, str], encoder: Mapping[str, str]
) -> Iterator[str]:
    """Yield what differs, in content or version, from what a run began with."""
    yield from _changed("data", part_of(begun, "data"), data, "content")
    yield from _changed("encoder's", part_of(begun, "encoder"), encoder, "content")
    yield from _changed("version of", part_of(begun, "versions"), versions(), "{0} -> {1}")


def change_error(run: RunFolder, edited: Sequence[str]) -> RunFolderError:
    """Return the error that names what changed since a run began."""
    return RunFolderError(
        f"{run.path}: changed since this run began: {'; '.join(edited)}; --force goes on anyway"
    )


def encoder_contents(setup: Setup) -> dict[str, str]:
    """Return hashes of the encoder as it was loaded: its weights, and its settings."""
    encoder = setup.learner.model.encoder
    weights = hashlib.sha256()
    for name, value in encoder.named_parameters():
        weights.update(name.encode())
        weights.update(value.detach().cpu().contiguous().numpy().data)
    settings = json.dumps(dataclasses.asdict(encoder.config), sort_keys=True)
    heads = setup.plan.encoder.keeps_heads
    return {
        **({"heads": inheritance_contents(setup.encoder_folder)} if heads else {}),
        "weights": weights.hexdigest(),
        "config.json": hashlib.sha256(settings.encode()).hexdigest(),
    }


def known_fingerprints(run: RunFolder) -> set[str]:
    """Return the fingerprints that this run's checkpoints may have."""
    table = run.read_json("resolved.json")
    try:
        return {
            table["fingerprint"],
            *(entry["fingerprint_before"] for entry in table.get("forced", [])),
        }  # fmt: skip
    except (KeyError, TypeError):
        raise RunFolderError(f"{run.path / 'resolved.json'}: names no fingerprint") from None


def recorded_matmul_policy(
    begun: Mapping[str, Any], plan: StagePlan, run: RunFolder, console: Console
) -> MatmulPolicy | None:
    """Return how a run multiplied when it began: its later steps have to do so too.

    None where its precision was edited since.
    """
    if plan.training.precision != part_of(part_of(begun, "config"), "training").get("precision"):
        return None
    try:
        matmul = MatmulPolicy(**begun["matmul"])
    except (KeyError, TypeError):
        raise RunFolderError(f"{run.path / 'resolved.json'}: 'matmul' can't be read") from None
    if matmul.onednn and not onednn_is_exact():
        console.say(
            "warning: this run began with oneDNN's float32 products, which are not exact on this"
            " processor; it goes on with torch's default ones, and its bits differ"
        )
        return dataclasses.replace(matmul, onednn=False)
    return matmul


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
