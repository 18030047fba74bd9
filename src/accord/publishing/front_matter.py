"""A card's front matter: what the hub sorts, filters and shows models by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from accord.kinds import kind_of
from accord.plural import count
from accord.publishing.known import Known
from accord.tasks import Task

LIBRARY = "accord"
OTHER = "other"  # the hub's word for a licence that it has no identifier of
LICENCES = frozenset([
    "apache-2.0", "mit", "openrail", "openrail++", "bigscience-openrail-m",
    "creativeml-openrail-m", "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0",
    "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0",
    "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl",
    "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0",
    "odc-by", "odbl", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl",
    "lgpl-lr", "deepfloyd-if-license", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3",
    "gemma", "apple-ascl", "apple-amlr", "unknown", "other",
])  # fmt: skip
"""Identifiers that the hub has for licences; its Python library lists none."""


def front_matter(known: Known, title: str, licence: str | None) -> str:
    """Return the YAML of a card, without the lines around it.

    Args:
        known: what there is to say.
        title: of the model.
        licence: an identifier of the hub's, or any other licence's name; None leaves it out.
    """
    from huggingface_hub import ModelCardData

    kinds = Counter(kind_of(task).hub_task for task in known.tasks)
    results = list(_results(known)) or None
    data = ModelCardData(
        base_model=known.base_model,
        eval_results=results,  # type: ignore[arg-type]
        library_name=LIBRARY,
        metrics=sorted({task.metric for task in known.tasks}),
        model_name=title if results else None,
        pipeline_tag=kinds.most_common(1)[0][0],
        tags=[LIBRARY, "multi-task", known.encoder.model_type, *sorted(kinds)],
        **_licence(licence),  # type: ignore[arg-type]
    )
    return data.to_yaml().strip()


def _licence(given: str | None) -> dict[str, str]:
    if given is None:
        return {}
    identifier = given.strip().lower()
    if identifier in LICENCES:
        return {"license": identifier}
    return {"license": OTHER, "license_name": given.strip()}


def _results(known: Known) -> Iterator[object]:
    """Yield each task's held-out figure, as the hub's table of results has it."""
    from huggingface_hub import EvalResult

    for task in known.tasks if known.run is not None else ():
        entry = known.run.results["heldout"][task.name]  # type: ignore[union-attr]
        yield EvalResult(
            task_type=kind_of(task).hub_task,
            task_name=task.name,
            dataset_type="unknown",  # an id would claim one of the hub's data sets
            dataset_name=f"{task.name}: {count(entry['rows'], 'row')} of {entry['on']}",
            dataset_config=task.name,  # what keeps two tasks' results apart
            metric_type=task.metric,
            metric_name=f"{task.metric_name}, held out",
            metric_value=round(entry["value"], 4),
        )


def reads(task: Task) -> str:
    """Say what a task reads of a row.

    Example:
        >>> reads(Task("t", "pair-regression", "mse", "pearson", encoding="separate"))
        'a pair of texts, each encoded alone'
    """
    if kind_of(task).varying:
        return f"a text with {kind_of(task).candidate}s"
    if task.texts == 1:
        return "a text, word by word" if kind_of(task).units == "words" else "a text"
    return "a pair of texts, " + ("as one sequence" if task.joins_texts else "each encoded alone")
