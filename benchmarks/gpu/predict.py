"""Examples a second in bfloat16: from texts beside transformers, and of the encoder alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from harness import Side, alternate
from torch import Tensor
from workload import COURSE, SAMPLE, data_folder, encoder, minilm_folder

from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.loader import Assembler
from accord.data.resolving import resolve_task
from accord.data.tokenizing import encode_texts, load_tokenizer, special_ids
from accord.encoders.packing import TokenSequence
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.evaluation.predict import Predictor
from accord.kernels.matmul import choose_matmul_policy
from accord.kinds import task_section
from accord.model.multitask import MultitaskModel
from accord.plan.tasks import task_plan
from accord.tasks import Task
from gpu.figures import Figure, Recorder, ratio
from gpu.settings import Settings, clear, waited

Texts = list[tuple[str, ...]]

ROWS = 22_040
LENGTH = 512
PASSES = (4096, 262_144)
BATCHES = (32, 256)  # of the peer: the usual one, and one that suits a GPU


@dataclass(frozen=True)
class Rows:
    """Real rows.

    Attributes:
        tasks: that they are of.
        texts: each task's, one or two a row.
    """

    tasks: list[Task]
    texts: list[Texts]

    @property
    def count(self) -> int:
        """Of all tasks."""
        return sum(map(len, self.texts))


def measure(recorder: Recorder, settings: Settings) -> None:
    """Measure what has a target first."""
    results: dict[str, Rows] = {}
    recorder.check("reading", lambda: results.update(rows=read(settings)))
    if not results:
        return
    rows = results["rows"]
    recorder.details["rows"] = rows.count
    recorder.check("from texts", partial(from_texts, recorder, settings, "minilm", rows))
    sequences: list[list[TokenSequence]] = []
    recorder.check("tokenising", lambda: sequences.extend(tokenised(rows)))
    for size in ("minilm", "bert-base") if sequences else ():
        recorder.check(size, partial(alone, recorder, settings, size, rows.tasks, sequences))


def read(settings: Settings) -> Rows:
    """Read rows, as many of each task as it has of all."""
    folder = data_folder(settings.data)
    files = COURSE if (folder / "ids-sst-train.csv").exists() else SAMPLE
    tasks, texts = [], []
    for name, (file, kind, text, label) in files.items():
        columns = text.split()
        config = task_plan(
            task_section(
                kind=kind, train=str(folder / file), on_bad_row="skip", label=label, pooling="cls",
                text=columns[0] if len(columns) == 1 else columns,
            )
        )  # fmt: skip
        task = resolve_task(name, config)
        found = read_examples(DataFiles((folder / file,)), config, task, labelled=True)
        tasks.append(task)
        texts.append([tuple(row.texts) for row in found if not isinstance(row, BadRow)])
    wanted = ROWS if settings.gpu else 200
    share = min(1.0, wanted / sum(len(text) for text in texts))
    return Rows(tasks, [text[: round(share * len(text))] for text in texts])


def tokenised(rows: Rows) -> list[list[TokenSequence]]:
    """Tokenise texts all at once, each of a pair alone, and join them."""
    tokenizer = load_tokenizer(minilm_folder())
    assembler = Assembler(special_ids(tokenizer), LENGTH)
    return [[assembler.join(encode_texts(tokenizer, text)) for text in of] for of in rows.texts]


def from_texts(recorder: Recorder, settings: Settings, size: str, rows: Rows) -> None:
    """Time the whole way from texts to logits on the host, task after task, beside a peer that
    tokenises batches of texts sorted by length."""
    actual, device = settings.size(size), settings.device
    model = MultitaskModel(encoder(actual), rows.tasks).to(device).eval()
    matmul = choose_matmul_policy(device, "bfloat16")
    predictor = Predictor(model, {}, LENGTH, minilm_folder(), matmul)
    given = [[text[0] if len(text) == 1 else text for text in of] for of in rows.texts]

    def ours(_: int) -> None:
        for task, texts in zip(rows.tasks, given, strict=True):
            predictor.logits(task.name, texts)

    sides: dict[str, Side] = {"texts": ours}
    try:
        peer = sorted_peer(actual, device, rows.tasks)
        for batch in BATCHES:
            sides[f"texts sorted by {batch}"] = lambda _, batch=batch: peer(rows.texts, batch)
    except ModuleNotFoundError as error:
        recorder.fault(f"{size}: the peer is left out, as {error.name} is missing", error)
    seconds = timed(recorder, settings, actual, sides, rows.count)
    peers = [name for name in seconds if "sorted" in name]
    if peers:
        best = min(peers, key=lambda name: statistics.median(seconds[name]))
        result = ratio(f"{actual} texts / sorted", seconds[best], seconds["texts"])
        recorder.add(
            Figure(result.name, result.value, interval=result.interval, note=f"peer: {best}")
        )
    clear(device)


def alone(
    recorder: Recorder, settings: Settings, size: str, tasks: list[Task],
    sequences: list[list[TokenSequence]],
) -> None:  # fmt: skip
    """Time the encoder's passes, from tokens to vectors."""
    actual, device = settings.size(size), settings.device
    model = MultitaskModel(encoder(actual), tasks).to(device).eval()
    matmul = choose_matmul_policy(device, "bfloat16")
    examples = [[[sequence] for sequence in task] for task in sequences]
    sides: dict[str, Side] = {
        f"predict {limit}": lambda _, limit=limit: encoded(
            model, packed_inputs(model, examples, matmul, limit), matmul
        )
        for limit in PASSES
    }
    timed(recorder, settings, actual, sides, sum(map(len, sequences)))
    clear(device)


def timed(
    recorder: Recorder, settings: Settings, size: str, sides: dict[str, Side], count: int
) -> dict[str, list[float]]:
    """Time sides in turn; add how many rows each does a second."""
    waiting = {name: waited(side, settings.device) for name, side in sides.items()}
    seconds = alternate(waiting, settings.rounds(3), 1)
    for name, second in seconds.items():
        recorder.add(Figure(f"{size} {name} /s", count / statistics.median(second)))
    return seconds


def sorted_peer(size: str, device: torch.device, tasks: Sequence[Task]) -> Any:
    """transformers' tokenizer, BertModel and a linear head over batches of texts sorted by length,
    padded to their longest; logits come back once a task."""
    import transformers
    from peers import bert

    model = bert(size).eval().to(device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    heads = [torch.nn.Linear(model.config.hidden_size, task.outputs).to(device) for task in tasks]

    @torch.inference_mode()
    def predict(every: Sequence[Texts], batch: int) -> list[Tensor]:
        return [one(texts, head, batch) for texts, head in zip(every, heads, strict=True)]

    def one(texts: Texts, head: torch.nn.Linear, batch: int) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
        logits = torch.empty(len(texts), head.out_features, device=device)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            columns = [list(column) for column in zip(*(texts[i] for i in chosen), strict=True)]
            inputs = tokenizer(
                *columns, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
            ).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                hidden = model(**inputs).last_hidden_state[:, 0]
                logits[torch.tensor(chosen, device=device)] = head(hidden).float()
        return logits.cpu()

    return predict
