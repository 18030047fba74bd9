"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from accord.cli import COMMANDS
from accord.config.sections import Config
from accord.families import FAMILIES

ROOT = Path(__file__).parents[1]


def generator(name: str) -> ModuleType:
    """A script of docs/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_config_page_is_what_the_config_holds() -> None:
    wanted = "run: python docs/generate_config.py"
    page = generator("generate_config").page()
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == page, wanted


def test_no_part_of_the_config_is_left_out_of_its_page() -> None:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    for name in Config.model_fields:
        assert re.search(rf"`\[+{name}\b|`{name}`", page), name


def test_pages_of_methods_are_what_the_registries_hold() -> None:
    wanted = "run: python docs/generate_methods.py"
    pages = generator("generate_methods").pages()
    actual = {file.name: file.read_text(encoding="utf-8")
             for file in (ROOT / "docs" / "methods").iterdir()}  # fmt: skip
    assert actual == pages, wanted
    for family in FAMILIES:
        for name in family.names():
            assert f"## {name}\n" in pages[f"{family.name}.md"]


def test_every_command_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"accord {command}" in text


def test_the_readme_counts_the_methods() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    counts = {
        family.name: sum(family.key_of(method) == family.key for method in family.all())
        for family in FAMILIES
    }
    assert f"become one: {counts['gradients']} methods" in text
    assert f"loss counts: {counts['balancing']} rules" in text
    assert f"step draws: {counts['sampling']} rules" in text
    listed = sum(counts[name] for name in ("gradients", "balancing", "sampling"))
    assert f"all {listed} ways to combine" in text


def test_every_module_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("## The tree")[1].split("```")[1]
    named = set(re.findall(r"\b(\w+)(?:\.py|/)", tree))
    package = ROOT / "src" / "accord"
    top = {path.stem for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {file.parent.name for file in package.rglob("*/__init__.py")}
    spelt_out = (
        "comparison", "config", "data", "derived", "encoders", "evaluation", "model", "plan",
        "runs", "training",
    )  # fmt: skip
    assert all((package / folder).is_dir() for folder in spelt_out)
    modules = {
        path.stem for folder in spelt_out for path in (package / folder).rglob("[!_]*.py")
    }  # fmt: skip
    every = {path.stem for path in package.rglob("*.py")}
    assert top | folders | modules <= named
    assert named - {"src", "accord"} <= every | folders


def test_no_page_waits_for_a_figure() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert not re.findall(r"@[A-Z]+@", page.read_text(encoding="utf-8")), page.name
