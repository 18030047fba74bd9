"""The command line: `accord COMMAND`; each command is a file and is imported when it is used."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from importlib import import_module
from typing import Any

import click

from accord.terminal import echo, open_streams, shown, silence, tell

COMMANDS = {
    "demo": "Train on three small bundled tasks, and compare: a first look.",
    "init": "Write a starter accord.toml from your files.",
    "check": "Check a config and its data before training.",
    "train": "Train one encoder for all tasks of a config.",
    "resume": "Resume a run that was stopped.",
    "evaluate": "Evaluate a model on labelled files.",
    "predict": "Predict a file with a model.",
    "serve": "Serve models: every task's answer in one pass, over HTTP.",
    "add": "Add tasks to a trained model, whose others stay as they are.",
    "remove": "Remove tasks from a model, whose others stay as they are.",
    "export": "Write a model for transformers, ONNX or sentence-transformers.",
    "card": "Write a model's card: what it is, its data, figures and limits.",
    "push": "Upload a model, with its card, to the hub.",
    "ensemble": "Make one model of several runs, whose answers are averaged.",
    "soup": "Make one model of several runs, whose weights are averaged.",
    "convert": "Turn a pickled checkpoint into safetensors.",
    "compare": "Whether sharing was worth it, task by task.",
    "grid": "Run every combination of some settings.",
    "tune": "Search a config's settings for the best dev score.",
    "reproduce": "Rerun the experiments of the paper that Accord starts from.",
    "methods": "List every way to combine, balance and sample tasks.",
    "schema": "Print what makes an editor complete and check a config.",
    "completion": "Print what makes bash, zsh or fish complete commands.",
    "doctor": "Examine this machine: what it has, and which paths a run takes.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command, or say which is near."""
        from accord.errors import nearest

        if name not in COMMANDS:
            if name.startswith("-") or ctx.resilient_parsing:
                return None
            ctx.fail(f"no command '{name}'{nearest(name, COMMANDS)}")
        command: click.Command = getattr(import_module(f"accord.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from accord.installed import version

    echo(f"accord, version {version()}")
    ctx.exit()


@click.group(
    cls=LazyGroup, context_settings={"show_default": True, "help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
def accord() -> None:
    """Fine-tune one BERT encoder for many text tasks; find out whether sharing it was worth it."""


def main() -> None:
    """Run the command line; every error raised on purpose is one line on stderr."""
    from accord.runs.repeatable import claim_workspace
    from accord.runs.signals import save_requests_ignored

    claim_workspace()
    open_streams()
    warnings.formatwarning = _warning_line
    with save_requests_ignored():
        code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        if code == 0 and not isinstance(error, BrokenPipeError):
            tell(f"accord: standard output: can't be written: {error.strerror}")
        code = code or 1
    try:
        sys.stderr.flush()
    except OSError:  # the exit code is all that can still be said
        silence(sys.stderr)
    sys.exit(code)


def _run() -> int:
    """Run the command that the arguments name, and return its exit code."""
    from accord.errors import AccordError

    try:
        code = accord.main(prog_name="accord", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        tell(f"accord: {_usage_line(error)}")
        code = error.exit_code
    except AccordError as error:
        tell(*f"accord: {error}".split("\n"))
        code = error.exit_code
    except BrokenPipeError:
        silence(sys.stdout)
        code = 1
    except Exception as error:
        if os.environ.get("ACCORD_DEBUG"):
            raise
        code = _unforeseen(error)
    return code if isinstance(code, int) else 0


def _unforeseen(error: Exception) -> int:
    """Say what the system refused, and of which file, or what Accord did wrong; return a code."""
    if isinstance(error, OSError) and error.strerror is not None:
        place = "" if error.filename is None else f"{error.filename}: "
        tell(f"accord: {place}{error.strerror}")
        return 2 if error.errno in _NAMED_WRONG else 1
    tell(
        f"accord: a bug in Accord: {type(error).__name__}: {error};"
        " ACCORD_DEBUG=1 shows where, and so does a run's log.txt"
    )
    return 1


_NAMED_WRONG = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


def _usage_line(error: click.ClickException) -> str:
    """Return what was wrong with the arguments, and where they are explained."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; see '{context.command_path} --help'"


def _warning_line(message: Warning | str, *place: Any, **named: Any) -> str:
    """Return a warning as its user reads it, without the place in the code."""
    return f"accord: warning: {shown(str(message), sys.stderr)}\n"
