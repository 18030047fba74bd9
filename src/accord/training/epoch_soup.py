"""A soup of a run's epochs, made at its end: the weights' average where that is no worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from accord.durable import replace_folder
from accord.evaluation.dev import DevResult, are_finite, evaluate_all
from accord.optim.averaging import Averages, trained
from accord.optim.soups import Evaluated, Soup, greedy_soup
from accord.plural import count
from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.training.best import publish
from accord.training.checkpoint import RunState
from accord.training.epoch import dev_logits, metrics_line, write_evaluated
from accord.training.kept_epochs import kept_weights
from accord.training.lines import say
from accord.training.setup import Setup

E = TypeVar("E", bound=Evaluated)


@dataclass(frozen=True)
class EpochSoup:
    """The soup that a run leaves.

    Attributes:
        record: its entry in `results.json`: epochs, and figures on dev.
        logits: of all dev rows of each task; none where it is one epoch.
    """

    record: dict[str, Any]
    logits: Sequence[Tensor]


def soup_of_epochs(
    setup: Setup,
    run: RunFolder,
    progress: RunState,
    alone: Sequence[E],
    evaluate: Callable[[Sequence[Tensor]], E],
) -> Soup[E]:
    """Average epochs greedily, as long as they score no worse.

    Args:
        setup: of the run.
        run: its folder.
        progress: at the run's end.
        alone: how good each epoch is.
        evaluate: says how good logits of all dev rows are.
    """
    named = trained(setup.learner.model.named_parameters())

    def evaluate_weights(weights: list[Tensor]) -> E | None:
        with Averages(named, values=weights).in_place():
            logits = dev_logits(setup, run, progress)
        return evaluate(logits) if are_finite(setup.data.dev, logits) else None

    return greedy_soup(
        alone, lambda epoch: kept_weights(run, progress, epoch, named), evaluate_weights
    )


def make_soup(
    setup: Setup, run: RunFolder, progress: RunState, console: Console
) -> EpochSoup | None:
    """Average epochs greedily by their dev metrics; what comes out is the run's best model.

    Nothing of it is in a checkpoint: a run that is killed meanwhile makes the same soup again.

    Returns:
        None where the config asks for none.
    """
    if setup.plan.averaging.method != "soup":
        return None
    console.say(f"making a soup of {count(len(progress.evaluations), 'epoch')}")
    soup = soup_of_epochs(
        setup, run, progress,
        [_alone(record) for record in progress.evaluations],
        lambda logits: evaluate_all(
            setup.data.dev, logits, setup.plan.score, setup.plan.finished
        ),
    )  # fmt: skip
    epochs = [progress.evaluations[i]["epoch"] for i in soup.members]
    if len(epochs) > 1:
        named = trained(setup.learner.model.named_parameters())
        with Averages(named, values=soup.weights).in_place():
            folder = run.best / "soup"
            replace_folder(folder, lambda to: write_evaluated(setup, to, soup.evaluated.logits))
        publish(run, folder)
    line = f"soup of epochs {', '.join(map(str, epochs))}  {metrics_line(setup, soup.evaluated)}"
    say(run, console, line)
    return EpochSoup({"epochs": epochs, **soup.evaluated.record()}, soup.evaluated.logits)


def _alone(record: dict[str, Any]) -> DevResult:
    """Return an epoch's figures, as its evaluation left them."""
    return DevResult((), record["metrics"], record["figures"], record["score"], record["sum"])
