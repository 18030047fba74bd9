"""How often does `accord compare` say "better" or "worse" where nothing can be shared?

    python benchmarks/nothing_shared.py exposure|choice [--repeats N] [--seeds N] [--first N]
        [--output FILE]

The encoder is frozen and gradients aren't clipped, so a head learns the same whatever stands
beside it: every "better" or "worse" is false. Each repeat draws new rows of three tasks, trains
each task alone and all three together with `accord compare`'s own cells, and reads its verdicts.

- `exposure`: sizes 300, 4,000 and 1,000, two epochs that end with the largest task. The small
  tasks come many times together; alone they used to come twice.
- `choice`: three tasks of 1,000 rows, fifteen epochs. Alone an epoch is chosen by the task's own
  metric, together by the sum.

The encoder is a random BERT of one layer, whose pooled vectors tell the words of a text, so that
heads beat a constant prediction.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import progress
from scipy.stats import binomtest

from accord.comparison.family import compare_groups
from accord.comparison.sharing import SharingVerdict
from accord.config.file import parse_config
from accord.data.tokenizing import load_tokenizer
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.pretrained import save_encoder
from accord.grids.comparison import comparison_cells
from accord.grids.running import grid_groups, run_grid

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("al", "en", "or", "ix", "um")]
SIZES = {"exposure": (300, 4000, 1000), "choice": (1000, 1000, 1000)}
EPOCHS = {"exposure": 2, "choice": 15}
DEV_ROWS = 400
FALSE = ("better", "worse")


def write_encoder(folder: Path) -> Path:
    """Write a BERT of random weights whose vocabulary is `WORDS`."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    encoder = BertEncoder(BertConfig(
        vocab_size=len(words), hidden_size=48, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=32, type_vocab_size=2,
    ))  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "norm" not in name and "bias" not in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * (1.0 if "word" in name else 0.1))
    save_encoder(encoder, folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    load_tokenizer(folder).save(str(folder / "tokenizer.json"))
    return folder


def texts(rng: np.random.Generator, rows: int) -> Iterator[tuple[str, int]]:
    """Texts of ten words, whose class is a noisy vote of the words' own classes."""
    for _ in range(rows):
        words = rng.integers(20, size=10)
        score = (words % 2).mean() - 0.5 + 0.15 * rng.standard_normal()
        yield " ".join(WORDS[word] for word in words), int(np.digitize(score, (-0.1, 0.1)))


def pairs(rng: np.random.Generator, rows: int) -> Iterator[tuple[str, str, float]]:
    """Pairs of texts of eight words with the share of words that they have in common, noisy."""
    for _ in range(rows):
        first = rng.permutation(len(WORDS))[:8]
        kept = rng.integers(9)
        second = rng.permutation(np.r_[first[:kept], rng.integers(len(WORDS), size=8 - kept)])
        shared = float(np.clip(kept / 8 + 0.25 * rng.standard_normal(), 0, 1))
        sides = (" ".join(WORDS[word] for word in side) for side in (first, second))
        yield (*sides, shared)


def write_tasks(folder: Path, sizes: tuple[int, int, int], seed: int) -> dict[str, Any]:
    """Write train and dev files of three tasks, and return their tables."""
    rng = np.random.default_rng(seed)
    for split, counts in (("train", sizes), ("dev", (DEV_ROWS,) * 3)):
        rows = {
            "topic": (f"{text}\t{label}" for text, label in texts(rng, counts[0])),
            "same": (f"{a}\t{b}\t{int(s > 0.5)}" for a, b, s in pairs(rng, counts[1])),
            "near": (f"{a}\t{b}\t{s:.3f}" for a, b, s in pairs(rng, counts[2])),
        }
        for name, lines in rows.items():
            head = "text\tlabel" if name == "topic" else "first\tsecond\tlabel"
            file = folder / f"{name}-{split}.tsv"
            file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    pair = {"text": ["first", "second"], "encoding": "separate"}
    kinds: dict[str, dict[str, Any]] = {
        "topic": {"kind": "classification", "text": "text", "labels": [0, 1, 2]},
        "same": {"kind": "pair-classification", **pair, "labels": [0, 1]},
        "near": {"kind": "pair-regression", **pair, "range": [0, 1]},
    }
    files = {name: {s: str(folder / f"{name}-{s}.tsv") for s in ("train", "dev")} for name in kinds}
    return {
        name: {**kind, **files[name], "label": "label", "pooling": "mean"}
        for name, kind in kinds.items()
    }


def one_repeat(which: str, encoder: Path, number: int, seeds: int) -> list[SharingVerdict]:
    """Compare sharing with single tasks on newly drawn rows, by seeds that no other repeat has."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["ACCORD_CACHE"] = str(folder / "cache")
        config = parse_config({
            "encoder": {"path": str(encoder), "mode": "frozen"},
            "tasks": write_tasks(folder, SIZES[which], number),
            "training": {
                "epochs": EPOCHS[which], "batching": "finish-largest", "lr": 1e-2, "clip": 0,
                "batch_size": 64, "seed": seeds * number, "device": "cpu", "threads": 1,
            },
        })  # fmt: skip
        run_grid(comparison_cells(config, seeds, which), folder / "out")
        return list(compare_groups(grid_groups(folder / "out")).sharing)


def summary(which: str, seeds: int, repeats: list[list[SharingVerdict]]) -> dict[str, Any]:
    """Count verdicts, false ones by task and by comparison, each with its 95 % interval."""
    tasks = [verdict.task for verdict in repeats[0]]
    false = {
        task: sum(one.verdict.kind in FALSE for each in repeats for one in each if one.task == task)
        for task in tasks
    }
    any_false = sum(any(one.verdict.kind in FALSE for one in each) for each in repeats)
    ends = binomtest(any_false, len(repeats)).proportion_ci(0.95)
    return {
        "command": f"python benchmarks/nothing_shared.py {which} --seeds {seeds}"
        f" --repeats {len(repeats)}",
        "repeats": len(repeats), "seeds": seeds,
        "verdicts": Counter(one.verdict.kind for each in repeats for one in each),
        "false": false, "comparisons_with_a_false_verdict": any_false,
        "share": any_false / len(repeats), "low": round(ends.low, 4), "high": round(ends.high, 4),
        "mean_difference": {
            task: _mean([one.compared.difference.value for each in repeats for one in each
                         if one.task == task]) for task in tasks
        },
        "examples": {
            one.task: [one.alone.exposure(one.task), one.together.exposure(one.task)]
            for one in repeats[-1]
        },
        "figures": {
            one.task: [one.compared.constant, one.alone.mean(one.task), one.together.mean(one.task)]
            for one in repeats[-1]
        },
    }  # fmt: skip


def _mean(values: list[float]) -> list[float]:
    """The mean and its standard error."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return [float(np.mean(values)), error]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=sorted(SIZES))
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each model")
    parser.add_argument("--first", type=int, default=0, help="number of the first repeat")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    started, repeats = time.monotonic(), list[list[SharingVerdict]]()
    home = Path(tempfile.mkdtemp())
    encoder = write_encoder(home / "encoder")
    for number in range(options.first, options.first + options.repeats):
        repeats.append(one_repeat(options.which, encoder, number, options.seeds))
        spent = time.monotonic() - started
        table = {**summary(options.which, options.seeds, repeats), "seconds": round(spent)}
        if options.output:  # after each repeat: it takes an hour
            options.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        progress(f"repeat {len(repeats)} of {options.repeats}, {spent:.0f} s")
    progress("")
    shutil.rmtree(home)
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
