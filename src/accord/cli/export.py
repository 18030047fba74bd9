"""`accord export`: one task's model out of a shared one."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo


@click.command()
@click.argument("model", type=PATH)
@click.argument("out", type=PATH)
@click.option("--task", required=True, help="Name of the task.")
@click.option(
    "--encoder-only",
    is_flag=True,
    help="Write the encoder alone for transformers; accord.load still serves the head.",
)
def export(model: Path, out: Path, task: str, encoder_only: bool) -> None:
    """Write folder OUT with the model of one task of MODEL: a plain BERT with its head.

    MODEL is a run folder or its model/. transformers opens OUT as BertForSequenceClassification,
    for a multiple choice as BertForMultipleChoice, with the trained head and the labels' names; its
    logits are those that Accord gives, a regression's in the task's units. That takes pooling =
    "pooler", a single text or a joint pair, and loss = "mse" for a regression alone; any other head
    is refused without --encoder-only.

    Low-rank updates are merged, and a task's own norms and layers take the shared ones' place;
    adapters and PALs have no plain form.
    """
    from accord.derived.export import export as run
    from accord.kinds import labelled_kind

    written = run(model, out, task, encoder_only=encoder_only)
    if encoder_only:
        served = "transformers.AutoModel opens its encoder; accord.load alone serves its head"
    else:
        kind = labelled_kind(written)
        note = kind.transformers_note(written)
        served = f"accord.load serves it, and {kind.transformers_model}{note}"
    echo(f"model of '{task}' written to {out}: {served}")
