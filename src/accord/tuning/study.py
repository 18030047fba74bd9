"""A study on disk: optuna's journal, held by one process, of one config and search space."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accord.errors import RunFolderError
from accord.grids.running import working_in
from accord.installed import need
from accord.plan.unused import effective
from accord.runs.folder import RunFolder
from accord.training.edits import differences
from accord.tuning.records import counted, records
from accord.tuning.space import Space
from accord.untrusted import check_regular

if TYPE_CHECKING:
    import optuna
    from optuna.storages import JournalStorage

JOURNAL = "study.journal"
_NAME, _IDENTITY = "accord", "identity"
LEAST_TRIALS = 5
"""Trials that are finished before the first one may be pruned."""


def need_optuna() -> None:
    """Check that optuna is there.

    Raises:
        UsageError: how to install it.
    """
    need("accord tune", "tune", "optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextlib.contextmanager
def open_study(out: Path, space: Space, seeds: int, prune: bool) -> Iterator[optuna.Study]:
    """Work on a folder's study, which is begun if there is none.

    Args:
        out: the folder.
        space: that it searches.
        seeds: runs of each trial.
        prune: whether trials may be pruned.

    Raises:
        RunFolderError: if the folder can't be used, or holds another study.
        BusyError: if another process is using it.
    """
    if not _has_study(out):
        RunFolder.check_free(out)
    with working_in(out):
        _mend(out / JOURNAL)
        study, storage = load_study(out, prune)
        if _IDENTITY not in study.user_attrs and not study.trials:
            study.set_user_attr(_IDENTITY, _identity(space, seeds))
        check_identity(study, out, space, seeds)
        _let_wait(study, storage)
        yield study


def _has_study(out: Path) -> bool:
    try:
        return (out / JOURNAL).exists()
    except OSError:  # whatever is wrong with the name
        return False


def load_study(out: Path, prune: bool = False) -> tuple[optuna.Study, JournalStorage]:
    """Load a folder's study and its storage, or make an empty one.

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
        study = optuna.load_study(study_name=_NAME, storage=storage, pruner=pruner)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError):
        raise RunFolderError(f"{out / JOURNAL}: holds no study that can be read") from None
    return study, storage


def _let_wait(study: optuna.Study, storage: JournalStorage) -> None:
    """Put trials that were running when the study was stopped first in its queue."""
    from optuna.trial import TrialState

    study_id = storage.get_study_id_from_name(_NAME)
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        its_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        storage.set_trial_state_values(its_id, TrialState.WAITING)


def count_trials(out: Path, space: Space, seeds: int) -> int:
    """Return how many trials of a folder's study are done or pruned; nothing is run.

    Raises:
        RunFolderError: as `open_study`.
    """
    if not _has_study(out):
        RunFolder.check_free(out)
        return 0
    study, _ = load_study(out)
    check_identity(study, out, space, seeds)
    return counted(records(study))


def check_identity(study: optuna.Study, out: Path, space: Space, seeds: int) -> None:
    """Check that a study is one of this config, search space and number of seeds.

    Raises:
        RunFolderError: with what differs.
    """
    before = study.user_attrs.get(_IDENTITY)
    changed = ["nothing is known of it"]
    if isinstance(before, dict):
        changed = differences(before, _identity(space, seeds))
    if changed:
        raise RunFolderError(
            f"{out}: holds a study of another config or search ({'; '.join(changed)});"
            " another --out starts anew"
        )


def next_trial(study: optuna.Study, space: Space) -> optuna.Trial:
    """Return a trial that was running when the study was stopped, or a new one.

    Its draws are a function of the config's seed, its number and the trials so far: those that
    ended, and those that run at the same time.

    Args:
        study: that trials are of.
        space: whose start the first one has.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    if not study.trials and space.start:
        study.enqueue_trial(dict(space.start))
    trials = study.get_trials(deepcopy=False)
    waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
    number = waiting[0] if waiting else len(trials)
    seed = int(np.random.SeedSequence([space.base.training.seed, number]).generate_state(1)[0])
    study.sampler = TPESampler(seed=seed)
    return study.ask()


def _identity(space: Space, seeds: int) -> dict[str, Any]:
    """Return what has to be the same for trials to be of one study."""
    return {**effective(space.base), "search": " ".join(space.lines()), "seeds": seeds}


def _mend(journal: Path) -> None:
    """Remove what a process left that was killed as it wrote: half a line, and optuna's lock."""
    if not journal.exists():
        return
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    text = journal.read_bytes()
    os.truncate(journal, text.rfind(b"\n") + 1)
