"""`accord completion`: what makes a shell complete commands, options and files."""

from __future__ import annotations

import click

from accord.terminal import echo

FILES = {
    "bash": "mkdir -p ~/.local/share/bash-completion/completions\n"
    "accord completion bash > ~/.local/share/bash-completion/completions/accord",
    "zsh": 'accord completion zsh > "${fpath[1]}/_accord"',
    "fish": "accord completion fish > ~/.config/fish/completions/accord.fish",
}


@click.command(epilog="\b\n" + "\n".join(FILES.values()))
@click.argument("shell", type=click.Choice([*FILES]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete accord's commands and options.

    Put it where the shell looks for it:
    """
    from click.shell_completion import get_completion_class

    from accord.cli import accord

    found = get_completion_class(shell)
    assert found is not None  # click has one for each
    echo(*found(accord, {}, "accord", "_ACCORD_COMPLETE").source().rstrip().splitlines())
