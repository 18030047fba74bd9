"""A greedy soup of several finished runs: one model of the size of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from accord.data.datasets import TaskFiles
from accord.data.loader import Assembler
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.derived.finished import check_new, finished_models, write_new
from accord.encoders.encoder import EncoderConfig, with_dropout
from accord.encoders.pretrained import read_config
from accord.errors import ModelError, UsageError
from accord.evaluation.choosing import HalfResult, half_result
from accord.evaluation.dev import DevResult, are_finite, evaluate_all
from accord.evaluation.inference import logits_of, task_metric
from accord.evaluation.scores import crossfitted
from accord.evaluation.thresholds import Halves, dev_halves, moved_by, tuned_task
from accord.kernels.matmul import choose_matmul_policy
from accord.model.saved import joined_origins, load_model, read_sharing, read_tasks, save_model
from accord.optim.averaging import Averages
from accord.optim.soups import Soup, greedy_soup
from accord.plan.recorded import recorded_plan
from accord.plan.run import StagePlan
from accord.runs.devices import choose_device, takes_precision
from accord.runs.folder import RunFolder


@dataclass(frozen=True)
class RunSoup:
    """What came of it.

    Attributes:
        alone: how good each run's model is by itself, in the order given.
        soup: its members are indices of the runs.
        crossfit: each labelled task's metric, where the members are chosen by one half of the dev
            rows and evaluated on the other, both ways (`accord.evaluation.heldout`).
    """

    alone: list[DevResult]
    soup: Soup[DevResult]
    crossfit: dict[str, float]


def soup_runs(
    sources: Sequence[Path], out: Path, say: Callable[[str], None] = lambda text: None
) -> RunSoup:
    """Write the model folder of a greedy soup, evaluated on the runs' dev files.

    Args:
        sources: folders of runs that began from one encoder, with the same tasks and dev files;
            their models are evaluated anew, by the first one's plan.
        out: the folder to write; must not exist yet.
        say: told what was skipped or decided.

    Raises:
        UsageError: if `out` is there, a run can't be used, or runs don't fit; nothing was written.
    """
    check_new(out)
    folders = finished_models(sources)
    kitchen = _Kitchen(folders, _common_plan(folders), say)
    alone = [kitchen.alone(i) for i in range(len(folders))]
    soup = greedy_soup(alone, kitchen.weights_of, kitchen.evaluate)
    crossfit = kitchen.crossfit(alone)
    write_new(out, lambda folder: kitchen.save(soup, folder))
    return RunSoup(alone, soup, crossfit)


class _Kitchen:
    """One model that takes on any of the runs' weights, and the dev rows to evaluate it on."""

    def __init__(
        self, folders: Sequence[Path], plan: StagePlan, say: Callable[[str], None]
    ) -> None:
        self.folders, self.plan = folders, plan
        self.device = choose_device("auto")
        precision = plan.training.precision
        here = takes_precision(precision, self.device)
        self.matmul = choose_matmul_policy(self.device, precision if here else "float32")
        self.model, self.inputs, self.max_length = load_model(folders[0])
        self.model.to(self.device)
        tokenizer = load_tokenizer(folders[0])
        self.assembler = Assembler(special_ids(tokenizer), self.max_length)
        self.dev = [
            TaskFiles(task.as_used, plan.data.tasks[task.name], tokenizer, say).dev(
                plan.data.dev_share
            )
            for task in self.model.tasks
        ]

    def weights_of(self, run: int) -> list[Tensor]:
        model, _, _ = load_model(self.folders[run])
        return [parameter.detach().to(self.device) for parameter in model.parameters()]

    def evaluate(self, weights: list[Tensor]) -> DevResult | None:
        logits = self._logits(weights)
        finite = are_finite(self.dev, logits)
        return evaluate_all(self.dev, logits, self.plan.score) if finite else None

    def crossfit(self, alone: Sequence[DevResult]) -> dict[str, float]:
        halves = [dev_halves(split) for split in self.dev]
        on_0, on_1 = (self._chosen_on(half, halves, alone) for half in (0, 1))
        values = {}
        for split, which, *logits in zip(self.dev, halves, on_0, on_1, strict=True):
            moved = [moved_by(split, part, which == half) for half, part in enumerate(logits)]
            together = crossfitted(moved[0], moved[1], which)
            values[split.task.name] = task_metric(split.task, split.labels, together, which)
        return values

    def _chosen_on(
        self, half: int, halves: Sequence[Halves], alone: Sequence[DevResult]
    ) -> Sequence[Tensor]:
        """Return the logits of all dev rows by the soup that one half of them chooses."""

        def evaluate(weights: list[Tensor]) -> HalfResult | None:
            logits = self._logits(weights)
            finite = are_finite(self.dev, logits)
            return half_result(self.dev, logits, halves, half) if finite else None

        by_half = [half_result(self.dev, result.logits, halves, half) for result in alone]
        return greedy_soup(by_half, self.weights_of, evaluate).evaluated.logits

    def _logits(self, weights: list[Tensor]) -> list[Tensor]:
        with self._holding(weights).in_place():
            return logits_of(self.model, self.dev, self.assembler, matmul=self.matmul)

    def alone(self, run: int) -> DevResult:
        result = self.evaluate(self.weights_of(run))
        if result is None:
            raise ModelError(f"{self.folders[run]}: predicts no numbers for the dev rows")
        return result

    def save(self, soup: Soup[DevResult], folder: Path) -> None:
        parts = zip(self.dev, soup.evaluated.logits, strict=True)
        tuned = {split.task.name: tuned_task(split, part).thresholds for split, part in parts}
        with self._holding(soup.weights).in_place():
            save_model(
                self.model, folder, self.inputs, self.max_length, self.folders[0], tuned,
                joined_origins([self.folders[member] for member in soup.members]),
            )  # fmt: skip

    def _holding(self, weights: list[Tensor]) -> Averages:
        return Averages(list(self.model.named_parameters()), values=weights)


