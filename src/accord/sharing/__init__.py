"""What each task has of its own inside the shared encoder: schemes, one per file.

The encoder stays a plain BERT. A scheme adds a part beside each of its layers, or in a layer's
place, that acts on each task's own rows of the packed batch. Its parameters belong to one task
each, and their gradients are that task's own, as a head's. A file of this folder registers its
scheme under its own name (`_` read as `-`).

What a layer's parts may do, one after the other, copies of layers first:

    embed    give the first layer's input                own-encoder
    dense    change what a dense layer makes of x        lora; copies: own-layers, own-encoder
    norm     take a norm's place; the last part's wins   task-norm; copies
    after    change a half's output before it is added   adapter
    beside   add to what the last norm sees              pal
"""

from __future__ import annotations

from accord.sharing._registry import SCHEMES, Part, Scheme

__all__ = ["SCHEMES", "Part", "Scheme", "get_scheme", "scheme_names"]


def scheme_names() -> list[str]:
    """Return the names of all schemes, without importing any."""
    return SCHEMES.names()


def get_scheme(name: str) -> Scheme:
    """Return a scheme by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    return SCHEMES.get(name)
