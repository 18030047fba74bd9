"""The config that a run was begun with, as its folder records it."""

from __future__ import annotations

from accord.config.sections import Config
from accord.errors import RunFolderError
from accord.plan.making import plan_run
from accord.plan.run import RunPlan
from accord.runs.folder import RunFolder


def recorded_config(run: RunFolder) -> Config:
    """Return the config that a run was begun with, paths absolute.

    Raises:
        RunFolderError: if `resolved.json` is missing or damaged.
    """
    try:
        return Config.model_validate(run.read_json("resolved.json")["config"], strict=False)
    except (KeyError, ValueError):
        file = run.path / "resolved.json"
        raise RunFolderError(f"{file}: holds no config that can be used") from None


def recorded_plan(run: RunFolder) -> RunPlan:
    """Return the plan that a run was begun with; its files may be gone.

    Raises:
        RunFolderError: as `recorded_config`.
        ConfigError: if such a config is refused by now.
    """
    return plan_run(recorded_config(run), str(run.path), files=False)
