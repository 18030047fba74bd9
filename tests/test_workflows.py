"""Workflows that only run elsewhere: what they call is there, and a version has its section."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(workflow):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in (step["run"] for step in steps(workflow) if "run" in step):
        for word in shlex.split(line):
            if word.startswith(".ci/"):
                assert (ROOT / word).is_file(), line
        for target in re.findall(r"^make (\w+)", line):
            assert re.search(rf"^{target}:", makefile, re.M), line


def test_a_workflow_has_needed_jobs_before_it():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert [jobs[name].get("needs") for name in ("build", "publish", "site")] == [
        None, "build", "publish",
    ]  # fmt: skip
    secrets = re.findall(r"secrets\.(\w+)", (ROOT / ".github/workflows/release.yml").read_text())
    assert secrets == []


def test_the_tag_is_looked_for_as_the_project_spells_its_version():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(text)["project"]["version"]
    assert f'version = "{version}"' in text.splitlines()


def test_a_version_has_its_section():
    spec = importlib.util.spec_from_file_location("changelog", ROOT / ".ci" / "changelog.py")
    changelog = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(changelog)
    text = (
        "# Changelog\n\n## [Unreleased]\n\n- x\n\n## [0.2.0] - a date\n\n- y\n- z\n\n## [0.1.0]\n"
    )
    assert changelog.section(text, "0.2.0") == "- y\n- z"
    for version in ("0.1.0", "0.2", "9.9.9"):
        with pytest.raises(SystemExit, match=f"has no section of {version}"):
            changelog.section(text, version)
