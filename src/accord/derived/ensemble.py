"""Several finished runs as one model that answers with the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accord.derived.finished import check_new, finished_models, write_new
from accord.model.saved import load_model
from accord.model.saved_ensemble import check_same_tasks, save_ensemble


def ensemble(sources: Sequence[Path], out: Path) -> int:
    """Write a folder that `accord.load`, predict and evaluate take for a model.

    It answers with the mean of its members' class probabilities, or of their values. It takes the
    memory and the time of all of them.

    *Source:* Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation
    using deep ensembles, section 2.4.

    Args:
        sources: run folders or model folders, of the same tasks; seeds and settings may differ.
        out: the folder to write; must not exist yet.

    Returns:
        The number of members.

    Raises:
        UsageError: if `out` is there, or a source can't be used; nothing was written.
    """
    check_new(out)
    folders = finished_models(sources)
    check_same_tasks([folders[0], *folders])
    for folder in folders:
        load_model(folder)
    write_new(out, lambda folder: save_ensemble(folders, folder))
    return len(folders)
