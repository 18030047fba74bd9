"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path

from accord.cli import COMMANDS
from accord.gradients import get_method, method_names

ROOT = Path(__file__).parents[1]


def test_config_page_is_what_the_config_holds() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = "run: python docs/generate_config.py"
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == module.page(), wanted


def test_every_command_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"accord {command}" in text


def test_every_method_stands_in_the_readme_with_its_paper() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in method_names():
        assert f"`{name}`" in text
        assert get_method(name).paper


def test_every_module_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("## The tree")[1].split("```")[1]
    named = set(re.findall(r"\b(\w+)(?:\.py|/)", tree))
    package = ROOT / "src" / "accord"
    own = {path.stem for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    assert own | folders <= named
    assert named - {"src", "accord", "py"} <= own | folders


def test_no_page_waits_for_a_figure() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert not re.findall(r"@[A-Z]+@", page.read_text(encoding="utf-8")), page.name
