"""A study on disk: optuna's journal, held by one process, of one config and search space."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from accord.config.sections import Config
from accord.durable import sweep
from accord.errors import RunFolderError, UsageError
from accord.grids.cell_run import differences
from accord.runs.folder import RunFolder
from accord.runs.lock import hold
from accord.tuning.space import Space, plain
from accord.untrusted import check_regular

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
FORCED = "forced"  # an attribute of a study
_NAME, _IDENTITY = "accord", "identity"
LEAST_TRIALS = 5
"""Trials that are finished before the first one may be pruned."""


def need_optuna() -> None:
    """Check that optuna is there.

    Raises:
        UsageError: how to install it.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError('accord tune needs optuna: pip install "accord[tune]"') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextlib.contextmanager
def open_study(out: Path, space: Space, seeds: int, prune: bool) -> Iterator[optuna.Study]:
    """Hold a folder's study, which is begun if there is none.

    Args:
        out: the folder.
        space: that it searches.
        seeds: runs of each trial.
        prune: whether trials may be pruned.

    Raises:
        RunFolderError: if the folder can't be used, or holds another study.
        BusyError: if another process is at it.
    """
    try:
        if not (out / JOURNAL).exists():
            RunFolder.check_free(out)
        out.mkdir(parents=True, exist_ok=True)
        with hold(out):
            sweep(out)
            _mend(out / JOURNAL)
            study = load_study(out, prune)
            if _IDENTITY not in study.user_attrs and not study.trials:
                study.set_user_attr(_IDENTITY, _identity(space, seeds))
            check_identity(study, out, space, seeds)
            yield study
    except OSError as error:
        raise RunFolderError(f"{error.filename or out}: can't be used: {error.strerror}") from None


def load_study(out: Path, prune: bool = False) -> optuna.Study:
    """Load a folder's study, or make an empty one.

    Raises:
        RunFolderError: if its journal is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    pruners = optuna.pruners
    pruner = pruners.MedianPruner(n_startup_trials=LEAST_TRIALS) if prune else pruners.NopPruner()
    try:
        if (out / JOURNAL).exists():
            check_regular(out / JOURNAL)
        storage = JournalStorage(JournalFileBackend(str((out / JOURNAL).absolute())))
        if _NAME not in optuna.get_all_study_names(storage):
            optuna.create_study(storage=storage, study_name=_NAME, direction="maximize")
        return optuna.load_study(study_name=_NAME, storage=storage, pruner=pruner)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError):
        raise RunFolderError(f"{out / JOURNAL}: holds no study that can be read") from None


def count_trials(out: Path, space: Space, seeds: int) -> int:
    """Return how many trials of a folder's study are done or pruned; nothing is run.

    Raises:
        RunFolderError: as `open_study`.
    """
    if not (out / JOURNAL).exists():
        RunFolder.check_free(out)
        return 0
    study = load_study(out)
    check_identity(study, out, space, seeds)
    return sum(own.state.name in ("COMPLETE", "PRUNED") for own in study.get_trials(deepcopy=False))


def check_identity(study: optuna.Study, out: Path, space: Space, seeds: int) -> None:
    """Check that a study is one of this config, search space and number of seeds.

    Raises:
        RunFolderError: with what differs.
    """
    found: dict[str, Any] = study.user_attrs.get(_IDENTITY, {})
    wanted = _identity(space, seeds)
    try:
        before = Config.model_validate(found["config"], strict=False)
        changed = list(differences(before, space.base))
        changed += [
            f"{name}: {_shown(found[name])} -> {_shown(wanted[name])}"
            for name in ("search", "seeds")
            if found[name] != wanted[name]
        ]
    except (ValidationError, KeyError, TypeError):
        changed = ["of which nothing is known"]
    if changed:
        raise RunFolderError(
            f"{out}: holds a study of another config or search ({'; '.join(changed)});"
            " another --out starts anew"
        )


def next_trial(study: optuna.Study, space: Space, under_way: Collection[int] = ()) -> optuna.Trial:
    """Return a trial that was running when the study was stopped, or a new one.

    Its draws are a function of the config's seed, its number and the trials so far: those that
    ended, and those that run at the same time.

    Args:
        study: that trials are of.
        space: whose start the first one has.
        under_way: numbers of the trials that are running now.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import Trial, TrialState

    trials = study.get_trials(deepcopy=False)
    if not trials and space.start:
        study.enqueue_trial(dict(space.start))
    left = [own for own in trials if own.number not in under_way]
    running = [own for own in left if own.state == TrialState.RUNNING]
    number = running[0].number if running else len(trials)
    own_seed = int(np.random.SeedSequence([space.base.training.seed, number]).generate_state(1)[0])
    study.sampler = TPESampler(seed=own_seed)
    return Trial(study, running[0]._trial_id) if running else study.ask()


def forced(study: optuna.Study) -> list[str]:
    """Return the changes of files between a study's runs that it was forced to go on with."""
    return list(study.user_attrs.get(FORCED, ()))


def _identity(space: Space, seeds: int) -> dict[str, Any]:
    return {"config": plain(space.base), "search": list(space.lines()), "seeds": seeds}


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def _mend(journal: Path) -> None:
    """Remove what a process left that was killed as it wrote: half a line, and optuna's lock."""
    if not journal.exists():
        return
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    text = journal.read_bytes()
    os.truncate(journal, text.rfind(b"\n") + 1)
