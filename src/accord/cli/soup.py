"""`accord soup`: the average of several runs' weights, where it is no worse than the best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option, quiet_option
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.derived.run_soup import RunSoup


_READING = """\
The soup's figures are on the dev rows that chose its members, and so are too good.
cross-fitted: members chosen by one half of these rows, evaluated on the other; the epoch of each
run was chosen by all of them."""


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="The model's folder.")
@as_json_option
@quiet_option
def soup(runs: tuple[Path, ...], out: Path, as_json: bool, quiet: bool) -> None:
    """Write folder --out with the average of the weights of some of RUNS: one model of their size.

    From the best run to the worst, each joins if the dev metrics' sum doesn't fall. RUNS are
    finished, began from one encoder, and have the same tasks and dev files. Those that differ in
    settings mix better than those of several seeds, whose heads began apart.
    """
    from accord.derived.run_soup import soup_runs
    from accord.runs.progress import Console

    console = Console(quiet)
    made = soup_runs(runs, out, console.say)
    if as_json:
        members = [str(runs[i]) for i in made.soup.members]
        alone = {str(run): single.record() for run, single in zip(runs, made.alone, strict=True)}
        record = {"members": members, **made.soup.evaluated.record(), "alone": alone}
        echo(json.dumps({**record, "crossfit": made.crossfit}))
        return
    _show(runs, made)
    console.say(f"{len(made.soup.members)} of {len(runs)} runs in the soup; model in {out}")


def _show(runs: tuple[Path, ...], made: RunSoup) -> None:
    from accord.cli.results import new_table, print_table

    names = list(made.soup.evaluated.metrics)
    table = new_table("run", "in the soup", *names, "sum", left=2)
    for i, (run, single) in enumerate(zip(runs, made.alone, strict=True)):
        values = (f"{value:z.4f}" for value in (*single.metrics.values(), single.sum))
        table.add_row(str(run), "yes" if i in made.soup.members else "no", *values)
    evaluated = made.soup.evaluated
    table.add_row(
        "the soup", "", *(f"{v:z.4f}" for v in (*evaluated.metrics.values(), evaluated.sum))
    )
    crossfit = (*made.crossfit.values(), sum(made.crossfit.values()))
    table.add_row("cross-fitted", "", *(f"{value:z.4f}" for value in crossfit))
    print_table(table)
    echo(*_READING.splitlines())
