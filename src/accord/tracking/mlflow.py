"""MLflow: an experiment for each project, where MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from accord.tracking._place import Place, Tracker

PACKAGES = ("mlflow",)
_AT_ONCE, _LONGEST = 100, 500  # parameters in a request, and characters of one
_METRICS = 500  # in a request
_REFUSED = re.compile(r"[^A-Za-z0-9_\-. :/]")  # characters of a name, such as a comma or a quote


class MLflow:
    """Tells a server, or a folder, by MLflow's client."""

    def __init__(self, place: Place) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient()
        self._metric = Metric
        if place.identity is not None:
            self.identity = place.identity
            self._client.update_run(self.identity, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name(place.project)
        number = (
            self._client.create_experiment(place.project)
            if experiment is None
            else experiment.experiment_id
        )
        self.identity = self._client.create_run(number, run_name=place.name).info.run_id
        settings = [Param(key, str(value)[:_LONGEST]) for key, value in place.flat.items()]
        for start in range(0, len(settings), _AT_ONCE):
            self._client.log_batch(self.identity, params=settings[start : start + _AT_ONCE])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell figures of a step."""
        now = int(time.time() * 1000)
        metrics = [
            self._metric(_REFUSED.sub("_", name), value, now, step)
            for name, value in values.items()
        ]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(self.identity, metrics=metrics[start : start + _METRICS])

    def finish(self, done: bool) -> None:
        """End the run there."""
        self._client.set_terminated(self.identity, "FINISHED" if done else "KILLED")


def begin(place: Place) -> Tracker:
    """Begin, or go on."""
    return MLflow(place)
