"""`accord export`: a model, or one task of it, for other software."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo, tell

_FORMATS = ("transformers", "onnx", "sentence-transformers")


@click.command()
@click.argument("model", type=PATH)
@click.argument("out", type=PATH)
@click.option("--to", "form", default="transformers", metavar="|".join(_FORMATS))
@click.option(
    "--task", "tasks", multiple=True,
    help="Name of the task. transformers: one, needed where the model has several;"
    " sentence-transformers: the one whose head sees the vectors that are wanted, needed where"
    " heads see different ones; onnx: any number, default all.",
)  # fmt: skip
@click.option(
    "--encoder-only",
    is_flag=True,
    help="transformers: write the encoder alone; accord.load still serves the head.",
)
@click.option(
    "--quantize", type=click.Choice(["int8"]),
    help="onnx: weights as int8 numbers; takes --data.",
)  # fmt: skip
@click.option(
    "--data", type=PATH,
    help="A labelled file on which --quantize says what it costs each task whose columns it has.",
)  # fmt: skip
def export(
    model: Path,
    out: Path,
    form: str,
    tasks: tuple[str, ...],
    encoder_only: bool,
    quantize: str | None,
    data: Path | None,
) -> None:
    """Write folder OUT with MODEL, a run folder or its model/, for other software.

    --to transformers: one task's model, a plain BERT with its head, which accord.load opens too.
    transformers opens OUT as BertForSequenceClassification, for a multiple choice as
    BertForMultipleChoice, for tags of words as BertForTokenClassification, with the trained head
    and the labels' names, and its pipelines answer as Accord does. That takes pooling = "pooler"
    (of tags "first"), a single text or a joint pair, and loss = "mse" for a regression alone; any
    other head is refused without --encoder-only. Low-rank updates are merged, and a task's own
    norms and layers take the shared ones' place; adapters and PALs have no plain form.

    --to onnx (pip install "accord-mtl[onnx]"): a graph for each kind of input (a text, a joint
    pair, a separate pair) with the heads of all tasks, whatever they pool by and whatever parts
    they have; onnx.json beside them says what goes in and what comes out.

    --to sentence-transformers: the encoder with a task's pooling: the vectors that its head sees.
    """
    from accord.errors import UsageError, nearest

    if form not in _FORMATS:
        raise UsageError(f"--to: '{form}' is unknown{nearest(form, _FORMATS)}")
    for option, given, format_of in (
        ("--encoder-only", encoder_only, "transformers"),
        ("--quantize", quantize, "onnx"),
        ("--data", data, "onnx"),
    ):
        if given and form != format_of:
            raise UsageError(f"{option}: is for --to {format_of}, not --to {form}")
    if bool(quantize) != bool(data):
        missing, given_one = ("--data", "--quantize") if quantize else ("--quantize", "--data")
        raise UsageError(f"{missing} is missing: {given_one} takes it")
    if form == "onnx":
        _to_onnx(model, out, tasks, data)
    else:
        _one_task(model, out, tasks, form, encoder_only)


def _one_task(
    model: Path, out: Path, tasks: tuple[str, ...], form: str, encoder_only: bool
) -> None:
    from accord.errors import UsageError
    from accord.model.saved import find_model_folder, read_tasks

    if len(tasks) > 1:
        raise UsageError(f"--task: --to {form} takes one, got {len(tasks)}")
    if form == "sentence-transformers":
        from accord.derived.sentence_transformers import export_sentence_transformers

        written = export_sentence_transformers(model, out, next(iter(tasks), None))
        echo(
            f"encoder, pooled as for '{written.name}' ({written.pooling}), written to {out}:"
            " SentenceTransformer opens it"
        )
        return
    known = [task.name for task in read_tasks(find_model_folder(model))[0]]
    if not tasks and len(known) > 1:
        raise UsageError(f"--task is missing: the model has several: {', '.join(known)}")

    from accord.derived.export import export as run
    from accord.kinds import labelled_kind

    written = run(model, out, tasks[0] if tasks else known[0], encoder_only=encoder_only)
    if encoder_only:
        served = "transformers.AutoModel opens its encoder; accord.load alone serves its head"
    else:
        kind = labelled_kind(written)
        note = kind.transformers_note(written)
        served = f"accord.load serves it, and {kind.transformers_model}{note}"
    echo(f"model of '{written.name}' written to {out}: {served}")


def _to_onnx(model: Path, out: Path, tasks: tuple[str, ...], data: Path | None) -> None:
    from accord.derived.to_onnx import export_onnx
    from accord.plural import count

    exported = export_onnx(model, out, tasks, data)
    for file, names in exported.graphs.items():
        layers = count(exported.layers[file], "encoder layer")
        echo(f"{out / file}: {', '.join(names)}; a pass computes {layers}")
    echo(f"answers differ from the model's by {exported.difference:.1g} at most (float32)")
    for name, cost in exported.costs.items():
        echo(
            f"{name}: {cost.metric} {cost.float32:.4f} in float32, {cost.int8:.4f} in int8"
            f" ({cost.int8 - cost.float32:+.4f})"
        )
    for name, reason in exported.unmeasured.items():
        tell(f"accord: {name}: int8 not measured: {reason}")
