"""`accord methods`: every way to combine, balance and sample tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from accord.cli.options import as_json_option
from accord.terminal import echo

if TYPE_CHECKING:
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

    chosen = [each for each in FAMILIES if family in (None, each.name)]
    known = [known for each in chosen for known in each.names()]
    if name is not None and name not in known:
        owners = [each.name for each in FAMILIES if name in each.names()]
        where = f" in {family}; it is in {owners[0]}" if owners else nearest(name, known)
        raise UsageError(f"no method '{name}'{where}")
    selected = [
        (owner, owner.get(known))
        for owner in chosen
        for known in owner.names()
        if name in (None, known)
    ]
    if as_json:
        echo(json.dumps([
            {
                "name": method.name, "family": owner.name, "key": owner.key_of(method),
                "paper": method.paper, "needs": method.needs, "cost": method.cost,
                "use": method.use, "magnitude": getattr(method, "magnitude", None),
                "options": options_of(method), "summary": summary(method),
            }
            for owner, method in selected
        ]))  # fmt: skip
    elif name is not None:
        _explain(*selected[0])
    else:
        _list(selected)


def _list(selected: list[tuple[Family, Description]]) -> None:
    from accord.cli.results import new_table, print_table
    from accord.families import options_of

    families = [family for family, _ in selected]
    for family, key in sorted(
        dict.fromkeys((family, family.key_of(method)) for family, method in selected),
        key=lambda one: (families.index(one[0]), one[1] != one[0].key),
    ):
        table = new_table(family.name, "needs", "options", "from", left=4)
        for owner, method in selected:
            if (owner, owner.key_of(method)) == (family, key):
                options = ", ".join(option["name"] for option in options_of(method)) or "–"
                needs = ", ".join(method.needs).replace("_", " ") or "–"
                table.add_row(method.name, needs, options, method.paper.split(",")[0])
        value = '["NAME", ...]' if family.several else '"NAME"'
        without = family.default if key == family.key else "none, and tasks are trained together"
        echo("", family.job, f"{key} = {value}; without it: {without}")
        print_table(table)
    echo("", "'accord methods NAME' explains one; docs/methods has one page per family.")


def _explain(family: Family, method: Description) -> None:
    from accord.families import options_of, summary

    echo(family.chosen_by(method), "", summary(method), "")
    echo(f"From:   {method.paper}")
    echo(f"Use:    {method.use}")
    echo(f"Needs:  {', '.join(method.needs).replace('_', ' ') or 'nothing that is measured'}")
    echo(f"Costs:  {method.cost}")
    if magnitude := getattr(method, "magnitude", None):
        echo(f"Size:   {_SIZES[magnitude]}")
    for option in options_of(method):
        given = option["default"]  # TOML has no null: what isn't set has none
        default = "" if given is None else f" = {json.dumps(given)}"
        echo(f"Option: methods.{method.name}.{option['name']}{default}: {option['takes']}")
