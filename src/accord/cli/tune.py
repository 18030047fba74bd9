"""`accord tune`: a search of a config's settings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import (
    COUNT,
    PATH,
    as_json_option,
    force_option,
    overrides_option,
    quiet_option,
    threads_option,
    workers_option,
)
from accord.plural import count
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.tuning.running import Tuned
    from accord.tuning.space import Space

_SHOWN = 10


@click.command()
@click.argument("config", type=PATH)
@click.option("--out", required=True, type=PATH, help="The study's folder.")
@click.option(
    "--trials", type=COUNT, default=20,
    help="Number of trials to finish or prune in all; those already in --out count.",
)  # fmt: skip
@click.option(
    "--search", "searches", multiple=True, metavar="KEY=SPEC",
    help="Search this key: LOW:HIGH, LOW:HIGH:log or A,B,C; repeatable.",
)  # fmt: skip
@click.option("--seeds", type=COUNT, default=1, help="Runs of each trial; its score is their mean.")
@click.option("--no-prune", is_flag=True, help="Train every trial to its end.")
@workers_option
@threads_option
@force_option
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be searched, and how long it would take."
)
@overrides_option
@as_json_option
@quiet_option
def tune(
    config: Path,
    out: Path,
    trials: int,
    searches: tuple[str, ...],
    seeds: int,
    no_prune: bool,
    workers: int,
    threads: int | None,
    force: bool,
    dry_run: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Search settings of CONFIG for the best dev score.

    Without --search that is one loss weight per task, from 0.1 to 10, with balancing 'fixed'. The
    first task's weight is 1 and the others are relative to it: AdamW's steps hardly depend on the
    scale of all of them. Trial 0 has the config's own weights, where its balancing is 'fixed' or
    'inverse-share', else equal ones. A KEY is a config key or a grid's short name, as in
    lr=1e-5:1e-4:log.

    Each trial is a run folder below --out/trials; the same command goes on after a stop, and more
    --trials add to those that are there. --out/best.toml is the config with the best settings.
    """
    from accord.tuning.study import need_optuna

    need_optuna()

    from accord.runs.progress import Console
    from accord.tuning.running import run_study, search_space

    space = search_space(config, searches, overrides)
    if dry_run:
        _show_plan(space, out, trials, seeds, workers, as_json)
        return
    tuned = run_study(
        space, trials, out, seeds=seeds, prune=not no_prune, workers=(workers, threads),
        console=Console(quiet), force=force,
    )  # fmt: skip
    if as_json:
        best = {**asdict(tuned.best), "config": str(tuned.config)}
        trials_shown = [asdict(trial) for trial in tuned.trials]
        record = {"best": best, "selection": tuned.selection.record(), "trials": trials_shown,
                 "forced": tuned.forced}  # fmt: skip
        echo(json.dumps(record))
    else:
        _show(tuned)


def _show_plan(
    space: Space, out: Path, trials: int, seeds: int, workers: int, as_json: bool
) -> None:
    """Say what a study would search, with an estimate of its time."""
    from accord.plan.making import plan_run
    from accord.runs.estimate import duration
    from accord.training.stages.run import expected_seconds
    from accord.tuning.study import count_trials

    done = count_trials(out, space, seeds)
    left = max(0, trials - done)
    seconds = expected_seconds(plan_run(space.base)) * seeds * left / workers
    if as_json:
        plan = {"search": list(space.lines()), "trials": trials, "done": done, "seconds": seconds}
        echo(json.dumps(plan))
        return
    for line in (*space.lines(), *([space.note] if space.note else [])):
        echo(line)
    with_workers = f" with {workers} workers" if workers > 1 else ""
    echo(
        f"{count(trials, 'trial')}, {left} to run: at most about {duration(seconds)}{with_workers},"
        " set-up left out; pruned trials take less"
    )


def _show(tuned: Tuned) -> None:
    """Print the best trials, and where the best config is."""
    from accord.cli.results import new_table, print_table
    from accord.runs.estimate import duration
    from accord.tuning.records import ranking, short

    keys = list(tuned.best.settings)
    ends = [key.rpartition(".")[2] for key in keys]
    heads = [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]
    table = new_table("trial", "score", "time", *heads)
    for trial in ranking(tuned.trials)[:_SHOWN]:
        values = (short(trial.settings[key]) for key in keys)
        table.add_row(str(trial.number), f"{trial.score:z.4f}", duration(trial.seconds), *values)
    print_table(table)
    states = [trial.state for trial in tuned.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "pruned", "failed"))
    echo(f"{count(len(states), 'trial')}: {counts}")
    echo(f"trial {tuned.best.number}: dev score {tuned.best.score:z.4f}, {tuned.selection.line}")
    if tuned.forced:
        echo(f"FORCED: changed between runs: {'; '.join(tuned.forced)}.")
    echo(f"config of trial {tuned.best.number}: {tuned.config}")
