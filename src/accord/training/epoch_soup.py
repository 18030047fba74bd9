"""A soup of a run's epochs, made at its end: the weights' average where that is no worse."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from accord.durable import replace_folder
from accord.judging.dev import DevResult, are_finite, judge_all
from accord.optim.averaging import Averages, trained
from accord.optim.soups import greedy_soup
from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.training.best import publish
from accord.training.checkpoint import Progress
from accord.training.epoch import dev_logits, metrics_line, write_judged
from accord.training.kept_epochs import kept_weights
from accord.training.setup import Setup


def make_soup(
    setup: Setup, run: RunFolder, progress: Progress, console: Console
) -> dict[str, Any] | None:
    """Average epochs greedily by their dev metrics; what comes out is the run's best model.

    Nothing of it is in a checkpoint: a run that is killed meanwhile makes the same soup again.

    Returns:
        What `results.json` says of it; None where the config asks for none.
    """
    if setup.config.averaging.method != "soup":
        return None
    named = trained(setup.learner.model.named_parameters())
    console.say(f"making a soup of {len(progress.evaluations)} epochs")

    def judge(weights: list[Tensor]) -> DevResult | None:
        with Averages(named, values=weights).in_place():
            logits = dev_logits(setup, run, progress)
        if not are_finite(logits):
            return None
        return judge_all(setup.data.dev, logits, setup.config.score, setup.config.finished)

    soup = greedy_soup(
        [_alone(record) for record in progress.evaluations],
        lambda epoch: kept_weights(run, progress, epoch, named),
        judge,
    )
    epochs = [progress.evaluations[i]["epoch"] for i in soup.members]
    if len(epochs) > 1:
        with Averages(named, values=soup.weights).in_place():
            folder = run.best / "soup"
            replace_folder(folder, lambda to: write_judged(setup, to, soup.judged.logits))
        publish(run, folder)
    line = f"soup of epochs {', '.join(map(str, epochs))}  {metrics_line(setup, soup.judged)}"
    console.say(line)
    run.log(line)
    return {"epochs": epochs, **soup.judged.record()}


def _alone(record: dict[str, Any]) -> DevResult:
    """Return an epoch's figures, as its evaluation left them."""
    return DevResult((), record["metrics"], record["figures"], record["score"], record["sum"])