def _common_plan(folders: Sequence[Path]) -> StagePlan:
    """Return the first run's plan, once the others' models and dev rows are of the same kind."""
    runs = [RunFolder(folder.absolute().parent) for folder in folders]
    for run, folder in zip(runs, folders, strict=True):
        if not (run.path / "resolved.json").is_file():
            raise ModelError(f"{folder}: lies in no run folder; a soup takes runs")
    plan = recorded_plan(runs[0]).stages[-1]
    for name, task in plan.data.labelled.items():
        if task.dev is None:
            raise UsageError(
                f"{runs[0].path}: tasks.{name} has no dev file, and what one run held out another"
                " may have trained on; a soup takes runs with dev files"
            )
    for run, folder in zip(runs[1:], folders[1:], strict=True):
        for fault in _differences(run, folder, runs[0], folders[0]):
            raise UsageError(f"{run.path}: {fault} than {runs[0].path}")
    return plan


def _differences(
    run: RunFolder, folder: Path, first: RunFolder, first_folder: Path
) -> Iterator[str]:
    """Yield why a run's weights can't be averaged with the first one's, or not evaluated alike."""
    (tasks, _, length), (wanted, _, wanted_length) = read_tasks(folder), read_tasks(first_folder)
    used, expected = ([task.as_used for task in each] for each in (tasks, wanted))
    if used != expected or length != wanted_length:
        yield "has other tasks, or the same with other settings or lengths,"
    if _shape(folder) != _shape(first_folder):
        yield "has an encoder of another shape"
    if read_sharing(folder) != read_sharing(first_folder):
        yield "has other parts"
    resolved, other = run.read_json("resolved.json"), first.read_json("resolved.json")
    if _inner(resolved, "encoder", "weights") != _inner(other, "encoder", "weights"):
        yield "began from another encoder"
    for task in wanted:
        if _inner(resolved, "data", f"{task.name}.dev") != _inner(
            other, "data", f"{task.name}.dev"
        ):
            yield f"has other dev rows of {task.name}"


def _shape(folder: Path) -> EncoderConfig:
    """Return an encoder's config without its dropout."""
    return with_dropout(read_config(folder), 0.0)


def _inner(table: object, *names: str) -> object:
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table
