"""How many examples per second, from texts to predictions?

    python benchmarks/prediction.py [--data FOLDER] [--rounds N] [--bf16-rows N]

The dev files of two tasks, one of single sentences and one of pairs; MiniLM with CLS pooling and
one head per task; tokenising included on all sides, imports and loading on none.

ours           one accord Predictor
onnxruntime    the encoder exported by torch.onnx at opset 23, whose attention is one operation
               (the quickest of several exports), all graph optimisations, as many threads
sorted         transformers' BertModel (SDPA) under inference_mode, with torch's setting for
               float32 products that is faster here
both peers     a pair as one sequence, batches of 32 sorted by length, padded to their longest

In bfloat16 ours and transformers run under autocast, on the same rows. A processor that has no such
instructions takes a hundred times as long, so there a few rows and rounds have to do.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from epoch import task_tables
from harness import Report, Row, alternate, arguments, machine, speedup
from tokenizers import Tokenizer
from torch import Tensor
from utilisation import at_precision, faster_precision
from workload import data_folder, encoder, minilm_folder

import accord
from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.resolving import resolve_task
from accord.data.tokenizing import load_tokenizer
from accord.evaluation.predictions import predicted_values
from accord.kinds import task_section
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, save_model
from accord.plan.tasks import task_plan
from accord.runs.memory import keep_freed_memory
from accord.tasks import Task

BATCH, LONGEST = 32, 512
NAMES = ("input_ids", "attention_mask", "token_type_ids")
TASKS = ("sst", "sts", "sentiment", "similarity")  # of the course's files or the bundled sample
Texts = list[str | tuple[str, str]]
Encode = Callable[[dict[str, Tensor]], Tensor]
Predictions = list[list[str] | list[float]]


@dataclass(frozen=True)
class Set:
    """A task with its dev texts."""

    task: Task
    texts: Texts


def dev_sets(data: Path | None) -> list[Set]:
    """Read the dev texts of the two tasks."""
    sets = []
    for name, table in task_tables(data_folder(data)).items():
        if name not in TASKS:
            continue
        config = task_plan(task_section(**table))
        task = resolve_task(name, config)
        rows = read_examples(DataFiles((Path(table["dev"]),)), config, task, labelled=True)
        texts = [row.texts for row in rows if not isinstance(row, BadRow)]
        sets.append(Set(task, [text[0] if len(text) == 1 else text for text in texts]))
    return sets


def thinned(sets: Sequence[Set], rows: int) -> list[Set]:
    """About so many rows in all: whole batches from all over each task's order by length.

    Rows drawn singly would differ more in length, and the peers would pad more than they do
    over a whole file.
    """
    tokenizer, count = load_tokenizer(minilm_folder()), max(1, rows // (len(sets) * BATCH))
    chosen = []
    for each in sets:
        encodings = tokenizer.encode_batch_fast(each.texts)
        order = sorted(range(len(each.texts)), key=lambda i: len(encodings[i].ids))
        batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
        step = max(1.0, len(batches) / count)
        middles = [batches[int((i + 0.5) * step)] for i in range(min(count, len(batches)))]
        rows_kept = sorted(i for batch in middles for i in batch)
        chosen.append(Set(each.task, [each.texts[i] for i in rows_kept]))
    return chosen


def save(sets: Sequence[Set], folder: Path) -> MultitaskModel:
    """Write MiniLM with fresh heads as a model folder."""
    torch.manual_seed(0)
    model = MultitaskModel(encoder("minilm"), [each.task for each in sets])
    inputs = {each.task.name: InputFormat(("text",) * each.task.texts) for each in sets}
    save_model(model, folder, inputs, LONGEST, minilm_folder())
    return model.eval()


def ours(
    folder: Path, sets: Sequence[Set], precision: str = "float32"
) -> Callable[[], Predictions]:
    """Return a side: one predictor over all sets."""
    predictor = accord.load(folder, "cpu", precision)
    return lambda: [predictor.predict(each.task.name, each.texts) for each in sets]


class Padded:
    """The peers' way: batches sorted by length and padded, through any encoder.

    Args:
        encode: from padded ids, attention mask and token types to CLS vectors [n, H].
        model: whose heads are used.
        tokens: of a batch, padding included; None: batches of 32.
    """

    def __init__(self, encode: Encode, model: MultitaskModel, tokens: int | None = None) -> None:
        self.encode, self.model, self.tokens = encode, model, tokens
        self.tokenizer: Tokenizer = load_tokenizer(minilm_folder())
        self.tokenizer.enable_truncation(LONGEST)

    @torch.inference_mode()
    def predict(self, split: Set) -> list[str] | list[float]:
        """Predict a set's texts, in the order given."""
        vectors = torch.empty(len(split.texts), self.model.encoder.config.hidden_size)
        for rows, batch in self._batches(split.texts):
            vectors[rows] = self.encode(batch).float()
        return predicted_values(self.model.heads[split.task.name](vectors, None), split.task)

    def _batches(self, texts: Texts) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        encodings = self.tokenizer.encode_batch_fast(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        start = 0
        while start < len(order):
            stop = start + BATCH
            if self.tokens is not None:
                stop = start + 1
                while (
                    stop < len(order)
                    and (stop + 1 - start) * len(encodings[order[stop]].ids) <= self.tokens
                ):
                    stop += 1
            rows, start = order[start:stop], stop
            length = len(encodings[rows[-1]].ids)
            arrays = np.zeros((3, len(rows), length), dtype=np.int64)
            for i, row in enumerate(rows):
                ids = encodings[row].ids
                arrays[0, i, : len(ids)] = ids
                arrays[1, i, : len(ids)] = 1
                arrays[2, i, : len(ids)] = encodings[row].type_ids
            yield rows, dict(zip(NAMES, torch.from_numpy(arrays), strict=True))


def bert() -> torch.nn.Module:
    """The encoder as transformers has it."""
    return transformers.BertModel.from_pretrained(
        minilm_folder(), add_pooling_layer=False, attn_implementation="sdpa"
    ).eval()


def with_transformers(bfloat16: bool) -> Encode:
    """Encode by transformers."""
    model = bert()

    def encode(batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return model(**batch).last_hidden_state[:, 0]

    return encode


class ClsVectors(torch.nn.Module):
    """The encoder from three positional inputs to CLS vectors, for export."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = bert()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        output = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return output.last_hidden_state[:, 0]


def with_onnxruntime(folder: Path) -> Encode:
    """Export the encoder with any batch size and length; encode by onnxruntime."""
    path = folder / "encoder.onnx"
    example = tuple(torch.ones(2, 16, dtype=torch.int64) for _ in range(3))
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        ClsVectors().eval(), example, path, dynamo=True, dynamic_shapes=(dynamic,) * 3,
        input_names=list(NAMES), opset_version=23, verbose=False,
    )  # fmt: skip
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Its idle threads would spin on, on the cores of whoever has the next turn.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in batch.items()})[0]
    )


def quieten() -> None:
    """Keep what loading and exporting say out of the table."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*treespec", category=FutureWarning)


def agreement(one: Predictions, other: Predictions) -> float:
    """The share of like predictions: the same label, or values within a hundredth."""
    like = [
        a == b if isinstance(a, str) else abs(a - b) < 0.01
        for each, others in zip(one, other, strict=True)
        for a, b in zip(each, others, strict=True)
    ]
    return sum(like) / len(like)


def check(sides: dict[str, Callable[[], Predictions]], name: str, share: float) -> None:
    """Stop if a side's predictions are not those of the side of that name."""
    wanted = sides[name]()
    for peer, side in sides.items():
        if peer != name and agreement(wanted, side()) < share:
            raise SystemExit(f"{name} and {peer} don't predict the same: nothing to compare")


def measure(sides: dict[str, Callable[[], Predictions]], rounds: int) -> dict[str, list[float]]:
    """Time whole predictions; `check` has warmed every side up."""
    return alternate({name: lambda _, side=side: side() for name, side in sides.items()}, rounds, 0)


def at_best(precision: str, side: Callable[[], Predictions]) -> Callable[[], Predictions]:
    """A side under one of torch's settings for float32 products."""
    under = at_precision(lambda _: side(), precision)
    return lambda: under(0)


def float32_rows(
    sets: list[Set], model: MultitaskModel, folder: Path, rounds: int, precision: str
) -> list[Row]:
    """Compare in float32, on all rows."""
    ort = Padded(with_onnxruntime(folder), model)
    plain = Padded(with_transformers(bfloat16=False), model)
    sides = {
        "ours": ours(folder, sets),
        "onnxruntime": lambda: [ort.predict(each) for each in sets],
        "sorted": at_best(precision, lambda: [plain.predict(each) for each in sets]),
    }
    check(sides, "ours", 0.99)
    seconds = measure(sides, rounds)
    return [
        speedup("prediction_fp32_vs_onnxruntime", seconds["onnxruntime"], seconds["ours"], 1.2),
        speedup("prediction_fp32_vs_transformers_sorted", seconds["sorted"], seconds["ours"], None),
    ]


def bfloat16_rows(
    sets: list[Set], model: MultitaskModel, folder: Path, rounds: int, precision: str
) -> list[Row]:
    """Compare in bfloat16, on the rows given."""
    half = Padded(with_transformers(bfloat16=True), model)
    plain = Padded(with_transformers(bfloat16=False), model)
    sides = {
        "ours": ours(folder, sets, "bfloat16"),
        "sorted_bf16": lambda: [half.predict(each) for each in sets],
        "sorted_fp32": at_best(precision, lambda: [plain.predict(each) for each in sets]),
    }
    check(sides, "sorted_bf16", 0.8)  # fresh heads: many logits are close to one another
    seconds = measure(sides, rounds)
    note = f"{sum(len(each.texts) for each in sets)} rows"
    return [
        speedup("prediction_bf16_vs_transformers_sorted_bf16",
                seconds["sorted_bf16"], seconds["ours"], 1.3, note),
        speedup("prediction_bf16_vs_transformers_sorted_fp32",
                seconds["sorted_fp32"], seconds["ours"], None, note),
    ]  # fmt: skip


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "prediction", rounds=12)
    parser.add_argument("--bf16-rows", type=int, default=128, help="in bfloat16, where it is slow")
    parser.add_argument("--rows", type=int, default=None, help="in float32; default: all")
    options = parser.parse_args()
    quieten()
    keep_freed_memory()
    report = Report("Examples a second from texts to predictions: peers' time over ours")
    sets = dev_sets(options.data)
    chosen = sets if options.rows is None else thinned(sets, options.rows)
    limits = machine()
    quick = limits["bfloat16_gflops"] > limits["float32_gflops"] / 2
    few = chosen if quick else thinned(sets, options.bf16_rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save(sets, folder)
        precision, _ = faster_precision(model.encoder.config, rows=BATCH * 24)
        report.add(*float32_rows(chosen, model, folder, options.rounds, precision))
        rounds = options.rounds if quick else min(3, options.rounds)
        report.add(*bfloat16_rows(few, model, folder, rounds, precision))
    count = sum(len(each.texts) for each in chosen)
    report.details = {
        "examples": count,
        "examples_per_second": round(count / report.rows[0].ours_ms * 1e3, 1),
        "bfloat16_examples": sum(len(each.texts) for each in few),
        "transformers_precision": precision,
        "onnxruntime": onnxruntime.__version__,
        "transformers": transformers.__version__,
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
