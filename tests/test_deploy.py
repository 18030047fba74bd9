"""The files in deploy/ name what is there: paths, extras, options. Docker itself is not run."""

import fnmatch
import json
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from accord.cli.serve import serve

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PORT = 8000


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each with what follows it."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def given(name: str) -> list[str]:
    return [rest for each, rest in instructions() if each == name]


def parsed(arguments: list[str]) -> dict[str, Any]:
    """What `accord serve` makes of arguments, without doing it."""
    return serve.make_context("serve", [*arguments]).params


def read_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """What the systemd unit says of the service, a list for each key."""
    text = (DEPLOY / "accord.service").read_text(encoding="utf-8")
    lines = text.partition("[Service]")[2].partition("[Install]")[0].splitlines()
    keys: dict[str, list[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    return keys


def test_the_image_is_made_of_files_that_are_there_and_not_ignored():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    copied = [rest.split() for rest in given("COPY")]
    sources = [part for parts in copied if not parts[0].startswith("--") for part in parts[:-1]]
    assert "src" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source
    built = {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "src"}
    assert {*sources} == kept == built  # all that a build of the package reads


def test_it_installs_what_the_project_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = [rest for rest in given("RUN") if "pip install" in rest]
    assert all("-c constraints.txt" in rest for rest in runs)
    assert given("ARG") == ['TORCH_INDEX=""']
    assert runs[0].endswith('${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch')
    assert shlex.split(runs[1])[-1] == ".[serve]"
    assert "serve" in project["optional-dependencies"]
    assert "torch==" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    needed = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    for image in given("FROM"):
        version = image.removeprefix("python:").partition("-slim")[0]
        assert tuple(map(int, version.split("."))) >= needed


def test_it_runs_as_nobody_in_particular_and_asks_whether_it_answers():
    (user,) = given("USER")
    assert user == "accord"
    assert any(f"useradd --system --uid 10001 --no-create-home {user}" in r for r in given("RUN"))
    environment = dict(pair.split("=") for rest in given("ENV") for pair in rest.split())
    assert environment["HF_HUB_OFFLINE"] == "1"
    (check,) = given("HEALTHCHECK")
    program = json.loads(check.partition("CMD ")[2])[2]
    assert f"http://127.0.0.1:{PORT}/ready" in program
    compile(program, "HEALTHCHECK", "exec")


def test_every_way_to_start_it_is_a_command_that_it_knows(unit):
    entry, usual = (json.loads(given(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry[0].startswith("/opt/accord/bin/")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Path(entry[0]).name in project["scripts"]
    assert entry[1] == serve.name
    by_compose = read_yaml("compose.yml")["services"]["accord"]["command"]
    for arguments in (usual, by_compose):
        params = parsed([*entry[2:], *arguments])
        assert (params["host"], params["port"]) == ("0.0.0.0", PORT)
        assert params["models"] == ("/models/all",)
    command = shlex.split(unit["ExecStart"][0])
    assert command[1] == serve.name
    params = parsed(command[2:])
    assert (params["host"], params["port"]) == ("127.0.0.1", PORT)
    with pytest.raises(click.UsageError):
        parsed([*command[2:], "--no-such-option"])


def test_compose_and_prometheus_share_a_token_and_a_port():
    compose, (job,) = read_yaml("compose.yml"), read_yaml("prometheus.yml")["scrape_configs"]
    service, watcher = compose["services"]["accord"], compose["services"]["prometheus"]
    (secret,) = compose["secrets"]
    place = f"/run/secrets/{secret}"
    assert service["secrets"] == watcher["secrets"] == [secret]
    assert str(parsed(service["command"])["token_file"]) == place
    assert job["authorization"] == {"type": "Bearer", "credentials_file": place}
    assert job["static_configs"] == [{"targets": [f"accord:{PORT}"]}]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"] is True
    mounted = watcher["volumes"][0].partition(":")[0]
    assert (DEPLOY / mounted).is_file()


def test_the_unit_hands_over_its_token_and_reloads_by_the_signal(unit):
    (credential,) = unit["LoadCredential"]
    name = credential.partition(":")[0]
    assert str(parsed(shlex.split(unit["ExecStart"][0])[2:])["token_file"]) == f"%d/{name}"
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == unit["ProtectHome"] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_the_unit(tmp_path):
    text = (DEPLOY / "accord.service").read_text(encoding="utf-8")
    unit = tmp_path / "accord.service"
    unit.write_text(text.replace("/opt/accord/bin/accord", shutil.which("true") or "true"))
    result = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
