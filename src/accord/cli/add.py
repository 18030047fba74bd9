"""`accord add`: new tasks on a trained model, whose other tasks stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, as_json_option, overrides_option, quiet_option
from accord.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accord.derived.adding import Added


@click.command()
@click.argument("model", type=PATH)
@click.argument("config", type=PATH)
@click.option("--out", required=True, type=PATH, help="The new model's folder.")
@click.option(
    "--replace", "replaced", multiple=True, metavar="TASK",
    help="A task of MODEL that CONFIG's task of the same name takes the place of; repeatable.",
)  # fmt: skip
@click.option(
    "--joint", is_flag=True,
    help="Train all tasks on together, from the files of MODEL's run; says by how much each moved.",
)  # fmt: skip
@overrides_option
@as_json_option
@quiet_option
def add(
    model: Path,
    config: Path,
    out: Path,
    replaced: tuple[str, ...],
    joint: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write folder --out: MODEL with the tasks of CONFIG added.

    MODEL is a run folder or its model/; its encoder and its tasks stay as they are, and answer to
    the byte as they did, which is checked on their dev texts before anything is written. CONFIG has
    [tasks.NAME] and [training], and [sharing] if the new tasks are to have parts of their own.
    """
    from accord.derived.adding import add_tasks
    from accord.derived.joint import add_jointly

    run = add_jointly if joint else add_tasks
    added = run(model, config, out, replaced, overrides, quiet=quiet)
    if as_json:
        echo(json.dumps(_as_json(added)))
        return
    _show(added)
    echo(f"model written to {out}")


def _as_json(added: Added) -> dict[str, object]:
    return {
        "results": added.results,
        "new_parameters": added.parameters,
        "layers_computed": {"before": added.before.to_json(), "after": added.after.to_json()},
        "unchanged": list(added.proofs),
        "moved": {
            name: {
                "before": found.theirs[0],
                "after": found.ours[0],
                "rows": found.rows,
                "difference": found.value,
                "interval": list(found.interval()),
            }
            for name, found in added.moved.items()
        },
    }


def _show(added: Added) -> None:
    """Print the new tasks' figures, what they cost, and that the others are unchanged."""
    from accord.cli.results import new_table, print_table

    results = added.results
    table = new_table("new task", "metric", "dev", "held out", "new parameters", left=2)
    for name, parameters in added.parameters.items():
        held = results["heldout"].get(name)
        table.add_row(
            name,
            results["metric_names"][name],
            f"{results['metrics'][name]:z.4f}",
            "–" if held is None else f"{held['value']:z.4f}",
            f"{parameters:,}",
        )
    print_table(table)
    before, after = added.before, added.after
    echo(
        "encoder layers computed for an answer to all tasks:"
        f" {before.layers:.1f} before, {after.layers:.1f} now: {after.by_input()}",
        *added.proofs,
        *_moved_lines(added),
    )


def _moved_lines(added: Added) -> Iterator[str]:
    """Yield by how much tasks that were trained on moved."""
    for name, found in added.moved.items():
        (after,), (before,) = found.ours, found.theirs
        low, high = found.interval()
        interval = found.degenerate or f"95 % interval {low:+z.4f} to {high:+z.4f}"
        yield (
            f"{name}: {added.results['metric_names'][name]} {before:z.4f} before, {after:z.4f} now:"
            f" {found.value:+z.4f} ({interval}, {found.rows:,} dev rows)"
        )
    if added.moved:
        yield (
            "intervals: over rows alone. One seed was trained, and another one would move the tasks"
            " otherwise. The dev rows chose the epoch, so the figures on them are too good."
        )
