"""What is wrong with a configuration, one line per key: where, what is allowed, what was given."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

from accord.errors import nearest
from accord.kinds import is_kind, is_unlabelled, kind_names

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "string_too_short": "a text that is not empty",
}


_SYNONYMS = {
    "training.lr": "learning_rate encoder_lr max_lr base_lr",
    "training.head_lr": "classifier_lr head_learning_rate",
    "training.epochs": "num_train_epochs num_epochs n_epochs max_epochs nb_epochs",
    "training.batch_size": "per_device_train_batch_size per_gpu_train_batch_size train_batch_size",
    "training.micro_batch_tokens": "gradient_accumulation_steps accumulate_grad_batches",
    "training.clip": "max_grad_norm grad_clip gradient_clip_val clip_grad_norm max_norm",
    "training.schedule": "lr_scheduler_type lr_scheduler scheduler lr_schedule",
    "training.warmup": "warmup_ratio warmup_steps num_warmup_steps warmup_proportion",
    "training.patience": "early_stopping_patience early_stopping_rounds early_stopping",
    "training.min_delta": "early_stopping_threshold",
    "training.stop_on": "metric_for_best_model early_stopping_metric monitor",
    "training.precision": "fp16 bf16 mixed_precision amp dtype torch_dtype",
    "training.seed": "random_seed random_state manual_seed",
    "training.dev_share": "validation_split val_split dev_size val_size test_size",
    "training.gradients": "gradient_surgery aggregator",
    "training.balancing": "loss_weights loss_weighting task_weights weighting",
    "training.batching": "sampling task_sampling sampler",
    "training.layer_decay": "layerwise_lr_decay llrd",
    "encoder.path": "model model_name_or_path model_name pretrained_model_name_or_path pretrained",
    "encoder.max_length": "max_seq_length max_seq_len max_len max_tokens sequence_length",
    "encoder.dropout": "hidden_dropout_prob attention_probs_dropout_prob hidden_dropout",
    "encoder.mode": "freeze frozen freeze_encoder",
    "checkpoint.every_steps": "save_steps save_every",
    "checkpoint.keep": "save_total_limit",
    "averaging.decay": "ema_decay",
    "tasks.NAME.train": "train_file train_path train_data train_files",
    "tasks.NAME.dev": "validation_file dev_file eval_file val_file validation valid val dev_path",
    "tasks.NAME.test": "test_file test_path test_data predict_file",
    "tasks.NAME.text": "text_column sentence_column text_field input_column columns",
    "tasks.NAME.label": "label_column target_column label_field target",
    "tasks.NAME.id": "id_column idx",
    "tasks.NAME.kind": "type task_type problem_type",
    "tasks.NAME.class_weights": "class_weight label_weights weight",
    "tasks.NAME.label_smoothing": "label_smoothing_factor smoothing",
    "tasks.NAME.draw": "balanced_sampling oversample weighted_sampler",
    "tasks.NAME.delimiter": "sep",
}
"""What other libraries call a key."""

_OTHERS = {name: key for key, names in _SYNONYMS.items() for name in names.split()}


def fault_lines(error: ValidationError, root: type[BaseModel], where: str) -> Iterator[str]:
    """Yield one line for each key at fault.

    Args:
        error: what pydantic found.
        root: the model of the whole file, whose fields are the allowed keys.
        where: the file's name.
    """
    faults: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for item in error.errors(include_url=False):
        # A value that may have one of several types is reported once for each.
        faults.setdefault(_keys(item["loc"]), []).append(item)
    for keys, items in faults.items():
        yield f"{where}: {_line(keys, items, root)}"


def _keys(location: Sequence[int | str]) -> tuple[str, ...]:
    # Behind the key pydantic appends list positions and the type it tried.
    plain = _place(location)
    depth = 3 if plain[:1] in (("tasks",), ("texts",), ("stages",)) else 2
    # Stages are counted from 1, as messages name them.
    return tuple(
        str(part + 1) if place == 1 and isinstance(part, int) else str(part)
        for place, part in enumerate(plain[:depth]) if part != "[key]"
    )  # fmt: skip


def _place(location: Sequence[int | str]) -> tuple[int | str, ...]:
    """Return a place without the kind of task that pydantic names after the task's name."""
    kind = _kind(location)
    return tuple(location) if kind is None else (*location[:2], *location[3:])


def _kind(location: Sequence[int | str]) -> str | None:
    """Return the kind of a task that a place in its table is in."""
    if len(location) < 3 or location[0] not in ("tasks", "texts"):
        return None
    return str(location[2]) if is_kind(location[2]) else None


