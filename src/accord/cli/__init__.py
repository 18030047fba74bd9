"""The command line: `accord COMMAND`; each command is a file and is imported when it is used."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module

import click

COMMANDS = {
    "init": "Write a starter accord.toml from your files.",
    "check": "Check a config and its data before training.",
    "train": "Train one encoder for all tasks of a config.",
    "resume": "Go on with a run that was stopped.",
    "evaluate": "Judge a model on labelled files.",
    "predict": "Predict a file with a model.",
    "export": "Take one task's model out of a shared one.",
    "ensemble": "Make one model of several runs, whose answers are averaged.",
    "soup": "Make one model of several runs, whose weights are averaged.",
    "convert": "Turn a pickled checkpoint into safetensors.",
    "compare": "Whether sharing was worth it, task by task.",
    "grid": "Run every combination of some settings.",
    "tune": "Search a config's settings for the best dev score.",
    "reproduce": "Rerun the experiments of the paper that Accord starts from.",
    "methods": "List every way to combine, balance and sample tasks.",
    "doctor": "Examine this machine: what it has, and which paths a run takes.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"accord.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which is near."""
        from accord.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup)
@click.version_option(package_name="accord")
def accord() -> None:
    """Fine-tune one BERT encoder for many text tasks, and learn whether sharing was worth it."""


def main() -> None:
    """Run the command line; every error raised on purpose is one line on stderr."""
    from accord.runs.signals import save_requests_ignored

    with save_requests_ignored():
        _main()


def _main() -> None:
    from accord.errors import AccordError

    warnings.formatwarning = _warning_line
    try:
        code = accord.main(prog_name="accord", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        print(f"accord: {_usage_line(error)}", file=sys.stderr)
        code = error.exit_code
    except AccordError as error:
        print(f"accord: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as error:
        if os.environ.get("ACCORD_DEBUG"):
            raise
        text = " ".join(str(error).split())
        print(
            f"accord: a fault of Accord's own: {type(error).__name__}: {text};"
            " ACCORD_DEBUG=1 shows where, and so does a run's log.txt",
            file=sys.stderr,
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _usage_line(error: click.ClickException) -> str:
    """Return what was wrong with the arguments, and where they are explained."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; see '{context.command_path} --help'"


def _warning_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return a warning as its user reads it, without the place in the code."""
    return f"accord: warning: {message}\n"
