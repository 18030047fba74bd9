"""`accord push`: a model, with its card, to the hub."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo, tell


@click.command()
@click.argument("model", type=PATH)
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make a new repository for its owner alone.")
@click.option(
    "--token-file", type=PATH,
    help="A file that holds the token; default: HF_TOKEN, or what 'hf auth login' left.",
)  # fmt: skip
def push(model: Path, repo: str, private: bool, token_file: Path | None) -> None:
    """Upload MODEL, a run folder or a model folder, to REPO on the hub: NAME or OWNER/NAME.

    The repository is made where it is missing. The model's files and its README.md go up in one
    commit; without a README.md a card is made ('accord card' writes it to be edited first). Other
    files stay here, and are named.
    """
    from accord.publishing.card import card
    from accord.publishing.hub import check_repository, find_token
    from accord.publishing.hub import push as upload
    from accord.publishing.known import know
    from accord.publishing.readme import README

    check_repository(repo)
    known = know(model)
    token = find_token(token_file)
    has_card = (known.folder / README).exists()
    pushed = upload(
        known.folder, None if has_card else card(known, repository=repo), repo,
        private=private, token=token,
    )  # fmt: skip
    if pushed.left_out:
        tell(f"left out: {', '.join(pushed.left_out)}")
    echo(f"{len(pushed.files)} files uploaded to {pushed.repository}: {pushed.url}")