def _line(keys: tuple[str, ...], items: list[ErrorDetails], root: type[BaseModel]) -> str:
    item, key = items[0], ".".join(keys)
    match item["type"]:
        case "extra_forbidden":
            return _unknown(keys, _kind(item["loc"]), root)
        case "missing" | "union_tag_not_found":
            return f"'{key}{'.kind' * (item['type'] != 'missing')}' is missing"
        case "value_error":
            # Of a whole table the fault names the key, of a value alone it doesn't.
            of_table = isinstance(item["input"], dict)
            return f"{key}{'.' if of_table else ': '}{item['ctx']['error']}"
        case "too_short":
            needed = "task" if keys[0] == "stages" else f"section [{key}.NAME]"
            return f"'{key}' is empty: at least one {needed} is needed"
        case "string_pattern_mismatch":
            name = item["input"]
            return f"[{key}]: a name takes letters, digits, '-' and '_', got {name!r}"
    return _wrong_value(keys, items)


def _unknown(keys: tuple[str, ...], kind: str | None, root: type[BaseModel]) -> str:
    """Say that there is no such key, or none of a task of this kind."""
    *place, key = keys
    if kind is None:
        return f"unknown key '{'.'.join(keys)}'{_meant(key, _allowed(root, place), root)}"
    sections = _task_sections(root)
    section = next(model for model in sections if kind in _kinds_of(model))
    if any(key in model.model_fields for model in sections):
        names = ", ".join(name for name in section.model_fields if name != "kind")
        return f"{'.'.join(keys)}: kind '{kind}' has no such key; it takes {names}"
    return f"unknown key '{'.'.join(keys)}'{_meant(key, list(section.model_fields), root)}"


def _meant(key: str, allowed: Sequence[str], root: type[BaseModel]) -> str:
    """Say which key is meant: one of the same table, of another, or by another library's name."""
    spelt = key.lower().replace("-", "_")
    elsewhere = {name.rpartition(".")[2]: name for name in reversed(_every_key(root))}
    if spelt in allowed:
        return f"; did you mean '{spelt}'?"
    other = elsewhere.get(spelt) or _OTHERS.get(spelt)
    if other is None and not difflib.get_close_matches(spelt, allowed, n=1):
        other = next((elsewhere[n] for n in difflib.get_close_matches(spelt, elsewhere, n=1)), None)
    return nearest(spelt, allowed) if other is None else f"; did you mean '{other}'?"


def _every_key(root: type[BaseModel]) -> list[str]:
    """Return every key of the file: `encoder.path`, `tasks.NAME.text`, `training.lr`."""
    keys = []
    for name, section in root.model_fields.items():
        if name in ("texts", "stages"):
            continue  # tables of the same keys
        inside = f"{name}.NAME" if name == "tasks" else name
        models = _task_sections(root) if name == "tasks" else _models(section.annotation)
        keys += [f"{inside}.{key}" for model in models for key in model.model_fields]
    return keys


def _wrong_value(keys: tuple[str, ...], items: list[ErrorDetails]) -> str:
    item, key = items[0], ".".join(keys)
    value = item["input"]
    if item["type"] == "union_tag_invalid":
        tag = str(item["ctx"]["tag"])
        known = [kind for kind in kind_names() if keys[0] == "tasks" or not is_unlabelled(kind)]
        return f"{key}.kind: unknown value '{tag}'{nearest(tag, known)}"
    if item["type"] == "literal_error" and isinstance(value, str):
        names = [name.strip("' ") for name in _names(item).replace(" or ", ",").split(",")]
        return f"{key}: unknown value '{value}'{nearest(value, names)}"
    place, position = _place(item["loc"]), len(keys)
    inside = len(place) > position and isinstance(place[position], int)
    wanted = list(dict.fromkeys(_wanted(one) for one in items))
    if "a number" in wanted:
        wanted = [one for one in wanted if one != "a whole number"]
    prefix = "a list, each " if inside else ""
    return f"'{key}' should be {prefix}{' or '.join(wanted)}, got {_show(value)}"


def _names(item: ErrorDetails) -> str:
    return str(item["ctx"]["expected"])


def _wanted(item: ErrorDetails) -> str:
    if item["type"] == "literal_error":
        return _names(item)
    text = _WANTED.get(item["type"], item["msg"].removeprefix("Input should be "))
    return text.format(**item.get("ctx", {}))


def _show(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """Return the keys of the table that `keys` lead to; of tasks, those of some kind."""
    if not keys:
        return list(model.model_fields)
    return list(_models(model.model_fields[keys[0]].annotation)[0].model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a section: `stages` lists one, `memory` may be None."""
    return [
        model for model in get_args(annotation) or (annotation,) if hasattr(model, "model_fields")
    ]


def _task_sections(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the models of `[tasks.NAME]`, of which the kind decides."""
    (_, sections) = get_args(root.model_fields["tasks"].annotation)
    return list(get_args(get_args(sections)[0]))


def _kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["kind"].annotation)
