"""The documentation says what the code does."""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from accord.cli import COMMANDS
from accord.config.sections import Config
from accord.families import FAMILIES
from accord.gradients import method_names

ROOT = Path(__file__).parents[1]
IN_DOCS = [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts]
PAGES = [*ROOT.glob("*.md"), *IN_DOCS]


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


def test_every_command_stands_on_its_page() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"accord {command}" in text


def test_methods_are_counted() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    counts = {
        family.name: sum(family.key_of(method) == family.key for method in family.all())
        for family in FAMILIES
    }
    assert f"become one: {counts['gradients']} methods" in text
    assert f"loss counts: {counts['balancing']} rules" in text
    assert f"step draws: {counts['sampling']} rules" in text
    listed = sum(counts[name] for name in ("gradients", "balancing", "sampling"))
    assert f"all {listed} ways to combine" in text
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(method_names())} methods (PCGrad," in readme


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
    for page in PAGES:
        assert not re.findall(r"@[A-Z]+@", page.read_text(encoding="utf-8")), page.name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            where = f"{page.relative_to(ROOT)}: {link}"
            assert target.exists(), where
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), where


def test_every_page_is_in_the_site() -> None:
    """The index lists a page, or a page that it lists does."""
    listed = "\n".join(
        page.read_text(encoding="utf-8") for page in PAGES if "{toctree}" in page.read_text("utf-8")
    )
    names = set(re.findall(r"^([\w./-]+)$", listed, re.M))
    for page in IN_DOCS:
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if "results" in page.parts or name == "index":
            continue
        assert names & {name, name.removeprefix("api/")}, name


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        *(
            f"docs/api/{page}.md"
            for page in ("encoders", "gradients", "optim", "pertask", "statistics")
        ),
    ],
)
def test_python_by_itself_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, name, "exec"), names)  # what the page says, as it says it
        if "pertask" in block:
            trunk = names.get("trunk", names.get("model"))
            assert all(parameter.grad.abs().sum() > 0 for parameter in trunk.parameters())
        printed = re.findall(r"print\(.*\)  # (.*)$", block, re.M)
        assert capsys.readouterr().out.splitlines() == printed


def test_configs_in_pages_parse() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S):
            tomllib.loads(block)


def links(page: Path) -> Iterator[str]:
    """Yield a page's links into the repository."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http:", "https:", "mailto:")):
            yield link


def anchors(page: Path) -> set[str]:
    """Return what a page's headings are linked by, as GitHub makes it of them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_what_pages_name_of_accord_exists() -> None:
    """`accord.gradients.pcgrad(G)` in a page, or in the changelog, is something that is there."""
    named = set()
    for page in (ROOT / "CHANGELOG.md", *PAGES):
        if "lab" not in page.name:  # which tells of what was
            named |= {*re.findall(r"`accord((?:\.[A-Za-z_]\w*)+)[`(]", page.read_text("utf-8"))}
    assert ".gradients.pcgrad" in named
    files = (".toml", ".json", ".service", ".schema.json")
    for name in sorted(name for name in named if not name.endswith(files)):
        found: object = import_module("accord")
        for part in name[1:].split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                found = import_module(f"{found.__name__}.{part}")
