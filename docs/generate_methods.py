"""Write docs/methods/ from the registries, one page per family: python docs/generate_methods.py."""

from __future__ import annotations

import json
from pathlib import Path

from accord.balancing import Rule as BalancingRule
from accord.families import FAMILIES, Family, options_of, summary
from accord.gradients import Method
from accord.methods import Description
from accord.sampling import Rule as SamplingRule

FOLDER = Path(__file__).with_name("methods")
WORDS = {
    "jacobian": "all shared gradients",
    "gramian": "the Gram matrix",
    "last_layer": "the norms of the gradients on the last shared layer",
    "losses": "the losses",
    "losses_after": "the losses of the same examples after the step",
    "state": "a state of its own",
    "draws": "random draws, keyed by the step",
    "targets": "the step's targets",
    "sizes": "the tasks' rows",
    "shares": "the tasks' shares of a step",
    "epoch": "the epoch",
    "memories": "which rows are memories of finished tasks",
    "budget": "the whole run's budget",
}
MAGNITUDE = """\
Magnitude is the combined gradient's size, told by T tasks whose gradients are all one g: `sum`
gives T g, `mean` gives g, `other` what the method's entry says. AdamW divides by the gradient's
size, so magnitude mostly makes no difference. It does to clipping: the norm that `training.clip`
bounds is of the shared gradient and the heads' together, and no method touches the heads'. A large
shared gradient therefore shrinks the heads' steps with its own, more so where clipping acts at some
steps and not at others. Compare methods of unlike magnitude with `training.clip = 0`, or with a
limit that suits each.
"""


def pages() -> dict[str, str]:
    """Return each page's text by its name."""
    return {f"{family.name}.md": page(family) for family in FAMILIES}


def page(family: Family) -> str:
    """Return a family's page."""
    methods = family.all()
    measured = any(isinstance(method, Method) for method in methods)
    names = ["name", "needs", *["magnitude"] * measured, "use"]
    rows = [
        [f"[`{method.name}`](#{method.name})", ", ".join(method.needs).replace("_", " ") or "–",
         *([method.magnitude] if isinstance(method, Method) else []), method.use]
        for method in methods
    ]  # fmt: skip
    table = [names, ["---"] * len(names), *rows]
    head = [
        f"# {family.name.capitalize()}\n",
        f"{family.job} One word in the config chooses one; a table `[methods.NAME]` sets its"
        " options, where it has any:\n",
        f"```toml\n{example_of(family)}\n```\n",
        f"Without it: {family.default}. `accord methods --family {family.name}` lists them.\n",
        "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n",
        *[MAGNITUDE] * measured,
    ]
    return "\n".join([*head, *map(entry, methods)])


def example_of(family: Family) -> str:
    """Return the lines of a config that choose a method with an option."""
    examples = {
        "gradients": '[training]\ngradients = "cagrad"\n\n[methods.cagrad]\nc = 0.5',
        "balancing": '[training]\nbalancing = "fixed"\n\n[methods.fixed.weights]\nsts = 2.0',
        "sampling": '[training]\nbatching = "temperature"\n\n[methods.temperature]\ntau = 2.0',
        "sharing": '[sharing]\nschemes = ["lora", "task-norm"]\n\n[methods.lora]\nrank = 8',
        "regularisers": '[training]\nregularisers = ["r-drop"]\n\n[methods.r-drop]\nalpha = 0.5',
        "targets": '[tasks.sts]\ntargets = "popart"',
    }
    return examples[family.name]


def entry(method: Description) -> str:
    """Return a method's part of a page."""
    needs = ", ".join(WORDS[need] for need in method.needs) or "nothing that is measured"
    lines = [
        f"## {method.name}\n",
        f"{summary(method)}\n",
        f"- From: {method.paper}.",
        f"- When: {method.use}",
        f"- Needs: {needs}. Costs: {method.cost}.",
    ]
    for option in options_of(method):
        given = option["default"]  # TOML has no null: what isn't set has none
        default = "" if given is None else f"; default `{json.dumps(given)}`"
        name = f"methods.{method.name}.{option['name']}"
        lines.append(f"- Option `{name}`, {option['takes']}{default}.")
    if isinstance(method, Method | BalancingRule):
        lines.append(f"- Laws that its tests hold it to: {', '.join(sorted(method.laws))}.")
    return "\n".join([*lines, *worked(method), ""])


def worked(method: Description) -> list[str]:
    """Return a method's worked example."""
    match method:
        case Method() if method.uses_jacobian:
            return [f"- Example: J = {method.example[0]} becomes {method.example[1]}."]
        case Method():
            last = ", the last row a memory's," if method.remembers else ""
            return [
                f"- Example: G = {method.example[0]}{last} gives the weights {method.example[1]}."
            ]
        case BalancingRule():
            return [f"- Example: first losses {method.example[0]} get {method.example[1]}."]
        case SamplingRule():
            (sizes, batch), (steps, shares) = method.example
            return [
                f"- Example: {sizes} rows in batches of {batch}: {steps} steps per epoch,"
                f" {shares} examples each."
            ]
    return []


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
