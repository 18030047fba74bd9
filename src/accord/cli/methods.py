"""`accord methods`: every way to combine, balance and sample tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from accord.cli.options import as_json_option
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.cli.results import Table
    from accord.families import Family
    from accord.methods import Description

FAMILY_NAMES = ("gradients", "balancing", "sampling", "sharing", "regularisers", "targets")

_SIZES = {
    "sum": "as a sum's: T tasks with the same gradient g give T g",
    "mean": "as a mean's: T tasks with the same gradient g give g",
    "other": "neither a sum's nor a mean's: see above",
}


@click.command()
@click.argument("name", required=False)
@click.option("--family", type=click.Choice(FAMILY_NAMES), help="Only this family.")
@as_json_option
def methods(name: str | None, family: str | None, as_json: bool) -> None:
    """List the methods by family, or explain the one called NAME.

    One word in the config chooses a method; a table [methods.NAME] sets its options.
    """
    from accord.errors import UsageError, nearest
    from accord.families import FAMILIES, options_of, summary

    chosen = [own for own in FAMILIES if family in (None, own.name)]
    known = [known for own in chosen for known in own.names()]
    if name is not None and name not in known:
        owners = [own.name for own in FAMILIES if name in own.names()]
        where = f" in {family}; it is in {owners[0]}" if owners else nearest(name, known)
        raise UsageError(f"no method '{name}'{where}")
    found = [
        (own, own.get(known)) for own in chosen for known in own.names() if name in (None, known)
    ]
    if as_json:
        echo(json.dumps([
            {
                "name": method.name, "family": own.name, "key": own.key_of(method),
                "paper": method.paper, "needs": method.needs, "cost": method.cost,
                "use": method.use, "magnitude": getattr(method, "magnitude", None),
                "options": options_of(method), "summary": summary(method),
            }
            for own, method in found
        ]))  # fmt: skip
    elif name is not None:
        _explain(*found[0])
    else:
        _list(found)


def _list(found: list[tuple[Family, Description]]) -> None:
    from accord.cli.results import new_table, print_table
    from accord.families import options_of

    tables: dict[str, Table] = {}
    heads: dict[str, tuple[str, ...]] = {}
    families = [own.name for own, _ in found]
    for own, method in sorted(
        found, key=lambda one: (families.index(one[0].name), one[0].key_of(one[1]) != one[0].key)
    ):
        key = own.key_of(method)
        if key not in tables:
            tables[key] = new_table(own.name, "needs", "options", "from", left=4)
            value = '["NAME", ...]' if own.several else '"NAME"'
            without = own.default if key == own.key else "none, and tasks are trained together"
            heads[key] = ("", own.job, f"{key} = {value}; without it: {without}")
        options = ", ".join(option["name"] for option in options_of(method)) or "–"
        needs = ", ".join(method.needs).replace("_", " ") or "–"
        tables[key].add_row(method.name, needs, options, method.paper.split(",")[0])
    for key, table in tables.items():
        echo(*heads[key])
        print_table(table)
    echo("", "'accord methods NAME' explains one; docs/methods has one page per family.")


def _explain(own: Family, method: Description) -> None:
    from accord.families import options_of, summary

    echo(own.chosen_by(method), "", summary(method), "")
    echo(f"From:   {method.paper}")
    echo(f"Use:    {method.use}")
    echo(f"Needs:  {', '.join(method.needs).replace('_', ' ') or 'nothing that is measured'}")
    echo(f"Costs:  {method.cost}")
    if magnitude := getattr(method, "magnitude", None):
        echo(f"Size:   {_SIZES[magnitude]}")
    for option in options_of(method):
        default = json.dumps(option["default"])
        echo(f"Option: methods.{method.name}.{option['name']} = {default}: {option['takes']}")
