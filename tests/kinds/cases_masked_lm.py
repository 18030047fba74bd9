"""Few words to tell, and many."""

from kind_cases import Case

from accord.kinds.masked_lm import MaskedLMTask

CASES = [
    Case(
        MaskedLMTask("words", "masked-lm", "masked_lm", "likelihood", pooling="masked",
                     dropout=0.0),
    ),
    Case(
        MaskedLMTask("more", "masked-lm", "masked_lm", "likelihood", pooling="masked", dropout=0.0,
                     mask_share=0.5),
        {"mask_share": 0.5},
    ),
]  # fmt: skip
