"""The command line before any work: help, version, unknown names, and what it imports."""

import subprocess
import sys

import pytest

from accord.cli import COMMANDS, main
from accord.installed import version

HEAVY = (
    "torch", "numpy", "pydantic", "rich", "tokenizers", "transformers", "scipy", "sklearn",
    "pyarrow", "safetensors", "huggingface_hub",
)  # fmt: skip


@pytest.fixture
def call(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["accord", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], "no command 'trian'; did you mean 'train'?"),
        (["zzz"], "no command 'zzz'; allowed: demo, init, check"),
        (["--bogus"], "No such option '--bogus'"),
        (["train", "--bogus"], "No such option '--bogus'"),
        (["train"], "Missing argument 'CONFIG'"),
        (["train", "accord.toml"], "Missing option '--out'"),
        (["resume", "a", "b"], "unexpected extra argument (b)"),
        (["compare"], "Missing argument 'SOURCES...'"),
    ],
)
def test_wrong_usage_is_one_line(call, arguments, text):
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("accord: ")
    assert text in err
    assert "--help" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: accord {command} ")
    assert "Options:" in out


def test_the_help_names_every_command(call):
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()] == list(
        COMMANDS
    )


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Commands:" in out + err


def test_the_version_is_the_package_s(call):
    assert call("--version") == (0, f"accord, version {version()}\n", "")


@pytest.mark.parametrize(
    "code",
    [
        "import accord",
        "import accord; dir(accord); accord.__doc__",
        "import sys; sys.argv = ['accord', '--help']; from accord.cli import main; main()",
        "import sys; sys.argv = ['accord', 'train', '--help']; from accord.cli import main; main()",
    ],
)
def test_nothing_heavy_is_imported(code):
    ending = f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    program = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n{ending}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_python_m_accord():
    command = [sys.executable, "-m", "accord", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("accord, version ")


def test_h_is_help_everywhere(call):
    assert call("-h")[1].startswith("Usage: accord ")
    assert call("train", "-h") == call("train", "--help")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_what_completes(call, monkeypatch, shell):
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert "_ACCORD_COMPLETE" in out
    # What the shell then runs: the words so far, of which the last is completed.
    monkeypatch.setenv("_ACCORD_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "accord tra")
    monkeypatch.setenv("COMP_CWORD", "tra" if shell == "fish" else "1")
    code, out, err = call()
    assert (code, err) == (0, "")
    assert "train" in out
    assert "resume" not in out
