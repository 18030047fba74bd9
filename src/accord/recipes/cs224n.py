"""The three tasks of Stanford's CS224N default final project, on the course's own files."""

from __future__ import annotations

from pathlib import Path

from accord.errors import DataError
from accord.recipes.starter import quote
from accord.untrusted import read_json

_HEAD = """\
# The three tasks of Stanford's CS224N default final project.
# Check it with:  accord check FILE      Train it with:  accord train FILE --out RUN

score = "cs224n"              # (sst accuracy + quora accuracy + (sts Pearson + 1) / 2) / 3

[encoder]
path = {encoder}
"""

_SST = """
# Sentiment of a sentence from a film review, 0 (negative) to 4 (positive).
[tasks.sst]
kind = "classification"
{files}
text = "sentence"
label = "sentiment"
id = "id"
labels = [0, 1, 2, 3, 4]
pooling = "mean"
on_bad_row = "skip"
"""

_QUORA = """
# Whether two questions ask the same. A few of the course's rows have no label or an empty
# question: they are skipped, and counted.
[tasks.quora]
kind = "pair-classification"
{files}
text = ["sentence1", "sentence2"]
label = "is_duplicate"
id = "id"
labels = [0, 1]
pooling = "mean"
on_bad_row = "skip"
"""

_STS = """
# How similar in meaning two sentences are, 0 (not at all) to 5 (the same).
[tasks.sts]
kind = "pair-regression"
{files}
text = ["sentence1", "sentence2"]
label = "similarity"
id = "id"
range = [0, 5]
pooling = "mean"
on_bad_row = "skip"
"""

_TRAINING = """
[training]
epochs = 3
batch_size = 32               # of each task, in every step
batching = "finish-largest"   # an epoch is one pass over the largest data set
gradients = "pcgrad"          # where tasks' gradients conflict, project the conflict away
"""

_SMALL_LR = "lr = 1e-4                     # a small encoder learns at more than the default 5e-5\n"
_SMALL_HIDDEN = 512

_SECTIONS = {"ids-sst": _SST, "quora": _QUORA, "sts": _STS}


def cs224n_recipe(data: Path, encoder: str) -> str:
    """Return the recipe as TOML text.

    Args:
        data: the folder with the course's files; the unlabelled test files may be absent.
        encoder: a folder in Hugging Face format, or a hub id.

    Raises:
        DataError: a training or dev file is not in the folder.
    """
    text = _HEAD.format(encoder=quote(encoder))
    for prefix, section in _SECTIONS.items():
        text += section.format(files=_files(data, prefix))
    return text + _TRAINING + _SMALL_LR * _is_small(encoder)


def _is_small(encoder: str) -> bool:
    """Whether the encoder is a folder at hand whose config says that it is narrow."""
    try:
        config = read_json(Path(encoder) / "config.json")
        return int(config["hidden_size"]) <= _SMALL_HIDDEN
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _files(data: Path, prefix: str) -> str:
    lines = []
    for split in ("train", "dev", "test"):
        path = data / f"{prefix}-{split}{'-student' if split == 'test' else ''}.csv"
        if path.is_file():
            lines.append(f"{split} = {quote(str(path.absolute()))}")
        elif split != "test":
            raise DataError(f"{path}: no such file; the recipe needs the course's train and dev")
    return "\n".join(lines)
