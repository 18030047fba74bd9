"""With a dense layer of its own, and by means of all tokens."""

from kind_cases import Case

from accord.kinds.simcse import SimCSETask

CASES = [
    Case(SimCSETask("alike", "simcse", "info_nce", "likelihood", pooling="cls", dropout=0.0)),
    Case(
        SimCSETask("means", "simcse", "info_nce", "likelihood", pooling="mean", dropout=0.0,
                   temperature=0.2),
        {"pooling": "mean", "temperature": 0.2},
    ),
]  # fmt: skip
