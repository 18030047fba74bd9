"""The paper's experiments: one grid of several files, whose cells they share.

*Source:* Fuhu Xiao and Chu Lin, "BERT Mastery: Explore Multitask Learning", Stanford CS 224N
default project; its tables 1 to 5 and sections 3 and 4. `paper/` has a grid file for each
experiment, the config that they vary, and the paper's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.errors import DataError
from accord.experiments.report import experiment_sections, runs_section, selection_note
from accord.experiments.rows import load_results
from accord.experiments.spec import Experiment, read_experiment
from accord.grids.amounts import Sizes
from accord.grids.cells import Cell, Settings
from accord.grids.file import make_grid, read_table
from accord.report.page import Section
from accord.report.writing import write_report

PAPER = Path(__file__).parent / "paper"
Options = Mapping[str, Any]
"""What `accord reproduce` may change about the paper's settings, by its options' names."""


def experiments(names: Sequence[str], options: Options, sizes: Sizes) -> list[Experiment]:
    """Return some of the paper's experiments.

    Args:
        names: of their files in `paper/`.
        options: of the reproduction.
        sizes: of training data that were read before.

    Raises:
        UsageError: whatever is wrong with data, encoder or options.
    """
    return [_experiment(name, options, sizes) for name in names]


def _experiment(name: str, options: Options, sizes: Sizes) -> Experiment:
    table = read_table(PAPER / f"{name}.toml", "grid file")
    base = read_table(PAPER / "config.toml", "config file")
    tasks = [task for task in base["tasks"] if task in table["report"]["columns"]]
    base["tasks"] = {task: _with_files(base["tasks"][task], options["data"]) for task in tasks}
    base["encoder"] = {"path": options["encoder"]}

    def rates(cell: Settings) -> Settings:
        """Section 3.4: one constant rate for each mode, for encoder and heads."""
        lr = options["frozen_lr" if cell["encoder.mode"] == "frozen" else "lr"]
        several = len(cell["tasks"]) > 1
        halves = {"training.halves_every": options["halves_every"]} if several else {}
        return {"training.lr": lr, "training.head_lr": lr, **halves}

    same = {key: options[key] for key in ("epochs", "precision", "pairs", "pooling")}
    limits = {} if options["limit"] is None else dict.fromkeys(
        (f"tasks.{task}.limit" for task in tasks), options["limit"]
    )  # fmt: skip
    table |= {
        "set": {**same, **limits, "training.batch_size": options["batch_size"]},
        "seeds": options["seeds"],
        "equal": options["equal_budget"],
    }
    grid = make_grid(Path(name), table, base, Path.cwd(), derived=rates, sizes=sizes)
    return read_experiment(grid, PAPER)


def _with_files(task: dict[str, Any], data: Path) -> dict[str, Any]:
    """Name a task's files in full; the unlabelled test files may be absent."""
    files = {split: (data / task[split]).absolute() for split in ("train", "dev", "test")}
    for split in ("train", "dev"):
        if not files[split].is_file():
            raise DataError(f"{files[split]}: no such file; the experiment needs it")
    del task["test"]
    return task | {split: str(file) for split, file in files.items() if file.is_file()}


def cells_of(given: Sequence[Experiment]) -> list[Cell]:
    """Return the cells of some experiments, each once, seed by seed."""
    every: dict[str, Cell] = {}
    for cell in (cell for section_ in given for cell in section_.cells):
        every.setdefault(cell.identity, cell)
    return sorted(every.values(), key=lambda cell: cell.config.training.seed)


def report(
    out: Path, given: Sequence[Experiment], options: Options, formats: Sequence[str] = ()
) -> list[Section]:
    """Write `report.html`, `report.md`, tables, figures and the leaderboard's files.

    Args:
        out: the reproduction's folder.
        given: the experiments.
        options: that they were run by.
        formats: of figures and tables besides SVG and CSV.

    Returns:
        The report's sections.
    """
    results = load_results(out, cells_of(given), other_seeds=True)
    lead = (
        "The experiments of Fuhu Xiao and Chu Lin's CS 224N project, run anew by Accord. The"
        " paper's values stand beside ours; ours are dev figures of the best epoch, mean and"
        f" standard deviation over seeds.{selection_note(results)}"
    )
    # An encoder is named without the place where this machine keeps it.
    shown_options = {
        **options,
        "data": None,
        "encoder": "/".join(Path(options["encoder"]).parts[-2:]),
    }
    text = [
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown_options.items()
                  if value is not None) + ".",
        f"Experiments: {'; '.join(f'{part.name}, {part.spec.title}' for part in given)}.",
    ]  # fmt: skip
    sections = [runs_section(results, text), *experiment_sections(given, results, out)]
    title = "BERT Mastery: Explore Multitask Learning, rerun"
    write_report(out, title, [lead], sections, formats)
    return sections
