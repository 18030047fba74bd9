"""A model's card: Markdown with front matter, as the hub shows it.

It names no folder of the machine, and says of what isn't known that it isn't.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.evaluation.heldout import ON_TEST
from accord.kinds import kind_of, labelled_kind
from accord.methods import Description
from accord.plural import count
from accord.publishing.front_matter import front_matter, reads
from accord.publishing.known import Known
from accord.report.plain import escape_markdown, markdown_table
from accord.runs.estimate import duration
from accord.tasks import Task

MOST_LABELS = 30  # of a task that a table has room for
RARE = 20  # rows of a class below which its figures say little
_DIGITS = 12  # of a hash: enough to tell runs apart
REPOSITORY = "OWNER/NAME"
UNKNOWN = "–"


def card(known: Known, licence: str | None = None, repository: str | None = None) -> str:
    """Return a model's card.

    Args:
        known: what there is to say of it.
        licence: of the model; None: the card says that its author has to name one.
        repository: the hub's, where it will lie; None leaves a place for its name.
    """
    names = [task.name for task in known.tasks]
    listed = ", ".join(names[:6]) + f" and {len(names) - 6} more" * (len(names) > 6)
    title = repository.split("/")[-1] if repository else f"One encoder for {listed}"
    blocks = [
        f"---\n{front_matter(known, title, licence)}\n---",
        f"# {escape_markdown(title)}",
        _lead(known),
        "## Tasks",
        _tasks(known),
        "## Use",
        *_use(known, repository or REPOSITORY),
        *_of_run(known),
        *_origins(known),
        "## Cost",
        *_cost(known),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(known)),
        "## Licence",
        _licence(licence),
    ]
    return "\n\n".join(blocks) + "\n"


def _lead(known: Known) -> str:
    sizes = known.encoder
    encoder = f"{count(sizes.num_hidden_layers, 'layer')} of width {sizes.hidden_size}"
    one = (
        f"One BERT encoder ({encoder}) with a head for {_each(len(known.tasks))}"
        if known.members == 1
        else f"An ensemble of {known.members} encoders (of {encoder}) whose answers are averaged,"
        f" each with a head for {_each(len(known.tasks))}"
    )
    base = f", fine-tuned from `{known.base_model}`" if known.base_model else ", fine-tuned"
    parts = [
        f"`{name}` ({_plain(sharing.get_scheme(name).paper)})" for name in known.sharing.schemes
    ]
    shares = (
        f"Each task has parts of its own inside the encoder: {', '.join(parts)}."
        if parts
        else "The tasks share the whole encoder." * (len(known.tasks) > 1)
    )
    return f"{one}{base} with Accord. {shares}".strip()


def _each(tasks: int) -> str:
    return "one task" if tasks == 1 else f"each of {tasks} tasks"


def _tasks(known: Known) -> str:
    rows = [
        [
            task.name, task.kind, reads(task), ", ".join(known.inputs[task.name].text),
            labelled_kind(task).described(task, MOST_LABELS), task.metric_name,
        ]
        for task in known.tasks
    ]  # fmt: skip
    return markdown_table(["task", "kind", "reads", "columns", "answers", "metric"], rows, 6)


def _use(known: Known, repository: str) -> Iterator[str]:
    calls = [f'model.predict("{task.name}", {_example(task)})' for task in known.tasks[:3]]
    if len(known.tasks) > 1:  # one example of each form of input, at most
        examples = dict.fromkeys(map(_example, known.tasks))
        calls += [f"model.answer({example})  # all tasks that read such" for example in examples]
    yield "\n".join([
        "```python", "import accord", "from huggingface_hub import snapshot_download", "",
        f'model = accord.load(snapshot_download("{repository}"))', *calls, "```",
    ])  # fmt: skip
    first = known.tasks[0].name
    yield "\n".join([
        "```sh", f"hf download {repository} --local-dir model",
        f"accord predict model --task {first} --input new.csv --output answers.csv", "```",
    ])  # fmt: skip
    if known.members == 1:
        without = " without the tasks' parts" * bool(known.sharing.schemes)
        yield (
            f"`transformers.AutoModel` opens the encoder alone{without};"
            " `accord export` writes one task's model for `transformers`."
        )


def _example(task: Task) -> str:
    if kind_of(task).varying:
        called = kind_of(task).candidate
        return f'[("A text.", ["One {called}.", "Another {called}."])]'
    return '["A text."]' if task.texts == 1 else '[("One text.", "Another text.")]'


def _of_run(known: Known) -> Iterator[str]:
    """Yield the sections on data, figures and training; that nothing is known, without a run."""
    if known.run is None:
        yield "## Data and figures"
        yield (
            "Not recorded here: this card was made from a model folder alone. The card of a run"
            " folder (`accord card RUN`) names its data, its figures with intervals, and how it"
            " was trained."
        )
        return
    yield "## Data"
    yield markdown_table(["task", "split", "files", "rows"], [*map(list, known.splits())], 3)
    yield "## Figures"
    yield from _figures(known)
    yield "## Training"
    yield "\n".join(f"- {line}" for line in _training(known))


def _figures(known: Known) -> Iterator[str]:
    assert known.run is not None
    results, rows, notes = known.run.results, [], []
    for task in known.tasks:
        entry, interval = results["heldout"][task.name], known.interval(task)
        rows.append([
            task.name, task.metric_name, f"{results['metrics'][task.name]:z.4f}",
            f"{entry['value']:z.4f}",
            UNKNOWN if interval is None else f"{interval[0]:z.4f} to {interval[1]:z.4f}",
            f"{entry['rows']:,} of {entry['on']}", f"{entry['constant']:z.4f}",
        ])  # fmt: skip
        if interval is None:
            notes.append(f"{task.name}: no interval: its rows are all alike to the metric.")
        notes += [f"{task.name}: {entry[key]}." for key in ("remark", "note") if key in entry]
    columns = ["task", "metric", "dev", "held out", "95 % interval", "rows", "constant"]
    yield markdown_table(columns, rows, 2)
    yield " ".join(_reading(known))
    if notes:
        yield "\n".join(f"- {_plain(note)}" for note in notes)


def _reading(known: Known) -> Iterator[str]:
    """Yield how the figures are to be read: what chose what, and what the intervals are over."""
    assert known.run is not None
    results = known.run.results
    of = {entry["on"] for entry in results["heldout"].values()}
    if "soup" in results:
        chosen = "the epochs whose weights are averaged"
    else:
        chosen = f"epoch {results['best_epoch']} of {len(results['epochs'])}"
    yield f"The dev rows chose {chosen}, so that figures on dev are too good."
    if of != {ON_TEST}:
        yield (
            "Held-out figures of dev are cross-fitted: each half of its rows is scored with what"
            " the other half chose."
        )
    if ON_TEST in of:
        yield "Test rows chose nothing."
    selection = known.run.config.selection
    if selection is not None:
        yield (
            f"The settings were chosen among {selection.candidates} candidates by"
            f" {_plain(selection.by)} on {selection.on} rows, which makes figures of these too"
            " good."
        )
    if any(task.thresholds for task in known.tasks):
        yield "The labels' thresholds were chosen on dev likewise."
    yield (
        "Intervals are over rows, of one run: what another seed would give is no part of them. The"
        " constant is what the best answer reaches that never looks at the text."
    )


def _training(known: Known) -> Iterator[str]:
    assert known.run is not None
    config, results = known.run.config, known.run.results
    training = config.training
    yield (
        f"{count(results['steps'], 'step')}, batches of {training.batch_size} for each task, seed"
        f" {training.seed}, {training.precision}"
    )
    if len(config.tasks) > 1:
        rule = training.balancing
        methods: list[tuple[str, Description]] = [
            ("gradients", gradients.get_method(training.gradients)),
            *([("balancing", balancing.get_rule(rule))] if rule else []),
            ("batching", sampling.get_rule(training.batching)),
        ]
        for key, method in methods:
            yield f"{key}: `{method.name}` ({_plain(method.paper)})"
    for name in training.regularisers:
        yield f"regulariser: `{name}` ({_plain(regularisers.get_regulariser(name).paper)})"
    if config.encoder.mode == "frozen":
        yield "the encoder was frozen: heads alone were trained"
    if not config.sharing.train_shared and config.sharing.schemes:
        yield "the shared encoder stayed as it was: the tasks' parts and heads were trained"
    if config.sharing.soft:
        yield f"soft sharing: a penalty ({config.sharing.soft}) holds the tasks' copies together"
    if config.averaging.method != "none":
        yield f"averaging: {config.averaging.method}"
    for stage in results.get("stages") or ():
        yield f"stage {_plain(stage['name'])}: {', '.join(map(_plain, stage['tasks']))}"
    if early := results.get("stopped_early"):
        yield _plain(early["why"])


def _origins(known: Known) -> Iterator[str]:
    """Yield the section on what tasks were made from, if the folder says it of any."""
    if not known.origins:
        return
    rows = [
        [name, origin.accord, origin.run[:_DIGITS], origin.data[:_DIGITS], origin.date or UNKNOWN]
        for name, origin in known.origins.items()
    ]
    yield "## Origin"
    yield markdown_table(["task", "Accord", "run", "rows", "added"], rows, 5)
    yield (
        f"The first {_DIGITS} digits of hashes: of a run's config and data, and of the task's rows."
        " Tasks of the same run have the same, and so has a run that is repeated."
    )


def _cost(known: Known) -> Iterator[str]:
    yield f"{known.parameters:,} parameters. {_plain(_sentence(str(known.layers)))}."
    if known.run is None:
        return
    if known.answering is None:
        yield "How long answers take was not measured: the dev texts can't be read any more."
    else:
        words = known.answering.words("task after task")
        where = "measured on the machine that wrote this card"
        yield f"Answers to all tasks, {where}: {_plain(words)}."
    results, machine = known.run.results, known.run.environment
    place, number = machine.get("device"), machine.get("threads")
    threads = f" with {count(number, 'thread')}" if isinstance(number, int) else ""
    on = f" on {_plain(str(place))}{threads}" if place else ""
    yield (
        f"Training took {duration(results['train_seconds'])}{on}, and at most"
        f" {results['peak_memory_bytes'] / 1e6:,.0f} MB of memory."
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _limits(known: Known) -> Iterator[str]:
    longest = known.max_length
    yield f"Texts are cut to {longest} tokens, special tokens included; what follows is not seen."
    yield "The languages of the training texts are not recorded; on others nothing was measured."
    yield "Nothing is known of texts unlike those of the data: other sources, styles, times."
    if known.run is None:
        return
    yield (f"One run (seed {known.run.seed}): another seed gives another model and other figures.")
    for task in known.tasks:
        if rare := _rare(known.run.results["heldout"][task.name]):
            yield (
                f"{_plain(task.name)}: classes with fewer than {RARE} held-out rows, of which the"
                f" figures say little: {_plain(rare)}"
            )


def _rare(entry: dict[str, Any]) -> str:
    tables = entry.get("by_class")
    if not tables:
        return ""
    classes = tables["test" if entry["on"] == ON_TEST and "test" in tables else "dev"]["classes"]
    rare = [f"{name} ({of['support']})" for name, of in classes.items() if of["support"] < RARE]
    return ", ".join(rare[:MOST_LABELS]) + f" and {len(rare) - MOST_LABELS} more" * (
        len(rare) > MOST_LABELS
    )


def _licence(licence: str | None) -> str:
    if licence is None:
        return (
            "Not stated: the author of the model has to choose one (`license:` in the front matter"
            " above), which the encoder's and the data's licences must allow."
        )
    return _plain(licence)


_plain = escape_markdown
