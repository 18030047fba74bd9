"""Write docs/config.md from the config's own fields: python docs/generate_config.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import create_model
from pydantic.fields import FieldInfo

from accord.config.sections import (
    AveragingConfig,
    CheckpointConfig,
    ComparisonConfig,
    Config,
    EncoderConfig,
    MemoryConfig,
    SelectionConfig,
    SharingConfig,
    StageConfig,
    TrackConfig,
)
from accord.config.training import TrainingConfig
from accord.families import FAMILIES
from accord.kinds import all_kinds, get_kind, is_unlabelled, kind_names

HEAD = """# Every key of the config

The config is one TOML file. `--set training.epochs=2` overrides one key on the command line.
Relative paths are relative to the file's own folder. Unknown keys are errors.
`accord init FILE...` writes a first config from your files.

Editors that read `#:schema` in a TOML file's first line (Even Better TOML for VS Code, taplo)
complete keys and values, show what they mean and underline what is wrong. `accord init` writes that
line, and `accord.schema.json` beside the config; `accord schema -o accord.schema.json` writes it
anew after an update, and the documentation site has it too.
"""
LABELLED = create_model(
    "Labelled",
    __base__=get_kind("classification").section,
    kind=(Literal[tuple(name for name in kind_names() if not is_unlabelled(name))], ...),
).model_fields


def of_kinds() -> Iterator[tuple[str, dict[str, FieldInfo]]]:
    """Yield the keys that a kind alone takes; of one without labels all that it takes."""
    for kind in all_kinds():
        fields = kind.section.model_fields
        if kind.labelled:
            fields = {name: field for name, field in fields.items() if name not in LABELLED}
        if fields:
            yield f'[tasks.NAME]` with `kind = "{kind.name}"', fields


EXAMPLES = {
    "Before the first section": 'score = "cs224n"',
    "[encoder]": """
[encoder]
path = "bert-base-uncased"
max_length = 128
""",
    "[tasks.NAME]": """
[tasks.reviews]
kind = "classification"
train = ["reviews-2024.csv", "reviews-2025.csv"]
text = "review"
label = "stars"
labels = ["1", "2", "3", "4", "5"]
missing = [""]
class_weights = "balanced"
metric = "macro_f1"

[tasks.similarity]
kind = "pair-regression"
train = "pairs-train.parquet"
dev = "pairs-dev.parquet"
text = ["first", "second"]
label = "score"
range = [0, 5]
encoding = "separate"
head = "cosine"
pooling = "mean"
""",
    '[tasks.NAME]` with `kind = "multi-label"': """
[tasks.emotions]
kind = "multi-label"
train = "emotions.tsv"
text = "text"
label = "emotions"
separator = ","
empty = "none"
""",
    '[tasks.NAME]` with `kind = "multiple-choice"': """
[tasks.exam]
kind = "multiple-choice"
train = "exam.csv"
text = ["question", "option_a", "option_b", "option_c"]
label = "answer"
answer = "letter"
""",
    '[tasks.NAME]` with `kind = "ranking"': """
[tasks.search]
kind = "ranking"
train = "search.csv"
text = ["query", "passage"]
label = "grade"
id = "qid"
rows = "candidates"
""",
    '[tasks.NAME]` with `kind = "token-classification"': """
[tasks.entities]
kind = "token-classification"
train = "entities.conll"
text = "text"
label = "tags"
scheme = "bio"
repair = true
""",
    '[tasks.NAME]` with `kind = "masked-lm"': """
[tasks.words]
kind = "masked-lm"
train = "letters.csv"
text = ["subject", "body"]
mask_share = 0.2
""",
    '[tasks.NAME]` with `kind = "simcse"': """
[tasks.vectors]
kind = "simcse"
texts_of = ["reviews"]
""",
    "[training]": """
[training]
epochs = 5
patience = 2
batch_size = 16
batching = "temperature"
gradients = "pcgrad"
lr = 1e-4
precision = "bfloat16"
""",
    "[sharing]": """
