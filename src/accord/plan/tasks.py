"""One task's section of the config as a plain value, for the rooms below the plan."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.datafiles import named
from accord.data.plan import TaskPlan
from accord.spelling import canonical_label

_OF_SOURCES = {"texts_of", "apart", "unlabelled"}  # read where the plan says who shares rows
_FILES = ("train", "dev", "test")


def task_plan(section: AnyTaskConfig) -> TaskPlan:
    """Return a `[tasks.NAME]` as a plan; keys that only its kind has become options.

    Example:
        >>> from accord.kinds import task_section
        >>> plan = task_plan(task_section(kind="regression", text="t", train="a.csv", range=[0, 5]))
        >>> plan.train, plan.text, plan.range
        (('a.csv',), ('t',), (0.0, 5.0))
    """
    values = {name: getattr(section, name) for name in type(section).model_fields}
    values |= {name: tuple(named(values[name])) for name in _FILES if values.get(name) is not None}
    values["text"] = section.text_columns
    if isinstance(section, TaskConfig):
        values |= _of_labels(section)
    known = {field.name for field in fields(TaskPlan)}
    options = {name: values[name] for name in values.keys() - known - _OF_SOURCES}
    return TaskPlan(**{name: values[name] for name in values.keys() & known}, options=options)


def _of_labels(section: TaskConfig) -> dict[str, Any]:
    labels, span, positive = section.labels, section.range, section.positive
    columns = section.label_columns
    weights = getattr(section, "class_weights", None)  # which not all kinds have
    return {
        # As messages name it; what no single column is called says that there are several.
        "label": section.label if isinstance(section.label, str) else f"[{', '.join(columns)}]",
        "label_columns": columns,
        "missing": section.missing_labels | ({""} if section.unlabelled == "skip" else set()),
        "labels": None
        if labels is None
        else tuple(canonical_label(str(label)) for label in labels),
        "range": None if span is None else (float(span[0]), float(span[1])),
        "positive": None if positive is None else canonical_label(str(positive)),
        "class_weights": {canonical_label(label): weight for label, weight in weights.items()}
        if isinstance(weights, dict)
        else weights,
    }
