"""Imports inside the package point downward only, and nothing in it unpickles."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Top to bottom; a module imports from its own layer and from those below. A name covers
# everything under it that has no name of its own. `__init__` is the package's public API.
LAYERS = [
    ["cli", "__main__", "__init__", "api"],
    ["experiments"],
    ["grids.running", "grids.report", "tuning"],
    ["grids.changed"],
    [
        "recipes", "comparison", "encoders.convert", "doctor", "derived.export", "derived.ensemble",
        "publishing.card", "publishing.hub", "derived.run_soup", "derived.to_onnx",
        "derived.sentence_transformers", "derived.removing", "serving",
    ],
    ["derived.graphs"],
    ["derived.quantised"],
    ["derived.joint"],
    ["derived.adding"],
    ["derived.adding_faults"],
    ["derived.composed"],
    ["publishing.known", "publishing.front_matter"],
    ["derived.same_answers", "evaluation.answer_seconds"],
    [
        "derived.finished", "derived.single", "derived.onnx_model", "evaluation.dev_texts",
        "publishing.readme",
    ],
    ["derived.padded"],
    ["grids", "report"],
    ["training.stages.run"],
    ["training.stages.record"],
    ["training.stages.preflight"],
    ["training.stages.stage", "training.stages.results"],
    [
        "training.run", "training.loop", "training.batches", "training.stopping",
        "training.failing", "training.tracked", "training.outcome", "training.heldout",
        "training.epoch",
        "training.epoch_soup", "training.resuming", "training.edits", "training.passes",
        "training.lines",
        "evaluation.evaluate",
        "evaluation.predict_file", "evaluation.file_rows", "evaluation.gathered_rows",
        "evaluation.answerable",
    ],
    ["training.setup", "evaluation.loading", "evaluation.choosing"],
    ["evaluation.predict"],
    ["evaluation.answerer"],
    [
        "training.building", "training.drawing", "training.cadence", "training.recording",
        "evaluation.dev", "evaluation.member", "evaluation.task_groups", "model.saved_ensemble",
    ],
    ["plan.recorded"],
    ["plan.making"],
    ["plan.stages", "plan.unused"],
    ["plan.faults"],
    ["plan.auxiliary_faults", "plan.resolving"],
    ["plan", "plan.run", "plan.keys", "plan.tasks"],
    [
        "evaluation.inference", "evaluation.texts",
        "evaluation.answer_columns",
        "evaluation.labelled_file", "evaluation.row_texts",
        "training.frozen", "training.checkpoint", "evaluation.predictions",
        "data.datasets", "data.checking", "data.check_parts", "training.exposure",
        "training.halves", "training.best", "training.kept_epochs", "training.tidying",
    ],
    [
        "runs.devices", "runs.folder", "runs.estimate", "runs.progress",
        "runs.memory", "runs.results", "runs.result_parts", "training.step", "training.nonfinite",
        "training.measurement",
        "training.objective", "training.observers",
        "model.multitask", "model.branching", "model.head_blocks", "evaluation.inputs",
        "training.rates", "training.unfreezing", "training.regularising", "model.parts",
        "encoders.pretrained", "model.saved", "model.origin", "model.layers_computed",
        "model.inherited", "evaluation.leaderboard",
        "evaluation.packed", "evaluation.pooling", "evaluation.text_losses",
        "statistics", "data.guessing", "evaluation.passes", "evaluation.output",
        "evaluation.prediction_formats", "evaluation.carried",
    ],
    [
        "data", "evaluation.heldout", "evaluation.thresholds",
        "statistics.verdict", "statistics.planning",
    ],
    ["statistics.crossed", "statistics.interval"],
    [
        "runs.lock", "runs.contents", "evaluation.continual",
        "data.sampler", "data.rehearsal", "data.exact_sampler", "data.class_stream",
        "evaluation.scores", "optim", "optim.adamw", "training.combining", "optim.state",
        "optim.schedules",
    ],
    ["config.file"],
    ["config.stages", "config.overrides", "config.schema"],
    ["config"],
    ["config.sections", "config.training", "config.names"],
    ["config.faults"],
    # a kind names its head, and is what a task asks
    ["kinds", "tasks", "model.heads", "model.ordinal", "model.label_sets", "model.auxiliary"],
    ["data.labels"],
    ["data.plan", "data.values"],
    ["data.rows"],
    ["model.words"],
    ["config.tasks", "model.losses", "model.candidates", "data.masking"],
    ["families"],
    ["gradients", "balancing", "sampling", "sharing", "regularisers", "model.popart"],
    ["encoders", "encoders.packing"],
    ["pertask", "model.draws", "model.soft", "optim.averaging", "optim.soups"],
    ["kernels", "data.ragged"],
    ["methods", "statistics.components", "statistics.quantile", "statistics.multiplicity"],
    ["metrics", "tracking"],
    [
        "config.base", "data.datafiles", "data.textfiles", "registered", "runs.ahead",
        "runs.processors", "runs.repeatable", "runs.signals",
    ],
    ["spelling", "terminal", "durable", "showing"],
    ["untrusted", "installed", "demo"],
    ["errors", "plural"],
    # empty: each of their modules has a name of its own
    [
        "derived", "evaluation", "model", "publishing", "runs", "training",
        "training.stages",
    ],
]  # fmt: skip

# The plan reads the config for these rooms; a class of the config in them would be a second way in.
BELOW_THE_PLAN = {
    "balancing", "data", "encoders", "evaluation", "gradients", "kernels", "model", "optim",
    "pertask", "regularisers", "runs", "sampling", "sharing", "statistics", "training",
}  # fmt: skip

FORBIDDEN = [
    r"\bimport\s+pickle\b",
    r"\bfrom\s+pickle\b",
    r"\bpickle\.\w",
    r"\btorch\.load\s*\(",
    r"\bfrom\s+torch\s+import\b.*\bload\b",
    r"\ballow_pickle\s*=\s*True\b",
    r"\bweights_only\s*=\s*False\b",
    r"trust_remote_code",
]

SOURCE = Path(__file__).parents[1] / "src"


def layer(module: str) -> int | None:
    """The index in LAYERS of the longest name that covers `module`, which omits `accord.`."""
    names = {name: depth for depth, row in enumerate(LAYERS) for name in row}
    parts = module.split(".")
    covering = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((names[name] for name in covering if name in names), None)


def module_name(file: Path, source: Path) -> str:
    """`accord/data/store.py` is `data.store`, `accord/data/__init__.py` is `data`."""
    parts = file.relative_to(source / "accord").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imported(file: Path, source: Path) -> Iterator[str]:
    """Every module of the package that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (inner(alias.name, source) for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            folder = file.relative_to(source).parts[: -node.level] if node.level else ()
            base = ".".join((*folder, *([node.module] if node.module else [])))
            if is_ours(base):
                yield from (inner(f"{base}.{alias.name}", source) for alias in node.names)


def room(module: str) -> str:
    return module.partition(".")[0]


def is_ours(dotted: str) -> bool:
    return dotted.partition(".")[0] == "accord"


def inner(dotted: str, source: Path) -> str:
    """Reduce `accord.tasks.Task` to `tasks`, and a name of the package itself to `__init__`."""
    parts = dotted.split(".")
    while len(parts) > 1:
        path = source.joinpath(*parts)
        if path.is_dir() or path.with_suffix(".py").exists():
            return ".".join(parts[1:])
        parts.pop()
    return "__init__"


def faults(source: Path) -> list[str]:
    """One line for each module without a layer and each import that points upward."""
    found = []
    for file in sorted((source / "accord").rglob("*.py")):
        name = module_name(file, source)
        own = layer(name)
        if own is None:
            found.append(f"{name}: has no layer; add it to LAYERS in tests/test_layers.py")
            continue
        for target in imported(file, source):
            below = layer(target)
            if below is not None and below < own:
                found.append(f"{name} imports {target}, which stands in a layer above it")
            if room(name) in BELOW_THE_PLAN and room(target) == "config":
                found.append(f"{name} imports {target}, which the plan reads for it")
    return found


def test_imports_point_downward() -> None:
    assert faults(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("tasks.py", "from accord.api import start_run", ["tasks imports api"]),
        ("tasks.py", "def f():\n    import accord.api", ["tasks imports api"]),
        ("tasks.py", "from accord import api", ["tasks imports api"]),
        ("tasks.py", "from accord import load", ["tasks imports __init__"]),
        ("tasks.py", "from . import api", ["tasks imports api"]),
        ("data/store.py", "from accord.data import checking", ["data.store imports data.checking"]),
        ("data/store.py", "from ..api import Run", ["data.store imports api"]),
        ("data/checking.py", "from .store import Store", []),
        ("data/store.py", "from accord.config.tasks import A", ["data.store imports config.tasks"]),
        ("tasks.py", "from accord.config.tasks import Encoding", []),
        ("data/__init__.py", "from accord.tasks import Task", []),
        ("api.py", "from accord import tasks\nimport accordion, os", []),
        ("strange.py", "import os", ["strange: has no layer; add it to LAYERS"]),
    ],
)
def test_the_check_sees(tmp_path: Path, file: str, line: str, expected: list[str]) -> None:
    for name in (
        "api.py",
        "tasks.py",
        "data/__init__.py",
        "data/store.py",
        "data/checking.py",
        "config/tasks.py",
    ):
        path = tmp_path / "accord" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "accord" / file).write_text(line)
    found = faults(tmp_path)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_every_layer_s_modules_are_there() -> None:
    names = [name for row in LAYERS for name in row]
    there = {module_name(file, SOURCE) for file in (SOURCE / "accord").rglob("*.py")}
    assert len(names) == len(set(names))
    assert set(names) <= there


def test_nothing_unpickles_or_runs_a_model_folder_s_code() -> None:
    """But for the converter, which does so when asked to, with torch's loader for weights alone."""
    converter = SOURCE / "accord" / "encoders" / "convert.py"
    assert "weights_only=True" in converter.read_text(encoding="utf-8")
    files = [file for file in SOURCE.rglob("*.py") if file != converter]
    assert files
    found = [
        f"{file.relative_to(SOURCE)}: {pattern}"
        for file in files
        for pattern in FORBIDDEN
        if re.search(pattern, file.read_text(encoding="utf-8"))
    ]
    assert found == []