[sharing]
schemes = ["adapter"]
""",
    "[averaging]": """
[averaging]
method = "ema"
decay = 0.99
""",
    "[checkpoint]": """
[checkpoint]
every_minutes = 10
keep = 1
""",
    "[[stages]]": """
[[stages]]
name = "first"
tasks = ["reviews"]

[[stages]]
tasks = ["reviews", "similarity"]
training = {epochs = 2, lr = 2e-5}
""",
    "[memory]": """
[memory]
method = "gem"
size = 64
""",
    "[selection]": """
[selection]
by = "a colleague's search"
candidates = 12
""",
    "[comparison]": """
[comparison]
margin = 1.0
""",
    "[texts.NAME]": """
[texts.letters]
kind = "classification"
train = "letters.csv"
text = "body"
label = "topic"
""",
    "[methods.NAME]": """
[training]
gradients = "cagrad"

[methods.cagrad]
c = 0.5
""",
    "[track]": """
[track]
to = ["tensorboard"]
every_steps = 5
""",
}
SECTIONS: list[tuple[str, dict[str, FieldInfo]]] = [
    ("[encoder]", EncoderConfig.model_fields),
    ("[tasks.NAME]", LABELLED),
    *of_kinds(),
    ("[training]", TrainingConfig.model_fields),
    ("[sharing]", SharingConfig.model_fields),
    ("[averaging]", AveragingConfig.model_fields),
    ("[checkpoint]", CheckpointConfig.model_fields),
    ("[[stages]]", StageConfig.model_fields),
    ("[memory]", MemoryConfig.model_fields),
    ("[selection]", SelectionConfig.model_fields),
    ("[comparison]", ComparisonConfig.model_fields),
    ("[track]", TrackConfig.model_fields),
]


def page() -> str:
    """Return the page's text."""
    first = "Before the first section"
    parts = [HEAD, f"## {first}\n", example(first), table({"score": Config.model_fields["score"]})]
    for title, fields in SECTIONS:
        parts += [f"## `{title}`\n", example(title), table(fields)]
    for name in ("texts", "methods"):
        title = f"[{name}.NAME]"
        said = f"{Config.model_fields[name].description}\n"
        parts += [f"## `{title}`\n", example(title), said]
    for family in FAMILIES:
        for key in dict.fromkeys([family.key, *map(family.key_of, family.all())]):
            chosen = [method.name for method in family.all() if family.key_of(method) == key]
            names = ", ".join(f"`{name}`" for name in chosen)
            parts.append(f"`{key}`: {names} ([what they do](methods/{family.name}.md)).\n")
    return "\n".join(parts)


def example(title: str) -> str:
    """Return a section's example as a block."""
    return f"```toml\n{EXAMPLES[title].strip()}\n```\n"


def table(fields: dict[str, FieldInfo]) -> str:
    """Return the keys of one section."""
    rows = ["| key | takes | default | |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        default = "**required**" if field.is_required() else shown(field.default)
        rows.append(
            f"| `{name}` | {kind(field.annotation)} | {default} | {field.description or ''} |"
        )
    return "\n".join(rows) + "\n"


def shown(value: Any) -> str:
    """Return a default as TOML spells it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'`"{text}"`' if isinstance(value, str) else f"`{text}`"


def kind(annotation: Any) -> str:
    """Return a type in words."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    if getattr(annotation, "__origin__", None) is dict:
        return "table"
    arguments = [part for part in get_args(annotation) if part is not type(None)]
    if arguments and all(isinstance(part, str) for part in arguments):
        return ", ".join(f"`{part}`" for part in arguments)
    if getattr(annotation, "__origin__", None) is list:
        return "list"
    kinds = [kind(part) for part in arguments if isinstance(part, type) or get_args(part)]
    return " or ".join(dict.fromkeys(kinds)) or "text"


if __name__ == "__main__":
    Path(__file__).with_name("config.md").write_text(page(), encoding="utf-8")
