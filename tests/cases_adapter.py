"""What the cases of other people's troubles (`make cases`) ask of Accord's insides."""

from pathlib import Path


def tokens(folder: str, text: str) -> list[str]:
    """Return the pieces that a folder's tokenizer makes of a text, without special tokens."""
    from accord.data.tokenizing import load_tokenizer

    pieces: list[str] = load_tokenizer(Path(folder)).encode(text, add_special_tokens=False).tokens
    return pieces


def probabilities(model: str, task: str, texts: list[str]) -> list[list[float]]:
    """Return a row of class probabilities per text, labels in the model's order."""
    import accord

    rows: list[list[float]] = accord.load(model).logits(task, texts).softmax(-1).tolist()
    return rows
